//! An inventory on a fresh database, with a clock that the test moves.

#![allow(dead_code)] // Each test binary uses its own part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use inventory::{InventoryApi, Settings, migrations};
use shoal_sdk::{Call, Database, Environment, Error, Faults};
use store_contracts::store::inventory::v1::{
    AuditRequest, AuditResponse, AvailableRequest, CommitRequest, Inventory, ReceiveRequest, ReleaseRequest,
    Reservation, ReserveRequest, StockLine,
};
use test_databases::{Kind, TestDatabase};

pub struct Bench {
    pub api: InventoryApi,
    pub database: TestDatabase,
    pub clock: Arc<AtomicI64>,
    deliveries: AtomicI64,
}

impl Bench {
    pub async fn new(demo_stock: bool, kind: Kind) -> Bench {
        let database = TestDatabase::new(kind);
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let settings = Settings { demo_stock, ..Settings::default() };
        let api = open(&database, settings, &clock, Faults::default()).await;
        Bench { api, database, clock, deliveries: AtomicI64::new(0) }
    }

    /// Another replica over the same database.
    pub async fn replica(&self, settings: Settings, faults: Faults) -> InventoryApi {
        open(&self.database, settings, &self.clock, faults).await
    }

    /// More replicas over the same database.
    pub async fn replicas(&self, count: usize) -> Vec<Arc<InventoryApi>> {
        let mut replicas = Vec::new();
        for _ in 0..count {
            replicas.push(Arc::new(self.replica(Settings::default(), Faults::default()).await));
        }
        replicas
    }

    /// A replica that is killed once, at this crash point; and whether it was.
    pub async fn dying(&self, place: &'static str) -> (Arc<InventoryApi>, Arc<AtomicBool>) {
        let died = Arc::new(AtomicBool::new(false));
        let killed = Arc::clone(&died);
        let hook =
            move |reached: &str| assert!(reached != place || killed.swap(true, Ordering::SeqCst), "killed at {place}");
        let folder = tempfile::tempdir().unwrap();
        let faults = Environment::for_tests(folder.path()).with_crash_points_for_tests(Arc::new(hook)).faults();
        (Arc::new(self.replica(Settings::default(), faults).await), died)
    }

    /// Lets milliseconds pass.
    pub fn pass(&self, millis: i64) {
        self.clock.fetch_add(millis, Ordering::SeqCst);
    }

    pub async fn receive(&self, product: &str, quantity: i32) {
        let number = self.deliveries.fetch_add(1, Ordering::SeqCst);
        let request = ReceiveRequest {
            idempotency_key: format!("bench-delivery-{number}"),
            product_id: product.to_owned(),
            quantity,
            ..Default::default()
        };
        self.api.receive(&Call::new(), request).await.unwrap();
    }

    /// Reserves for a minute.
    pub async fn reserve(&self, order: &str, lines: &[(&str, i32)]) -> Result<Reservation, Error> {
        self.reserve_for(order, lines, 60_000).await
    }

    pub async fn reserve_for(&self, order: &str, lines: &[(&str, i32)], ttl_ms: i64) -> Result<Reservation, Error> {
        let request = reserve_request(order, lines, ttl_ms);
        Ok(self.api.reserve(&Call::new(), request).await?.reservation.into_option().unwrap())
    }

    pub async fn commit(&self, order: &str) -> Result<Reservation, Error> {
        let request = CommitRequest { order_id: order.to_owned(), ..Default::default() };
        Ok(self.api.commit(&Call::new(), request).await?.reservation.into_option().unwrap())
    }

    pub async fn release(&self, order: &str) -> Result<(), Error> {
        let request = ReleaseRequest { order_id: order.to_owned(), ..Default::default() };
        self.api.release(&Call::new(), request).await.map(|_| ())
    }

    pub async fn available(&self, products: &[&str]) -> Vec<i32> {
        let product_ids = products.iter().map(|product| (*product).to_owned()).collect();
        let request = AvailableRequest { product_ids, ..Default::default() };
        let answer = self.api.available(&Call::new(), request).await.unwrap();
        answer.stock.iter().map(|line| line.quantity).collect()
    }

    /// Reads the audit and checks the equation from outside.
    pub async fn check(&self) -> AuditResponse {
        let audit = self.api.audit(&Call::new(), AuditRequest::default()).await.unwrap();
        assert!(audit.balanced);
        for product in &audit.products {
            assert_eq!(
                product.on_hand + product.reserved + product.confirmed,
                product.received + product.restocked,
                "{product:?}"
            );
            assert!(product.on_hand >= 0);
        }
        audit
    }
}

async fn open(test: &TestDatabase, settings: Settings, clock: &Arc<AtomicI64>, faults: Faults) -> InventoryApi {
    let database = Database::open(test.url(), migrations()).await.unwrap();
    let clock = Arc::clone(clock);
    InventoryApi::new(database, settings, Arc::new(move || clock.load(Ordering::SeqCst)), faults)
}

pub fn reserve_request(order: &str, lines: &[(&str, i32)], ttl_ms: i64) -> ReserveRequest {
    let line = |(product, quantity): &(&str, i32)| StockLine {
        product_id: (*product).to_owned(),
        quantity: *quantity,
        ..Default::default()
    };
    ReserveRequest { order_id: order.to_owned(), lines: lines.iter().map(line).collect(), ttl_ms, ..Default::default() }
}
