//! The saga of one order as a pure function: (state, outcome) → next state. What a step does, and when it is tried
//! again, is decided by the caller. It never reads a clock, a database or a socket.
//!
//! Forward: open → reserve → authorise → commit the stock → capture → confirm → clear the basket.
//! A definite refusal before the capture is undone in reverse: restock → void → release → cancel.
//! The point of no return is the logged intent to capture: an unknown outcome is retried, for ever; only a definite
//! refusal of the capture turns back. After the capture there is only forward.

use std::fmt;
use std::time::Duration;

/// A step that brings the order nearer to being bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Open a pending order.
    Open,
    /// Hold the stock.
    Reserve,
    /// Hold the money.
    Authorise,
    /// Turn the held stock into sold stock.
    CommitStock,
    /// Take the money.
    Capture,
    /// Confirm the order; its event leaves with it.
    Confirm,
    /// Clear the basket at the version that was bought.
    ClearBasket,
}

/// A step that takes something back. Each is safe when there is nothing to take back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Undo {
    /// Put sold stock back on the shelf.
    Restock,
    /// Let go of the held money.
    Void,
    /// Let go of the held stock.
    Release,
    /// Cancel the order.
    Cancel,
}

/// Where the saga of one order stands: what is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Going forward; this step is next.
    Doing(Step),
    /// Turned back; this is to be undone next.
    Undoing(Undo),
    /// Bought. The end.
    Placed,
    /// Refused, and nothing is left of it. The end.
    Refused,
}

/// What came of running a state's step once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Done,
    /// It definitely did not and will not take effect.
    Refused,
    /// Nobody can tell: no answer, or one that says nothing.
    Unknown,
}

/// The state after `outcome`; the same state means: run the same step again, later, under the same key.
#[must_use]
pub fn next(state: State, outcome: Outcome) -> State {
    match (state, outcome) {
        (State::Doing(step), Outcome::Done) => after_done(step),
        (State::Doing(step), Outcome::Refused) => after_refusal(step),
        (State::Undoing(undo), Outcome::Done) => after_undone(undo),
        // What must be undone is asked for until it is done; giving up would leave money or stock held.
        (State::Undoing(_), Outcome::Refused) | (_, Outcome::Unknown) => state,
        (State::Placed | State::Refused, _) => state,
    }
}

fn after_done(step: Step) -> State {
    match step {
        Step::Open => State::Doing(Step::Reserve),
        Step::Reserve => State::Doing(Step::Authorise),
        Step::Authorise => State::Doing(Step::CommitStock),
        Step::CommitStock => State::Doing(Step::Capture),
        Step::Capture => State::Doing(Step::Confirm),
        Step::Confirm => State::Doing(Step::ClearBasket),
        Step::ClearBasket => State::Placed,
    }
}

fn after_refusal(step: Step) -> State {
    match step {
        // Opened it may be all the same: by an earlier call whose answer was lost, of a release that took this order.
        Step::Open => State::Undoing(Undo::Cancel),
        // Nothing is held, but a release leaves a mark that refuses a reservation that is still on its way.
        Step::Reserve => State::Undoing(Undo::Release),
        // Likewise for an authorisation that is still on its way.
        Step::Authorise | Step::CommitStock => State::Undoing(Undo::Void),
        Step::Capture => State::Undoing(Undo::Restock),
        // The money is taken, so the order must be confirmed.
        Step::Confirm => State::Doing(Step::Confirm),
        // The basket has changed since: what is in it now was not bought and stays.
        Step::ClearBasket => State::Placed,
    }
}

fn after_undone(undo: Undo) -> State {
    match undo {
        Undo::Restock => State::Undoing(Undo::Void),
        Undo::Void => State::Undoing(Undo::Release),
        Undo::Release => State::Undoing(Undo::Cancel),
        Undo::Cancel => State::Refused,
    }
}

/// How long to wait before attempt number `attempts` (1 is the first retry): doubling from 200 ms up to 5 s, so
/// that a callee which comes back is asked again soon.
#[must_use]
pub fn backoff(attempts: u32) -> Duration {
    let doubled = 200u64.saturating_mul(1 << attempts.saturating_sub(1).min(10));
    Duration::from_millis(doubled.min(5_000))
}

impl State {
    /// Every state there is.
    pub const ALL: [State; 13] = [
        State::Doing(Step::Open),
        State::Doing(Step::Reserve),
        State::Doing(Step::Authorise),
        State::Doing(Step::CommitStock),
        State::Doing(Step::Capture),
        State::Doing(Step::Confirm),
        State::Doing(Step::ClearBasket),
        State::Undoing(Undo::Restock),
        State::Undoing(Undo::Void),
        State::Undoing(Undo::Release),
        State::Undoing(Undo::Cancel),
        State::Placed,
        State::Refused,
    ];

    /// Whether nothing is left to do.
    #[must_use]
    pub fn is_finished(self) -> bool {
        matches!(self, State::Placed | State::Refused)
    }

    /// Whether the order is confirmed, so that the shopper may be told so although the basket is not cleared yet.
    #[must_use]
    pub fn is_confirmed(self) -> bool {
        matches!(self, State::Placed | State::Doing(Step::ClearBasket))
    }

    /// Whether it turned back: the order is or will be cancelled.
    #[must_use]
    pub fn is_refused(self) -> bool {
        matches!(self, State::Refused | State::Undoing(_))
    }

