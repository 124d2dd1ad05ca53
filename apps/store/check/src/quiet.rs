//! Waits until nothing is under way any more, and reads what is true then: each key, order, payment, shipment and mail of the run, and once
//! more the pages of all who bought.

use crate::api::{CallError, list, number, text};
use crate::buyer::Left;
use crate::history::{Action, End, KeyEnd, MailsEnd, Money, OrderEnd, OrderState, Outcome, PaymentEnd};
use crate::world::{World, money};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// How long a single read may take to succeed when nothing is broken any more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Answers of a list that are read at a time.
const PAGE: i64 = 500;

/// Pages of a list that are read at most.
const PAGES_MAX: usize = 20_000;

/// Mails in an answer at most.
const MAILS: i64 = 100;

/// Up to which event each service's events belong to runs before this one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Baseline {
    orders: i64,
    shipments: i64,
}

/// An event, with its place.
type Event = (i64, Value);

/// Where the events stand now.
///
/// # Errors
/// When they cannot be read.
pub fn baseline(world: &World, known: Baseline) -> Result<Baseline, String> {
    let last = |events: Vec<Event>, known| events.last().map_or(known, |(sequence, _)| *sequence);
    Ok(Baseline {
        orders: last(events(world, "orders", "orders.v1.Orders/Events", known.orders)?, known.orders),
        shipments: last(events(world, "shipping", "shipping.v1.Shipping/Events", known.shipments)?, known.shipments),
    })
}

fn events(world: &World, service: &str, method: &str, mut after: i64) -> Result<Vec<Event>, String> {
    let mut all = Vec::new();
    for _ in 0..PAGES_MAX {
        let answer = read(world, service, method, &json!({ "after": after.to_string(), "limit": PAGE }))?;
        let page: Vec<Event> =
            list(&answer["events"]).iter().map(|event| (number(&event["sequence"]), event.clone())).collect();
        let Some((last, _)) = page.last() else { return Ok(all) };
        after = *last;
        all.extend(page);
    }
    Err(format!("{method} has no end"))
}

fn read(world: &World, service: &str, method: &str, request: &Value) -> Result<Value, String> {
    world.look();
    world.ask(service, method, request, PATIENCE).map_err(|error| format!("{method}: {error:?}"))
}

/// Waits until no order is under way. Answers what still is when patience is over.
///
/// # Errors
/// When checkout or orders do not answer.
pub fn wait(world: &World, patience: Duration) -> Result<Vec<String>, String> {
    let until = Instant::now() + patience;
    loop {
        let mut open = Vec::new();
        let sagas = number(&read(world, "checkout", "checkout.v1.Checkout/Status", &json!({}))?["unfinished"]);
        if sagas > 0 {
            open.push(format!("{sagas} orders at the checkout"));
        }
        let pending = number(&read(world, "orders", "orders.v1.Orders/Audit", &json!({}))?["pending"]);
        if pending > 0 {
            open.push(format!("{pending} pending orders"));
        }
        let live = number(&read(world, "inventory", "inventory.v1.Inventory/Audit", &json!({}))?["reservationsLive"]);
        if live > 0 {
            open.push(format!("{live} reservations"));
        }
        if open.is_empty() || Instant::now() >= until {
            return Ok(open);
        }
        std::thread::sleep(Duration::from_millis(200)); // between two looks
    }
}

/// Everything that is true now.
///
/// # Errors
/// When something cannot be read.
pub fn end(world: &World, before: Baseline, probes: BTreeSet<String>, patience: Duration) -> Result<End, String> {
    let mut end = End { probes, ..End::default() };
    for (_, event) in events(world, "orders", "orders.v1.Orders/Events", before.orders)? {
        let (id, order) = order_of(&event);
        let known = end.orders.entry(id).or_insert(order);
        known.events += 1;
    }
    for key in keys(world) {
        let answer = world.ask("checkout", "checkout.v1.Checkout/Status", &json!({ "idempotencyKey": key }), PATIENCE);
        match answer {
            Ok(answer) => drop(end.keys.insert(key, key_of(&answer["order"]))),
            Err(CallError::Refused(code)) if code == "not_found" => {}
            Err(error) => return Err(format!("the checkout's Status of {key}: {error:?}")),
        }
    }
    let orders: BTreeSet<String> = end.orders.keys().chain(end.keys.values().map(|key| &key.order)).cloned().collect();
    for order in orders {
        let answer = read(world, "payment", "payment.v1.Payment/Audit", &json!({ "orderId": order }))?;
        end.payments.insert(order, payment_of(list(&answer["entries"])));
    }
    follow(world, before, &mut end, patience)?;
    Ok(end)
}

