//! What holders reported of their edges, and the sums of it: those of holders that are gone included, so that totals only
//! grow. Never trusts a holder with more than a bounded number of edges.

use crate::messages::{EdgeReport, HolderName};
use shoal_model::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// The most edges that are kept of one holder.
const EDGES_PER_HOLDER_MAX: usize = 1000;

type EdgeKey = (String, ServiceName);

/// The counters of every holder.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    by_holder: BTreeMap<HolderName, BTreeMap<EdgeKey, EdgeReport>>,
    of_the_gone: BTreeMap<EdgeKey, EdgeReport>,
}

impl Reports {
    /// A holder's totals.
    pub(crate) fn add(&mut self, holder: &HolderName, edges: Vec<EdgeReport>) {
        let kept = self.by_holder.entry(holder.clone()).or_default();
        for edge in edges {
            let key = (edge.caller.clone(), edge.callee.clone());
            if kept.contains_key(&key) || kept.len() < EDGES_PER_HOLDER_MAX {
                kept.insert(key, edge);
            }
        }
    }

    /// Nothing is known any more of what a holder has under way.
    pub(crate) fn silence(&mut self, holder: &HolderName) {
        let edges = self.by_holder.get_mut(holder).into_iter().flat_map(BTreeMap::values_mut);
        edges.for_each(|edge| edge.in_flight = 0);
    }

    /// A holder is gone; what it counted stays in the sums.
    pub(crate) fn forget(&mut self, holder: &HolderName) {
        for (key, mut edge) in self.by_holder.remove(holder).unwrap_or_default() {
            edge.in_flight = 0;
            add_edge(&mut self.of_the_gone, key, &edge);
        }
    }

    /// Lets go of every holder but these, once there are more than `most`. A name that has been away this long does not
    /// come back with the same totals.
    pub(crate) fn keep(&mut self, live: &BTreeSet<&HolderName>, most: usize) {
        if self.by_holder.len() > most {
            let gone: Vec<_> = self.by_holder.keys().filter(|name| !live.contains(name)).cloned().collect();
            gone.iter().for_each(|name| self.forget(name));
        }
    }

    /// The sums by caller and callee.
    pub(crate) fn sums(&self) -> Vec<EdgeReport> {
        let mut sums = self.of_the_gone.clone();
        for (key, edge) in self.by_holder.values().flatten() {
            add_edge(&mut sums, key.clone(), edge);
        }
        sums.into_values().collect()
    }
}

fn add_edge(sums: &mut BTreeMap<EdgeKey, EdgeReport>, key: EdgeKey, edge: &EdgeReport) {
    match sums.get_mut(&key) {
        None => drop(sums.insert(key, edge.clone())),
        Some(sum) => {
            sum.calls = sum.calls.saturating_add(edge.calls);
            sum.errors = sum.errors.saturating_add(edge.errors);
            sum.in_flight = sum.in_flight.saturating_add(edge.in_flight);
            sum.durations.merge(&edge.durations);
        }
    }
}
