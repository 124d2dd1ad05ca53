//! Looks whether the checkout's commands carry their fencing token: an order is taken over on purpose from a replica that dies, and from then on
//! nobody may command it under the dead one's token. Never: does so while anybody else buys, whose order would be the one taken over.

use crate::api::{CallError, number, text};
use crate::buyer::GOOD_CARD;
use crate::faults;
use crate::probes::lower;
use crate::trip::{PayPage, Pressed, Trip};
use crate::world::World;
use serde_json::json;
use std::time::{Duration, Instant};

/// Here a replica of the checkout dies: the bank holds the money, nobody has noted it, and whoever takes the order over commands the payment,
/// the stock and the order afresh.
const POINT: &str = "authorise.called";

/// How long an order may take to be placed and taken over.
const PATIENCE: Duration = Duration::from_secs(120);

/// The token of the replica that an order was placed with.
const FIRST: u8 = 1;

/// Has an order taken over, and commands it once more as whoever lost it would.
///
/// # Errors
/// When no order was taken over within patience, or the store does not recover.
pub fn probe(world: &World) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let mut order = None;
    let mut number = 0;
    while order.is_none() && Instant::now() < until {
        number += 1;
        match world.shoal.run(&["fault", "add", "checkout", "kill", "--at", POINT, "--times", "1"]) {
            Ok(_) => order = press(world, number).and_then(|key| taken_over(world, &key, until)),
            Err(_) => std::thread::sleep(Duration::from_millis(500)), // its replicas may just be replaced
        }
    }
    faults::heal(world, true)?;
    let order = order.ok_or("no order was taken over, although the checkout was to be killed while it placed one")?;
    // Each of them is done already: whoever obeys does no harm here.
    lower(world, "payment", "payment.v1.Payment/Capture", &order, FIRST);
    lower(world, "inventory", "inventory.v1.Inventory/Commit", &order, FIRST);
    lower(world, "orders", "orders.v1.Orders/Confirm", &order, FIRST);
    Ok(())
}

/// Somebody places an order. Answers its key, unless nothing came of it.
fn press(world: &World, number: u32) -> Option<String> {
    let mut trip = Trip::new(world, "takeover", format!("guest-takeover-{number}"));
    if !trip.add("tide-mug", 1) || !trip.deliver("takeover@example.org") {
        return None;
    }
    let PayPage::Form(form) = trip.pay_page() else { return None };
    (trip.press(&form, GOOD_CARD) != Pressed::Failed).then_some(form.key)
}

/// The order of a key once it is confirmed, if a second replica did that.
fn taken_over(world: &World, key: &str, until: Instant) -> Option<String> {
    while Instant::now() < until {
        world.look();
        match world.call("checkout", "checkout.v1.Checkout/Status", &json!({ "idempotencyKey": key })) {
            Ok(answer) => match answer["order"]["state"].as_str() {
                Some("PLACE_STATE_CONFIRMED") => {
                    return (number(&answer["fence"]) > i64::from(FIRST)).then(|| text(&answer["order"]["orderId"]));
                }
                Some("PLACE_STATE_REFUSED") => return None,
                _ => {}
            },
            // It never arrived.
            Err(CallError::Refused(code)) if code == "not_found" => return None,
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_millis(200)); // between two looks
    }
    None
}
