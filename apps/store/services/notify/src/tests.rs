//! The mail log through its contract, with sources that are played: repeated, out of order, gone.

use super::*;
use crate::follow::take_batch;
use shoal_sdk::{Code, Shutdown};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use store_contracts::store::orders::v1::{Order, OrderEvent, OrderEventKind, OrderLine};
use store_contracts::store::shipping::v1::{Shipment, ShipmentEvent};
use store_contracts::store::types::v1::{Address, Money};
use store_contracts::store::{orders, shipping};

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

async fn open() -> (tempfile::TempDir, MailLog) {
    let folder = tempfile::tempdir().unwrap();
    let log = MailLog::open(&Environment::for_tests(folder.path())).await.unwrap();
    (folder, log)
}

async fn list(log: &MailLog, recipient: &str, limit: i32, page_token: &str) -> ListResponse {
    let request =
        ListRequest { recipient: recipient.to_owned(), limit, page_token: page_token.to_owned(), ..Default::default() };
    log.list(&Call::new(), request).await.unwrap()
}

#[tokio::test]
async fn each_event_is_one_mail_however_often_it_comes() {
    let (_folder, log) = open().await;
    let orders = Source::Orders(Played::of(vec![
        Ok(vec![confirmed(2), confirmed(1), confirmed(2)]),
        Ok(vec![confirmed(2), ordered(3, OrderEventKind::ORDER_EVENT_KIND_CANCELLED)]),
    ]));
    let shipping = Source::Shipping(Played::of(vec![Ok(vec![shipped(1)]), Ok(vec![shipped(1)])]));
    for _ in 0..3 {
        take_batch(&log.database, &orders).await.unwrap();
        take_batch(&log.database, &shipping).await.unwrap();
    }
    let mails = list(&log, "", 0, "").await.mails;
    assert_eq!(mails.len(), 4);
    assert!(mails.iter().all(|mail| mail.recipient == "ada@example.org"));
    let first = mails.iter().find(|mail| mail.order_id == "order-2").unwrap();
    assert!(first.body.contains("2 × Tide Mug   EUR 36.00") && first.body.contains("EUR 40.90"), "{}", first.body);
}

#[tokio::test]
async fn the_list_is_newest_first_and_paged() {
    let (_folder, log) = open().await;
    let orders = Source::Orders(Played::of(vec![Ok((1..=5).map(confirmed).collect())]));
    take_batch(&log.database, &orders).await.unwrap();
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

#[tokio::test]
async fn following_survives_failures_and_ends_with_the_shutdown() {
    let (_folder, log) = open().await;
    let source = Source::Orders(Played::of(vec![Err(Error::unavailable("away")), Ok(vec![confirmed(1)])]));
    let shutdown = Shutdown::new();
    let following = tokio::spawn(follow(log.database.clone(), source, shutdown.clone()));
    let deadline = Instant::now() + Duration::from_secs(30);
    while list(&log, "", 0, "").await.mails.is_empty() {
        assert!(Instant::now() < deadline, "the mail was not written");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    shutdown.request();
    tokio::time::timeout(Duration::from_secs(10), following).await.unwrap().unwrap();
}

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence() {
    let (_folder, log) = open().await;
    let long = "x".repeat(300);
    for (recipient, limit, token) in
        [("", -1, ""), ("", 101, ""), (long.as_str(), 1, ""), ("", 1, "next"), ("", 1, "-5")]
    {
        let request =
            ListRequest { recipient: recipient.to_owned(), limit, page_token: token.to_owned(), ..Default::default() };
        assert_eq!(log.list(&Call::new(), request).await.unwrap_err().code, Code::InvalidArgument);
    }
}
