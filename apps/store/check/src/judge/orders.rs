//! Invariants 2, 3, 5 and 6 as far as orders go: what was acknowledged stays; a key has one order; each order has its key; nothing stays
//! undecided; and what was bought, at which price, is what was shown.

use super::{Invariant, Violation};
use crate::history::{Action, End, Entry, History, Moment, OrderState, Outcome, Shown, Told};
use std::collections::{BTreeMap, BTreeSet};

/// Judges the orders.
pub fn judge(history: &History) -> Vec<Violation> {
    let acknowledged = acknowledged(history);
    let mut found = one_order_per_key(history);
    found.extend(reads(history, &acknowledged));
    if let Some(end) = &history.end {
        found.extend(as_told(history, end));
        found.extend(kept(end, &acknowledged));
        found.extend(decided(end));
        found.extend(as_shown(history, end));
    }
    found
}

/// An order that somebody was told is placed.
struct Acknowledged<'a> {
    order: &'a str,
    key: &'a str,
    customer: Option<&'a str>,
    at: Moment,
}

fn presses(history: &History) -> impl Iterator<Item = (&str, &str, Option<&str>, &Shown)> {
    history.entries.iter().filter_map(|entry| match &entry.action {
        Action::Press { key, basket, customer, shown, .. } => {
            Some((key.as_str(), basket.as_str(), customer.as_deref(), shown))
        }
        _ => None,
    })
}

fn told(history: &History) -> impl Iterator<Item = (&Entry, &str, &Told)> {
    history.succeeded().filter_map(|entry| match &entry.action {
        Action::Learn { key, told: Some(told), .. } => Some((entry, key.as_str(), told)),
        _ => None,
    })
}

fn acknowledged(history: &History) -> Vec<Acknowledged<'_>> {
    let customers: BTreeMap<&str, Option<&str>> =
        presses(history).map(|(key, _, customer, _)| (key, customer)).collect();
    let placed = told(history).filter_map(|(entry, key, told)| match told {
        Told::Placed(order) => {
            let customer = customers.get(key).copied().flatten();
            Some(Acknowledged { order, key, customer, at: entry.end })
        }
        Told::Refused | Told::Pending | Told::NotReceived => None,
    });
    placed.collect()
}

fn one_order_per_key(history: &History) -> Vec<Violation> {
    let mut orders: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, key, told) in told(history) {
        if let Told::Placed(order) = told {
            orders.entry(key).or_default().insert(order);
        }
    }
    let twice = orders.into_iter().filter(|(_, orders)| orders.len() > 1);
    let violation = |(key, orders): (&str, BTreeSet<&str>)| {
        let sentence = format!("The key {key} was answered with {} different orders: {orders:?}.", orders.len());
        Violation::new(Invariant::Charge, sentence, [key])
    };
    twice.map(violation).collect()
}

