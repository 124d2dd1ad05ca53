//! Orders through their trait: the lifecycle, repeats, pages, events without gaps, and bad input.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use orders::{CRASH_POINTS, OrdersApi, Settings, migrations};
use rstest::rstest;
use shoal_sdk::{Call, Code, Database, Environment, Error, Faults, Message, query};
use store_contracts::store::orders::v1::{
    AuditRequest, CancelRequest, ConfirmRequest, EventsRequest, GetRequest, ListRequest, OpenRequest, Order,
    OrderEvent, OrderEventKind, OrderLine, OrderState, Orders,
};
use store_contracts::store::types::v1::{Address, Money};
use test_databases::{Kind, TestDatabase};

struct Bench {
    api: OrdersApi,
    database: Arc<TestDatabase>,
}

impl Bench {
    async fn new(kind: Kind) -> Bench {
        let database = Arc::new(TestDatabase::new(kind));
        Bench { api: replica(&database).await, database }
    }

    async fn open(&self, request: OpenRequest) -> Result<Order, Error> {
        Ok(self.api.open(&Call::new(), request).await?.order.into_option().unwrap())
    }

    async fn confirm(&self, order_id: &str) -> Result<Order, Error> {
        let request = ConfirmRequest { order_id: order_id.to_owned(), ..Default::default() };
        Ok(self.api.confirm(&Call::new(), request).await?.order.into_option().unwrap())
    }

    async fn cancel(&self, order_id: &str, reason: &str) -> Result<Order, Error> {
        let request = CancelRequest { order_id: order_id.to_owned(), reason: reason.to_owned(), ..Default::default() };
        Ok(self.api.cancel(&Call::new(), request).await?.order.into_option().unwrap())
    }

    async fn events(&self, after: i64, limit: i32) -> Vec<OrderEvent> {
        let request = EventsRequest { after, limit, ..Default::default() };
        self.api.events(&Call::new(), request).await.unwrap().events
    }
}

/// Another replica over the same database.
async fn replica(test: &TestDatabase) -> OrdersApi {
    replica_with(test, Settings::default(), Faults::default()).await
}

async fn replica_with(test: &TestDatabase, settings: Settings, faults: Faults) -> OrdersApi {
    let database = Database::open(test.url(), migrations()).await.unwrap();
    let clock = AtomicI64::new(1_700_000_000_000);
    // Several orders share a millisecond, so that pages have ties to break.
    let clock = Arc::new(move || clock.fetch_add(1, Ordering::SeqCst) / 3);
    OrdersApi::new(database, settings, clock, faults)
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: "EUR".to_owned(), ..Default::default() }
}

fn order(shopper: &str) -> OpenRequest {
    let line = OrderLine {
        product_id: "blue-mug".to_owned(),
        name: "Blue mug".to_owned(),
        quantity: 2,
        unit_price: euros(1250).into(),
        total: euros(2500).into(),
        ..Default::default()
    };
    let address = Address {
        name: "Ada Example".to_owned(),
        line1: "Long Street 1".to_owned(),
        city: "Berlin".to_owned(),
        postcode: "10115".to_owned(),
        country: "DE".to_owned(),
        ..Default::default()
    };
    OpenRequest {
        order_id: uuid::Uuid::now_v7().to_string(),
        shopper_id: shopper.to_owned(),
        email: "ada@example.org".to_owned(),
        address: address.into(),
        lines: vec![line],
        subtotal: euros(2500).into(),
        shipping: euros(490).into(),
        total: euros(2990).into(),
        ..Default::default()
    }
}

