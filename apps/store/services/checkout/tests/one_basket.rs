//! One basket is ordered once, also under two keys: two tabs have two payment pages, and a shopper whose order is not
//! decided yet may check out anew.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use checkout::Parts;
use rstest::rstest;
use shoal_sdk::{Call, Code, Database, query};
use store_contracts::store::basket::v1::MergedFrom;
use store_contracts::store::checkout::v1::{Checkout, PlaceRequest, PlaceResponse, PlaceState, QuoteResponse};
use test_databases::Kind;
use world::{Fault, SHOPPER, World, assert_code, checkout, place, quiet, request, until};

#[rstest]
#[tokio::test]
async fn a_basket_whose_order_is_not_decided_cannot_be_ordered_under_another_key(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("authorise", &[Fault::LostBefore; 100]);
    let call = Call::new().with_timeout(Duration::from_millis(600));
    let first = parts.api.place(&call, request("key-00000001")).await.unwrap();
    assert_eq!(first.state, PlaceState::PLACE_STATE_PENDING);

    let error = assert_code(place(&parts, request("key-00000002")).await, Code::FailedPrecondition);
    assert!(error.detail::<QuoteResponse>().is_none(), "the basket is as it was seen");
    assert_eq!(error.detail::<PlaceResponse>().unwrap().order_id, first.order_id);

    world.let_go();
    quiet(&parts).await;
    world.check(true);
}

#[rstest]
#[tokio::test]
async fn two_tabs_at_once_order_one_basket_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let (here, there) = (checkout(&world).await, checkout(&world).await);
    let (one, other) = tokio::join!(place(&here, request("key-00000001")), place(&there, request("key-00000002")));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    quiet(&here).await;
    world.check(true);
}

#[rstest]
#[tokio::test]
async fn a_basket_that_was_bought_and_not_cleared_yet_cannot_be_ordered_again(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("basket/clear", &[Fault::LostBefore; 100]);
    let first = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(first.state, PlaceState::PLACE_STATE_CONFIRMED);
    assert_code(place(&parts, request("key-00000002")).await, Code::FailedPrecondition);
    world.let_go();
    quiet(&parts).await;
    world.check(true);
}

#[rstest]
#[tokio::test]
async fn a_basket_whose_order_was_refused_can_be_ordered_again(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("reserve", &[Fault::Refused]);
    let first = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(first.state, PlaceState::PLACE_STATE_REFUSED);
    let second = place(&parts, request("key-00000002")).await.unwrap();
    assert_eq!(second.state, PlaceState::PLACE_STATE_CONFIRMED);
    quiet(&parts).await;
    assert_eq!(world.state.lock().unwrap().captures, 1);
}

/// The second key's quote was read before the first key's order ended, and is logged after it.
#[rstest]
#[tokio::test]
async fn a_quote_from_before_the_order_ended_does_not_buy_it_again(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    // Or after the guest who placed the first has signed in.
    #[values(SHOPPER, ACCOUNT)] late: &'static str,
) {
    let world = World::new(kind);
    signed_in(&world, 7, 8);
    let parts = Arc::new(checkout(&world).await);
    world.fail("catalogue/batch-get", &[Fault::Hangs]);
    let late = {
        let parts = Arc::clone(&parts);
        tokio::spawn(async move { place(&parts, of(late, "key-00000002")).await })
    };
    until("the late one asks for prices", || world.was_called("catalogue/batch-get") == 1).await;
    let first = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(first.state, PlaceState::PLACE_STATE_CONFIRMED);
    quiet(&parts).await;
    world.gate.notify_waiters();
    assert_code(late.await.unwrap(), Code::FailedPrecondition);
    quiet(&parts).await;
    world.check(true);
}

/// A request that was on its way for too long is not placed any more: the shopper was told that it did not arrive.
#[rstest]
#[tokio::test]
async fn a_place_that_arrives_too_late_is_not_placed(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    let now = world.clock.load(Ordering::SeqCst);
    let late = |place_before_ms| PlaceRequest { place_before_ms, ..request("key-00000001") };
    assert_code(place(&parts, late(now)).await, Code::DeadlineExceeded);
    assert!(world.state.lock().unwrap().orders.is_empty(), "nothing was ordered");
    let placed = place(&parts, late(now + 1)).await.unwrap();
    assert_eq!(placed.state, PlaceState::PLACE_STATE_CONFIRMED);
    // Once it is placed, the same key answers the same order, whenever it is asked.
    assert_eq!(place(&parts, late(now - 1)).await.unwrap(), placed);
    quiet(&parts).await;
    world.check(true);
}

