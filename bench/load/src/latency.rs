//! What requests took. Never: averages; a tail is what users meet.

use hdrhistogram::Histogram;
use std::time::Duration;

/// Times, three digits of each kept.
#[derive(Clone, Debug)]
pub struct Latency {
    nanoseconds: Histogram<u64>,
}

/// Three significant digits.
const DIGITS: u8 = 3;
/// What took longer counts as this: an hour, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

impl Default for Latency {
    fn default() -> Self {
        // These bounds are allowed, whatever is recorded.
        let nanoseconds = Histogram::new_with_bounds(1, LONGEST, DIGITS);
        let nanoseconds = nanoseconds.unwrap_or_else(|_| unreachable!("a histogram up to {LONGEST} is possible"));
        Self { nanoseconds }
    }
}

impl Latency {
    /// Counts one.
    pub fn record(&mut self, took: Duration) {
        self.nanoseconds.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX).max(1));
    }

    /// The time that this share, 0 to 1, of all took at most; zero when there are none.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_nanos(self.nanoseconds.value_at_quantile(share))
    }

    /// Half of all took at most this.
    #[must_use]
    pub fn p50(&self) -> Duration {
        self.quantile(0.5)
    }

    /// All but one in a hundred took at most this.
    #[must_use]
    pub fn p99(&self) -> Duration {
        self.quantile(0.99)
    }

    /// The longest.
    #[must_use]
    pub fn max(&self) -> Duration {
        self.quantile(1.0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.nanoseconds.len()
    }
}

impl FromIterator<Duration> for Latency {
    fn from_iter<I: IntoIterator<Item = Duration>>(times: I) -> Self {
        let mut latency = Self::default();
        times.into_iter().for_each(|took| latency.record(took));
        latency
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let latency: Latency = (1..=1000).map(Duration::from_micros).collect();
        let near = |found: Duration, expected: u64| {
            let expected = Duration::from_micros(expected);
            assert!(found.abs_diff(expected) <= expected / 500, "{found:?} is not {expected:?}");
        };
        near(latency.p50(), 500);
        near(latency.p99(), 990);
        near(latency.max(), 1000);
        assert_eq!(latency.count(), 1000);
        assert_eq!(Latency::default().p99(), Duration::ZERO);
    }
}
