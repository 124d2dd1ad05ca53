//! A duration sketch: how long calls took, in logarithmic bins of 1 % accuracy. Holds counts only, reads no clock.
//!
//! Bins are sparse and have fixed borders, so that sketches of many processes add up, that an earlier total can be taken
//! off a later one, and that a sketch read from a socket can name no bin that does not exist.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// How many bins there are; the last one holds everything from 18 hours up.
pub const BINS: u16 = 1248;

/// The logarithm of the ratio between two neighbouring borders; bin `k` holds microseconds in `(e^(w(k-1)), e^(wk)]`.
const WIDTH: f64 = 0.02;

/// How long calls took, in logarithmic bins; quantiles are right to about 1 %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct DurationSketch {
    bins: BTreeMap<u16, u64>,
}

/// The bin that a duration falls in.
#[must_use]
pub fn bin_of(duration: Duration) -> u16 {
    let microseconds = duration.as_secs_f64() * 1e6;
    if microseconds <= 1.0 {
        return 0;
    }
    let bin = (microseconds.ln() / WIDTH).ceil();
    // The float is positive and finite; what lies past the last bin is put there.
    if bin >= f64::from(BINS) { BINS - 1 } else { bin as u16 }
}

impl DurationSketch {
    /// Counts one duration.
    pub fn add(&mut self, duration: Duration) {
        self.add_bin(bin_of(duration), 1);
    }

    /// Counts `count` durations in a bin; a bin that does not exist counts as the last.
    pub fn add_bin(&mut self, bin: u16, count: u64) {
        if count > 0 {
            let total = self.bins.entry(bin.min(BINS - 1)).or_default();
            *total = total.saturating_add(count);
        }
    }

    /// Adds what another sketch counted.
    pub fn merge(&mut self, other: &Self) {
        for (bin, count) in &other.bins {
            self.add_bin(*bin, *count);
        }
    }

    /// What was counted since an earlier total of the same reporter; a bin that shrank counts as nothing.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut rest = Self::default();
        for (bin, count) in &self.bins {
            rest.add_bin(*bin, count.saturating_sub(earlier.bins.get(bin).copied().unwrap_or(0)));
        }
        rest
    }

    /// How many durations it holds.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.bins.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration that a share `quantile` (0 to 1) of all stays below; `None` for an empty sketch.
    #[must_use]
    pub fn quantile(&self, quantile: f64) -> Option<Duration> {
        let count = self.count();
        let rank = (quantile.clamp(0.0, 1.0) * count as f64).ceil().max(1.0);
        let mut below = 0.0;
        for (bin, held) in &self.bins {
            below += *held as f64;
            if below >= rank {
                let upper = (WIDTH * f64::from(*bin)).exp();
                let middle = 2.0 * upper / (1.0 + WIDTH.exp());
                return Some(Duration::from_secs_f64(middle / 1e6));
            }
        }
        None
    }
}

impl From<DurationSketch> for Vec<(u16, u64)> {
    fn from(sketch: DurationSketch) -> Self {
        sketch.bins.into_iter().collect()
    }
}

impl TryFrom<Vec<(u16, u64)>> for DurationSketch {
    type Error = String;

    fn try_from(bins: Vec<(u16, u64)>) -> Result<Self, String> {
        let mut sketch = Self::default();
        for (bin, count) in bins {
            if bin >= BINS {
                return Err(format!("a duration sketch has no bin {bin}; the last is {}", BINS - 1));
            }
            sketch.add_bin(bin, count);
        }
        Ok(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_quantile_is_right_to_one_percent(mut micros in proptest::collection::vec(2u64..10_000_000_000, 1..200), share in 0.0f64..1.0) {
            let mut sketch = DurationSketch::default();
            for value in &micros {
                sketch.add(Duration::from_micros(*value));
            }
            micros.sort_unstable();
            let rank = ((share * micros.len() as f64).ceil() as usize).max(1);
            let exact = micros[rank - 1] as f64;
            let told = sketch.quantile(share).unwrap().as_secs_f64() * 1e6;
            prop_assert!((told - exact).abs() <= exact * 0.0101 + 1.0, "{told} against {exact}");
        }

        #[test]
        fn adding_and_taking_off_cancel_out(first in proptest::collection::vec(0u64..1_000_000, 0..50), second in proptest::collection::vec(0u64..1_000_000, 0..50)) {
            let fill = |values: &[u64]| {
                let mut sketch = DurationSketch::default();
                values.iter().for_each(|value| sketch.add(Duration::from_micros(*value)));
                sketch
            };
            let (earlier, rest) = (fill(&first), fill(&second));
            let mut later = earlier.clone();
            later.merge(&rest);
            prop_assert_eq!(later.since(&earlier), rest);
        }
    }

    #[test]
    fn the_ends_of_time_have_bins() {
        assert_eq!(bin_of(Duration::ZERO), 0);
        assert_eq!(bin_of(Duration::MAX), BINS - 1);
        assert_eq!(DurationSketch::default().quantile(0.5), None);
    }

    #[test]
    fn a_bin_that_does_not_exist_is_refused() {
        assert!(serde_json::from_str::<DurationSketch>("[[1247,3]]").is_ok());
        assert!(serde_json::from_str::<DurationSketch>("[[1248,3]]").is_err());
    }
}