fn keys(world: &World) -> BTreeSet<String> {
    let key = |action: &Action| match action {
        Action::Press { key, .. } => Some(key.clone()),
        _ => None,
    };
    world.history().entries.iter().filter_map(|entry| key(&entry.action)).collect()
}

fn order_of(event: &Value) -> (String, OrderEnd) {
    let order = &event["order"];
    let state =
        if event["kind"] == "ORDER_EVENT_KIND_CONFIRMED" { OrderState::Confirmed } else { OrderState::Cancelled };
    let lines = list(&order["lines"]).iter().map(|line| (text(&line["productId"]), number(&line["quantity"])));
    (text(&order["orderId"]), OrderEnd { state, total: money(&order["total"]), lines: lines.collect(), events: 0 })
}

fn key_of(order: &Value) -> KeyEnd {
    let state = match order["state"].as_str() {
        Some("PLACE_STATE_CONFIRMED") => OrderState::Confirmed,
        Some("PLACE_STATE_REFUSED") => OrderState::Cancelled,
        _ => OrderState::Pending,
    };
    KeyEnd { order: text(&order["orderId"]), state }
}

/// Of a ledger's entries: each transfer into the store's account is a capture, each out of it gives money back.
fn payment_of(entries: &[Value]) -> PaymentEnd {
    let mut payment = PaymentEnd::default();
    for entry in entries {
        let Money { minor, .. } = money(&entry["amount"]);
        match entry["account"].as_str() {
            Some("store") => {
                payment.captures += usize::from(minor > 0);
                payment.kept += minor;
            }
            Some("held") => payment.held += minor,
            _ => {}
        }
    }
    payment
}

/// Waits until shipments and mails have caught up with the orders, or patience is over, and keeps what there is.
fn follow(world: &World, before: Baseline, end: &mut End, patience: Duration) -> Result<(), String> {
    let until = Instant::now() + patience;
    let confirmed = end.orders.values().filter(|order| order.state == OrderState::Confirmed).count();
    let due = end.orders.len() + confirmed;
    loop {
        end.shipments = shipments(world, before)?;
        end.mails = mails(world, &end.orders)?;
        let written: usize = end.mails.values().map(|mails| mails.confirmed + mails.cancelled + mails.packed).sum();
        if (end.shipments.len() >= confirmed && written >= due) || Instant::now() >= until {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(300)); // between two looks
    }
}

fn shipments(world: &World, before: Baseline) -> Result<BTreeMap<String, usize>, String> {
    let mut shipments = BTreeMap::new();
    for (_, event) in events(world, "shipping", "shipping.v1.Shipping/Events", before.shipments)? {
        *shipments.entry(text(&event["shipment"]["orderId"])).or_default() += 1;
    }
    Ok(shipments)
}

/// The mails about these orders. They come newest first: a whole page about others ends the search.
fn mails(world: &World, orders: &BTreeMap<String, OrderEnd>) -> Result<BTreeMap<String, MailsEnd>, String> {
    let mut mails: BTreeMap<String, MailsEnd> = BTreeMap::new();
    let mut token = String::new();
    for _ in 0..PAGES_MAX {
        let answer = read(world, "notify", "notify.v1.Notify/List", &json!({ "limit": MAILS, "pageToken": token }))?;
        let page = list(&answer["mails"]);
        let mut ours = 0;
        for mail in page.iter().filter(|mail| orders.contains_key(&text(&mail["orderId"]))) {
            ours += 1;
            let subject = text(&mail["subject"]);
            let mails = mails.entry(text(&mail["orderId"])).or_default();
            if subject.contains("is confirmed") {
                mails.confirmed += 1;
            } else if subject.contains("did not go through") {
                mails.cancelled += 1;
            } else if subject.contains("is being packed") {
                mails.packed += 1;
            }
        }
        token = text(&answer["nextPageToken"]);
        if ours == 0 || token.is_empty() {
            break;
        }
    }
    Ok(mails)
}

/// Has everybody who bought look at their basket, which finishes a merge that could not be made at the sign-in: whether one is still to be made
/// only their own cookies know. From then on all is quiet.
pub fn settle(world: &World, left: &mut [Left<'_>]) {
    for left in left {
        eventually(|| left.trip.read_basket().is_some());
    }
    let start = world.now();
    world.note("checker", start, Action::Quiet, Outcome::Ok);
}

/// Reads once more what everybody who bought can see: their basket, their orders, and the list of them.
pub fn look_again(left: &mut [Left<'_>]) {
    for left in left {
        let trip = &mut left.trip;
        eventually(|| trip.read_basket().is_some());
        for order in &left.orders {
            eventually(|| trip.read_order(order));
        }
        eventually(|| trip.read_orders());
    }
}

/// Tries until it succeeds, or patience is over.
fn eventually(mut read: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !read() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(200)); // between two looks
    }
}
