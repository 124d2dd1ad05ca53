//! A checkout that dies, hangs or is overtaken at each step: another one finishes the order, all or nothing.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rstest::rstest;
use shoal_sdk::{Call, Shutdown};
use store_contracts::store::checkout::v1::{Checkout, PlaceState, StatusRequest};
use test_databases::Kind;
use world::{Fault, OrderIs, World, checkout, checkout_in, environment, place, quiet, request, until};

const STEPS: [&str; 7] = ["open", "reserve", "authorise", "commit-stock", "capture", "confirm", "basket/clear"];
/// Longer than any lease with its wait.
const LEASE_MILLIS: i64 = 20_000;

/// Starts an order on a runtime of its own, and drops that runtime, as a kill would, once `step` was called.
fn die_at(world: &Arc<World>, step: &'static str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let doomed = Arc::clone(world);
    let parts = runtime.block_on(checkout(world));
    runtime.spawn(async move {
        let _ = place(&parts, request("key-00000001")).await;
        // The task that drives the order dies with the runtime, not with this one.
        std::future::pending::<()>().await;
    });
    runtime.block_on(until("the step is reached", || doomed.was_called(step) > 0));
    runtime.shutdown_timeout(Duration::from_secs(10));
}

fn resume(world: &Arc<World>) -> PlaceState {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let parts = checkout(world).await;
        assert_eq!(parts.resume().await.unwrap(), 0, "not before the lease has run out");
        world.clock.fetch_add(LEASE_MILLIS, Ordering::SeqCst);
        assert_eq!(parts.resume().await.unwrap(), 1);
        quiet(&parts).await;
        let status = StatusRequest { idempotency_key: "key-00000001".to_owned(), ..Default::default() };
        let status = parts.api.status(&Call::new(), status).await.unwrap();
        let again = place(&parts, request("key-00000001")).await.unwrap();
        assert_eq!(status.order.as_option(), Some(&again));
        again.state.as_known().unwrap()
    })
}

/// Killed while a step is under way, before it takes effect: without the card the order ends as refused until the card
/// has arrived at the bank, and is bought from then on.
#[rstest]
fn a_checkout_killed_before_a_step_takes_effect_is_resumed(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for step in STEPS {
        let world = World::new(kind);
        world.fail(step, &[Fault::Hangs]);
        die_at(&world, step);
        let state = resume(&world);
        let had_card = !["open", "reserve", "authorise"].contains(&step);
        let expected = if had_card { PlaceState::PLACE_STATE_CONFIRMED } else { PlaceState::PLACE_STATE_REFUSED };
        assert_eq!(state, expected, "{step}");
        world.check(had_card);
    }
}

/// Killed after the step took effect but before its answer was logged.
#[rstest]
fn a_checkout_killed_after_a_step_took_effect_is_resumed(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for step in ["authorise", "commit-stock", "capture", "confirm", "basket/clear"] {
        let world = World::new(kind);
        // Lost after its effect, and then not heard again until the kill.
        world.fail(step, &[Fault::LostAfter, Fault::Hangs]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let parts = runtime.block_on(checkout(&world));
        runtime.spawn(async move {
            let _ = place(&parts, request("key-00000001")).await;
            std::future::pending::<()>().await;
        });
        runtime.block_on(until("the step is tried again", || world.was_called(step) > 1));
        runtime.shutdown_timeout(Duration::from_secs(10));
        assert_eq!(resume(&world), PlaceState::PLACE_STATE_CONFIRMED, "{step}");
        world.check(true);
    }
}

/// A callee is away for longer than the shopper waits: the answer says so, and the order goes on by itself.
#[rstest]
#[tokio::test]
async fn an_order_that_waits_for_a_callee_is_pending_and_then_placed(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("authorise", &[Fault::LostBefore; 100]);
    let call = Call::new().with_timeout(Duration::from_millis(1_000));
    let answer = parts.api.place(&call, request("key-00000001")).await.unwrap();
    assert_eq!(answer.state, PlaceState::PLACE_STATE_PENDING);
    let status = parts.api.status(&Call::new(), StatusRequest::default()).await.unwrap();
    assert_eq!((status.unfinished, status.oldest_unfinished_at_ms), (1, 1_700_000_000_000));
    assert_eq!(world.order().1, OrderIs::Pending);
    world.let_go();
    quiet(&parts).await;
    world.check(true);
    let answer = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(answer.state, PlaceState::PLACE_STATE_CONFIRMED);
}

/// A bank that takes longer than a call: what took effect is found done by a later one, on the way there and back.
#[rstest]
#[tokio::test]
async fn a_callee_slower_than_a_call_is_found_done(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for bought in [true, false] {
        let world = World::new(kind);
        let quick = environment(&world).with_settings(&serde_json::json!({ "lease-ms": 1_000 })).unwrap();
        let parts = checkout_in(&world, quick).await;
        world.fail("authorise", &[Fault::Silent; 2]);
        world.fail("undo-void", &[Fault::Silent; 2]);
        world.fail("capture", if bought { &[Fault::Silent; 2] } else { &[Fault::Refused] });
        place(&parts, request("key-00000001")).await.unwrap();
        quiet(&parts).await;
        world.check(bought);
    }
}

/// A checkout is paused in the middle of a step; another takes the order over and finishes it; then the first wakes up
/// and its command arrives with the old fence.
#[rstest]
#[tokio::test]
async fn a_checkout_that_wakes_up_late_does_no_harm(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for step in ["reserve", "commit-stock", "capture", "confirm"] {
        let world = World::new(kind);
        let (paused, other) = (checkout(&world).await, checkout(&world).await);
        world.fail(step, &[Fault::Hangs]);
        let call = Call::new().with_timeout(Duration::from_millis(400));
        let answer = paused.api.place(&call, request("key-00000001")).await.unwrap();
        assert_eq!(answer.state, PlaceState::PLACE_STATE_PENDING, "{step}");
        until("the step is reached", || world.was_called(step) == 1).await;
        world.clock.fetch_add(LEASE_MILLIS, Ordering::SeqCst);
        assert_eq!(other.resume().await.unwrap(), 1);
        quiet(&other).await;
        let bought = world.order().1 == OrderIs::Confirmed;
        // Before the authorisation only the paused one has the card.
        assert_eq!(bought, step != "reserve");
        world.let_go();
        until("the late command arrived", || world.state.lock().unwrap().late == 1).await;
        quiet(&other).await;
        world.check(bought);
    }
}

/// The service as it runs: it finds the order that another left behind, finishes it, and stops when asked to.
#[rstest]
fn the_service_finishes_what_it_finds(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    world.fail("capture", &[Fault::Hangs]);
    die_at(&world, "capture");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let service = ::checkout::service(environment(&world)).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shutdown = Shutdown::new();
        let serving = tokio::spawn(service.serve(listener, shutdown.clone()));
        // The world's clock is years behind the real one, so the lease has run out.
        until("the basket is cleared", || world.was_called("basket/clear") > 0).await;
        shutdown.request();
        serving.await.unwrap().unwrap();
    });
    world.check(true);
}
