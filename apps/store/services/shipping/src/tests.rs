//! Shipping through its contract, with orders that are played: late, repeated, out of order, gone.

use super::*;
use crate::follow::take_batch;
use rstest::rstest;
use shoal_sdk::{Code, Shutdown, query};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store_contracts::store::orders::v1::{
    EventsRequest as OrdersRequest, EventsResponse as OrdersResponse, Order, OrderEvent, OrderEventKind,
};
use store_contracts::store::shipping::v1::ShipmentEvent;
use store_contracts::store::types::v1::Address;
use test_databases::{Kind, TestDatabase};

/// Answers each request with the next of its answers, then with nothing new.
#[derive(Default)]
struct PlayedOrders {
    answers: Mutex<Vec<Result<Vec<OrderEvent>, Error>>>,
}

#[shoal_sdk::async_trait]
impl calls::Orders for PlayedOrders {
    async fn events(&self, _call: &Call, _request: OrdersRequest) -> Result<OrdersResponse, Error> {
        let mut answers = self.answers.lock().unwrap();
        let events = if answers.is_empty() { Ok(Vec::new()) } else { answers.remove(0) };
        Ok(OrdersResponse { events: events?, ..Default::default() })
    }
}

fn event(sequence: i64, order_id: &str, kind: OrderEventKind) -> OrderEvent {
    let address = Address { city: "Berlin".to_owned(), country: "DE".to_owned(), ..Default::default() };
    let order = Order {
        order_id: order_id.to_owned(),
        email: "ada@example.org".to_owned(),
        address: address.into(),
        ..Default::default()
    };
    OrderEvent {
        sequence,
        event_id: format!("event-{sequence}"),
        kind: kind.into(),
        order: order.into(),
        ..Default::default()
    }
}

fn confirmed(sequence: i64, order_id: &str) -> OrderEvent {
    event(sequence, order_id, OrderEventKind::ORDER_EVENT_KIND_CONFIRMED)
}

async fn open(kind: Kind) -> (TestDatabase, Shipments) {
    let database = TestDatabase::new(kind);
    let shipments = replica(&database).await;
    (database, shipments)
}

/// Another replica over the same database.
async fn replica(database: &TestDatabase) -> Shipments {
    Shipments::new(Database::open(database.url(), migrations()).await.unwrap())
}

async fn take(shipments: &Shipments, orders: &dyn calls::Orders) -> Result<usize, Error> {
    take_batch(&shipments.database, orders, &Settings::default()).await
}

async fn outbox(shipments: &Shipments, after: i64) -> Vec<ShipmentEvent> {
    let request = EventsRequest { after, ..Default::default() };
    shipments.events(&Call::new(), request).await.unwrap().events
}

async fn track(shipments: &Shipments, order_id: &str) -> Result<TrackResponse, Error> {
    shipments.track(&Call::new(), TrackRequest { order_id: order_id.to_owned(), ..Default::default() }).await
}

#[rstest]
#[tokio::test]
async fn events_delivered_thrice_and_out_of_order_make_one_shipment_each(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (_database, shipments) = open(kind).await;
    let orders = PlayedOrders::default();
    *orders.answers.lock().unwrap() = vec![
        Ok(vec![confirmed(2, "order-b"), confirmed(1, "order-a"), confirmed(2, "order-b")]),
        Ok(vec![confirmed(1, "order-a"), confirmed(2, "order-b"), confirmed(3, "order-c")]),
        Ok(vec![confirmed(3, "order-c"), event(4, "order-d", OrderEventKind::ORDER_EVENT_KIND_CANCELLED)]),
    ];
    for _ in 0..4 {
        take(&shipments, &orders).await.unwrap();
    }
    let events = outbox(&shipments, 0).await;
    let mut shipped: Vec<_> = events.iter().map(|event| event.shipment.order_id.as_str()).collect();
    shipped.sort_unstable();
    assert_eq!(shipped, ["order-a", "order-b", "order-c"]);
    assert!(events.is_sorted_by_key(|event| event.sequence));
    assert_eq!(outbox(&shipments, events[0].sequence).await.len(), 2);
    assert_eq!(track(&shipments, "order-d").await.unwrap_err().code, Code::NotFound);
}

