//! One set of endpoints, and the choice among them. Never changes its members once made; another set takes its place.

use crate::candidate::{Candidate, Rules, Standing};
use crate::ejection;
use crate::estimate::Record;
use shoal_model::{Endpoint, ReplicaName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The endpoints to choose from.
#[derive(Debug)]
pub(crate) struct Candidates {
    all: Vec<Arc<Candidate>>,
    // What may be drawn while all are sound and warm.
    usual: Shares,
    // The count of alarms at which all were found sound and warm.
    calm_at: AtomicU64,
    // Endpoints that left while requests to them were running: should they come back, so do their counts.
    left: Vec<Arc<Candidate>>,
    rules: Arc<Rules>,
}

/// A choice: whom, and whether it is the one try that an open breaker allows.
pub(crate) struct Choice<'a> {
    pub(crate) candidate: &'a Arc<Candidate>,
    pub(crate) trial: Option<u64>,
}

// No count of alarms gets so far.
const NEVER: u64 = u64::MAX;

impl Candidates {
    pub(crate) fn none(rules: Arc<Rules>) -> Self {
        Self::of(Vec::new(), Vec::new(), rules)
    }

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

    /// The set with `endpoints` in place of the present ones, and what is known of those that stay kept.
    pub(crate) fn replaced(&self, endpoints: &[Endpoint], now: u64) -> Self {
        let mut present: BTreeMap<&ReplicaName, &Arc<Candidate>> =
            self.all.iter().map(|candidate| (&candidate.endpoint.replica, candidate)).collect();
        let mut left: BTreeMap<&ReplicaName, &Arc<Candidate>> =
            self.left.iter().map(|candidate| (&candidate.endpoint.replica, candidate)).collect();
        let wanted: BTreeMap<&ReplicaName, &Endpoint> =
            endpoints.iter().map(|endpoint| (&endpoint.replica, endpoint)).collect();
        // Where there was none to take the load meanwhile, there is nobody to start slowly beside.
        let warm_at = if self.is_empty() { 0 } else { now.saturating_add(self.rules.slow_start) };
        let all = wanted
            .into_iter()
            .map(|(replica, endpoint)| match present.remove(replica) {
                Some(same) if same.endpoint == *endpoint => Arc::clone(same),
                Some(known) if known.endpoint.address == endpoint.address => {
                    Arc::new(known.described(endpoint.clone()))
                }
                moved_or_none => {
                    let before = moved_or_none.or_else(|| left.remove(replica));
                    let before = before.map(Arc::as_ref);
                    Arc::new(Candidate::fresh(endpoint.clone(), before, warm_at, &self.rules))
                }
            })
            .collect();
        let left = left.into_values().chain(present.into_values()).filter(|candidate| candidate.pending() > 0);
        Self::of(all, left.cloned().collect(), Arc::clone(&self.rules))
    }

    fn of(all: Vec<Arc<Candidate>>, left: Vec<Arc<Candidate>>, rules: Arc<Rules>) -> Self {
        let usual = all.iter().enumerate();
        let usual = usual.map(|(index, candidate)| Entry::new(index, u64::from(candidate.endpoint.weight)));
        Self { usual: Shares::of(&usual.collect::<Vec<_>>()), all, calm_at: AtomicU64::new(NEVER), left, rules }
    }

    /// The endpoint for the next request, other than those to avoid.
    pub(crate) fn choose(&self, now: u64, random: u64, avoided: &[ReplicaName]) -> Option<Choice<'_>> {
        let alarms = self.rules.alarms();
        if avoided.is_empty() && self.calm_at.load(Ordering::Relaxed) == alarms {
            let index = self.usual.draw(random, |first, second| self.second_takes(first, second, now))?.index;
            return Some(Choice { candidate: self.all.get(index)?, trial: None });
        }
        self.choose_among(self.entries(now, alarms, avoided), now, random)
    }

    fn choose_among(&self, mut entries: Vec<Entry>, now: u64, random: u64) -> Option<Choice<'_>> {
        loop {
            let shares = Shares::of(&entries);
            let share = shares.draw(random, |first, second| {
                // A trial is one request in a while, and what it tells is worth waiting for.
                second.trial || (!first.trial && self.second_takes(first, second, now))
            })?;
            let candidate = self.all.get(share.index)?;
            if !share.trial {
                return Some(Choice { candidate, trial: None });
            }
            if let Some(trial) = candidate.take_trial(now) {
                return Some(Choice { candidate, trial: Some(trial) });
            }
            // Another thread was quicker. Each turn has one entry less, so that this ends.
            entries.retain(|entry| entry.index != share.index);
        }
    }

    /// Those that may be drawn now, each with its weight, and whether it would be a trial.
    fn entries(&self, now: u64, alarms: u64, avoided: &[ReplicaName]) -> Vec<Entry> {
        self.eject_outliers(now);
        let mut calm = true;
        let (mut sound, mut ejected, mut due) = (Vec::new(), Vec::new(), Vec::new());
        for (index, candidate) in self.all.iter().enumerate() {
            let standing = candidate.standing(now);
            let warmth = candidate.warmth(now);
            calm &= standing == Standing::Sound && warmth == 1000 && !candidate.is_suspect(now);
            if avoided.contains(&candidate.endpoint.replica) {
                continue;
            }
            let entry = Entry::new(index, u64::from(candidate.endpoint.weight) * warmth);
            match standing {
                Standing::Sound => sound.push(entry),
                Standing::Ejected => ejected.push(entry),
                Standing::Due => due.push(Entry { trial: true, ..entry }),
                Standing::Open => {}
            }
        }
        if calm {
            self.calm_at.store(alarms, Ordering::Relaxed);
        }
        // An outlier is still better than nobody.
        let mut entries = if sound.is_empty() { ejected } else { sound };
        entries.append(&mut due);
        entries
    }

    fn eject_outliers(&self, now: u64) {
        if !self.iter().any(|candidate| candidate.is_suspect(now)) {
            return;
        }
        let (judged, out): (Vec<&Candidate>, Vec<&Candidate>) =
            self.iter().partition(|candidate| candidate.standing(now) == Standing::Sound);
        let records: Vec<Record> = judged.iter().map(|candidate| candidate.record(now)).collect();
        let room = ejection::room(self.len(), out.len(), &self.rules.settings);
        for index in ejection::outliers(&records, room, &self.rules.settings) {
            judged[index].eject(now);
        }
    }

    fn second_takes(&self, first: Share, second: Share, now: u64) -> bool {
        let (Some(a), Some(b)) = (self.all.get(first.index), self.all.get(second.index)) else {
            return false;
        };
        a.load(now, first.weight).is_fuller_than(b.load(now, second.weight), self.rules.penalty)
    }

    /// When the first open breaker lets a request through.
    pub(crate) fn next_at(&self, now: u64) -> Option<u64> {
        self.iter().map(|candidate| candidate.next_at(now)).min()
    }
}

