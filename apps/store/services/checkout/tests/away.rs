//! The database is away in the middle of an order: what only this process knows, the card, is not lost with it.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::sync::Arc;
use std::time::{Duration, Instant};

use shoal_sdk::{Call, Code};
use store_contracts::store::checkout::v1::{Checkout, PlaceState, StatusRequest, StatusResponse};
use test_databases::{Kind, PostgresServer};
use world::{Fault, World, checkout_in, environment, place, request, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_waits_for_its_log_and_goes_on() {
    let server = PostgresServer::start();
    let world = World::new(Kind::Sqlite);
    // It insists for as long as its lease lasts, and a slow machine may take long to start the server again.
    let settings = serde_json::json!({ "lease-ms": 600_000 });
    let environment = environment(&world).with_database(&server.url("checkout")).with_settings(&settings).unwrap();
    let parts = Arc::new(checkout_in(&world, environment).await);
    world.fail("open", &[Fault::Hangs]);
    let placing = Arc::clone(&parts);
    let placing = tokio::spawn(async move { place(&placing, request("key-00000001")).await });
    until("the step is reached", || world.was_called("open") == 1).await;

    server.stop();
    world.let_go();
    // Asked after the order has begun to wait, and not answered within what one try takes.
    let summary = async || parts.api.status(&Call::new(), StatusRequest::default()).await;
    assert_eq!(summary().await.unwrap_err().code, Code::Unavailable);
    server.restart();

    let deadline = Instant::now() + Duration::from_secs(60);
    while !summary().await.is_ok_and(|StatusResponse { unfinished, .. }| unfinished == 0) {
        assert!(Instant::now() < deadline, "the order does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.check(true);
    let again = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(again.state, PlaceState::PLACE_STATE_CONFIRMED);
    // Whoever placed it was told so, or to ask again; never that it failed for good.
    match placing.await.unwrap() {
        Ok(answer) => assert_eq!(answer.order_id, again.order_id),
        Err(error) => assert_eq!(error.code, Code::Unavailable, "{error}"),
    }
}
