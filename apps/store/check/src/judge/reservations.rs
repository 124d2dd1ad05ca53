//! Invariant 8: pieces that were set aside are not on sale before their time is over, and are on sale again soon after.

use super::{Invariant, Violation};
use crate::history::{Action, Entry, History, Moment, Outcome};

/// How long after its end a reservation's pieces may be missing, in milliseconds.
const SOON: Moment = 5_000;

/// Judges every read of how many pieces of a probe's product can be sold, and every reservation that was granted.
pub fn judge(history: &History) -> Vec<Violation> {
    let mut found = Vec::new();
    for entry in history.succeeded() {
        match &entry.action {
            Action::Available { product, pieces } => found.extend(read(history, entry, product, *pieces)),
            Action::Reserve { product, pieces, .. } => found.extend(granted(history, entry, product, *pieces)),
            _ => {}
        }
    }
    found
}

fn read(history: &History, entry: &Entry, product: &str, pieces: i64) -> Option<Violation> {
    let (stock_least, stock_most) = stock(history, entry, product);
    let may_be_aside: i64 = reservations(history, product)
        // One that nobody knows of may be granted late.
        .filter(|(one, _, ttl)| one.start <= entry.end && (!one.is_ok() || entry.start <= one.end + ttl + SOON))
        .map(|(_, pieces, _)| pieces)
        .sum();
    let least = stock_least - may_be_aside;
    let most = stock_most - aside(history, entry, product);
    (!(least..=most).contains(&pieces)).then(|| {
        let sentence = format!(
            "At {} to {} ms {pieces} pieces of `{product}` could be sold, where reservations leave {least} to {most}.",
            entry.start, entry.end
        );
        Violation::new(Invariant::Reservation, sentence, [product])
    })
}

fn granted(history: &History, entry: &Entry, product: &str, pieces: i64) -> Option<Violation> {
    let (_, stock) = stock(history, entry, product);
    let aside = aside(history, entry, product);
    (aside + pieces > stock).then(|| {
        let sentence = format!(
            "At {} to {} ms {pieces} pieces of `{product}` were set aside, while {aside} of {stock} were set aside for others.",
            entry.start, entry.end
        );
        Violation::new(Invariant::Reservation, sentence, [product])
    })
}

/// How many pieces were delivered before an entry: for certain, and at most.
fn stock(history: &History, entry: &Entry, product: &str) -> (i64, i64) {
    let (mut least, mut most) = (0, 0);
    for one in &history.entries {
        let Action::Receive { product: delivered, pieces } = &one.action else { continue };
        if delivered != product || one.start > entry.end || matches!(one.outcome, Outcome::Failed(_)) {
            continue;
        }
        most += pieces;
        if one.is_ok() && one.end <= entry.start {
            least += pieces;
        }
    }
    (least, most)
}

/// Every attempt to set pieces aside that may have succeeded, with its pieces and its time in milliseconds.
fn reservations<'a>(history: &'a History, product: &'a str) -> impl Iterator<Item = (&'a Entry, i64, Moment)> {
    history.entries.iter().filter(|entry| !matches!(entry.outcome, Outcome::Failed(_))).filter_map(move |entry| {
        match &entry.action {
            Action::Reserve { product: reserved, pieces, ttl, .. } if reserved == product => {
                Some((entry, *pieces, *ttl))
            }
            _ => None,
        }
    })
}

/// The pieces that were certainly set aside all the while an entry took. The time of a reservation begins no earlier than its request.
fn aside(history: &History, entry: &Entry, product: &str) -> i64 {
    let live = reservations(history, product)
        .filter(|(one, _, ttl)| one.is_ok() && one.end <= entry.start && entry.end < one.start + ttl);
    live.map(|(_, pieces, _)| pieces).sum()
}