/// Who may be drawn, with which weight, and whether it would be the one try that an open breaker allows.
#[derive(Clone, Copy, Debug)]
struct Entry {
    index: usize,
    weight: u64,
    trial: bool,
}

impl Entry {
    fn new(index: usize, weight: u64) -> Self {
        Self { index, weight, trial: false }
    }
}

/// Entries laid end to end, to draw from in proportion to their weights.
#[derive(Debug)]
struct Shares {
    // Each with the sum of weights before it, ascending, and its own weight, never 0.
    all: Vec<Share>,
    weight_total: u64,
}

#[derive(Clone, Copy, Debug)]
struct Share {
    index: usize,
    before: u64,
    weight: u64,
    trial: bool,
}

impl Shares {
    /// Those of weight 0 are drawn only when all are, and then evenly.
    fn of(entries: &[Entry]) -> Self {
        let parked = entries.iter().all(|entry| entry.weight == 0);
        let mut weight_total = 0;
        let mut all = Vec::with_capacity(entries.len());
        for Entry { index, weight, trial } in entries.iter().copied() {
            let weight = if parked { 1 } else { weight };
            if weight > 0 {
                all.push(Share { index, before: weight_total, weight, trial });
                weight_total += weight;
            }
        }
        Self { all, weight_total }
    }

    /// Draws two distinct ones in proportion to their weights, and takes the first unless `second_takes` says otherwise.
    fn draw(&self, random: u64, second_takes: impl FnOnce(Share, Share) -> bool) -> Option<Share> {
        if let [only] = self.all[..] {
            return Some(only);
        }
        let first = self.at(below(mixed(random), self.weight_total))?;
        // A draw from what is left once the first one's stretch is cut out.
        let draw = below(mixed(random.wrapping_add(0x9e37_79b9_7f4a_7c15)), self.weight_total - first.weight);
        let second = self.at(if draw >= first.before { draw + first.weight } else { draw })?;
        Some(if second_takes(first, second) { second } else { first })
    }

    fn at(&self, point: u64) -> Option<Share> {
        let after = self.all.partition_point(|share| share.before <= point);
        self.all.get(after.checked_sub(1)?).copied()
    }
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
    use crate::outcome::Outcome;
    use crate::settings::BalanceSettings;
    use proptest::prelude::*;
    use shoal_model::{Address, RevisionId};

    fn endpoint(serial: u64) -> Endpoint {
        Endpoint {
            replica: ReplicaName { service: "shop".parse().unwrap(), serial },
            revision: RevisionId("abc".to_owned()),
            address: Address::Unix("/socket".into()),
            weight: 100,
            identity: None,
        }
    }

    #[test]
    fn when_another_thread_takes_the_trial_the_next_best_is_taken() {
        let rules = Arc::new(Rules::new(BalanceSettings::default()));
        let now = 10_000_000_000;
        let candidates = Candidates::none(rules).replaced(&[endpoint(0), endpoint(1)], 0);
        for _ in 0..5 {
            candidates.all[0].learn(0, 0, Outcome::Unreachable, false);
        }
        let entries = candidates.entries(now, 0, &[]);
        assert!(candidates.all[0].take_trial(now).is_some());
        let choice = candidates.choose_among(entries, now, 3);
        assert!(choice.is_some_and(|choice| choice.candidate.endpoint.replica.serial == 1 && choice.trial.is_none()));
    }

    proptest! {
        #[test]
        fn a_draw_stays_below_its_limit(random: u64, limit in 1..u64::MAX) {
            prop_assert!(below(random, limit) < limit);
        }

        #[test]
        fn two_distinct_ones_of_some_weight_are_drawn(weights in prop::collection::vec(0..1000u64, 0..10), random: u64) {
            let entries: Vec<Entry> = weights.iter().enumerate().map(|(index, weight)| Entry::new(index, *weight)).collect();
            let shares = Shares::of(&entries);
            let parked = weights.iter().all(|weight| *weight == 0);
            let mut drawn = Vec::new();
            let taken = shares.draw(random, |first, second| {
                drawn = vec![first.index, second.index];
                true
            });
            prop_assert_eq!(taken.is_none(), weights.is_empty());
            prop_assert!(drawn.len() != 2 || drawn[0] != drawn[1]);
            prop_assert!(parked || drawn.iter().all(|index| weights[*index] > 0));
        }
    }
}
