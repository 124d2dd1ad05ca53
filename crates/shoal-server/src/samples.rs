//! Turns totals into rates: keeps a few samples of the past and compares. Pure; whoever samples reads the clock.

use shoal_discovery::{DurationSketch, EdgeReport};
use shoal_model::{Millis, ReplicaName, ServiceName};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How far back rates look.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Totals at one moment.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// When.
    pub at: Millis,
    /// What callers counted, all of them together.
    pub callees: BTreeMap<ServiceName, Calls>,
    /// CPU time used by each replica since it started.
    pub cpu: BTreeMap<ReplicaName, Duration>,
}

/// What was counted of the calls to one service.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    /// All that ended.
    pub calls: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// How long they took.
    pub durations: DurationSketch,
}

/// How a service's calls went lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CallRates {
    /// Calls that ended, a second.
    pub per_second: f64,
    /// The share of them that failed, 0 to 1.
    pub errors: f64,
    /// Their 99th percentile; zero when there were none.
    pub p99: Duration,
}

/// The samples of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    kept: VecDeque<Sample>,
}

impl Sample {
    /// A sample of these reports and times.
    #[must_use]
    pub fn new(at: Millis, edges: &[EdgeReport], cpu: BTreeMap<ReplicaName, Duration>) -> Self {
        let mut callees: BTreeMap<ServiceName, Calls> = BTreeMap::new();
        for edge in edges {
            let calls = callees.entry(edge.callee.clone()).or_default();
            calls.calls = calls.calls.saturating_add(edge.calls);
            calls.errors = calls.errors.saturating_add(edge.errors);
            calls.durations.merge(&edge.durations);
        }
        Self { at, callees, cpu }
    }
}

impl Samples {
    /// Adds the newest sample and forgets those that are too old to compare with.
    pub fn add(&mut self, sample: Sample) {
        let now = sample.at;
        self.kept.push_back(sample);
        while self.kept.len() > 2 && self.kept.get(1).is_some_and(|second| now.since(second.at) >= WINDOW) {
            self.kept.pop_front();
        }
    }

    /// How the calls to `service` went between the oldest sample and `now`.
    #[must_use]
    pub fn calls(&self, service: &ServiceName, now: &Sample) -> CallRates {
        let Some((before, seconds)) = self.before(now) else { return CallRates::default() };
        let nothing = Calls::default();
        let then = before.callees.get(service).unwrap_or(&nothing);
        let calls = now.callees.get(service).unwrap_or(&nothing);
        let count = calls.calls.saturating_sub(then.calls);
        let errors = calls.errors.saturating_sub(then.errors);
        CallRates {
            per_second: ratio(count, seconds),
            errors: if count == 0 { 0.0 } else { ratio(errors, ratio(count, 1.0)) },
            p99: calls.durations.since(&then.durations).quantile(0.99).unwrap_or_default(),
        }
    }

    /// The cores that `replica` used between the oldest sample and `now`.
    #[must_use]
    pub fn cpu(&self, replica: &ReplicaName, now: &Sample) -> f64 {
        let Some((before, seconds)) = self.before(now) else { return 0.0 };
        let used = now.cpu.get(replica).copied().unwrap_or_default();
        let then = before.cpu.get(replica).copied().unwrap_or_default();
        used.saturating_sub(then).as_secs_f64() / seconds
    }

    fn before(&self, now: &Sample) -> Option<(&Sample, f64)> {
        let before = self.kept.front()?;
        let seconds = now.at.since(before.at).as_secs_f64();
        (seconds > 0.0).then_some((before, seconds))
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown with one decimal")]
fn ratio(count: u64, of: f64) -> f64 {
    count as f64 / of
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(calls: u64, errors: u64) -> EdgeReport {
        let mut durations = DurationSketch::default();
        (0..calls).for_each(|_| durations.add(Duration::from_millis(5)));
        let callee = "shop".parse().unwrap();
        EdgeReport { caller: "gateway".to_owned(), callee, calls, errors, in_flight: 0, durations }
    }

    #[test]
    fn rates_are_differences() {
        let shop: ServiceName = "shop".parse().unwrap();
        let replica: ReplicaName = "shop-1".parse().unwrap();
        let cpu = |seconds| BTreeMap::from([(replica.clone(), Duration::from_secs(seconds))]);
        let mut samples = Samples::default();
        samples.add(Sample::new(Millis(0), &[report(100, 0)], cpu(1)));
        let now = Sample::new(Millis(10_000), &[report(150, 5), report(50, 5)], cpu(6));
        let rates = samples.calls(&shop, &now);
        assert!((rates.per_second - 10.0).abs() < 1e-9 && (rates.errors - 0.1).abs() < 1e-9);
        assert!(rates.p99 > Duration::from_millis(4) && rates.p99 < Duration::from_millis(6));
        assert!((samples.cpu(&replica, &now) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn old_samples_go_but_one_always_spans_the_window() {
        let mut samples = Samples::default();
        for second in 0..60 {
            samples.add(Sample::new(Millis(second * 1000), &[], BTreeMap::new()));
        }
        assert_eq!(samples.kept.front().unwrap().at, Millis(49_000));
    }
}
