//! Invariants 3, 4 and 5 as far as money goes: at most one capture per order; the ledger sums to zero at every read, and holds at every
//! read what confirmed orders cost; at the end a charge for each order and an order for each charge.

use super::{Invariant, Violation};
use crate::history::{Action, End, History, MoneyTotals, OrderState, PaymentEnd};
use std::collections::BTreeMap;

/// Judges every read of the payments' audit, and the end.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut found = reads(history);
    let Some(end) = &history.end else { return found };
    found.extend(payments(end));
    found.extend(totals(history, end));
    found
}

/// The first read at which the ledger is broken.
fn reads(history: &History) -> Vec<Violation> {
    for (place, entry) in history.entries.iter().enumerate().filter(|(_, entry)| entry.is_ok()) {
        let Action::MoneyAudit { currencies } = &entry.action else { continue };
        let mut found = Vec::new();
        for (currency, money) in currencies {
            let MoneyTotals { ledger_sum, captured, refunded, held, .. } = money;
            if *ledger_sum != 0 || *held < 0 || refunded > captured {
                found.push(format!(
                    "in {currency} the ledger sums to {ledger_sum}, {held} are held, {captured} captured, {refunded} refunded"
                ));
            }
        }
        // What was confirmed before this read began was captured before it.
        let confirmed = history.entries.iter().take(place).filter(|before| before.is_ok() && before.end <= entry.start);
        let mut confirmed = confirmed.filter_map(|before| match &before.action {
            Action::OrdersAudit { totals, .. } => Some(totals),
            _ => None,
        });
        for (currency, total) in confirmed.next_back().into_iter().flatten() {
            let kept = currencies.get(currency).map_or(0, |money| money.captured - money.refunded);
            if kept < *total {
                found.push(format!("{kept} {currency} were kept, while confirmed orders cost {total} already"));
            }
        }
        if !found.is_empty() {
            let sentence = format!("The payments' audit at {} ms: {}.", entry.end, found.join("; "));
            return vec![Violation::new(Invariant::Money, sentence, [])];
        }
    }
    Vec::new()
}

/// Each order against its payment.
fn payments(end: &End) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut wrong = |invariant, order: &str, sentence: String| found.push(Violation::new(invariant, sentence, [order]));
    let none = PaymentEnd::default();
    for (id, order) in &end.orders {
        let payment = end.payments.get(id).unwrap_or(&none);
        if payment.captures > 1 {
            wrong(Invariant::Charge, id, format!("The order {id} was charged {} times.", payment.captures));
        }
        if payment.held != 0 {
            wrong(Invariant::Money, id, format!("Of the order {id} {} minor units are still held.", payment.held));
        }
        match order.state {
            OrderState::Confirmed if payment.kept != order.total.minor => {
                let sentence =
                    format!("The confirmed order {id} costs {}, of which {} were kept.", order.total, payment.kept);
                wrong(if payment.kept == 0 { Invariant::Decided } else { Invariant::Price }, id, sentence);
            }
            OrderState::Cancelled if payment.kept != 0 => {
                let sentence = format!("The order {id} was cancelled, and {} minor units were kept.", payment.kept);
                wrong(Invariant::Decided, id, sentence);
            }
            OrderState::Pending | OrderState::Confirmed | OrderState::Cancelled => {}
        }
    }
    found
}

/// The last totals: what is kept is what the confirmed orders cost, and nothing is held.
fn totals(history: &History, end: &End) -> Vec<Violation> {
    let mut money: Option<&BTreeMap<String, MoneyTotals>> = None;
    let mut orders: Option<(i64, &BTreeMap<String, i64>)> = None;
    for entry in history.succeeded() {
        match &entry.action {
            Action::MoneyAudit { currencies } => money = Some(currencies),
            Action::OrdersAudit { confirmed, totals } => orders = Some((*confirmed, totals)),
            _ => {}
        }
    }
    let (Some(money), Some((confirmed, orders))) = (money, orders) else { return Vec::new() };
    if !end.unfinished.is_empty() {
        // What is under way may be between the two; that it is, is said elsewhere.
        return Vec::new();
    }
    let mut found = Vec::new();
    let captures: i64 = money.values().map(|totals| totals.captures).sum();
    let is_refunded = money.values().any(|totals| totals.refunded != 0);
    if captures != confirmed && !is_refunded {
        let sentence = format!("Money was taken {captures} times, for {confirmed} confirmed orders.");
        found.push(Violation::new(Invariant::Charge, sentence, []));
    }
    for (currency, totals) in money {
        let kept = totals.captured - totals.refunded;
        let cost = orders.get(currency).copied().unwrap_or(0);
        if kept != cost {
            let sentence = format!("In {currency} {kept} minor units were kept, and the confirmed orders cost {cost}.");
            found.push(Violation::new(Invariant::Money, sentence, []));
        }
        if totals.held != 0 {
            let sentence = format!("In {currency} {} minor units are held when nothing is under way.", totals.held);
            found.push(Violation::new(Invariant::Money, sentence, []));
        }
    }
    for (currency, cost) in orders.iter().filter(|(currency, cost)| **cost != 0 && !money.contains_key(*currency)) {
        let sentence = format!("Confirmed orders cost {cost} {currency}, and no payment was ever made in it.");
        found.push(Violation::new(Invariant::Money, sentence, []));
    }
    found
}
