//! The mail log through its contract, with sources that are played: repeated, out of order, gone.

use super::*;
use crate::follow::take_batch;
use rstest::rstest;
use shoal_sdk::{Code, Shutdown};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store_contracts::store::orders::v1::{Order, OrderEvent, OrderEventKind, OrderLine};
use store_contracts::store::shipping::v1::{Shipment, ShipmentEvent};
use store_contracts::store::types::v1::{Address, Money};
use store_contracts::store::{orders, shipping};
use test_databases::{Kind, TestDatabase};

/// Answers each request with the next of its answers, then with nothing new.
#[derive(Default)]
struct Played<T>(Mutex<Vec<Result<Vec<T>, Error>>>);

impl<T> Played<T> {
    fn of(answers: Vec<Result<Vec<T>, Error>>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(answers)))
    }

    fn next(&self) -> Result<Vec<T>, Error> {
        let mut answers = self.0.lock().unwrap();
        if answers.is_empty() { Ok(Vec::new()) } else { answers.remove(0) }
    }
}

#[shoal_sdk::async_trait]
impl calls::Orders for Played<OrderEvent> {
    async fn events(&self, _: &Call, _: orders::v1::EventsRequest) -> Result<orders::v1::EventsResponse, Error> {
        Ok(orders::v1::EventsResponse { events: self.next()?, ..Default::default() })
    }
}

#[shoal_sdk::async_trait]
impl calls::Shipping for Played<ShipmentEvent> {
    async fn events(&self, _: &Call, _: shipping::v1::EventsRequest) -> Result<shipping::v1::EventsResponse, Error> {
        Ok(shipping::v1::EventsResponse { events: self.next()?, ..Default::default() })
    }
}

fn money(minor: i64) -> Money {
    Money { minor, currency: "EUR".to_owned(), ..Default::default() }
}

fn ordered(sequence: i64, kind: OrderEventKind) -> OrderEvent {
    let line = OrderLine { name: "Tide Mug".to_owned(), quantity: 2, total: money(3_600).into(), ..Default::default() };
    let order = Order {
        order_id: format!("order-{sequence}"),
        email: "Ada@Example.org".to_owned(),
        address: Address { name: "Ada".to_owned(), ..Default::default() }.into(),
        lines: vec![line],
        shipping: money(490).into(),
        total: money(4_090).into(),
        ..Default::default()
    };
    OrderEvent {
        sequence,
        event_id: format!("o{sequence}"),
        kind: kind.into(),
        order: order.into(),
        ..Default::default()
    }
}

fn confirmed(sequence: i64) -> OrderEvent {
    ordered(sequence, OrderEventKind::ORDER_EVENT_KIND_CONFIRMED)
}

fn shipped(sequence: i64) -> ShipmentEvent {
    let shipment = Shipment {
        order_id: format!("order-{sequence}"),
        email: "ada@example.org".to_owned(),
        tracking_number: "HO000000000001".to_owned(),
        ..Default::default()
    };
    ShipmentEvent { sequence, event_id: format!("s{sequence}"), shipment: shipment.into(), ..Default::default() }
}

async fn open(kind: Kind) -> (TestDatabase, MailLog) {
    let database = TestDatabase::new(kind);
    let log = replica(&database).await;
    (database, log)
}

/// Another replica over the same database.
async fn replica(database: &TestDatabase) -> MailLog {
    MailLog::new(Database::open(database.url(), migrations()).await.unwrap())
}

async fn take(log: &MailLog, source: &Source) -> Result<usize, Error> {
    take_batch(&log.database, source, &Settings::default()).await
}

async fn list(log: &MailLog, recipient: &str, limit: i32, page_token: &str) -> ListResponse {
    let request =
        ListRequest { recipient: recipient.to_owned(), limit, page_token: page_token.to_owned(), ..Default::default() };
    log.list(&Call::new(), request).await.unwrap()
}

#[rstest]
#[tokio::test]
async fn each_event_is_one_mail_however_often_it_comes(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, log) = open(kind).await;
    let orders = Source::Orders(Played::of(vec![
        Ok(vec![confirmed(2), confirmed(1), confirmed(2)]),
        Ok(vec![confirmed(2), ordered(3, OrderEventKind::ORDER_EVENT_KIND_CANCELLED)]),
    ]));
    let shipping = Source::Shipping(Played::of(vec![Ok(vec![shipped(1)]), Ok(vec![shipped(1)])]));
    for _ in 0..3 {
        take(&log, &orders).await.unwrap();
        take(&log, &shipping).await.unwrap();
    }
    let mails = list(&log, "", 0, "").await.mails;
    assert_eq!(mails.len(), 4);
    assert!(mails.iter().all(|mail| mail.recipient == "ada@example.org"));
    let first = mails.iter().find(|mail| mail.order_id == "order-2").unwrap();
    assert!(first.body.contains("2 × Tide Mug   EUR 36.00") && first.body.contains("EUR 40.90"), "{}", first.body);
}

#[rstest]
#[tokio::test]
async fn the_list_is_newest_first_and_paged(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, log) = open(kind).await;
    let orders = Source::Orders(Played::of(vec![Ok((1..=5).map(confirmed).collect())]));
    take(&log, &orders).await.unwrap();
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(&log, "ADA@example.org", 2, &token).await;
        seen.extend(page.mails.iter().map(|mail| mail.order_id.clone()));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["order-5", "order-4", "order-3", "order-2", "order-1"]);
    assert!(list(&log, "eve@example.org", 0, "").await.mails.is_empty());
}