/// Reads of orders that began after they were acknowledged.
fn reads(history: &History, acknowledged: &[Acknowledged<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    for entry in history.succeeded() {
        let earlier = acknowledged.iter().filter(|known| known.at <= entry.start);
        match &entry.action {
            Action::Order { order, page } => {
                let is_kept = matches!(page, Some((OrderState::Confirmed, _)));
                if !is_kept && earlier.into_iter().any(|known| known.order == order) {
                    let sentence =
                        format!("The order {order} was acknowledged, and its page at {} ms says {page:?}.", entry.end);
                    found.push(Violation::new(Invariant::Orders, sentence, [order]));
                }
            }
            Action::Orders { customer, listed } => {
                for known in earlier.filter(|known| known.customer == Some(customer)) {
                    let state = listed.get(known.order);
                    if state != Some(&OrderState::Confirmed) {
                        let sentence = format!(
                            "The order {} of {customer} was acknowledged, and their list at {} ms says {state:?} of it.",
                            known.order, entry.end
                        );
                        found.push(Violation::new(Invariant::Orders, sentence, [known.order, customer]));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// What was acknowledged is there at the end.
fn kept(end: &End, acknowledged: &[Acknowledged<'_>]) -> Vec<Violation> {
    let mut found = Vec::new();
    for known in acknowledged {
        let order = end.orders.get(known.order).map(|order| order.state);
        if order != Some(OrderState::Confirmed) {
            let sentence =
                format!("The order {} was acknowledged, and at the end the orders say {order:?} of it.", known.order);
            found.push(Violation::new(Invariant::Orders, sentence, [known.order, known.key]));
        }
        let key = end.keys.get(known.key);
        if key.is_none_or(|key| key.order != known.order || key.state != OrderState::Confirmed) {
            let sentence = format!(
                "The order {} was acknowledged for the key {}, and at the end the checkout says {key:?} of it.",
                known.order, known.key
            );
            found.push(Violation::new(Invariant::Orders, sentence, [known.order, known.key]));
        }
    }
    found
}

/// Nothing is under way, checkout and orders agree, and no order was placed by nobody.
fn decided(end: &End) -> Vec<Violation> {
    let mut found = Vec::new();
    for what in &end.unfinished {
        found.push(Violation::new(Invariant::Decided, format!("Still under way when patience was over: {what}."), []));
    }
    let mut wrong =
        |sentence: String, subjects: [&str; 2]| found.push(Violation::new(Invariant::Decided, sentence, subjects));
    for (key, of_key) in &end.keys {
        let order = end.orders.get(&of_key.order).map(|order| order.state);
        // A refusal before the order was opened leaves no order behind.
        let agree = order == Some(of_key.state) || (of_key.state == OrderState::Cancelled && order.is_none());
        if !agree && end.unfinished.is_empty() {
            let sentence = format!(
                "Of the key {key} the checkout says {:?}, the orders say {order:?} of its order {}.",
                of_key.state, of_key.order
            );
            wrong(sentence, [key, &of_key.order]);
        }
    }
    let known: BTreeSet<&str> = end.keys.values().map(|key| key.order.as_str()).collect();
    for order in end.orders.keys().filter(|order| !known.contains(order.as_str()) && !end.probes.contains(*order)) {
        wrong(format!("The order {order} belongs to no key that anybody used."), [order, order]);
    }
    found
}

/// Nobody was told that nothing was ordered, of what is confirmed at the end.
fn as_told(history: &History, end: &End) -> Vec<Violation> {
    let mut found = Vec::new();
    for (key, _) in end.keys.iter().filter(|(_, of_key)| of_key.state == OrderState::Confirmed) {
        let is_press = |entry: &&Entry| matches!(&entry.action, Action::Press { key: pressed, .. } if pressed == key);
        let presses: Vec<&Entry> = history.entries.iter().filter(is_press).collect();
        let mut wrong = |what: String| {
            let sentence = format!("The key {key} is confirmed at the end, and {what}.");
            found.push(Violation::new(Invariant::Decided, sentence, [key]));
        };
        if !presses.is_empty() && presses.iter().all(|press| matches!(press.outcome, Outcome::Failed(_))) {
            wrong("each time that the button was pressed was answered with a refusal".to_owned());
        }
        for entry in history.succeeded() {
            match &entry.action {
                Action::Learn { key: of, told: Some(Told::Refused), .. } if of == key => {
                    wrong(format!("was told at {} ms to be refused", entry.end));
                }
                Action::Learn { key: of, told: Some(Told::NotReceived), until: Some(until) }
                    if of == key && presses.iter().all(|press| cannot_arrive(press, entry, *until)) =>
                {
                    wrong(format!("was told at {} ms not to have arrived, after which nobody pressed", entry.end));
                }
                _ => {}
            }
        }
    }
    found
}

/// Whether an order that was sent before a page said that it had not arrived can do so no more: its time, as the store itself had told it,
/// was over by then.
fn cannot_arrive(press: &Entry, page: &Entry, page_until: i64) -> bool {
    let is_over = match (&press.action, &press.outcome) {
        (_, Outcome::Failed(_)) => true,
        (Action::Press { until, .. }, _) => until.is_some_and(|until| until <= page_until),
        _ => false,
    };
    press.end <= page.start && is_over
}

/// What was bought and what it costs is what the page showed.
fn as_shown(history: &History, end: &End) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (key, _, _, shown) in presses(history).filter(|(key, ..)| seen.insert(key.to_owned())) {
        let Some(of_key) = end.keys.get(key).filter(|of_key| of_key.state == OrderState::Confirmed) else { continue };
        let Some(order) = end.orders.get(&of_key.order) else { continue };
        if order.total != shown.total || order.lines != shown.lines {
            let sentence = format!(
                "The order {} has {:?} for {}, and the page showed {:?} for {}.",
                of_key.order, order.lines, order.total, shown.lines, shown.total
            );
            found.push(Violation::new(Invariant::Price, sentence, [key, &of_key.order]));
        }
        let pages = history.succeeded().filter_map(|entry| match &entry.action {
            Action::Order { order, page: Some((_, total)) } if *order == of_key.order => Some(total),
            _ => None,
        });
        for text in pages.filter(|text| **text != shown.total_text) {
            let sentence = format!(
                "The page of the order {} says {text}, and {} was shown before it was paid.",
                of_key.order, shown.total_text
            );
            found.push(Violation::new(Invariant::Price, sentence, [key, &of_key.order]));
        }
    }
    found
}
