//! A key is one order for good: also after the addresses and names of the order are gone, and when the order was logged
//! by a release that stored less.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::sync::atomic::Ordering;

use rstest::rstest;
use shoal_sdk::{Call, Code, Database, query};
use store_contracts::store::checkout::v1::{Checkout, PlaceRequest, PlaceState, StatusRequest};
use test_databases::Kind;
use world::{Fault, World, assert_code, checkout, place, quiet, request};

const HOUR_MILLIS: i64 = 3_600_000;

async fn count(world: &World, sql: &'static str) -> i64 {
    let database = Database::open(world.database.url(), checkout::migrations()).await.unwrap();
    let mut reading = database.read().await.unwrap();
    let (count,): (i64,) = query(sql).fetch_one(&mut reading).await.unwrap();
    count
}

#[rstest]
#[tokio::test]
async fn a_key_answers_the_same_when_its_order_was_shortened(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("reserve", &[Fault::Refused]);
    let refused = place(&parts, request("key-00000001")).await.unwrap();
    let placed = place(&parts, request("key-00000002")).await.unwrap();
    assert_eq!(
        (refused.state.as_known(), placed.state.as_known()),
        (Some(PlaceState::PLACE_STATE_REFUSED), Some(PlaceState::PLACE_STATE_CONFIRMED))
    );
    quiet(&parts).await;
    world.clock.fetch_add(47 * HOUR_MILLIS, Ordering::SeqCst);
    assert_eq!(parts.shorten().await.unwrap(), 0, "kept for two days");
    assert!(count(&world, "SELECT COUNT(*) FROM sagas WHERE request LIKE '%ada@example.org%'").await == 2);
    world.clock.fetch_add(HOUR_MILLIS, Ordering::SeqCst);
    assert_eq!(parts.shorten().await.unwrap(), 2);
    assert_eq!(parts.shorten().await.unwrap(), 0);
    assert_eq!(count(&world, "SELECT COUNT(*) FROM sagas WHERE request <> '' OR order_body <> ''").await, 0);
    assert_eq!(count(&world, "SELECT COUNT(*) FROM saga_steps").await, 0);
    for (key, answer) in [("key-00000001", &refused), ("key-00000002", &placed)] {
        assert_eq!(place(&parts, request(key)).await.as_ref(), Ok(answer));
        let ask = StatusRequest { idempotency_key: key.to_owned(), ..Default::default() };
        assert_eq!(parts.api.status(&Call::new(), ask).await.unwrap().order.as_option(), Some(answer));
        let other = PlaceRequest { email: "eve@example.org".to_owned(), ..request(key) };
        assert_code(place(&parts, other).await, Code::AlreadyExists);
    }
    world.check_one_capture();
}

/// What is not finished is never shortened.
#[rstest]
#[tokio::test]
async fn an_order_under_way_keeps_everything(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("capture", &[Fault::LostBefore; 100]);
    let call = Call::new().with_timeout(std::time::Duration::from_millis(600));
    let placed = parts.api.place(&call, request("key-00000001")).await.unwrap();
    assert_eq!(placed.state, PlaceState::PLACE_STATE_PENDING);
    world.clock.fetch_add(1_000 * HOUR_MILLIS, Ordering::SeqCst);
    assert_eq!(parts.shorten().await.unwrap(), 0);
    world.let_go();
    quiet(&parts).await;
    world.check(true);
}

/// The release before this one stored the request, and nothing that only this one reads.
#[rstest]
#[tokio::test]
async fn an_order_of_the_release_before_is_answered_and_finished(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("capture", &[Fault::Hangs]);
    let call = Call::new().with_timeout(std::time::Duration::from_millis(600));
    let pending = parts.api.place(&call, request("key-00000001")).await.unwrap();
    let database = Database::open(world.database.url(), checkout::migrations()).await.unwrap();
    let mut transaction = database.write().await.unwrap();
    query("UPDATE sagas SET shopper_id = '', body_hash = '', total_minor = 0, total_currency = ''")
        .execute(&mut transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let other = PlaceRequest { email: "eve@example.org".to_owned(), ..request("key-00000001") };
    assert_code(place(&parts, other).await, Code::AlreadyExists);
    world.let_go();
    quiet(&parts).await;
    world.check(true);
    let placed = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!((&placed.order_id, placed.total.as_option()), (&pending.order_id, pending.total.as_option()));
    world.clock.fetch_add(1_000 * HOUR_MILLIS, Ordering::SeqCst);
    assert_eq!(parts.shorten().await.unwrap(), 0, "nothing else would recognise the request");
}
