//! The publisher's faults: whom each concerns, how often it may still happen, and how often it has. Pure, as the publisher.
//!
//! Never: makes a fault anew that has happened as often as it may.

use crate::messages::{FAULTS_MAX, FromPublisher, HolderName, VERSION_WITH_FAULTS, Watches};
use shoal_model::{Fault, FaultId, FaultKind, FaultTarget, Millis, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How often news of a fault without a bound is told.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// A fault that is in force, as the one who decides knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFault {
    /// Which.
    pub id: FaultId,
    /// What goes wrong; its `times` is how often it may still happen.
    pub fault: Fault,
    /// How often it has happened.
    pub happened: u64,
}

/// All faults, and what is known of how often they happened.
#[derive(Debug, Default)]
pub(crate) struct FaultLedger {
    /// Whether anybody has said what they are; before that, holders keep to what an earlier publisher told them.
    is_known: bool,
    entries: BTreeMap<FaultId, Entry>,
    /// How often those happened that were taken away; the last ones.
    gone: BTreeMap<FaultId, u64>,
    /// Counts the changes of what holders are to know.
    change: u64,
    crash_points: BTreeMap<ServiceName, BTreeSet<String>>,
}

#[derive(Debug)]
struct Entry {
    fault: Fault,
    happened: u64,
    /// How often it may happen in all.
    limit: Option<u64>,
    /// How often it had happened when that was last told, and when that was.
    told: u64,
    told_at: Millis,
}

/// What one connection was told of faults.
#[derive(Debug, Default)]
pub(crate) struct FaultsTold {
    /// The change that was looked at last.
    seen: Option<u64>,
    /// The change that was told last, and the one that was acknowledged last.
    told: u64,
    applied: u64,
    faults: Vec<(FaultId, Fault)>,
}

impl FaultLedger {
    /// Makes these the faults. What was heard of one since is kept: it does not matter how late `faults` counts.
    pub(crate) fn set(&mut self, faults: Vec<PublishedFault>) {
        let mut before = std::mem::take(&mut self.entries);
        let mut changed = !self.is_known;
        for PublishedFault { id, fault, happened } in faults {
            let limit = fault.times.map(|times| happened.saturating_add(u64::from(times)));
            let known = before.remove(&id);
            changed |= known.is_none();
            let entry = match known {
                None => Entry { fault, happened, limit, told: happened, told_at: Millis::default() },
                Some(mut known) => {
                    known.happened = known.happened.max(happened);
                    known.told = known.told.max(happened);
                    known.limit = known.limit.into_iter().chain(limit).min();
                    let fault = Fault { times: known.fault.times, ..fault };
                    changed |= known.fault != fault;
                    known.fault = fault;
                    known
                }
            };
            self.entries.insert(id, entry);
        }
        changed |= !before.is_empty();
        self.gone.extend(before.into_iter().map(|(id, entry)| (id, entry.happened)));
        while self.gone.len() > FAULTS_MAX {
            self.gone.pop_first();
        }
        self.is_known = true;
        self.change += u64::from(changed);
    }

    /// A holder says that faults happened so often since it last said so.
    pub(crate) fn happened(&mut self, counts: &[(FaultId, u64)]) {
        for (id, count) in counts {
            if let Some(entry) = self.entries.get_mut(id) {
                entry.happened = entry.happened.saturating_add(*count);
                self.change += u64::from(entry.limit.is_some());
            } else if let Some(happened) = self.gone.get_mut(id) {
                *happened = happened.saturating_add(*count);
            }
        }
    }

    /// How often a fault has happened, also one that was taken away lately.
    pub(crate) fn total(&self, id: FaultId) -> Option<u64> {
        self.entries.get(&id).map(|entry| entry.happened).or_else(|| self.gone.get(&id).copied())
    }

    /// How often a fault has happened that may happen only so often.
    pub(crate) fn bounded_total(&self, id: FaultId) -> Option<u64> {
        self.entries.get(&id).filter(|entry| entry.limit.is_some()).map(|entry| entry.happened)
    }

