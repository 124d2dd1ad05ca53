//! The first level: what should become of each revision of a service. Knows counts, not names of replicas, so that a
//! cluster could take the same intents. Never changes a state; `lower.rs` carries intents out on named replicas.

use crate::order::Gate;
use crate::state::{Ending, Phase, Replica, ServiceState};
use serde::{Deserialize, Serialize};
use shoal_model::{RevisionId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// What should become of a revision. A service that is as wanted has no intents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub change: Change,
    /// Why, as a sentence without a subject.
    pub why: String,
}

/// What should become of a revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// So many replicas of the wanted revision should run now, counting those started since the last restart.
    ScaleRevision {
        /// Which.
        revision: RevisionId,
        /// How many.
        replicas: u32,
    },
    /// Of the outdated replicas of this revision so many may stay for now, ready ones first; the others leave.
    RetireRevision {
        /// Which.
        revision: RevisionId,
        /// How many.
        keep: u32,
        /// Why the others leave.
        because: Ending,
    },
    /// These revisions share the requests, by weight per replica.
    SetRoutes {
        /// 100 is a full share.
        weights: BTreeMap<RevisionId, u32>,
    },
}

/// How many replicas of which kind a service has.
#[derive(Debug, Default)]
pub(crate) struct Census<'a> {
    pub(crate) fresh: Count,
    // Outdated, by revision.
    old: BTreeMap<&'a RevisionId, Count>,
    // Still there, and told to go.
    ending: usize,
    // Whether one that counts as ready may have ended before this supervisor began.
    has_unheard: bool,
    // Revisions of all that is still there.
    running: BTreeSet<&'a RevisionId>,
}

/// Replicas that are meant to stay; how many of them have started, and how many are ready.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) all: usize,
    started: usize,
    ready: usize,
}

impl Count {
    fn add(&mut self, replica: &Replica) {
        self.all += 1;
        self.started += usize::from(replica.phase != Phase::Starting);
        self.ready += usize::from(replica.is_ready());
    }
}

impl<'a> Census<'a> {
    pub(crate) fn of(service: &'a ServiceState) -> Self {
        let mut census = Self::default();
        for (serial, replica) in &service.replicas {
            if !replica.is_live() {
                continue;
            }
            census.has_unheard |= replica.is_unheard();
            if service.revisions.contains_key(&replica.revision) {
                census.running.insert(&replica.revision);
            }
            if let Some(ending) = &replica.ending {
                // One that leaves by itself is replaced at once, whatever else is under way.
                census.ending += usize::from(*ending != Ending::Leaving);
            } else if service.is_fresh(*serial, replica) {
                census.fresh.add(replica);
            } else {
                census.old.entry(&replica.revision).or_default().add(replica);
            }
        }
        census
    }

    /// Replicas that a newer one must replace.
    pub(crate) fn outdated(&self) -> usize {
        self.old.values().map(|count| count.all).sum()
    }
}

/// Decides what should become of a service's revisions.
pub(crate) fn decide(name: &ServiceName, service: &ServiceState, gate: Gate<'_>, stopping: bool) -> Vec<Intent> {
    if stopping || service.target.is_none() {
        let because = if stopping { Ending::Down } else { Ending::Removed };
        return if gate == Gate::Open { leave(name, service, &because) } else { Vec::new() };
    }
    let mut census = Census::of(service);
    let mut intents = Vec::new();
    if let Some(target) = &service.target {
        // Who leaves makes room: so that is decided first.
        retire(name, service, &mut census, &mut intents);
        scale(name, service, target, gate, &census, &mut intents);
        set_routes(name, service, &target.revision, &census, &mut intents);
    }
    intents
}

/// Everything of a service leaves.
fn leave(name: &ServiceName, service: &ServiceState, because: &Ending) -> Vec<Intent> {
    let revisions: BTreeSet<&RevisionId> =
        service.replicas.values().filter(|replica| replica.stays()).map(|replica| &replica.revision).collect();
    let intents = revisions.into_iter().map(|revision| Intent {
        service: name.clone(),
        change: Change::RetireRevision { revision: revision.clone(), keep: 0, because: because.clone() },
        why: crate::reasons::ending_text(because).to_owned(),
    });
    intents.collect()
}

