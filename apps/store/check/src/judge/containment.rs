//! Invariant 11: while only something that is not needed for it is out of order, browsing, basket and buying succeed.

use super::{Invariant, Violation};
use crate::history::{Action, History, Outcome};

/// Judges each purchase that was tried while only one such service was out of order.
pub fn judge(history: &History) -> Vec<Violation> {
    let failed = history.entries.iter().filter_map(|entry| match (&entry.action, &entry.outcome) {
        (Action::BuyWithout { without }, Outcome::Failed(why) | Outcome::Unknown(why)) => {
            let sentence =
                format!("While only {without} was out of order, nothing could be bought at {} ms: {why}", entry.end);
            Some(Violation::new(Invariant::Containment, sentence, [without]))
        }
        _ => None,
    });
    failed.collect()
}