#[rstest]
#[tokio::test]
async fn two_events_about_one_order_make_one_shipment(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, shipments) = open(kind).await;
    let orders = PlayedOrders::default();
    *orders.answers.lock().unwrap() = vec![Ok(vec![confirmed(1, "order-a"), confirmed(2, "order-a")])];
    take(&shipments, &orders).await.unwrap();
    assert_eq!(outbox(&shipments, 0).await.len(), 1);
    let shipment = track(&shipments, "order-a").await.unwrap().shipment.into_option().unwrap();
    assert_eq!(shipment.destination, "Berlin, DE");
    assert_eq!(shipment.tracking_number.len(), 14);
    assert!(shipment.expected_at_ms > shipment.created_at_ms);
}

#[rstest]
#[tokio::test]
async fn an_event_without_an_order_does_not_hold_up_the_next(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, shipments) = open(kind).await;
    let orders = PlayedOrders::default();
    let broken = OrderEvent { order: None.into(), ..confirmed(1, "order-a") };
    *orders.answers.lock().unwrap() = vec![Ok(vec![broken, confirmed(2, "order-b")])];
    take(&shipments, &orders).await.unwrap();
    assert!(track(&shipments, "order-b").await.is_ok());
}

#[rstest]
#[tokio::test]
async fn following_survives_failures_and_ends_with_the_shutdown(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, shipments) = open(kind).await;
    let orders = Arc::new(PlayedOrders::default());
    *orders.answers.lock().unwrap() = vec![Err(Error::unavailable("away")), Ok(vec![confirmed(1, "order-a")])];
    let shutdown = Shutdown::new();
    let following =
        tokio::spawn(follow::follow(shipments.database.clone(), orders, Settings::default(), shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while track(&shipments, "order-a").await.is_err() {
        assert!(Instant::now() < deadline, "the shipment was not made");
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
    async fn events(&self, _call: &Call, request: OrdersRequest) -> Result<OrdersResponse, Error> {
        let last = self.0.fetch_add(4, std::sync::atomic::Ordering::SeqCst).min(Self::ALL);
        let events = (1..=last).filter(|sequence| *sequence > request.after - 3).rev();
        let events: Vec<OrderEvent> =
            events.map(|sequence| confirmed(sequence, &format!("order-{sequence}"))).collect();
        Ok(OrdersResponse { events: [events.clone(), events.clone(), events].concat(), ..Default::default() })
    }
}

/// Two replicas take overlapping batches at once, each event comes many times and out of order, and somebody follows the
/// events that come of it: every order once, none missed.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn overlapping_batches_of_two_replicas_make_one_shipment_each(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (database, shipments) = open(kind).await;
    let orders = Arc::new(InsistentOrders(std::sync::atomic::AtomicI64::new(1)));
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (replica, orders) = (replica(&database).await, Arc::clone(&orders));
        replicas.spawn(async move {
            let all = format!("order-{}", InsistentOrders::ALL);
            while track(&replica, &all).await.is_err() {
                take(&replica, orders.as_ref()).await.unwrap();
            }
        });
    }
    let mut shipped = Vec::new();
    let mut last = 0;
    let deadline = Instant::now() + Duration::from_secs(120);
    while shipped.len() < usize::try_from(InsistentOrders::ALL).unwrap() {
        assert!(Instant::now() < deadline, "only {shipped:?} were shipped");
        for event in outbox(&shipments, last).await {
            assert!(event.sequence > last);
            last = event.sequence;
            shipped.push(event.shipment.order_id.clone());
        }
        tokio::task::yield_now().await;
    }
    while let Some(replica) = replicas.join_next().await {
        replica.unwrap();
    }
    assert!(outbox(&shipments, last).await.is_empty());
    shipped.sort_unstable();
    shipped.dedup();
    assert_eq!(shipped.len(), usize::try_from(InsistentOrders::ALL).unwrap());
}

