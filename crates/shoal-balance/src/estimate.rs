//! What is remembered of an endpoint's answers, and how it fades. Never: compares endpoints; see `load.rs` for that.

use crate::load::Rtt;
use crate::outcome::Outcome;

/// How much is left after `elapsed` of what is worth half as much after each half-life: 1 at once, ½, ¼ …
///
/// Straight between the halvings instead of an exponential, so that it costs little and is the same on every machine.
pub(crate) fn fading(elapsed: u64, half_life: u64) -> f64 {
    if elapsed == 0 {
        return 1.0;
    }
    let lives = elapsed as f64 / half_life.max(1) as f64;
    let whole = lives as u32;
    if whole >= 64 {
        return 0.0;
    }
    (1.0 - (lives - f64::from(whole)) / 2.0) / (1u64 << whole) as f64
}

/// The estimated time of an answer, in nanoseconds, and when it was last corrected.
///
/// It rises by an eighth of what an answer took more, and falls by a sixteenth of what it took less, or with time where
/// answers are rare. Rising at once to the longest, and falling with time alone, would show the longest of late and
/// nothing else: where a hundredth of all requests is heavy, every busy endpoint would look as slow as a slow one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Estimate {
    // 0 while no answer has been seen.
    nanoseconds: f64,
    at: u64,
}

const RISE: f64 = 0.125;
const FALL: f64 = 0.0625;
/// An answer counts as no more than so many times the estimate, so that one alone does not double it: a stream of an hour
/// among short answers is no verdict.
const TIMES_MAX: f64 = 8.0;

impl Estimate {
    /// Corrects it by one request. What did not succeed says only that it takes at least so long: failing fast is not
    /// being fast.
    pub(crate) fn correct(&mut self, now: u64, took: u64, outcome: Outcome, half_life: u64) {
        let took = (took as f64).max(1.0);
        let known = self.nanoseconds;
        if known == 0.0 {
            if outcome == Outcome::Failed {
                return;
            }
            self.nanoseconds = took;
        } else if took >= known {
            self.nanoseconds = known + (took.min(known * TIMES_MAX) - known) * RISE;
        } else if outcome == Outcome::Succeeded {
            let faded = 1.0 - fading(now.saturating_sub(self.at), half_life);
            self.nanoseconds = known + (took - known) * faded.max(FALL);
        }
        self.at = self.at.max(now);
    }

    /// In one word, to be read by other threads as a whole. The moment is kept to about a millisecond, and comes round
    /// after seven weeks.
    pub(crate) fn packed(self) -> u64 {
        u64::from((self.nanoseconds as f32).to_bits()) << 32 | u64::from(ticks(self.at))
    }

    /// What a packed one says now; `None` while no answer has been seen.
    pub(crate) fn of_packed(packed: u64, now: u64, half_life: u64) -> Option<Rtt> {
        let measured = f64::from(f32::from_bits((packed >> 32) as u32));
        let elapsed = elapsed(packed as u32, now);
        (measured > 0.0).then(|| Rtt { measured, faded: measured * fading(elapsed, half_life) })
    }
}

/// How many of the recent requests failed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Record {
    pub(crate) failures: f64,
    pub(crate) requests: f64,
}

/// As many requests as are remembered at most, so that thousands of old ones do not outweigh the last hundred.
const REQUESTS_MAX: f64 = 100.0;
/// Requests that are taken to have gone well before any did, so that the first failure is no verdict.
pub(crate) const CREDIT: f64 = 4.0;

impl Record {
    pub(crate) fn add(&mut self, elapsed: u64, outcome: Outcome, half_life: u64) {
        *self = self.faded(elapsed, half_life);
        self.requests += 1.0;
        if outcome != Outcome::Succeeded {
            self.failures += 1.0;
        }
        if self.requests > REQUESTS_MAX {
            self.failures *= REQUESTS_MAX / self.requests;
            self.requests = REQUESTS_MAX;
        }
    }

    pub(crate) fn faded(self, elapsed: u64, half_life: u64) -> Self {
        let kept = fading(elapsed, half_life);
        Self { failures: self.failures * kept, requests: self.requests * kept }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { failures: self.failures + other.failures, requests: self.requests + other.requests }
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self {
            failures: (self.failures - other.failures).max(0.0),
            requests: (self.requests - other.requests).max(0.0),
        }
    }

    /// The part that failed, from 0 to 1.
    pub(crate) fn ratio(self) -> f64 {
        if self.requests > 0.0 { self.failures / self.requests } else { 0.0 }
    }

    /// The part that fails as far as so few requests tell: less than [`ratio`](Self::ratio), by more the fewer there are.
    pub(crate) fn ratio_known(self) -> f64 {
        self.failures / (self.requests + CREDIT)
    }