#[rstest]
#[tokio::test]
async fn an_order_is_opened_once_and_another_body_is_refused(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let request = order("guest:one");
    let first = bench.open(request.clone()).await.unwrap();
    assert_eq!(first.state, OrderState::ORDER_STATE_PENDING);
    assert_eq!(bench.open(OpenRequest { fence: 3, ..request.clone() }).await.unwrap(), first);
    let other = OpenRequest { email: "eve@example.org".to_owned(), ..request.clone() };
    assert_eq!(bench.open(other).await.unwrap_err().code, Code::AlreadyExists);
    let get = GetRequest { order_id: request.order_id.clone(), ..Default::default() };
    let read = bench.api.get(&Call::new(), get).await.unwrap();
    assert_eq!(read.order.as_option(), Some(&first));
    assert_eq!((&read.order.lines, &read.order.address), (&request.lines, &request.address));
    let stale = ConfirmRequest { order_id: request.order_id.clone(), fence: 2, ..Default::default() };
    assert_eq!(bench.api.confirm(&Call::new(), stale).await.unwrap_err().code, Code::Aborted);
    // What was refused for its body has still shown who is newer.
    let other = OpenRequest { email: "eve@example.org".to_owned(), fence: 9, ..request.clone() };
    assert_eq!(bench.open(other).await.unwrap_err().code, Code::AlreadyExists);
    let stale = CancelRequest { order_id: request.order_id.clone(), fence: 8, ..Default::default() };
    assert_eq!(bench.api.cancel(&Call::new(), stale).await.unwrap_err().code, Code::Aborted);
}

/// Somebody newer commanded the order first: an opening that was still on its way comes too late.
#[rstest]
#[tokio::test]
async fn a_lower_fence_is_refused_for_an_order_that_is_not_open(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let request = order("guest:one");
    let cancel = CancelRequest { order_id: request.order_id.clone(), fence: 4, ..Default::default() };
    assert_eq!(bench.api.cancel(&Call::new(), cancel.clone()).await.unwrap_err().code, Code::NotFound);
    let stale = OpenRequest { fence: 3, ..request.clone() };
    assert_eq!(bench.open(stale).await.unwrap_err().code, Code::Aborted);
    // Whoever called it off has ended with it, so an opening of their own is an older one.
    let late = OpenRequest { fence: 4, ..request.clone() };
    assert_eq!(bench.open(late).await.unwrap_err().code, Code::Aborted);
    let get = GetRequest { order_id: request.order_id.clone(), ..Default::default() };
    assert_eq!(bench.api.get(&Call::new(), get).await.unwrap_err().code, Code::NotFound);
    bench.open(OpenRequest { fence: 5, ..request.clone() }).await.unwrap();
    assert_eq!(bench.api.cancel(&Call::new(), cancel).await.unwrap_err().code, Code::Aborted);
}

/// The request of a release that knows more fields: stored without them, and the same order when it comes again.
#[rstest]
#[tokio::test]
async fn fields_of_another_release_make_no_other_order(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let known = order("guest:one");
    let mut newer: OpenRequest = with_a_field_nobody_knows(&known);
    newer.address = with_a_field_nobody_knows(known.address.as_option().unwrap()).into();
    assert_ne!(newer, known);
    bench.open(newer.clone()).await.unwrap();
    let first = bench.open(newer).await.unwrap();
    assert_eq!(bench.open(known).await.unwrap(), first);
}

fn with_a_field_nobody_knows<M: Message>(message: &M) -> M {
    // Field 1000, a varint of 7.
    let bytes = [message.encode_to_vec(), vec![0xC0, 0x3E, 0x07]].concat();
    M::decode_from_slice(&bytes).unwrap()
}

/// The same order opened, confirmed and cancelled by three replicas at once: one record, decided once, one event.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_race_for_an_order_decide_it_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let requests: Vec<OpenRequest> = (0..6).map(|_| order("guest:one")).collect();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..3 {
        let (api, requests) = (replica(&bench.database).await, requests.clone());
        tasks.spawn(async move {
            let mut confirmed = Vec::new();
            for request in requests {
                let order_id = request.order_id.clone();
                api.open(&Call::new(), request).await.unwrap();
                let decided = if number == 0 {
                    let request = CancelRequest { order_id: order_id.clone(), ..Default::default() };
                    api.cancel(&Call::new(), request).await.map(|_| false)
                } else {
                    let request = ConfirmRequest { order_id: order_id.clone(), ..Default::default() };
                    api.confirm(&Call::new(), request).await.map(|_| true)
                };
                match decided {
                    Ok(is_confirmed) => confirmed.push((order_id, is_confirmed)),
                    Err(error) => assert_eq!(error.code, Code::FailedPrecondition, "{error}"),
                }
            }
            confirmed
        });
    }
    let mut decided = std::collections::BTreeMap::new();
    while let Some(answers) = tasks.join_next().await {
        for (order_id, is_confirmed) in answers.unwrap() {
            assert_eq!(*decided.entry(order_id).or_insert(is_confirmed), is_confirmed, "all were told the same");
        }
    }
    let events = bench.events(0, 0).await;
    assert_eq!((decided.len(), events.len()), (6, 6));
    for event in events {
        let is_confirmed = event.kind == OrderEventKind::ORDER_EVENT_KIND_CONFIRMED;
        assert_eq!(decided.get(&event.order.order_id), Some(&is_confirmed));
    }
}

