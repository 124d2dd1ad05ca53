//! Placing orders, and every way in which a step can go wrong: refused, lost on the way there, lost on the way back.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod world;

use rstest::rstest;
use shoal_sdk::{Call, Code};
use store_contracts::store::checkout::v1::{Checkout, PlaceRequest, PlaceState, QuoteResponse, StatusRequest};
use store_contracts::store::types::v1::Address;
use test_databases::Kind;
use world::{Fault, OrderIs, World, assert_code, checkout, euros, place, quiet, quote, request};

const FORWARD: [&str; 7] = ["open", "reserve", "authorise", "commit-stock", "capture", "confirm", "basket/clear"];
const BACK: [&str; 4] = ["undo-restock", "undo-void", "undo-release", "undo-cancel"];

#[rstest]
#[tokio::test]
async fn an_order_is_placed_as_it_was_shown(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    let shown = quote(&parts).await.unwrap();
    assert_eq!((shown.total.minor, shown.basket_version, shown.shipping_is_flat_rate), (3737, 7, false));
    assert_eq!(shown.lines.iter().map(|line| line.short).collect::<Vec<_>>(), [false, true]);
    let placed = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(placed.state, PlaceState::PLACE_STATE_CONFIRMED);
    assert_eq!(placed.total.as_option(), Some(&euros(3737)));
    quiet(&parts).await;
    world.check(true);
    let (id, _, order) = world.order();
    assert_eq!(id, placed.order_id);
    assert_eq!(uuid::Uuid::parse_str(&id).unwrap().get_version_num(), 7);
    assert_eq!(order.total, shown.total);
    for (ordered, shown) in order.lines.iter().zip(&shown.lines) {
        assert_eq!(
            (&ordered.name, &ordered.unit_price, ordered.quantity),
            (&shown.name, &shown.unit_price, shown.quantity)
        );
    }
    assert_eq!((order.email.as_str(), order.address.city.as_str()), ("ada@example.org", "Berlin"));
}

/// Each step, each fault, also twice: all or nothing, never two charges.
#[rstest]
#[tokio::test]
async fn each_step_may_fail_in_each_way(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for step in FORWARD {
        for faults in [
            &[Fault::Refused][..],
            &[Fault::Forbidden],
            &[Fault::LostBefore],
            &[Fault::LostAfter],
            &[Fault::LostAfter, Fault::LostBefore],
        ] {
            let world = World::new(kind);
            let parts = checkout(&world).await;
            world.fail(step, faults);
            let placed = place(&parts, request("key-00000001")).await.unwrap();
            let refused = faults == [Fault::Refused] && !["confirm", "basket/clear"].contains(&step);
            let expected = if refused { PlaceState::PLACE_STATE_REFUSED } else { PlaceState::PLACE_STATE_CONFIRMED };
            assert_eq!(placed.state, expected, "{step} {faults:?}");
            assert_eq!(!placed.refusal.is_empty(), refused, "{step}: {}", placed.refusal);
            quiet(&parts).await;
            if step == "basket/clear" && faults == [Fault::Refused] {
                // A basket that will not be cleared is no reason to undo an order.
                assert_eq!(world.order().1, OrderIs::Confirmed);
                continue;
            }
            world.check(!refused);
            let again = place(&parts, request("key-00000001")).await.unwrap();
            assert_eq!(again, placed, "the same key answers the same");
        }
    }
}

/// Opened by a call whose answer was lost, and refused when it is opened again, as by another release: nothing stays
/// pending of an order that the shopper is told was refused.
#[rstest]
#[tokio::test]
async fn an_order_that_was_opened_and_then_refused_is_cancelled(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("open", &[Fault::LostAfter, Fault::Refused]);
    let placed = place(&parts, request("key-00000001")).await.unwrap();
    assert_eq!(placed.state, PlaceState::PLACE_STATE_REFUSED);
    quiet(&parts).await;
    assert_eq!(world.order().1, OrderIs::Cancelled(placed.refusal));
    world.check(false);
}

