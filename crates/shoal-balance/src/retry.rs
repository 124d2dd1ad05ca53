//! When a request may be sent once more, and how many may. Never: sends, waits, or picks.

use crate::moment::{Moment, nanoseconds};
use crate::outcome::Outcome;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is known of a request's attempt that did not do.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Whether the replica may have seen any of it. What an HTTP/2 peer refused unprocessed was not sent.
    pub sent: bool,
    /// Whether doing it twice is the same as doing it once: by its HTTP method, or by what its contract says.
    pub idempotent: bool,
    /// Whether any of the answer went on to the one who asked.
    pub answer_begun: bool,
    /// How it ended.
    pub outcome: Outcome,
}

/// Whether the request may go to another endpoint. Where it was [`sent`](Attempt::sent), also ask the [`RetryBudget`];
/// what no replica has seen costs none and needs no leave.
///
/// Only what did not reach a replica, or was broken off, is tried again: an answer of the replica's own, be it a 4xx or
/// a 500, is the answer.
#[must_use]
pub fn may_retry(attempt: &Attempt) -> bool {
    attempt.outcome == Outcome::Unreachable && !attempt.answer_begun && (!attempt.sent || attempt.idempotent)
}

/// How many retries a service's callers may add to its load.
#[derive(Clone, Debug)]
pub struct RetrySettings {
    /// Retries for each first attempt: 0.2 adds a fifth to the load, at most.
    pub share: f64,
    /// Retries in each second whatever the load, so that a caller with few requests can retry at all.
    pub per_second: u32,
    /// How many unused retries are kept: the largest burst.
    pub burst: u32,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self { share: 0.2, per_second: 10, burst: 100 }
    }
}

/// A retry, in thousandths, which is what is counted.
const RETRY: u64 = 1000;
const SECOND: Duration = Duration::from_secs(1);
const PAY_MIN: Duration = Duration::from_millis(100);

/// The retries that are left for one service. First attempts and time earn some, each retry spends one: when all fails,
/// retries cannot multiply the load.
#[derive(Debug)]
pub struct RetryBudget {
    earned: u64,
    balance_max: u64,
    per_second: u64,
    balance: AtomicU64,
    // Up to when time has earned its part.
    paid: AtomicU64,
}

impl RetryBudget {
    /// A budget that begins with a second's worth of retries.
    #[must_use]
    pub fn new(settings: RetrySettings) -> Self {
        let balance_max = u64::from(settings.burst) * RETRY;
        let per_second = u64::from(settings.per_second) * RETRY;
        Self {
            // A cast saturates, and what is no number becomes 0.
            earned: (settings.share * RETRY as f64) as u64,
            balance_max,
            per_second,
            balance: AtomicU64::new(per_second.min(balance_max)),
            paid: AtomicU64::new(0),
        }
    }

    /// Notes a first attempt.
    pub fn deposit(&self, now: Moment) {
        self.pay(now);
        self.add(self.earned);
    }

    /// Takes one retry; `false` when none is left, and then the failure is the answer.
    #[must_use]
    pub fn withdraw(&self, now: Moment) -> bool {
        self.pay(now);
        let spend = |balance: u64| balance.checked_sub(RETRY);
        self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, spend).is_ok()
    }

    // Time's part is paid ten times a second at most, by whoever comes by; one of those who race wins, and pays for all.
    fn pay(&self, now: Moment) {
        let paid = self.paid.load(Ordering::Relaxed);
        if now.since(Moment(paid)) < PAY_MIN
            || self.paid.compare_exchange(paid, now.0, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        let due = u128::from(now.0 - paid) * u128::from(self.per_second) / u128::from(nanoseconds(SECOND));
        self.add(u64::try_from(due).unwrap_or(u64::MAX));
    }

    fn add(&self, amount: u64) {
        // A full budget, the usual case, is only read, so that cores do not take its memory from each other.
        let grow =
            |balance: u64| (balance < self.balance_max).then(|| balance.saturating_add(amount).min(self.balance_max));
        let _full = self.balance.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn attempt(bits: u8, outcome: Outcome) -> Attempt {
        Attempt { sent: bits & 1 > 0, idempotent: bits & 2 > 0, answer_begun: bits & 4 > 0, outcome }
    }

    #[test]
    fn an_answer_of_the_replicas_own_is_the_answer() {
        for bits in 0..8 {
            assert!(!may_retry(&attempt(bits, Outcome::Succeeded)), "a 4xx is one of these");
            assert!(!may_retry(&attempt(bits, Outcome::Failed)));
        }
    }

    #[test]
    fn nothing_is_done_twice_that_may_be_done_once_only() {
        for bits in 0..8 {
            let attempt = attempt(bits, Outcome::Unreachable);
            let harmless = !attempt.sent || attempt.idempotent;
            assert_eq!(may_retry(&attempt), harmless && !attempt.answer_begun, "{attempt:?}");
        }
    }

    #[test]
    fn a_quiet_caller_can_retry_and_a_storm_runs_dry() {
        let budget = RetryBudget::new(RetrySettings::default());
        assert!(budget.withdraw(Moment(0)), "before anything else happened");
        while budget.withdraw(Moment(0)) {}
        assert!(budget.withdraw(Moment(0).after(SECOND)), "time earns some");
        while budget.withdraw(Moment(0).after(SECOND)) {}
        (0..5).for_each(|_| budget.deposit(Moment(0).after(SECOND)));
        assert!(budget.withdraw(Moment(0).after(SECOND)), "and so do first attempts");
        assert!(!budget.withdraw(Moment(0).after(SECOND)));
    }

    #[test]
    fn nonsense_settings_give_no_retries() {
        for share in [f64::NAN, -1.0] {
            let budget = RetryBudget::new(RetrySettings { share, per_second: 0, burst: 10 });
            (0..100).for_each(|turn| budget.deposit(Moment(turn)));
            assert!(!budget.withdraw(Moment(100)));
        }
    }

    proptest! {
        // The whole of the promise: retries add no more than their share, and what time allows.
        #[test]
        fn retries_stay_within_their_share(
            turns in prop::collection::vec((0..200u64, 0..50u32, 0..50u32), 1..50),
            share in 0.0..1.0f64, per_second in 0..20u32, burst in 0..200u32,
        ) {
            let budget = RetryBudget::new(RetrySettings { share, per_second, burst });
            let (mut now, mut firsts, mut retries) = (0u64, 0u64, 0u64);
            for (milliseconds, deposits, wanted) in turns {
                now += milliseconds * 1_000_000;
                for _ in 0..deposits {
                    budget.deposit(Moment(now));
                }
                firsts += u64::from(deposits);
                let got = (0..wanted).filter(|_| budget.withdraw(Moment(now))).count() as u64;
                prop_assert!(got <= u64::from(burst));
                retries += got;
                let seconds = now as f64 / 1e9 + 1.0;
                prop_assert!(retries as f64 <= share * firsts as f64 + f64::from(per_second) * seconds + 1e-6);
            }
        }
    }
}
