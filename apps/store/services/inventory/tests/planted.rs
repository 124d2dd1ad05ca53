//! Each planted bug makes facts wrong that can be seen from outside. Only in a build that has them.

#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use std::sync::Arc;

use bench::{Bench, reserve_request};
use inventory::{PlantedBug, Settings};
use shoal_sdk::{Call, Faults};
use store_contracts::store::inventory::v1::{AuditRequest, CommitRequest, Inventory};
use test_databases::Kind;

#[tokio::test]
async fn stock_that_is_only_looked_at_is_sold_twice() {
    let bench = Bench::new(false, Kind::Sqlite).await;
    bench.receive("mug", 1).await;
    let settings = Settings { planted_bug: Some(PlantedBug::CheckThenInsert), ..Settings::default() };
    let replica = Arc::new(bench.replica(settings, Faults::default()).await);
    let buyers = ["order-1", "order-2"].map(|order_id| {
        let replica = Arc::clone(&replica);
        tokio::spawn(
            async move { replica.reserve(&Call::new(), reserve_request(order_id, &[("mug", 1)], 60_000)).await },
        )
    });
    for buyer in buyers {
        buyer.await.unwrap().unwrap();
    }
    let audit = replica.audit(&Call::new(), AuditRequest::default()).await.unwrap();
    // One was delivered. The books agree with each other, and not with that.
    assert!(audit.balanced);
    assert_eq!((audit.products[0].reserved, audit.products[0].received), (2, 2));
}

#[tokio::test]
async fn a_reservation_that_is_freed_early_is_back_before_its_time() {
    let bench = Bench::new(false, Kind::Sqlite).await;
    bench.receive("mug", 1).await;
    let settings = Settings { planted_bug: Some(PlantedBug::FreedEarly), ..Settings::default() };
    let replica = bench.replica(settings, Faults::default()).await;
    bench.reserve("order-1", &[("mug", 1)]).await.unwrap();
    bench.pass(55_000);
    replica.sweep().await.unwrap();
    assert_eq!(bench.available(&["mug"]).await, [1]);
}

#[tokio::test]
async fn without_fences_whoever_lost_the_order_goes_on() {
    let bench = Bench::new(false, Kind::Sqlite).await;
    bench.receive("mug", 1).await;
    let settings = Settings { planted_bug: Some(PlantedBug::NoFence), ..Settings::default() };
    let replica = bench.replica(settings, Faults::default()).await;
    bench.reserve("order-1", &[("mug", 1)]).await.unwrap();
    for fence in [3, 2] {
        let request = CommitRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
        replica.commit(&Call::new(), request).await.unwrap();
    }
}
