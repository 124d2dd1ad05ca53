//! Where a payment can stand and what each answer of the bank makes of it, as a pure function. An answer that comes
//! twice, late or out of order moves nothing a second time. It never touches the database.

use shoal_sdk::Error;

use crate::bank::Operation;
use crate::ledger::Kind;

/// Where a payment stands. `Asked`, `Capturing` and `Refunding` mean: the bank was or will be asked, its answer is not
/// known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Asked,
    Authorised,
    Declined,
    Capturing,
    Captured,
    CaptureRefused,
    Voided,
    Refunding,
    Refunded,
}

impl State {
    const ALL: [State; 9] = [
        State::Asked,
        State::Authorised,
        State::Declined,
        State::Capturing,
        State::Captured,
        State::CaptureRefused,
        State::Voided,
        State::Refunding,
        State::Refunded,
    ];

    /// The name it has in the database.
    pub fn name(self) -> &'static str {
        match self {
            State::Asked => "asked",
            State::Authorised => "authorised",
            State::Declined => "declined",
            State::Capturing => "capturing",
            State::Captured => "captured",
            State::CaptureRefused => "capture-refused",
            State::Voided => "voided",
            State::Refunding => "refunding",
            State::Refunded => "refunded",
        }
    }

    /// The state of that name.
    pub fn from_name(name: &str) -> Result<State, Error> {
        State::ALL
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| Error::internal(format!("The stored payment state `{name}` is not one this release knows.")))
    }

    /// The transfer that goes with reaching this state.
    pub fn transfer(self) -> Option<Kind> {
        match self {
            State::Authorised => Some(Kind::Authorise),
            State::Captured => Some(Kind::Capture),
            State::Voided => Some(Kind::Void),
            State::Refunded => Some(Kind::Refund),
            State::Asked | State::Declined | State::Capturing | State::CaptureRefused | State::Refunding => None,
        }
    }
}

/// What the bank's answer makes of a payment: the next state and whether money moves with it. `None` when the payment
/// does not wait for this answer: it was posted before.
#[must_use]
pub fn after(state: State, operation: Operation, approved: bool) -> Option<State> {
    match (state, operation, approved) {
        (State::Asked, Operation::Authorise, true) => Some(State::Authorised),
        (State::Asked, Operation::Authorise, false) => Some(State::Declined),
        (State::Capturing, Operation::Capture, true) => Some(State::Captured),
        (State::Capturing, Operation::Capture, false) => Some(State::CaptureRefused),
        (State::Authorised | State::CaptureRefused, Operation::Void, true) => Some(State::Voided),
        (State::Refunding, Operation::Refund, true) => Some(State::Refunded),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OPERATIONS: [Operation; 4] = [Operation::Authorise, Operation::Capture, Operation::Void, Operation::Refund];

    proptest! {
        /// From any state an answer moves the payment once; the same answer again, at once or after others, moves nothing.
        #[test]
        fn an_answer_counts_once(start in 0usize..9, answers in prop::collection::vec((0usize..4, any::<bool>()), 1..12)) {
            let mut state = State::ALL[start];
            let mut transfers = Vec::new();
            for (operation, approved) in answers {
                if let Some(next) = after(state, OPERATIONS[operation], approved) {
                    prop_assert_eq!(after(next, OPERATIONS[operation], approved), None);
                    transfers.extend(next.transfer());
                    state = next;
                }
            }
            let mut once = transfers.clone();
            once.dedup();
            prop_assert_eq!(&once, &transfers);
            prop_assert!(transfers.len() <= 2, "held and let go: {transfers:?}");
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()).unwrap(), state);
        }
        assert!(State::from_name("elsewhere").is_err());
    }
}