fn scale(
    name: &ServiceName,
    service: &ServiceState,
    target: &crate::state::Target,
    gate: Gate<'_>,
    census: &Census<'_>,
    intents: &mut Vec<Intent>,
) {
    let wanted = target.wanted() as usize;
    let fresh = census.fresh.all;
    let most = match gate {
        Gate::Open => allowed_now(wanted, census),
        Gate::Dependency(_) | Gate::Callers => fresh.min(wanted),
    };
    // Those that stay might be the ones that have ended: nobody leaves before all were heard of.
    let allowed = if census.has_unheard { most.max(fresh) } else { most };
    // A slot that crashed and is no longer needed is dropped by an intent too, hence the second condition.
    if allowed == fresh && (service.slots.is_empty() || fresh < wanted) {
        return;
    }
    let why = match (census.outdated(), wanted) {
        (0, 1) => "1 replica is wanted".to_owned(),
        (0, _) => format!("{wanted} replicas are wanted"),
        (outdated, _) => {
            format!("{outdated} older {} must be replaced", crate::reasons::plural(outdated, "replica", "replicas"))
        }
    };
    let replicas = u32::try_from(allowed).unwrap_or(u32::MAX);
    let change = Change::ScaleRevision { revision: target.revision.clone(), replicas };
    intents.push(Intent { service: name.clone(), change, why });
}

/// How many fresh replicas may run now. While older ones are replaced: one more than wanted in all, counting those that
/// are told to leave, so that a rolling replacement takes one at a time.
fn allowed_now(wanted: usize, census: &Census<'_>) -> usize {
    const SURGE: usize = 1;
    let room = match census.outdated() {
        0 => wanted,
        outdated => (wanted + SURGE).saturating_sub(outdated + census.ending),
    };
    // A lack of room keeps others from starting; it is no reason to stop one that runs.
    census.fresh.all.max(room).min(wanted)
}

fn retire(name: &ServiceName, service: &ServiceState, census: &mut Census<'_>, intents: &mut Vec<Intent>) {
    // Those in whose favour others leave might be the ones that have ended: nobody leaves before all were heard of.
    if census.outdated() == 0 || census.has_unheard {
        return;
    }
    // As many as are needed until fresh ones are ready in their place.
    let keep = (service.wanted() as usize).saturating_sub(census.fresh.ready);
    // Ready ones of all revisions first. Those that have not started serve nobody: they need not wait for their
    // successors. One that is merely not ready may be again in a moment, and might be all there is.
    let ready: usize = census.old.values().map(|count| count.ready).sum();
    let (mut keep_ready, mut keep_others) = (keep.min(ready), keep.saturating_sub(ready));
    for (revision, count) in &mut census.old {
        let kept_ready = keep_ready.min(count.ready);
        let kept_others = keep_others.min(count.started - count.ready);
        keep_ready -= kept_ready;
        keep_others -= kept_others;
        let kept = kept_ready + kept_others;
        if kept < count.all {
            let change = Change::RetireRevision {
                revision: (*revision).clone(),
                keep: u32::try_from(kept).unwrap_or(u32::MAX),
                because: Ending::Replaced,
            };
            intents.push(Intent { service: name.clone(), change, why: "newer replicas take their place".to_owned() });
            census.ending += count.all - kept;
            count.all = kept;
        }
    }
}

/// For now every revision that runs, also to leave, has a full share; a canary will have less.
fn set_routes(
    name: &ServiceName,
    service: &ServiceState,
    revision: &RevisionId,
    census: &Census<'_>,
    intents: &mut Vec<Intent>,
) {
    const WEIGHT_FULL: u32 = 100;
    let mut wanted = census.running.clone();
    wanted.insert(revision);
    if service.routes.weights.keys().eq(wanted.iter().copied()) {
        return;
    }
    let weights = wanted.into_iter().map(|id| (id.clone(), WEIGHT_FULL)).collect();
    let why = "these revisions run".to_owned();
    intents.push(Intent { service: name.clone(), change: Change::SetRoutes { weights }, why });
}