#[rstest]
#[tokio::test]
async fn the_inbox_forgets_what_is_long_ago_and_ships_it_no_second_time(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let (_database, shipments) = open(kind).await;
    let take_at = async |event: OrderEvent, day: i64| {
        let mut transaction = shipments.database.write().await.unwrap();
        crate::shipments::take(&mut transaction, &[event], day * DAY_MS).await.unwrap();
        let known: Vec<(String,)> =
            query("SELECT event_id FROM inbox ORDER BY event_id").fetch_all(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        known.into_iter().map(|(event_id,)| event_id).collect::<Vec<_>>()
    };
    take_at(confirmed(1, "order-a"), 100).await;
    assert_eq!(take_at(confirmed(2, "order-b"), 130).await, ["event-1", "event-2"]);
    assert_eq!(take_at(confirmed(3, "order-c"), 131).await, ["event-2", "event-3"]);
    take_at(confirmed(1, "order-a"), 131).await;
    assert_eq!(outbox(&shipments, 0).await.len(), 3);
    let mut reading = shipments.database.read().await.unwrap();
    assert_eq!(crate::shipments::place(&mut reading).await.unwrap(), 3, "the place never moves back");
}

/// Only in a build that has planted bugs.
#[cfg(feature = "planted-bugs")]
mod planted_bugs {
    use super::*;

    #[tokio::test]
    async fn a_place_that_is_moved_too_early_loses_a_shipment() {
        let (_database, shipments) = open(Kind::Sqlite).await;
        let bugged = Settings { planted_bug: Some(PlantedBug::PlaceBeforeEffect) };
        let orders = PlayedOrders { answers: Mutex::new(vec![Ok(vec![confirmed(1, "order-a")])]) };
        let halfway = async {
            loop {
                let mut reading = shipments.database.read().await.unwrap();
                if crate::shipments::place(&mut reading).await.unwrap() == 1 {
                    return;
                }
                drop(reading);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            taken = take_batch(&shipments.database, &orders, &bugged) => panic!("not killed: {taken:?}"),
            () = halfway => {}
        }
        take(&shipments, &orders).await.unwrap();
        assert!(outbox(&shipments, 0).await.is_empty());
    }

    #[tokio::test]
    async fn two_replicas_without_an_inbox_tell_of_a_shipment_twice() {
        let (database, shipments) = open(Kind::Sqlite).await;
        let bugged = Settings { planted_bug: Some(PlantedBug::NoInbox) };
        let other = replica(&database).await;
        let orders = || PlayedOrders { answers: Mutex::new(vec![Ok(vec![confirmed(1, "order-a")])]) };
        let (one, two) = (orders(), orders());
        let both =
            tokio::join!(take_batch(&shipments.database, &one, &bugged), take_batch(&other.database, &two, &bugged));
        both.0.and(both.1).unwrap();
        assert_eq!(outbox(&shipments, 0).await.len(), 2);
    }
}

#[tokio::test]
async fn the_service_knows_no_other_setting() {
    let folder = tempfile::tempdir().unwrap();
    let orders = Arc::new(PlayedOrders::default()) as Arc<dyn calls::Orders>;
    let environment = Environment::for_tests(folder.path()).provide(orders);
    assert!(service(environment.clone()).await.is_ok());
    let name = if cfg!(feature = "planted-bugs") { "planted" } else { "planted-bug" };
    let settings = std::collections::BTreeMap::from([(name, "no-inbox")]);
    assert!(service(environment.with_settings(&settings).unwrap()).await.is_err());
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, shipments) = open(kind).await;
    for (after, limit) in [(-1, 1), (0, -1), (0, 501), (i64::MIN, i32::MIN)] {
        let request = EventsRequest { after, limit, ..Default::default() };
        assert_eq!(shipments.events(&Call::new(), request).await.unwrap_err().code, Code::InvalidArgument);
    }
    for order_id in ["", "a b", &"x".repeat(65)] {
        assert_eq!(track(&shipments, order_id).await.unwrap_err().code, Code::InvalidArgument);
    }
    let empty = shipments.quote(&Call::new(), QuoteRequest::default()).await.unwrap_err();
    assert_eq!(empty.code, Code::InvalidArgument);
}
