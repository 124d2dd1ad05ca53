//! Invariant 1: on hand + live reservations + confirmed = received + restocked, at every read; nothing is sold that is not there; and at
//! the end what the stock calls sold is what the orders bought. Deliveries are counted once.

use super::{Invariant, Violation};
use crate::history::{Action, Entry, History, Moment, OrderState, Outcome, StockTotals};
use std::collections::{BTreeMap, BTreeSet};

/// Judges every read of the stock's audit, and the last one against the orders.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut found: Vec<Violation> =
        audits(history).flat_map(|(at, balanced, products)| read(at, balanced, products)).collect();
    // One broken product is broken at every later read too: the first says it.
    let mut said = BTreeSet::new();
    found.retain(|violation| said.insert(violation.subjects.clone()));
    found.extend(at_the_end(history));
    found
}

fn audits(history: &History) -> impl Iterator<Item = (Moment, bool, &BTreeMap<String, StockTotals>)> {
    history.succeeded().filter_map(|entry| match &entry.action {
        Action::StockAudit { balanced, products } => Some((entry.end, *balanced, products)),
        _ => None,
    })
}

fn read(at: Moment, balanced: bool, products: &BTreeMap<String, StockTotals>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |product: &str, why: String| {
        let sentence = format!("The stock's audit at {at} ms says of `{product}`: {why}.");
        found.push(Violation::new(Invariant::Stock, sentence, [product]));
    };
    for (product, totals) in products {
        let StockTotals { on_hand, reserved, confirmed, received, restocked } = totals;
        if on_hand + reserved + confirmed != received + restocked {
            wrong(
                product,
                format!(
                    "{on_hand} on hand + {reserved} reserved + {confirmed} confirmed are not {received} received + {restocked} restocked"
                ),
            );
        } else if *on_hand < 0 || *reserved < 0 {
            wrong(product, format!("{on_hand} on hand, {reserved} reserved"));
        } else if confirmed - restocked > *received {
            wrong(product, format!("{} sold, of {received} received", confirmed - restocked));
        }
    }
    if !balanced && found.is_empty() {
        let sentence = format!("The stock's audit at {at} ms calls itself not balanced.");
        found.push(Violation::new(Invariant::Stock, sentence, []));
    }
    found
}

fn at_the_end(history: &History) -> Vec<Violation> {
    let (Some(end), Some((_, _, first)), Some((_, _, last))) =
        (&history.end, audits(history).next(), audits(history).last())
    else {
        return Vec::new();
    };
    let mut bought: BTreeMap<&str, i64> = BTreeMap::new();
    for order in end.orders.values().filter(|order| order.state == OrderState::Confirmed) {
        for (product, pieces) in &order.lines {
            *bought.entry(product).or_default() += pieces;
        }
    }
    let none = StockTotals::default();
    let mut found = Vec::new();
    for (product, totals) in last {
        let before = first.get(product).unwrap_or(&none);
        let sold = (totals.confirmed - totals.restocked) - (before.confirmed - before.restocked);
        let ordered = bought.get(product.as_str()).copied().unwrap_or(0);
        if sold != ordered {
            let sentence =
                format!("The stock says that {sold} pieces of `{product}` were sold, the orders that {ordered} were.");
            found.push(Violation::new(Invariant::Stock, sentence, [product]));
        }
        if totals.reserved != 0 {
            let sentence =
                format!("{} pieces of `{product}` are still reserved when nothing is under way.", totals.reserved);
            found.push(Violation::new(Invariant::Stock, sentence, [product]));
        }
        let (least, most) = deliveries(history, product);
        let received = totals.received - before.received;
        if !(least..=most).contains(&received) {
            let sentence =
                format!("{received} pieces of `{product}` were booked as received; {least} to {most} were delivered.");
            found.push(Violation::new(Invariant::Stock, sentence, [product]));
        }
    }
    found
}

/// How many pieces were delivered for certain, and how many at most.
fn deliveries(history: &History, product: &str) -> (i64, i64) {
    let of = |wanted: fn(&Entry) -> bool| -> i64 {
        let pieces = |entry: &Entry| match &entry.action {
            Action::Receive { product: delivered, pieces } if delivered == product && wanted(entry) => Some(*pieces),
            _ => None,
        };
        history.entries.iter().filter_map(pieces).sum()
    };
    (of(Entry::is_ok), of(|entry| !matches!(entry.outcome, Outcome::Failed(_))))
}
