//! A checkout killed at each of its crash points, once: another one finishes the order, all or nothing.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use checkout::crash_points;
use rstest::rstest;
use shoal_sdk::{Call, Code};
use store_contracts::store::checkout::v1::{Checkout, PlaceState, StatusRequest};
use test_databases::Kind;
use world::{Fault, World, assert_code, checkout, checkout_in, environment, place, quiet, request, until};

/// Longer than any lease with its wait.
const LEASE_MILLIS: i64 = 20_000;

/// What a kill leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing is left of it, and nobody was charged.
    Nothing,
    /// The card died with the process that had it.
    Refused,
    Bought,
}

fn end_of(point: &str) -> End {
    match point {
        "place.logging" => End::Nothing,
        "place.logged" | "open.called" | "open.logged" | "reserve.called" | "reserve.logged" => End::Refused,
        undo if undo.starts_with("undo-") => End::Refused,
        // The card has arrived at the bank, and there is nothing that another process could not go on with.
        _ => End::Bought,
    }
}

#[test]
fn the_points_are_those_of_the_design() {
    let steps = ["open", "reserve", "authorise", "commit-stock", "capture", "confirm", "clear-basket"];
    let back = ["undo-restock", "undo-void", "undo-release", "undo-cancel"];
    let both = steps.iter().chain(&back).flat_map(|step| [format!("{step}.called"), format!("{step}.logged")]);
    let expected: BTreeSet<String> = both.chain(["place.logging".to_owned(), "place.logged".to_owned()]).collect();
    assert_eq!(crash_points().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
}

#[rstest]
#[tokio::test]
async fn a_checkout_killed_at_any_point_is_resumed(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for point in crash_points() {
        let world = World::new(kind);
        if point.starts_with("undo-") {
            world.fail("capture", &[Fault::Refused]);
        }
        die_at(&world, point).await;
        let other = checkout(&world).await;
        let end = end_of(point);
        let unfinished = end != End::Nothing && !["clear-basket.logged", "undo-cancel.logged"].contains(&point);
        assert_eq!(other.resume().await.unwrap(), 0, "{point}: not before the lease has run out");
        world.clock.fetch_add(LEASE_MILLIS, Ordering::SeqCst);
        assert_eq!(other.resume().await.unwrap(), usize::from(unfinished), "{point}");
        quiet(&other).await;
        let ask = StatusRequest { idempotency_key: "key-00000001".to_owned(), ..Default::default() };
        let status = other.api.status(&Call::new(), ask).await;
        if end == End::Nothing {
            assert_code(status, Code::NotFound);
            assert!(world.state.lock().unwrap().orders.is_empty(), "{point}");
            assert_eq!(place(&other, request("key-00000001")).await.unwrap().state, PlaceState::PLACE_STATE_CONFIRMED);
            quiet(&other).await;
            world.check(true);
            continue;
        }
        let status = status.unwrap();
        assert_eq!(status.fence, if unfinished { 2 } else { 1 }, "{point}");
        let expected =
            if end == End::Bought { PlaceState::PLACE_STATE_CONFIRMED } else { PlaceState::PLACE_STATE_REFUSED };
        assert_eq!(status.order.state.as_known(), Some(expected), "{point}");
        world.check(end == End::Bought);
        assert_eq!(place(&other, request("key-00000001")).await.as_ref().ok(), status.order.as_option(), "{point}");
    }
}

/// Places an order with a checkout that dies once it reaches this point: the task that drives the order ends there.
async fn die_at(world: &Arc<World>, point: &'static str) {
    let reached = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&reached);
    let hook = move |name: &str| {
        if name == point {
            told.store(true, Ordering::SeqCst);
            panic!("killed on purpose at {name}");
        }
    };
    let environment = environment(world).with_crash_points_for_tests(Arc::new(hook));
    let doomed = checkout_in(world, environment).await;
    let placing = tokio::spawn(async move { place(&doomed, request("key-00000001")).await });
    until(point, || reached.load(Ordering::SeqCst)).await;
    placing.abort();
}

#[rstest]
#[case(serde_json::json!({ "lease-ms": 999 }), "lease-ms")]
#[case(serde_json::json!({ "lease-ms": 600_001 }), "lease-ms")]
#[case(serde_json::json!({ "lease": 1_000 }), "lease")]
#[cfg_attr(not(feature = "planted-bugs"), case(serde_json::json!({ "planted-bug": "no-fence" }), "planted-bug"))]
#[cfg_attr(feature = "planted-bugs", case(serde_json::json!({ "planted-bug": "no-bug" }), "planted-bug"))]
#[tokio::test]
async fn a_wrong_setting_is_named(#[case] settings: serde_json::Value, #[case] name: &str) {
    let world = World::new(Kind::Sqlite);
    let environment = environment(&world).with_settings(&settings).unwrap();
    let error = ::checkout::service(environment).await.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains(name) && error.contains("shoal.toml"), "{error}");
}

/// Each planted bug does what its name says.
#[cfg(feature = "planted-bugs")]
#[rstest]
#[tokio::test]
async fn planted_bugs_are_bugs(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    use ::checkout::{PlantedBug, Settings};

    let planted = async |world: &Arc<World>, bug| {
        let settings = Settings { planted_bug: Some(bug), ..Settings::default() };
        checkout_in(world, environment(world).with_settings(&settings).unwrap()).await
    };
    let world = World::new(kind);
    let parts = planted(&world, PlantedBug::KeyIgnored).await;
    let first = place(&parts, request("key-00000001")).await.unwrap();
    let second = place(&parts, request("key-00000001")).await.unwrap();
    assert_ne!(first.order_id, second.order_id);
    assert_eq!(second.state, PlaceState::PLACE_STATE_CONFIRMED);
    quiet(&parts).await;
    assert_eq!(world.state.lock().unwrap().captures, 2);

    let world = World::new(kind);
    let unfenced = planted(&world, PlantedBug::NoFence).await;
    let other = checkout(&world).await;
    world.fail("reserve", &[Fault::Hangs]);
    let call = Call::new().with_timeout(std::time::Duration::from_millis(400));
    unfenced.api.place(&call, request("key-00000001")).await.unwrap();
    until("the step is reached", || world.was_called("reserve") == 1).await;
    world.clock.fetch_add(LEASE_MILLIS, Ordering::SeqCst);
    assert_eq!(other.resume().await.unwrap(), 1);
    quiet(&other).await;
    world.let_go();
    until("the late command is over", || Arc::strong_count(&world) > 0 && world.was_called("reserve") == 2).await;
    assert_eq!(world.state.lock().unwrap().late, 0, "nothing tells the late command from a timely one");
}