#[rstest]
#[tokio::test]
async fn following_survives_failures_and_ends_with_the_shutdown(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, log) = open(kind).await;
    let source = Source::Orders(Played::of(vec![Err(Error::unavailable("away")), Ok(vec![confirmed(1)])]));
    let shutdown = Shutdown::new();
    let following = tokio::spawn(follow(log.database.clone(), source, Settings::default(), shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while list(&log, "", 0, "").await.mails.is_empty() {
        assert!(Instant::now() < deadline, "the mail was not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.request();
    tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
}

/// Orders that go on being confirmed: each answer starts some events too early, comes thrice and backwards.
struct InsistentOrders(std::sync::atomic::AtomicI64);

impl InsistentOrders {
    const ALL: i64 = 60;
}

#[shoal_sdk::async_trait]
impl calls::Orders for InsistentOrders {
    async fn events(&self, _: &Call, request: orders::v1::EventsRequest) -> Result<orders::v1::EventsResponse, Error> {
        let last = self.0.fetch_add(4, std::sync::atomic::Ordering::SeqCst).min(Self::ALL);
        let events = (1..=last).filter(|sequence| *sequence > request.after - 3).rev();
        let events: Vec<OrderEvent> = events.map(confirmed).collect();
        let events = [events.clone(), events.clone(), events].concat();
        Ok(orders::v1::EventsResponse { events, ..Default::default() })
    }
}

/// Two replicas take overlapping batches at once, and each event comes many times and out of order.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_batches_of_two_replicas_make_one_mail_each(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (database, log) = open(kind).await;
    let orders = Arc::new(InsistentOrders(std::sync::atomic::AtomicI64::new(1)));
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (replica, source) = (
            replica(&database).await,
            Source::Orders(Arc::<InsistentOrders>::clone(&orders) as Arc<dyn calls::Orders>),
        );
        replicas.spawn(async move {
            // The sequence of the last event is the place when all were taken.
            loop {
                let mut reading = replica.database.read().await.unwrap();
                let place = mails::place(&mut reading, "orders").await.unwrap();
                drop(reading);
                if place == InsistentOrders::ALL {
                    return;
                }
                take(&replica, &source).await.unwrap();
            }
        });
    }
    while let Some(replica) = replicas.join_next().await {
        replica.unwrap();
    }
    let mut written: Vec<String> = list(&log, "", 100, "").await.mails.into_iter().map(|mail| mail.order_id).collect();
    let expected = usize::try_from(InsistentOrders::ALL).unwrap();
    assert_eq!(written.len(), expected);
    written.sort_unstable();
    written.dedup();
    assert_eq!(written.len(), expected);
}

/// Only in a build that has planted bugs.
#[cfg(feature = "planted-bugs")]
mod planted_bugs {
    use super::*;

    fn one_event() -> Source {
        Source::Orders(Played::of(vec![Ok(vec![confirmed(1)])]))
    }

    #[tokio::test]
    async fn a_place_that_is_moved_too_early_loses_a_mail() {
        let (_database, log) = open(Kind::Sqlite).await;
        let bugged = Settings { planted_bug: Some(PlantedBug::PlaceBeforeEffect) };
        let source = one_event();
        let halfway = async {
            loop {
                let mut reading = log.database.read().await.unwrap();
                if mails::place(&mut reading, "orders").await.unwrap() == 1 {
                    return;
                }
                drop(reading);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            taken = take_batch(&log.database, &source, &bugged) => panic!("not killed: {taken:?}"),
            () = halfway => {}
        }
        take(&log, &source).await.unwrap();
        assert!(list(&log, "", 0, "").await.mails.is_empty());
    }

    #[tokio::test]
    async fn two_replicas_without_an_inbox_write_twice() {
        let (database, log) = open(Kind::Sqlite).await;
        let bugged = Settings { planted_bug: Some(PlantedBug::NoInbox) };
        let other = replica(&database).await;
        let (one, two) = (one_event(), one_event());
        let both = tokio::join!(take_batch(&log.database, &one, &bugged), take_batch(&other.database, &two, &bugged));
        both.0.and(both.1).unwrap();
        assert_eq!(list(&log, "", 0, "").await.mails.len(), 2);
    }
}

#[tokio::test]
async fn the_service_knows_no_other_setting() {
    let folder = tempfile::tempdir().unwrap();
    let orders = Played::<OrderEvent>::of(Vec::new()) as Arc<dyn calls::Orders>;
    let shipping = Played::<ShipmentEvent>::of(Vec::new()) as Arc<dyn calls::Shipping>;
    let environment = Environment::for_tests(folder.path()).provide(orders).provide(shipping);
    assert!(service(environment.clone()).await.is_ok());
    let name = if cfg!(feature = "planted-bugs") { "planted" } else { "planted-bug" };
    let settings = std::collections::BTreeMap::from([(name, "no-inbox")]);
    assert!(service(environment.with_settings(&settings).unwrap()).await.is_err());
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, log) = open(kind).await;
    let long = "x".repeat(300);
    for (recipient, limit, token) in
        [("", -1, ""), ("", 101, ""), ("a\0b", 1, ""), (long.as_str(), 1, ""), ("", 1, "next"), ("", 1, "-5")]
    {
        let request =
            ListRequest { recipient: recipient.to_owned(), limit, page_token: token.to_owned(), ..Default::default() };
        assert_eq!(log.list(&Call::new(), request).await.unwrap_err().code, Code::InvalidArgument);
    }
}
