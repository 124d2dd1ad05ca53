//! What is asked and tried beside the buyers, all the time: the audits; whether reservations last; whether a lower fencing token is refused;
//! and an administrator who changes prices and books deliveries.

use crate::api::{CallError, list, number, text};
use crate::buyer::{PLENTY, SCARCE};
use crate::history::{Action, MoneyTotals, Outcome, StockTotals};
use crate::random::Random;
use crate::world::{World, outcome};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Products in an answer of the stock's audit.
const PAGE: i64 = 1_000;

/// How long something may take without which a probe cannot begin.
const BEGINNING: Duration = Duration::from_secs(15);

/// Pieces of one product that an order has at most.
const LINE_MAX: i64 = 99;

/// More pieces than a store starts any product with.
const FIRST_MOST: i64 = 1_000;

/// Pages of the stock's audit that are read at most.
const PAGES_MAX: usize = 100;

/// Reads the three audits once, orders before payments: what is confirmed then must have been paid.
///
/// # Errors
/// When one of them was not answered whole.
pub fn audit(world: &World, patience: Duration) -> Result<(), String> {
    let ask = |service: &str, method: &str, request: &Value| world.ask(service, method, request, patience);
    let start = world.now();
    let answer = ask("orders", "orders.v1.Orders/Audit", &json!({}));
    let read = |answer: &Value| {
        let totals = list(&answer["confirmedTotals"]).iter();
        (
            number(&answer["confirmed"]),
            totals.map(|total| (text(&total["currency"]), number(&total["minor"]))).collect(),
        )
    };
    let (confirmed, totals) = answer.as_ref().map(read).unwrap_or_default();
    world.note("auditor", start, Action::OrdersAudit { confirmed, totals }, outcome(&answer));
    let orders = answer.map(drop);
    let start = world.now();
    let answer = ask("payment", "payment.v1.Payment/Audit", &json!({}));
    let currencies = answer.as_ref().map(currencies).unwrap_or_default();
    world.note("auditor", start, Action::MoneyAudit { currencies }, outcome(&answer));
    let money = answer.map(drop);
    let start = world.now();
    let stock = stock(|request| ask("inventory", "inventory.v1.Inventory/Audit", request));
    let (balanced, products) = stock.clone().unwrap_or_default();
    world.note("auditor", start, Action::StockAudit { balanced, products }, outcome(&stock));
    orders.and(money).and(stock.map(drop)).map_err(|error| format!("an audit was not answered: {error:?}"))
}

/// One audit of the stock is all its pages: what is not on one of them is on another. `balanced` when each of them says so.
fn stock(
    mut ask: impl FnMut(&Value) -> Result<Value, CallError>,
) -> Result<(bool, BTreeMap<String, StockTotals>), CallError> {
    let (mut balanced, mut all, mut token) = (true, BTreeMap::new(), String::new());
    for _ in 0..PAGES_MAX {
        let answer = ask(&json!({ "limit": PAGE, "pageToken": token }))?;
        balanced &= answer["balanced"] == true;
        all.extend(products(&answer));
        token = text(&answer["nextPageToken"]);
        if token.is_empty() {
            return Ok((balanced, all));
        }
    }
    Err(CallError::Unknown("the stock's audit has no end".to_owned()))
}

/// Whether the last audit of the stock says of everything on the shelves that some was delivered, as it was at the beginning of the run: an
/// audit of which nothing is understood would hold every invariant.
///
/// # Errors
/// What it says nothing of.
pub fn is_understood(world: &World) -> Result<(), String> {
    let history = world.history();
    let audits = history.succeeded().filter_map(|entry| match &entry.action {
        Action::StockAudit { products, .. } => Some(products),
        _ => None,
    });
    let last = audits.last().ok_or("the stock's audit was never read")?;
    let is_missing = |product: &&&str| last.get(**product).is_none_or(|totals| totals.received == 0);
    match PLENTY.iter().chain(&SCARCE).find(is_missing) {
        Some(product) => {
            Err(format!("the stock's audit knows of no delivery of `{product}`, of which some was booked"))
        }
        None => Ok(()),
    }
}

fn currencies(answer: &Value) -> BTreeMap<String, MoneyTotals> {
    let totals = |currency: &Value| MoneyTotals {
        ledger_sum: number(&currency["ledgerSum"]),
        captured: number(&currency["captured"]),
        refunded: number(&currency["refunded"]),
        held: number(&currency["held"]),
        captures: number(&currency["captures"]),
    };
    list(&answer["currencies"]).iter().map(|currency| (text(&currency["currency"]), totals(currency))).collect()
}

