//! Counters per edge, kept by a caller: how many calls, how many failed, how long they took. Never blocks a call.
//!
//! Each edge is a row of atomics, so that every core of a gateway counts without waiting for another.

use crate::messages::EdgeReport;
use crate::sketch::{BINS, DurationSketch, bin_of};
use shoal_model::ServiceName;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// The counters of one process; a cheap handle, clones count together.
#[derive(Clone, Debug)]
pub struct Edges {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    caller: String,
    /// By caller and callee.
    edges: RwLock<BTreeMap<(String, ServiceName), Edge>>,
}

/// The counters towards one callee; a cheap handle that spares looking the callee up for each call.
#[derive(Clone, Debug)]
pub struct Edge {
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
    in_flight: AtomicU64,
    durations: Box<[AtomicU64]>,
}

/// A call under way. Dropped without [`InFlight::finish`], it counts as cancelled: a call, no error, no duration.
#[derive(Debug)]
#[must_use = "a call that is dropped at once is counted as cancelled"]
pub struct InFlight {
    counters: Arc<Counters>,
}

impl Edges {
    /// No edges yet. `caller` is a service's name, or `gateway`.
    #[must_use]
    pub fn new(caller: impl Into<String>) -> Self {
        Self { shared: Arc::new(Shared { caller: caller.into(), edges: RwLock::new(BTreeMap::new()) }) }
    }

    /// The edge towards a callee; makes it when it is new.
    #[must_use]
    pub fn to(&self, callee: &ServiceName) -> Edge {
        self.between(&self.shared.caller, callee)
    }

    /// The edge of another caller, on whose behalf this process calls; makes it when it is new.
    #[must_use]
    pub fn between(&self, caller: &str, callee: &ServiceName) -> Edge {
        let key = (caller.to_owned(), callee.clone());
        let known = self.shared.edges.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        known.unwrap_or_else(|| {
            let mut edges = self.shared.edges.write().unwrap_or_else(PoisonError::into_inner);
            edges.entry(key).or_insert_with(Edge::new).clone()
        })
    }

    /// Counts a call that starts now.
    pub fn begin(&self, callee: &ServiceName) -> InFlight {
        self.to(callee).begin()
    }

    /// The totals of every edge, by caller and callee.
    #[must_use]
    pub fn report(&self) -> Vec<EdgeReport> {
        let edges = self.shared.edges.read().unwrap_or_else(PoisonError::into_inner);
        edges.iter().map(|((caller, callee), edge)| edge.report(caller, callee)).collect()
    }
}

impl Edge {
    fn new() -> Self {
        let durations = (0..BINS).map(|_| AtomicU64::new(0)).collect();
        Self {
            counters: Arc::new(Counters {
                calls: AtomicU64::new(0),
                errors: AtomicU64::new(0),
                in_flight: AtomicU64::new(0),
                durations,
            }),
        }
    }

    /// Counts a call that starts now.
    pub fn begin(&self) -> InFlight {
        self.counters.in_flight.fetch_add(1, Relaxed);
        InFlight { counters: Arc::clone(&self.counters) }
    }

    fn report(&self, caller: &str, callee: &ServiceName) -> EdgeReport {
        let mut durations = DurationSketch::default();
        for (bin, count) in (0..BINS).zip(&self.counters.durations) {
            durations.add_bin(bin, count.load(Relaxed));
        }
        EdgeReport {
            caller: caller.to_owned(),
            callee: callee.clone(),
            calls: self.counters.calls.load(Relaxed),
            errors: self.counters.errors.load(Relaxed),
            in_flight: self.counters.in_flight.load(Relaxed),
            durations,
        }
    }
}

impl InFlight {
    /// The call ended by itself after `duration`; whether it was an error is the caller's to say.
    pub fn finish(self, duration: Duration, is_error: bool) {
        if is_error {
            self.counters.errors.fetch_add(1, Relaxed);
        }
        if let Some(bin) = self.counters.durations.get(usize::from(bin_of(duration))) {
            bin.fetch_add(1, Relaxed);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.counters.calls.fetch_add(1, Relaxed);
        self.counters.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_end_is_counted_once() {
        let edges = Edges::new("storefront");
        let callee: ServiceName = "catalogue".parse().unwrap();
        edges.begin(&callee).finish(Duration::from_millis(5), false);
        edges.begin(&callee).finish(Duration::from_millis(5), true);
        drop(edges.begin(&callee));
        let pending = edges.clone().begin(&callee);
        let report = edges.report().remove(0);
        assert_eq!((report.caller.as_str(), &report.callee), ("storefront", &callee));
        assert_eq!((report.calls, report.errors, report.in_flight), (3, 1, 1));
        assert_eq!(report.durations.count(), 2);
        drop(pending);
        assert_eq!(edges.report()[0].in_flight, 0);
    }
}
