//! One set of endpoints with their counts, and the choice among them. Never changes once made, but for the counts.

use shoal_model::{Endpoint, ReplicaName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An endpoint and its requests in flight.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Endpoint,
    // Shared with the candidate that this one took over from, whose picks may still be running.
    in_flight: Arc<AtomicU64>,
}

impl Candidate {
    // Relaxed throughout: a count steers a choice and guards no other memory.
    pub(crate) fn pending(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The endpoints to choose from.
#[derive(Debug, Default)]
pub(crate) struct Candidates {
    all: Vec<Arc<Candidate>>,
    // Those that may be drawn: each with the sum of weights before it, ascending, and its own weight, never 0.
    drawn: Vec<Share>,
    weight_total: u64,
    // Endpoints that left while requests to them were running: should they come back, so do their counts.
    left: Vec<Arc<Candidate>>,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    index: usize,
    before: u64,
    weight: u64,
}

impl Candidates {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Candidate> {
        self.all.iter().map(Arc::as_ref)
    }

    pub(crate) fn leaving(&self) -> u64 {
        self.left.iter().map(|candidate| candidate.pending()).fold(0, u64::saturating_add)
    }

    /// The set with `endpoints` in place of the present ones, and their counts kept.
    pub(crate) fn replaced(&self, endpoints: &[Endpoint]) -> Self {
        let mut known: BTreeMap<&ReplicaName, &Arc<Candidate>> =
            self.left.iter().chain(&self.all).map(|candidate| (&candidate.endpoint.replica, candidate)).collect();
        let wanted: BTreeMap<&ReplicaName, &Endpoint> =
            endpoints.iter().map(|endpoint| (&endpoint.replica, endpoint)).collect();
        let all = wanted
            .into_iter()
            .map(|(replica, endpoint)| match known.remove(replica) {
                Some(kept) if kept.endpoint == *endpoint => Arc::clone(kept),
                Some(changed) => {
                    Arc::new(Candidate { endpoint: endpoint.clone(), in_flight: Arc::clone(&changed.in_flight) })
                }
                None => Arc::new(Candidate { endpoint: endpoint.clone(), in_flight: Arc::default() }),
            })
            .collect();
        let left = known.into_values().filter(|candidate| candidate.pending() > 0).cloned().collect();
        Self { left, ..Self::of(all) }
    }

    /// The set without those replicas.
    pub(crate) fn without(&self, avoided: &[ReplicaName]) -> Self {
        Self::of(self.all.iter().filter(|candidate| !avoided.contains(&candidate.endpoint.replica)).cloned().collect())
    }

    fn of(all: Vec<Arc<Candidate>>) -> Self {
        let parked = all.iter().all(|candidate| candidate.endpoint.weight == 0);
        let mut weight_total = 0;
        let mut drawn = Vec::with_capacity(all.len());
        for (index, candidate) in all.iter().enumerate() {
            let weight = if parked { 1 } else { u64::from(candidate.endpoint.weight) };
            if weight > 0 {
                drawn.push(Share { index, before: weight_total, weight });
                weight_total += weight;
            }
        }
        Self { all, drawn, weight_total, left: Vec::new() }
    }

    /// Draws two distinct candidates in proportion to their weights; the second takes the request only when it is the
    /// less loaded one for its weight.
    pub(crate) fn choose(&self, random: u64) -> Option<&Arc<Candidate>> {
        let first = self.share_at(below(mixed(random), self.weight_total))?;
        let candidate_first = self.all.get(first.index)?;
        let rest = self.weight_total - first.weight;
        if rest == 0 {
            return Some(candidate_first);
        }
        // A draw from what is left once the first one's stretch is cut out.
        let draw = below(mixed(random.wrapping_add(0x9e37_79b9_7f4a_7c15)), rest);
        let second = self.share_at(if draw >= first.before { draw + first.weight } else { draw })?;
        let candidate_second = self.all.get(second.index)?;
        let first_is_fuller =
            is_fuller((candidate_first.pending(), first.weight), (candidate_second.pending(), second.weight));
        Some(if first_is_fuller { candidate_second } else { candidate_first })
    }

    fn share_at(&self, point: u64) -> Option<Share> {
        let after = self.drawn.partition_point(|share| share.before <= point);
        self.drawn.get(after.checked_sub(1)?).copied()
    }
}

/// Whether the first has more in flight for its weight than the second, both without and with the next request.
///
/// Only "without" would send to an idle endpoint of a small weight whenever a large one has anything to do; only "with"
/// would send it nothing until the large one is full. Where the two disagree the first stays: it was drawn by weight.
/// With equal weights both say: more requests.
fn is_fuller((pending_a, weight_a): (u64, u64), (pending_b, weight_b): (u64, u64)) -> bool {
    let fuller = |a: u64, b: u64| u128::from(a) * u128::from(weight_b) > u128::from(b) * u128::from(weight_a);
    fuller(pending_a, pending_b) && fuller(pending_a.saturating_add(1), pending_b.saturating_add(1))
}

/// A number below `limit`, in proportion to `random`; 0 when the limit is 0.
fn below(random: u64, limit: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 64) as u64
}

/// Spreads the bits, so that a caller's weak random source, even a counter, still draws evenly. One to one.
fn mixed(random: u64) -> u64 {
    let mut bits = random;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn of_two_with_equal_weights_the_one_with_more_requests_is_fuller(a in 0..1000u64, b in 0..1000u64, weight in 1..=u64::from(u32::MAX)) {
            prop_assert_eq!(is_fuller((a, weight), (b, weight)), a > b);
        }

        #[test]
        fn never_both_are_fuller(a in 0..1000u64, b in 0..1000u64, weight_a in 1..500u64, weight_b in 1..500u64) {
            prop_assert!(!(is_fuller((a, weight_a), (b, weight_b)) && is_fuller((b, weight_b), (a, weight_a))));
        }

        #[test]
        fn a_draw_stays_below_its_limit(random: u64, limit in 1..u64::MAX) {
            prop_assert!(below(random, limit) < limit);
        }
    }
}