    /// In one word, to be read by other threads as a whole.
    pub(crate) fn packed(self) -> u64 {
        u64::from((self.failures as f32).to_bits()) << 32 | u64::from((self.requests as f32).to_bits())
    }

    pub(crate) fn of_packed(packed: u64) -> Self {
        Self {
            failures: f64::from(f32::from_bits((packed >> 32) as u32)),
            requests: f64::from(f32::from_bits(packed as u32)),
        }
    }
}

const TICK_BITS: u32 = 20;

fn ticks(moment: u64) -> u32 {
    (moment >> TICK_BITS) as u32
}

/// Nanoseconds from the tick to the moment; 0 when the tick is the later one, as it is when threads race.
fn elapsed(tick: u32, now: u64) -> u64 {
    let passed = ticks(now).wrapping_sub(tick);
    if passed > u32::MAX / 2 { 0 } else { u64::from(passed) << TICK_BITS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    proptest! {
        #[test]
        fn what_fades_never_grows_and_halves_with_each_half_life(a in 0..100 * SECOND, b in 0..100 * SECOND, half_life in 1..10 * SECOND) {
            let (sooner, later) = (a.min(b), a.max(b));
            prop_assert!(fading(later, half_life) <= fading(sooner, half_life));
            prop_assert!((0.0..=1.0).contains(&fading(a, half_life)));
            let (now, then) = (fading(a, half_life), fading(a + half_life, half_life));
            prop_assert!((then * 2.0 - now).abs() < 1e-6, "{now} {then}");
        }

        #[test]
        fn failing_never_lowers_an_estimate(tooks in prop::collection::vec((0..SECOND, any::<bool>()), 1..30)) {
            let mut estimate = Estimate::default();
            for (turn, (took, well)) in tooks.into_iter().enumerate() {
                let before = estimate.nanoseconds;
                let outcome = if well { Outcome::Succeeded } else { Outcome::Failed };
                estimate.correct(turn as u64 * SECOND, took, outcome, SECOND);
                prop_assert!(well || estimate.nanoseconds >= before);
                prop_assert!(before == 0.0 || estimate.nanoseconds <= before * 2.0);
            }
        }

        #[test]
        fn an_estimate_lies_among_what_was_measured(tooks in prop::collection::vec(1..SECOND, 1..30), pause in 0..3 * SECOND) {
            let mut estimate = Estimate::default();
            for (turn, took) in tooks.iter().enumerate() {
                estimate.correct(turn as u64 * pause, *took, Outcome::Succeeded, SECOND);
                let (least, most) = (tooks.iter().min().copied().unwrap_or(0), tooks.iter().max().copied().unwrap_or(0));
                prop_assert!((least as f64 * 0.999..=most as f64 * 1.001).contains(&estimate.nanoseconds));
            }
        }

        #[test]
        fn packing_keeps_what_matters(took in 1..1000 * SECOND, at in 0..u64::MAX / 4, pause in 0..20 * SECOND) {
            let mut estimate = Estimate::default();
            estimate.correct(at, took, Outcome::Succeeded, SECOND);
            let exact = took as f64 * fading(pause, SECOND);
            let packed = Estimate::of_packed(estimate.packed(), at + pause, SECOND).map_or(0.0, |rtt| rtt.faded);
            prop_assert!((exact - packed).abs() <= exact * 0.003, "{exact} {packed}");
        }

        #[test]
        fn a_record_stays_bounded(outcomes in prop::collection::vec(any::<bool>(), 0..400)) {
            let mut record = Record::default();
            for well in outcomes {
                record.add(1000, if well { Outcome::Succeeded } else { Outcome::Failed }, SECOND);
                prop_assert!(record.requests <= REQUESTS_MAX && record.failures <= record.requests + 1e-9);
                prop_assert!(record.ratio_known() <= record.ratio() && record.ratio() <= 1.0 + 1e-9);
            }
        }
    }

    #[test]
    fn one_that_only_ever_failed_is_not_known() {
        let mut estimate = Estimate::default();
        estimate.correct(5, 1, Outcome::Failed, SECOND);
        assert!(Estimate::of_packed(estimate.packed(), 6, SECOND).is_none());
        estimate.correct(5, 1, Outcome::Unreachable, SECOND);
        assert!(Estimate::of_packed(estimate.packed(), 6, SECOND).is_some(), "it takes at least so long");
    }

    #[test]
    fn one_failure_is_no_verdict_and_many_are() {
        let mut record = Record::default();
        record.add(0, Outcome::Failed, SECOND);
        assert!(record.ratio_known() <= 0.2);
        (0..100).for_each(|_| record.add(0, Outcome::Unreachable, SECOND));
        assert!(record.ratio_known() > 0.9);
        (0..300).for_each(|_| record.add(0, Outcome::Succeeded, SECOND));
        assert!(record.ratio_known() < 0.06, "{}", record.ratio_known());
    }
}