fn products(answer: &Value) -> BTreeMap<String, StockTotals> {
    let totals = |product: &Value| StockTotals {
        on_hand: number(&product["onHand"]),
        reserved: number(&product["reserved"]),
        confirmed: number(&product["confirmed"]),
        received: number(&product["received"]),
        restocked: number(&product["restocked"]),
    };
    list(&answer["products"]).iter().map(|product| (text(&product["productId"]), totals(product))).collect()
}

/// Reads the audits until it is time to stop.
pub fn audit_all_the_time(world: &World) {
    while !world.is_stopping() {
        // What is not answered now is judged at another read.
        let _ = audit(world, Duration::ZERO);
        world.pause(150);
    }
}

/// Books one piece of a product that nobody else touches, and reads how many there are now: a store may start each product with some.
fn stock_up(world: &World, who: &str, product: &str) -> Option<i64> {
    let start = world.now();
    let key = uuid::Uuid::new_v4().to_string();
    let request = json!({ "idempotencyKey": key, "productId": product, "quantity": 1, "note": "store-check" });
    let answer = world.ask("inventory", "inventory.v1.Inventory/Receive", &request, BEGINNING);
    let answer = answer.and_then(|_| {
        let request = json!({ "productIds": [product] });
        world.ask("inventory", "inventory.v1.Inventory/Available", &request, BEGINNING)
    });
    let read = |answer: &Value| number(&answer["stock"][0]["quantity"]);
    // Where one of the two has no good answer, the delivery may be booked or not, whatever became of the last try.
    let (pieces, outcome) = match &answer {
        Ok(answer) => (read(answer), Outcome::Ok),
        Err(error) => (FIRST_MOST, Outcome::Unknown(format!("{error:?}"))),
    };
    world.note(who, start, Action::Receive { product: product.to_owned(), pieces }, outcome);
    answer.is_ok_and(|answer| read(&answer) > 0).then_some(pieces)
}

/// Makes sure that the stock knows of everything that is bought, so that what a demonstration starts with is no delivery of the run, and that
/// what most people buy does not run out over many runs.
///
/// # Errors
/// When the inventory does not answer.
pub fn open_the_shelves(world: &World) -> Result<(), String> {
    let plenty = PLENTY.iter().map(|product| (product, 30));
    for (product, pieces) in plenty.chain(SCARCE.iter().map(|product| (product, 1))) {
        let key = format!("shelf-{}-{product}", world.tag);
        let request = json!({ "idempotencyKey": key, "productId": product, "quantity": pieces, "note": "store-check" });
        let answer = world.ask("inventory", "inventory.v1.Inventory/Receive", &request, BEGINNING);
        answer.map_err(|error| format!("the inventory does not book a delivery: {error:?}"))?;
    }
    Ok(())
}

fn reserve(world: &World, order: &str, product: &str, pieces: i64, ttl: u64) {
    let start = world.now();
    let lines = json!([{ "productId": product, "quantity": pieces }]);
    let request = json!({ "orderId": order, "lines": lines, "ttlMs": ttl.to_string() });
    let answer = world.call("inventory", "inventory.v1.Inventory/Reserve", &request);
    let action = Action::Reserve { order: order.to_owned(), product: product.to_owned(), pieces, ttl };
    world.note("reservations", start, action, outcome(&answer));
}

/// Sets pieces of products of its own aside, and looks when they are on sale again, until it is time to stop.
pub fn reserve_all_the_time(world: &World, seed: u64) {
    let mut random = Random::of(seed, "reservations");
    let mut round = 0;
    while !world.is_stopping() {
        round += 1;
        let product = format!("probe-{}-{round}", world.tag);
        let Some(stock) = stock_up(world, "reservations", &product) else { continue };
        let ttl = random.between(2_000, 4_000);
        let most = (stock - 1).min(LINE_MAX);
        // Two at the same moment, of whom one gets what both want.
        std::thread::scope(|scope| {
            scope.spawn(|| reserve(world, &format!("{product}-a"), &product, most, ttl));
            reserve(world, &format!("{product}-z"), &product, most, ttl);
        });
        let until = world.now() + ttl + 6_500;
        let mut others = 0;
        while world.now() < until && !world.is_stopping() {
            let start = world.now();
            let request = json!({ "productIds": [product] });
            let answer = world.call("inventory", "inventory.v1.Inventory/Available", &request);
            let pieces = answer.as_ref().map_or(0, |answer| number(&answer["stock"][0]["quantity"]));
            world.note("reservations", start, Action::Available { product: product.clone(), pieces }, outcome(&answer));
            if others < 3 && random.chance(10) {
                others += 1;
                // One more than are left.
                reserve(world, &format!("{product}-b{others}"), &product, stock - most + 1, 1_000);
            }
            world.pause(150);
        }
    }
}