    /// Whether a process of this holder may die by this fault, which counts it.
    pub(crate) fn grant(&mut self, holder: &HolderName, id: FaultId, now: Millis) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        let is_over = entry.fault.until.is_some_and(|until| now >= until) || entry.left() == Some(0);
        let is_for_it = matches!(&entry.fault.kind, FaultKind::Kill { at: Some(_) })
            && concerns(&entry.fault, holder, holder.0.parse().ok().as_ref(), &Watches::Only(BTreeSet::new()));
        if is_over || !is_for_it {
            return false;
        }
        self.happened(&[(id, 1)]);
        true
    }

    /// A process of this service can be made to die at these places.
    pub(crate) fn declare_crash_points(&mut self, holder: &HolderName, names: BTreeSet<String>) {
        if let Ok(replica) = holder.0.parse::<ReplicaName>() {
            self.crash_points.insert(replica.service, names);
        }
    }

    /// Where processes of this service can be made to die; `None` when none of them has said anything.
    pub(crate) fn crash_points(&self, service: &ServiceName) -> Option<&BTreeSet<String>> {
        self.crash_points.get(service)
    }

    /// What a holder has not been told of the faults that concern it.
    pub(crate) fn next_line(
        &self,
        told: &mut FaultsTold,
        holder: &HolderName,
        watches: &Watches,
        version: u32,
    ) -> Option<FromPublisher> {
        if !self.is_known || version < VERSION_WITH_FAULTS || told.seen == Some(self.change) {
            return None;
        }
        let is_first = told.seen.replace(self.change).is_none();
        let replica: Option<ReplicaName> = holder.0.parse().ok();
        let current = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.left() != Some(0) && concerns(&entry.fault, holder, replica.as_ref(), watches));
        let current: Vec<(FaultId, Fault)> =
            current.map(|(id, entry)| (*id, entry.published())).take(FAULTS_MAX).collect();
        // On a new connection also when there is nothing to say: an earlier publisher may have said something.
        if !is_first && told.faults == current {
            return None;
        }
        told.faults.clone_from(&current);
        told.told = self.change;
        Some(FromPublisher::Faults { change: self.change, faults: current })
    }

    /// Whether a holder may do otherwise than these faults say.
    pub(crate) fn is_unheard(&self, told: &FaultsTold, holder: &HolderName, watches: &Watches, version: u32) -> bool {
        if version >= VERSION_WITH_FAULTS {
            return !self.is_applied(told, version);
        }
        // It never makes any happen.
        let replica = holder.0.parse().ok();
        self.entries.values().any(|entry| concerns(&entry.fault, holder, replica.as_ref(), watches))
    }

    /// Whether a holder has applied what concerns it; one that knows of no faults is not waited for.
    pub(crate) fn is_applied(&self, told: &FaultsTold, version: u32) -> bool {
        version < VERSION_WITH_FAULTS || (told.seen == Some(self.change) && told.applied == told.told)
    }

    /// Faults of which it is time to tell how often they have happened: at once where that is bounded, else now and then.
    pub(crate) fn newly_happened(&mut self, now: Millis) -> Vec<(FaultId, u64)> {
        let due = self.entries.iter_mut().filter(|(_, entry)| entry.tell_at().is_some_and(|at| at <= now));
        due.map(|(id, entry)| {
            (entry.told, entry.told_at) = (entry.happened, now);
            (*id, entry.happened)
        })
        .collect()
    }

    /// When [`newly_happened`](Self::newly_happened) has news, if nothing else happens.
    pub(crate) fn wake_at(&self) -> Option<Millis> {
        self.entries.values().filter_map(Entry::tell_at).min()
    }
}

impl FaultsTold {
    /// The holder acknowledged this change.
    pub(crate) fn acknowledge(&mut self, change: u64) {
        self.applied = change.min(self.told);
    }
}

impl Entry {
    fn left(&self) -> Option<u64> {
        self.limit.map(|limit| limit.saturating_sub(self.happened))
    }

    fn published(&self) -> Fault {
        let times = self.left().map(|left| u32::try_from(left).unwrap_or(u32::MAX));
        Fault { times, ..self.fault.clone() }
    }

    fn tell_at(&self) -> Option<Millis> {
        let pause = if self.limit.is_some() { Duration::ZERO } else { TELL_EVERY };
        (self.happened > self.told).then(|| self.told_at.after(pause))
    }
}

/// Whether a holder is to make this fault happen.
fn concerns(fault: &Fault, holder: &HolderName, replica: Option<&ReplicaName>, watches: &Watches) -> bool {
    let is_holder = |service: &ServiceName| replica.is_some_and(|replica| replica.service == *service);
    match &fault.kind {
        FaultKind::Delay(_) | FaultKind::Error(_) | FaultKind::LostAnswer | FaultKind::Duplicate => {
            match &fault.target {
                // The gateway makes the calls of those who know nothing of faults.
                FaultTarget::Call { caller, callee } => {
                    watches.includes(callee) && (*watches == Watches::All || is_holder(caller))
                }
                FaultTarget::Service(callee) => watches.includes(callee),
                FaultTarget::Replica(callee) => watches.includes(&callee.service),
            }
        }
        FaultKind::Kill { at: Some(_) } => match &fault.target {
            FaultTarget::Call { .. } => false,
            FaultTarget::Service(service) => is_holder(service),
            FaultTarget::Replica(name) => holder.0 == name.to_string(),
        },
        FaultKind::Kill { at: None } | FaultKind::Pause | FaultKind::DiskFull => false,
    }
}