/// A capture that is refused turns back, and each undoing step may get lost too.
#[rstest]
#[tokio::test]
async fn each_undoing_step_may_fail_in_each_way(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for step in BACK {
        for faults in [&[][..], &[Fault::LostBefore], &[Fault::LostAfter], &[Fault::Refused]] {
            let world = World::new(kind);
            let parts = checkout(&world).await;
            world.fail("capture", &[Fault::Refused]);
            world.fail(step, faults);
            let placed = place(&parts, request("key-00000001")).await.unwrap();
            assert_eq!(placed.state, PlaceState::PLACE_STATE_REFUSED, "{step} {faults:?}");
            quiet(&parts).await;
            world.check(false);
            assert_eq!(world.order().1, OrderIs::Cancelled(placed.refusal));
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_key_is_one_order(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    let replica = checkout(&world).await;
    let (same, other) = (request("key-00000001"), request("key-00000001"));
    let answers = tokio::join!(
        place(&parts, same.clone()),
        place(&replica, same.clone()),
        place(&parts, same.clone()),
        place(&replica, same.clone()),
    );
    let first = answers.0.unwrap();
    for answer in [answers.1, answers.2, answers.3] {
        assert_eq!(answer.unwrap(), first);
    }
    quiet(&parts).await;
    world.check(true);
    let others = [
        PlaceRequest { email: "eve@example.org".to_owned(), ..other.clone() },
        PlaceRequest { expected_total: euros(1).into(), ..other.clone() },
        PlaceRequest { basket_version: 8, ..other.clone() },
        PlaceRequest { card_number: "4000 0000 0000 0002".to_owned(), ..other.clone() },
        PlaceRequest { shopper_id: "guest:eve".to_owned(), ..other },
    ];
    for other in others {
        assert_code(place(&parts, other).await, Code::AlreadyExists);
    }
    let status = |key: &str, order: &str| StatusRequest {
        idempotency_key: key.to_owned(),
        order_id: order.to_owned(),
        ..Default::default()
    };
    for ask in [status("key-00000001", ""), status("", &first.order_id)] {
        let answer = replica.api.status(&Call::new(), ask).await.unwrap();
        assert_eq!(answer.order.as_option(), Some(&first));
    }
    assert_code(parts.api.status(&Call::new(), status("key-unknown", "")).await, Code::NotFound);
}

#[rstest]
#[tokio::test]
async fn paid_is_what_was_shown_or_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.state.lock().unwrap().prices.insert("mug".to_owned(), 1099);
    let error = assert_code(place(&parts, request("key-00000001")).await, Code::FailedPrecondition);
    assert_eq!(error.detail::<QuoteResponse>().unwrap().total.minor, 3 * 1099 + 250 + 490);
    world.state.lock().unwrap().prices.insert("mug".to_owned(), 999);
    world.state.lock().unwrap().basket_version = 8;
    let error = assert_code(place(&parts, request("key-00000001")).await, Code::FailedPrecondition);
    assert_eq!(error.detail::<QuoteResponse>().unwrap().basket_version, 8);
    world.state.lock().unwrap().prices.remove("cup");
    let error = assert_code(place(&parts, request("key-00000001")).await, Code::FailedPrecondition);
    assert_eq!(error.detail::<QuoteResponse>().unwrap().unavailable_product_ids, ["cup"]);
    world.state.lock().unwrap().basket.clear();
    assert_code(place(&parts, request("key-00000001")).await, Code::FailedPrecondition);
    assert_code(quote(&parts).await, Code::FailedPrecondition);
    assert!(world.state.lock().unwrap().orders.is_empty());
}

#[rstest]
#[tokio::test]
async fn a_quote_does_without_shipping_and_stock_but_not_without_prices(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    world.fail("shipping/quote", &[Fault::LostBefore]);
    world.fail("inventory/available", &[Fault::LostBefore]);
    let shown = quote(&parts).await.unwrap();
    assert!(shown.shipping_is_flat_rate && shown.shipping.minor > 0);
    assert!(shown.lines.iter().all(|line| !line.short));
    assert_eq!(shown.total.minor, shown.subtotal.minor + shown.shipping.minor);
    for callee in ["basket/get", "catalogue/batch-get"] {
        world.fail(callee, &[Fault::LostBefore]);
        let error = assert_code(quote(&parts).await, Code::Unavailable);
        assert!(error.message.starts_with("Your basket is safe"), "{error}");
    }
    // Placed at the flat rate that was shown, while shipping is still away.
    world.fail("shipping/quote", &[Fault::LostBefore]);
    let as_shown = PlaceRequest { expected_total: shown.total.clone(), ..request("key-00000001") };
    assert_eq!(place(&parts, as_shown).await.unwrap().state, PlaceState::PLACE_STATE_CONFIRMED);
    quiet(&parts).await;
    world.check(true);
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_before_anything_happens(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let world = World::new(kind);
    let parts = checkout(&world).await;
    let good = request("key-00000001");
    let address = good.address.as_option().unwrap().clone();
    let requests = [
        PlaceRequest { idempotency_key: "short".to_owned(), ..good.clone() },
        PlaceRequest { idempotency_key: "x".repeat(65), ..good.clone() },
        PlaceRequest { shopper_id: "ada".to_owned(), ..good.clone() },
        PlaceRequest { basket_version: -1, ..good.clone() },
        PlaceRequest { expected_total: None.into(), ..good.clone() },
        PlaceRequest { expected_total: euros(0).into(), ..good.clone() },
        PlaceRequest { expected_total: euros(-1).into(), ..good.clone() },
        PlaceRequest { expected_total: euros(i64::MAX).into(), ..good.clone() },
        PlaceRequest { address: None.into(), ..good.clone() },
        PlaceRequest { address: Address { country: "de".to_owned(), ..address.clone() }.into(), ..good.clone() },
        PlaceRequest { address: Address { name: "x\u{0}".to_owned(), ..address.clone() }.into(), ..good.clone() },
        PlaceRequest { address: Address { line1: "x".repeat(201), ..address }.into(), ..good.clone() },
        PlaceRequest { email: "x".to_owned(), ..good.clone() },
        PlaceRequest { card_number: String::new(), ..good.clone() },
        PlaceRequest { card_number: "4242 4242".to_owned(), ..good.clone() },
        PlaceRequest { card_number: "4242 4242 4242 424x".to_owned(), ..good.clone() },
        PlaceRequest { card_expiry: "x".repeat(13), ..good },
    ];
    for (number, request) in requests.into_iter().enumerate() {
        let error = place(&parts, request).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "request {number}: {error}");
        assert!(!error.message.contains("4242"), "{error}");
    }
    assert!(world.state.lock().unwrap().calls.is_empty());
}
