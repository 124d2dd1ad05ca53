//! Shipping through its contract, with orders that are played: late, repeated, out of order, gone.

use super::*;
use crate::follow::take_batch;
use shoal_sdk::{Code, Shutdown};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store_contracts::store::orders::v1::{
    EventsRequest as OrdersRequest, EventsResponse as OrdersResponse, Order, OrderEvent, OrderEventKind,
};
use store_contracts::store::shipping::v1::ShipmentEvent;
use store_contracts::store::types::v1::Address;

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

async fn open() -> (tempfile::TempDir, Shipments) {
    let folder = tempfile::tempdir().unwrap();
    let shipments = Shipments::open(&Environment::for_tests(folder.path())).await.unwrap();
    (folder, shipments)
}

async fn outbox(shipments: &Shipments, after: i64) -> Vec<ShipmentEvent> {
    let request = EventsRequest { after, ..Default::default() };
    shipments.events(&Call::new(), request).await.unwrap().events
}

async fn track(shipments: &Shipments, order_id: &str) -> Result<TrackResponse, Error> {
    shipments.track(&Call::new(), TrackRequest { order_id: order_id.to_owned(), ..Default::default() }).await
}

#[tokio::test]
async fn events_delivered_thrice_and_out_of_order_make_one_shipment_each() {
    let (_folder, shipments) = open().await;
    let orders = PlayedOrders::default();
    *orders.answers.lock().unwrap() = vec![
        Ok(vec![confirmed(2, "order-b"), confirmed(1, "order-a"), confirmed(2, "order-b")]),
        Ok(vec![confirmed(1, "order-a"), confirmed(2, "order-b"), confirmed(3, "order-c")]),
        Ok(vec![confirmed(3, "order-c"), event(4, "order-d", OrderEventKind::ORDER_EVENT_KIND_CANCELLED)]),
    ];
    for _ in 0..4 {
        take_batch(&shipments.database, &orders).await.unwrap();
    }
    let events = outbox(&shipments, 0).await;
    let mut shipped: Vec<_> = events.iter().map(|event| event.shipment.order_id.as_str()).collect();
    shipped.sort_unstable();
    assert_eq!(shipped, ["order-a", "order-b", "order-c"]);
    assert!(events.is_sorted_by_key(|event| event.sequence));
    assert_eq!(outbox(&shipments, events[0].sequence).await.len(), 2);
    assert_eq!(track(&shipments, "order-d").await.unwrap_err().code, Code::NotFound);
}

#[tokio::test]
async fn two_events_about_one_order_make_one_shipment() {
    let (_folder, shipments) = open().await;
    let orders = PlayedOrders::default();
    *orders.answers.lock().unwrap() = vec![Ok(vec![confirmed(1, "order-a"), confirmed(2, "order-a")])];
    take_batch(&shipments.database, &orders).await.unwrap();
    assert_eq!(outbox(&shipments, 0).await.len(), 1);
    let shipment = track(&shipments, "order-a").await.unwrap().shipment.into_option().unwrap();
    assert_eq!(shipment.destination, "Berlin, DE");
    assert_eq!(shipment.tracking_number.len(), 14);
    assert!(shipment.expected_at_ms > shipment.created_at_ms);
}

#[tokio::test]
async fn an_event_without_an_order_does_not_hold_up_the_next() {
    let (_folder, shipments) = open().await;
    let orders = PlayedOrders::default();
    let broken = OrderEvent { order: None.into(), ..confirmed(1, "order-a") };
    *orders.answers.lock().unwrap() = vec![Ok(vec![broken, confirmed(2, "order-b")])];
    take_batch(&shipments.database, &orders).await.unwrap();
    assert!(track(&shipments, "order-b").await.is_ok());
}

#[tokio::test]
async fn following_survives_failures_and_ends_with_the_shutdown() {
    let (_folder, shipments) = open().await;
    let orders = Arc::new(PlayedOrders::default());
    *orders.answers.lock().unwrap() = vec![Err(Error::unavailable("away")), Ok(vec![confirmed(1, "order-a")])];
    let shutdown = Shutdown::new();
    let following = tokio::spawn(follow::follow(shipments.database.clone(), orders, shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while track(&shipments, "order-a").await.is_err() {
        assert!(Instant::now() < deadline, "the shipment was not made");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.request();
    tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
}

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence() {
    let (_folder, shipments) = open().await;
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