/// Commands orders of its own under a lower fencing token than before, until it is time to stop. Answers the orders that the orders'
/// service knows of.
pub fn fence_all_the_time(world: &World) -> BTreeSet<String> {
    let mut orders = BTreeSet::new();
    let mut product = None;
    let mut round = 0;
    while !world.is_stopping() {
        round += 1;
        let order = format!("fence-{}-{round}", world.tag);
        fence_payment(world, &order);
        // One product will do for the whole run: the stock keeps each for good.
        product = product.or_else(|| stock_up(world, "fences", &order).map(|_| order.clone()));
        if let Some(product) = &product {
            fence_stock(world, &order, product);
        }
        fence_order(world, &mut orders);
        world.pause(1_500);
    }
    orders
}

/// A lower token than the 5 that a probe begins with.
const LOWER: u8 = 3;

/// How long a probe tries to leave nothing behind.
const TIDY_UP: Duration = Duration::from_secs(90);

/// Gives a command under a lower token than was seen.
pub fn lower(world: &World, service: &str, method: &str, order: &str, token: u8) {
    let start = world.now();
    let mut request = json!({ "orderId": order, "fence": token.to_string() });
    if method.ends_with("/Cancel") {
        request["reason"] = json!("A probe.");
    }
    let answer = world.call(service, method, &request);
    let action = Action::LowerFence { order: order.to_owned(), command: method.to_owned() };
    world.note("fences", start, action, outcome(&answer));
}

/// Gives a command that must succeed for nothing to be left, until it is answered.
fn tidy_up(world: &World, service: &str, method: &str, order: &str) {
    let mut request = json!({ "orderId": order, "fence": "6" });
    if method.ends_with("/Cancel") {
        request["reason"] = json!("A probe.");
    }
    if let Err(CallError::Unknown(why)) = world.ask(service, method, &request, TIDY_UP) {
        eprintln!("store-check: a probe's {method} of {order} stays open: {why}");
    }
}

fn begin(world: &World, service: &str, method: &str, request: &Value) -> bool {
    world.ask(service, method, request, BEGINNING).is_ok()
}

fn fence_payment(world: &World, order: &str) {
    let amount = json!({ "minor": "100", "currency": "EUR" });
    let request = json!({ "orderId": order, "amount": amount, "cardNumber": crate::buyer::GOOD_CARD, "fence": "5" });
    if begin(world, "payment", "payment.v1.Payment/Authorise", &request) {
        lower(world, "payment", "payment.v1.Payment/Capture", order, LOWER);
        lower(world, "payment", "payment.v1.Payment/Void", order, LOWER);
    }
    tidy_up(world, "payment", "payment.v1.Payment/Void", order);
}

fn fence_stock(world: &World, order: &str, product: &str) {
    let lines = json!([{ "productId": product, "quantity": 1 }]);
    let request = json!({ "orderId": order, "lines": lines, "ttlMs": "60000", "fence": "5" });
    if begin(world, "inventory", "inventory.v1.Inventory/Reserve", &request) {
        lower(world, "inventory", "inventory.v1.Inventory/Commit", order, LOWER);
        lower(world, "inventory", "inventory.v1.Inventory/Release", order, LOWER);
    }
    tidy_up(world, "inventory", "inventory.v1.Inventory/Release", order);
}

fn fence_order(world: &World, orders: &mut BTreeSet<String>) {
    let order = uuid::Uuid::now_v7().to_string();
    let money = |minor: &str| json!({ "minor": minor, "currency": "EUR" });
    let line = json!({ "productId": "tide-mug", "name": "A probe", "quantity": 1, "unitPrice": money("100"), "total": money("100") });
    let address =
        json!({ "name": "Probe", "line1": "1 Probe Row", "city": "Berlin", "postcode": "10115", "country": "DE" });
    let request = json!({
        "orderId": order, "shopperId": format!("guest:{}", uuid::Uuid::new_v4()), "email": "probe@example.org", "address": address,
        "lines": [line], "subtotal": money("100"), "shipping": money("0"), "total": money("100"), "fence": "5",
    });
    orders.insert(order.clone());
    if begin(world, "orders", "orders.v1.Orders/Open", &request) {
        lower(world, "orders", "orders.v1.Orders/Confirm", &order, LOWER);
        lower(world, "orders", "orders.v1.Orders/Cancel", &order, LOWER);
    }
    tidy_up(world, "orders", "orders.v1.Orders/Cancel", &order);
}