#[rstest]
#[tokio::test]
async fn an_order_is_decided_once_with_one_event(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let (kept, dropped) = (order("guest:one"), order("guest:one"));
    bench.open(kept.clone()).await.unwrap();
    bench.open(dropped.clone()).await.unwrap();
    assert!(bench.events(0, 0).await.is_empty());
    for _ in 0..3 {
        assert_eq!(bench.confirm(&kept.order_id).await.unwrap().state, OrderState::ORDER_STATE_CONFIRMED);
        let cancelled = bench.cancel(&dropped.order_id, "The card was declined.").await.unwrap();
        assert_eq!(cancelled.cancel_reason, "The card was declined.");
    }
    assert_eq!(bench.cancel(&kept.order_id, "").await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.confirm(&dropped.order_id).await.unwrap_err().code, Code::FailedPrecondition);
    let events = bench.events(0, 0).await;
    let kinds: Vec<_> = events.iter().map(|event| (event.sequence, event.kind.as_known())).collect();
    assert_eq!(
        kinds,
        [(1, Some(OrderEventKind::ORDER_EVENT_KIND_CONFIRMED)), (2, Some(OrderEventKind::ORDER_EVENT_KIND_CANCELLED))]
    );
    assert_eq!(events[0].order.order_id, kept.order_id);
    assert_eq!(bench.events(0, 0).await, events, "delivered again, the same");
    let audit = bench.api.audit(&Call::new(), AuditRequest::default()).await.unwrap();
    assert_eq!((audit.pending, audit.confirmed, audit.cancelled, audit.oldest_pending_at_ms), (0, 1, 1, 0));
    assert_eq!(audit.confirmed_totals, [euros(2990)]);
}

#[rstest]
#[tokio::test]
async fn a_list_comes_in_pages_newest_first_and_only_its_shoppers(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut opened = Vec::new();
    for number in 0..7 {
        let request = order(if number == 3 { "customer:bob" } else { "guest:one" });
        opened.push(bench.open(request).await.unwrap());
    }
    let mut listed = Vec::new();
    let mut token = String::new();
    loop {
        let request =
            ListRequest { shopper_id: "guest:one".to_owned(), limit: 2, page_token: token, ..Default::default() };
        let page = bench.api.list(&Call::new(), request).await.unwrap();
        assert!(page.orders.len() <= 2);
        listed.extend(page.orders);
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let mut expected: Vec<Order> = opened.into_iter().filter(|order| order.shopper_id == "guest:one").collect();
    expected.sort_by(|a, b| (b.opened_at_ms, &b.order_id).cmp(&(a.opened_at_ms, &a.order_id)));
    assert_eq!(listed, expected);
    for page_token in ["x", "1.2", "1.", ".", "99999999999999999999.a"] {
        let request =
            ListRequest { shopper_id: "guest:one".to_owned(), page_token: page_token.to_owned(), ..Default::default() };
        assert_eq!(bench.api.list(&Call::new(), request).await.unwrap_err().code, Code::InvalidArgument);
    }
}

#[rstest]
#[tokio::test]
async fn a_command_that_was_killed_before_it_answered_counts_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for place in CRASH_POINTS {
        let bench = Bench::new(kind).await;
        let died = Arc::new(AtomicBool::new(false));
        let killed = Arc::clone(&died);
        let hook = move |reached: &str| {
            assert!(reached != place || killed.swap(true, Ordering::SeqCst), "killed at {place}");
        };
        let folder = tempfile::tempdir().unwrap();
        let faults = Environment::for_tests(folder.path()).with_crash_points_for_tests(Arc::new(hook)).faults();
        let database = Arc::clone(&bench.database);
        let api = replica_with(&database, Settings::default(), faults).await;
        let dying = Arc::new(Bench { api, database });
        let (kept, dropped) = (order("guest:one"), order("guest:one"));
        for number in 0..4 {
            let (killed, kept, dropped) = (Arc::clone(&dying), kept.clone(), dropped.clone());
            let step = async move || match number {
                0 => killed.open(kept.clone()).await.unwrap(),
                1 => killed.confirm(&kept.order_id).await.unwrap(),
                2 => killed.open(dropped.clone()).await.unwrap(),
                _ => killed.cancel(&dropped.order_id, "").await.unwrap(),
            };
            let again = step.clone();
            if tokio::spawn(async move { drop(step().await) }).await.is_err() {
                again().await;
            }
        }
        assert!(died.load(Ordering::SeqCst), "{place} was never reached");
        let told: Vec<_> = bench.events(0, 0).await.into_iter().map(|event| event.order.order_id.clone()).collect();
        assert_eq!(told, [kept.order_id, dropped.order_id], "{place}");
    }
}

