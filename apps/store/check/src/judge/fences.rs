//! A command under a fencing token lower than one seen before comes from somebody who lost the order to another: it must be refused.

use super::{Invariant, Violation};
use crate::history::{Action, History};

/// Judges every command that a probe gave under a lower token.
pub fn judge(history: &History) -> Vec<Violation> {
    let taken = history.succeeded().filter_map(|entry| match &entry.action {
        Action::LowerFence { order, command } => {
            let sentence = format!(
                "{command} of {order} was taken at {} ms under a lower fencing token than the last.",
                entry.end
            );
            Some(Violation::new(Invariant::Fence, sentence, [order]))
        }
        _ => None,
    });
    taken.collect()
}