/// An administrator changes prices and books deliveries of what runs out, until it is time to stop.
pub fn mind_the_shop(world: &World, seed: u64) {
    let mut random = Random::of(seed, "administrator");
    let mut visitor = world.guest();
    let mut is_signed_in = false;
    while !world.is_stopping() {
        world.pause(400);
        if !is_signed_in {
            let fields = [("email", "admin@store.example"), ("password", "let-me-mind-the-shop"), ("next", "/admin")];
            let answer = visitor.post("/sign-in", &fields);
            is_signed_in =
                answer.is_ok_and(|page| page.location.starts_with("/admin")) && visitor.get("/basket").is_ok();
            continue;
        }
        let scarce = random.chance(50);
        let shelf: &[&str] = if scarce { &SCARCE } else { &PLENTY };
        let Some(product) = random.pick(shelf) else { continue };
        if random.chance(60) {
            change_price(world, &mut visitor, &mut random, product);
        } else {
            let pieces = if scarce { random.between(1, 3) } else { random.between(5, 20) };
            book(world, &mut visitor, product, i64::try_from(pieces).unwrap_or(1));
        }
    }
}

fn change_price(world: &World, visitor: &mut crate::page::Visitor, random: &mut Random, product: &str) {
    let request = json!({ "ids": [product] });
    let Ok(answer) = world.call("catalogue", "catalogue.v1.Catalogue/BatchGetProducts", &request) else { return };
    let prices = list(&answer["products"][0]["prices"]).iter();
    let Some(price) = prices.into_iter().find(|price| price["amount"]["currency"] == "EUR") else { return };
    let minor = number(&price["amount"]["minor"]);
    let change = i64::try_from(random.between(0, 200)).unwrap_or(100) - 100;
    let minor = (minor + change).clamp(100, 100_000);
    let amount = format!("{}.{:02}", minor / 100, minor % 100);
    let key = uuid::Uuid::new_v4().to_string();
    let version = number(&price["version"]).to_string();
    // What became of it shows on the pages of those who buy: they pay what they were shown, or are asked again.
    let fields =
        [("key", key.as_str()), ("product", product), ("currency", "EUR"), ("version", &version), ("amount", &amount)];
    drop(visitor.post("/admin/price", &fields));
}

fn book(world: &World, visitor: &mut crate::page::Visitor, product: &str, pieces: i64) {
    let start = world.now();
    let (key, quantity) = (uuid::Uuid::new_v4().to_string(), pieces.to_string());
    let fields = [("key", key.as_str()), ("product", product), ("quantity", &quantity)];
    let mut outcome = Outcome::Unknown(String::new());
    // Sent again under its key: it must be booked once.
    for attempt in 0..5 {
        match visitor.post("/admin/stock", &fields) {
            Ok(page) if page.location.contains("done=received") => {
                outcome = Outcome::Ok;
                break;
            }
            Ok(page) if !page.location.contains("unavailable") => {
                // Refused now; an earlier try may still have been booked.
                let why = format!("{} {}", page.status, page.location);
                outcome = if attempt == 0 { Outcome::Failed(why) } else { Outcome::Unknown(why) };
                break;
            }
            Ok(page) => outcome = Outcome::Unknown(page.location),
            Err(why) => outcome = Outcome::Unknown(why),
        }
    }
    world.note("administrator", start, Action::Receive { product: product.to_owned(), pieces }, outcome);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(product: &str, balanced: bool, next: &str) -> Value {
        json!({ "balanced": balanced, "products": [{ "productId": product, "received": "7" }], "nextPageToken": next })
    }

    #[test]
    fn the_pages_of_an_audit_are_one_audit() {
        let ask = |second: Result<Value, CallError>| {
            let mut second = Some(second);
            stock(move |request| match request["pageToken"].as_str() {
                Some("") => Ok(page("mug", true, "more")),
                _ => second.take().expect("the second page is asked for once"),
            })
        };
        let (balanced, products) = ask(Ok(page("tray", true, ""))).expect("both pages came");
        assert!(balanced);
        assert_eq!(products.into_keys().collect::<Vec<_>>(), ["mug", "tray"]);
        assert!(ask(Ok(page("tray", false, ""))).is_ok_and(|(balanced, _)| !balanced));
        let silence = CallError::Unknown("silence".to_owned());
        assert_eq!(ask(Err(silence.clone())), Err(silence));
        assert!(stock(|_| Ok(page("mug", true, "more"))).is_err(), "it has no end");
    }
}