/// An order that cannot be read holds up no event behind it.
#[rstest]
#[tokio::test]
async fn a_broken_order_is_told_without_it(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let opened = bench.open(order("guest:one")).await.unwrap();
        bench.confirm(&opened.order_id).await.unwrap();
        ids.push(opened.order_id);
    }
    let database = Database::open(bench.database.url(), migrations()).await.unwrap();
    let mut transaction = database.write().await.unwrap();
    query("UPDATE orders SET body = '{' WHERE order_id = $1").bind(&ids[1]).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let told: Vec<_> = bench
        .events(0, 0)
        .await
        .into_iter()
        .map(|event| (event.sequence, event.order.as_option().map(|order| order.order_id.clone())))
        .collect();
    assert_eq!(told, [(1, Some(ids[0].clone())), (2, None), (3, Some(ids[2].clone()))]);
}

/// Replicas decide orders at once while a reader follows the events: it sees each once, in order, with no gap.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_follows_misses_no_event(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    const ORDERS: usize = 24;
    let bench = Bench::new(kind).await;
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..3 {
        let api = replica(&bench.database).await;
        writers.spawn(async move {
            for _ in 0..ORDERS / 3 {
                let request = order(&format!("guest:{number}"));
                let order_id = request.order_id.clone();
                api.open(&Call::new(), request).await.unwrap();
                api.confirm(&Call::new(), ConfirmRequest { order_id, ..Default::default() }).await.unwrap();
            }
        });
    }
    let mut seen = Vec::new();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while seen.len() < ORDERS {
        assert!(std::time::Instant::now() < deadline, "only {} events came", seen.len());
        let after = i64::try_from(seen.len()).unwrap();
        for event in bench.events(after, 5).await {
            assert_eq!(event.sequence, i64::try_from(seen.len()).unwrap() + 1, "no gap");
            seen.push(event.event_id);
        }
        tokio::task::yield_now().await;
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), ORDERS);
    let audit = bench.api.audit(&Call::new(), AuditRequest::default()).await.unwrap();
    assert_eq!(audit.confirmed, i64::try_from(ORDERS).unwrap());
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let good = order("guest:one");
    let line = good.lines[0].clone();
    let address = good.address.as_option().unwrap().clone();
    let with_line = |line: OrderLine| OpenRequest { lines: vec![line], ..good.clone() };
    let with_address = |address: Address| OpenRequest { address: address.into(), ..good.clone() };
    let requests = [
        OpenRequest { order_id: "order-1".to_owned(), ..good.clone() },
        OpenRequest { order_id: uuid::Uuid::new_v4().to_string(), ..good.clone() },
        OpenRequest { shopper_id: "one".to_owned(), ..good.clone() },
        OpenRequest { shopper_id: "guest:".to_owned(), ..good.clone() },
        OpenRequest { shopper_id: format!("guest:{}", "x".repeat(90)), ..good.clone() },
        OpenRequest { email: "nobody".to_owned(), ..good.clone() },
        OpenRequest { email: "a@b\nBcc: c@d".to_owned(), ..good.clone() },
        OpenRequest { email: format!("{}@b", "a".repeat(300)), ..good.clone() },
        OpenRequest { address: None.into(), ..good.clone() },
        with_address(Address { country: "Germany".to_owned(), ..address.clone() }),
        with_address(Address { name: " ".to_owned(), ..address.clone() }),
        with_address(Address { city: "x".repeat(101), ..address.clone() }),
        OpenRequest { lines: vec![], ..good.clone() },
        OpenRequest { lines: vec![line.clone(), line.clone()], ..good.clone() },
        with_line(OrderLine { quantity: 0, ..line.clone() }),
        with_line(OrderLine { quantity: i32::MAX, ..line.clone() }),
        with_line(OrderLine { unit_price: euros(i64::MAX).into(), ..line.clone() }),
        with_line(OrderLine { unit_price: euros(-1).into(), ..line.clone() }),
        with_line(OrderLine { total: euros(2501).into(), ..line.clone() }),
        with_line(OrderLine { total: None.into(), ..line.clone() }),
        with_line(OrderLine { name: "x".repeat(121), ..line.clone() }),
        OpenRequest { subtotal: euros(2499).into(), ..good.clone() },
        OpenRequest { total: euros(2991).into(), ..good.clone() },
        OpenRequest { shipping: euros(i64::MAX).into(), ..good.clone() },
        OpenRequest {
            shipping: Money { minor: 490, currency: "USD".to_owned(), ..Default::default() }.into(),
            ..good.clone()
        },
        OpenRequest {
            total: Money { minor: 2990, currency: "XXX".to_owned(), ..Default::default() }.into(),
            ..good.clone()
        },
        OpenRequest { fence: -1, ..good.clone() },
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let error = bench.open(request).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "request {number}: {error}");
        assert!(error.message.ends_with('.'), "{error}");
    }
    let id = good.order_id.as_str();
    assert_eq!(bench.confirm(id).await.unwrap_err().code, Code::NotFound);
    bench.open(good.clone()).await.unwrap();
    assert_eq!(bench.cancel(id, &"x".repeat(301)).await.unwrap_err().code, Code::InvalidArgument);
    for (after, limit) in [(-1, 0), (0, -1), (0, 501), (i64::MIN, i32::MIN)] {
        let request = EventsRequest { after, limit, ..Default::default() };
        assert_eq!(bench.api.events(&Call::new(), request).await.unwrap_err().code, Code::InvalidArgument);
    }
}

/// Only in a build that has planted bugs.
#[cfg(feature = "planted-bugs")]
#[tokio::test]
async fn without_fences_whoever_lost_the_order_goes_on() {
    let bench = Bench::new(Kind::Sqlite).await;
    let settings = Settings { planted_bug: Some(orders::PlantedBug::NoFence) };
    let api = replica_with(&bench.database, settings, Faults::default()).await;
    let request = OpenRequest { fence: 3, ..order("guest:one") };
    api.open(&Call::new(), request.clone()).await.unwrap();
    let stale = ConfirmRequest { order_id: request.order_id, fence: 2, ..Default::default() };
    api.confirm(&Call::new(), stale).await.unwrap();
}

#[tokio::test]
async fn the_service_starts_and_knows_no_other_setting() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::for_tests(folder.path());
    assert!(orders::service(environment.clone()).await.is_ok());
    let name = if cfg!(feature = "planted-bugs") { "planted" } else { "planted-bug" };
    let settings = std::collections::BTreeMap::from([(name, "no-fence")]);
    assert!(orders::service(environment.with_settings(&settings).unwrap()).await.is_err());
}