const ACCOUNT: &str = "customer:ada";

/// The world's guest has signed in: the account's basket has pieces that were in the guest's from `first` until
/// `until`.
fn signed_in(world: &World, first: i64, until: i64) {
    let pieces =
        MergedFrom { shopper_id: SHOPPER.to_owned(), first_version: first, until_version: until, ..Default::default() };
    world.state.lock().unwrap().merged_from.insert(ACCOUNT.to_owned(), vec![pieces]);
}

fn of(shopper_id: &str, key: &str) -> PlaceRequest {
    PlaceRequest { shopper_id: shopper_id.to_owned(), ..request(key) }
}

/// Places without waiting for a decision that does not come.
async fn pending(parts: &Parts, request: PlaceRequest) -> PlaceResponse {
    let placed = parts.api.place(&Call::new().with_timeout(Duration::from_millis(600)), request).await.unwrap();
    assert_eq!(placed.state, PlaceState::PLACE_STATE_PENDING);
    placed
}

#[rstest]
#[tokio::test]
async fn pieces_of_an_order_that_is_not_decided_cannot_be_ordered_after_signing_in(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values((SHOPPER, ACCOUNT), (ACCOUNT, SHOPPER))] (first, second): (&str, &str),
    // An earlier release of the basket does not say until when they were there.
    #[values(8, 0)] until: i64,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    signed_in(&world, 7, until);
    world.fail("authorise", &[Fault::LostBefore; 100]);
    let placed = pending(&parts, of(first, "key-00000001")).await;
    let error = assert_code(place(&parts, of(second, "key-00000002")).await, Code::FailedPrecondition);
    assert_eq!(error.detail::<PlaceResponse>().unwrap().order_id, placed.order_id);
    world.let_go();
    quiet(&parts).await;
    world.check(true);

    // What tells the orders apart is kept for as long as they are.
    world.clock.fetch_add(48 * 3_600_000, Ordering::SeqCst);
    assert_eq!(parts.shorten().await.unwrap(), 1);
    let database = Database::open(world.database.url(), checkout::migrations()).await.unwrap();
    let mut reading = database.read().await.unwrap();
    let (rows,): (i64,) = query("SELECT COUNT(*) FROM merged_pieces").fetch_one(&mut reading).await.unwrap();
    assert_eq!(rows, 0);
}

#[rstest]
#[tokio::test]
async fn the_guest_and_the_account_at_once_order_the_same_pieces_once(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let (here, there) = (checkout(&world).await, checkout(&world).await);
    signed_in(&world, 3, 8);
    let (one, other) =
        tokio::join!(place(&here, of(SHOPPER, "key-00000001")), place(&there, of(ACCOUNT, "key-00000002")));
    assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1, "{one:?} {other:?}");
    quiet(&here).await;
    world.check(true);
}

/// Pieces that came to the guest's basket after it was ordered, or had left it before.
#[rstest]
#[tokio::test]
async fn other_pieces_of_the_guest_can_be_ordered(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values((SHOPPER, ACCOUNT), (ACCOUNT, SHOPPER))] (first, second): (&str, &str),
    #[values((8, 9), (3, 7))] (came, left): (i64, i64),
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    signed_in(&world, came, left);
    world.fail("authorise", &[Fault::LostBefore; 100]);
    pending(&parts, of(first, "key-00000001")).await;
    pending(&parts, of(second, "key-00000002")).await;
    world.let_go();
    quiet(&parts).await;
    assert_eq!(world.state.lock().unwrap().captures, 2);
}

#[rstest]
#[tokio::test]
async fn pieces_of_an_order_that_was_refused_can_be_ordered_after_signing_in(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    signed_in(&world, 7, 8);
    world.fail("reserve", &[Fault::Refused]);
    let first = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(first.state, PlaceState::PLACE_STATE_REFUSED);
    let second = place(&parts, of(ACCOUNT, "key-00000002")).await.unwrap();
    assert_eq!(second.state, PlaceState::PLACE_STATE_CONFIRMED);
    quiet(&parts).await;
    world.check_one_capture();
}