    /// The names of the places where the checkout can be made to die at this state: its step has an answer and nothing
    /// is logged; its outcome is logged and the next step is not called. `None` at the end.
    #[must_use]
    pub fn crash_points(self) -> Option<[&'static str; 2]> {
        Some(match self {
            State::Doing(Step::Open) => ["open.called", "open.logged"],
            State::Doing(Step::Reserve) => ["reserve.called", "reserve.logged"],
            State::Doing(Step::Authorise) => ["authorise.called", "authorise.logged"],
            State::Doing(Step::CommitStock) => ["commit-stock.called", "commit-stock.logged"],
            State::Doing(Step::Capture) => ["capture.called", "capture.logged"],
            State::Doing(Step::Confirm) => ["confirm.called", "confirm.logged"],
            State::Doing(Step::ClearBasket) => ["clear-basket.called", "clear-basket.logged"],
            State::Undoing(Undo::Restock) => ["undo-restock.called", "undo-restock.logged"],
            State::Undoing(Undo::Void) => ["undo-void.called", "undo-void.logged"],
            State::Undoing(Undo::Release) => ["undo-release.called", "undo-release.logged"],
            State::Undoing(Undo::Cancel) => ["undo-cancel.called", "undo-cancel.logged"],
            State::Placed | State::Refused => return None,
        })
    }

    /// The name it has in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Doing(Step::Open) => "open",
            State::Doing(Step::Reserve) => "reserve",
            State::Doing(Step::Authorise) => "authorise",
            State::Doing(Step::CommitStock) => "commit-stock",
            State::Doing(Step::Capture) => "capture",
            State::Doing(Step::Confirm) => "confirm",
            State::Doing(Step::ClearBasket) => "clear-basket",
            State::Undoing(Undo::Restock) => "undo-restock",
            State::Undoing(Undo::Void) => "undo-void",
            State::Undoing(Undo::Release) => "undo-release",
            State::Undoing(Undo::Cancel) => "undo-cancel",
            State::Placed => "placed",
            State::Refused => "refused",
        }
    }

    /// The state of that name, if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.name() == name)
    }
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The world as the callees see it; every command is idempotent, as theirs are.
    #[derive(Default, Debug)]
    struct World {
        opened: bool,
        cancelled: bool,
        held: bool,
        sold: bool,
        restocked: bool,
        authorised: bool,
        voided: bool,
        captured: u32,
        confirmed: bool,
    }

    impl World {
        fn apply(&mut self, state: State) {
            match state {
                State::Doing(Step::Open) => self.opened = true,
                State::Doing(Step::Reserve) => self.held = true,
                State::Doing(Step::Authorise) => self.authorised = true,
                State::Doing(Step::CommitStock) => (self.held, self.sold) = (false, true),
                State::Doing(Step::Capture) => {
                    assert!(self.authorised && !self.voided, "captured without an authorisation");
                    self.captured = 1;
                }
                State::Doing(Step::Confirm) => {
                    assert_eq!(self.captured, 1, "confirmed without money");
                    self.confirmed = true;
                }
                State::Undoing(Undo::Restock) => self.restocked = self.sold,
                State::Undoing(Undo::Void) => {
                    assert_eq!(self.captured, 0, "voided taken money");
                    self.voided = true;
                }
                State::Undoing(Undo::Release) => self.held = false,
                State::Undoing(Undo::Cancel) => {
                    assert!(!self.confirmed, "cancelled a confirmed order");
                    self.cancelled = true;
                }
                State::Doing(Step::ClearBasket) | State::Placed | State::Refused => {}
            }
        }
    }

    proptest! {
        /// Safety under any outcomes, then liveness: once everything answers, it ends within a dozen steps.
        #[test]
        fn ends_with_all_or_nothing(outcomes in prop::collection::vec((0u8..4, any::<bool>()), 0..60)) {
            let mut world = World::default();
            let mut state = State::Doing(Step::Open);
            let mut took = BTreeSet::new();
            for (kind, took_effect) in outcomes {
                let outcome = match kind {
                    0 | 1 => Outcome::Done,
                    2 => Outcome::Refused,
                    _ => Outcome::Unknown,
                };
                // What took effect unseen is answered as done when asked again, never as refused.
                let outcome = if outcome == Outcome::Refused && took.contains(&state) { Outcome::Done } else { outcome };
                if outcome == Outcome::Done || (outcome == Outcome::Unknown && took_effect) {
                    world.apply(state);
                    took.insert(state);
                }
                state = next(state, outcome);
            }
            for _ in 0..12 {
                if !state.is_finished() {
                    world.apply(state);
                    state = next(state, Outcome::Done);
                }
            }
            prop_assert!(state.is_finished());
            if state == State::Placed {
                prop_assert!(world.opened && world.sold && !world.restocked && !world.held);
                prop_assert!(world.captured == 1 && world.confirmed && !world.cancelled && !world.voided);
            } else {
                prop_assert!(world.captured == 0 && !world.confirmed && !world.held);
                prop_assert_eq!(world.sold, world.restocked);
                prop_assert!(!world.authorised || world.voided);
                prop_assert!(!world.opened || world.cancelled);
            }
        }

        #[test]
        fn an_unknown_outcome_changes_nothing(index in 0usize..State::ALL.len()) {
            let state = State::ALL[index];
            prop_assert_eq!(next(state, Outcome::Unknown), state);
        }
    }

    #[test]
    fn names_are_read_back() {
        for state in State::ALL {
            assert_eq!(State::from_name(state.name()), Some(state));
            let points = ["called", "logged"].map(|point| format!("{state}.{point}"));
            assert_eq!(
                state.crash_points().map(|points| points.map(str::to_owned)),
                (!state.is_finished()).then_some(points)
            );
        }
        assert_eq!(State::from_name("elsewhere"), None);
    }

    #[test]
    fn waits_grow_to_five_seconds() {
        let waits: Vec<u128> = (1..=8).map(|attempt| backoff(attempt).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
        assert_eq!(backoff(u32::MAX), Duration::from_secs(5));
    }
}
