//! Orders through their trait: the lifecycle, repeats, pages, events without gaps, and bad input.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use orders::OrdersApi;
use shoal_sdk::{Call, Code, Environment, Error};
use store_contracts::store::orders::v1::{
    AuditRequest, CancelRequest, ConfirmRequest, EventsRequest, GetRequest, ListRequest, OpenRequest, Order,
    OrderEvent, OrderEventKind, OrderLine, OrderState, Orders,
};
use store_contracts::store::types::v1::{Address, Money};

struct Bench {
    api: OrdersApi,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        Bench { api: another(folder.path()).await, folder }
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

async fn another(folder: &std::path::Path) -> OrdersApi {
    let database = Environment::for_tests(folder).database(orders::migrator()).await.unwrap();
    let clock = AtomicI64::new(1_700_000_000_000);
    // Several orders share a millisecond, so that pages have ties to break.
    OrdersApi::new(database, Arc::new(move || clock.fetch_add(1, Ordering::SeqCst) / 3))
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

#[tokio::test]
async fn an_order_is_opened_once_and_another_body_is_refused() {
    let bench = Bench::new().await;
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
}

#[tokio::test]
async fn an_order_is_decided_once_with_one_event() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_list_comes_in_pages_newest_first_and_only_its_shoppers() {
    let bench = Bench::new().await;
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

/// Replicas decide orders at once while a reader follows the events: it sees each once, in order, with no gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_reader_that_follows_misses_no_event() {
    const ORDERS: usize = 24;
    let bench = Bench::new().await;
    let mut writers = tokio::task::JoinSet::new();
    for replica in 0..3 {
        let api = another(bench.folder.path()).await;
        writers.spawn(async move {
            for _ in 0..ORDERS / 3 {
                let request = order(&format!("guest:{replica}"));
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

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn the_service_starts() {
    let folder = tempfile::tempdir().unwrap();
    assert!(orders::service(Environment::for_tests(folder.path())).await.is_ok());
}
