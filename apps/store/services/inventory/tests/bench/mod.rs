//! An inventory on a fresh database, with a clock that the test moves.

#![allow(dead_code)] // Each test binary uses its own part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use inventory::{InventoryApi, Settings};
use shoal_sdk::{Call, Environment, Error};
use store_contracts::store::inventory::v1::{
    AuditRequest, AuditResponse, AvailableRequest, CommitRequest, Inventory, ReceiveRequest, ReleaseRequest,
    Reservation, ReserveRequest, StockLine,
};

pub struct Bench {
    pub api: InventoryApi,
    pub folder: tempfile::TempDir,
    pub clock: Arc<AtomicI64>,
    deliveries: AtomicI64,
}

impl Bench {
    pub async fn new(demo_stock: bool) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_700_000_000_000));
        let api = another(folder.path(), demo_stock, &clock).await;
        Bench { api, folder, clock, deliveries: AtomicI64::new(0) }
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

/// Another replica of the inventory over the same database.
pub async fn another(folder: &std::path::Path, demo_stock: bool, clock: &Arc<AtomicI64>) -> InventoryApi {
    let environment = Environment::for_tests(folder);
    let database = environment.database(inventory::migrator()).await.unwrap();
    let clock = Arc::clone(clock);
    InventoryApi::new(database, Settings { demo_stock }, Arc::new(move || clock.load(Ordering::SeqCst)))
}

pub fn reserve_request(order: &str, lines: &[(&str, i32)], ttl_ms: i64) -> ReserveRequest {
    let line = |(product, quantity): &(&str, i32)| StockLine {
        product_id: (*product).to_owned(),
        quantity: *quantity,
        ..Default::default()
    };
    ReserveRequest { order_id: order.to_owned(), lines: lines.iter().map(line).collect(), ttl_ms, ..Default::default() }
}
