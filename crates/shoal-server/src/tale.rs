//! Tells what changed between two states, in sentences for the journal. Pure but for the journal it writes to.

use crate::journal::{Entry, Journal};
use shoal_model::{Millis, RevisionId, ServiceName};
use shoal_reconcile::{Phase, ReplicaStatus, ServiceStatus, ServiceTarget, State};
use std::collections::BTreeMap;

/// How many services would get another revision by these targets.
#[must_use]
pub fn changed(state: &State, targets: &BTreeMap<ServiceName, ServiceTarget>) -> u32 {
    let before: BTreeMap<ServiceName, Option<RevisionId>> =
        state.services().into_iter().map(|service| (service.service, service.revision)).collect();
    let is_new = |(name, target): &(&ServiceName, &ServiceTarget)| {
        before.get(*name).and_then(Option::as_ref) != Some(&target.revision.id)
    };
    u32::try_from(targets.iter().filter(is_new).count()).unwrap_or(u32::MAX)
}

/// Writes what changed from `before` to `after` into the journal.
pub fn tell(before: &State, after: &State, now: Millis, journal: &Journal) {
    if before.is_stopping() != after.is_stopping() && after.is_stopping() {
        journal.note(now, "stopping", "Stopping: everything is drained first");
    }
    let known: BTreeMap<ServiceName, ServiceStatus> =
        before.services().into_iter().map(|service| (service.service.clone(), service)).collect();
    let mut gone: BTreeMap<_, _> = known.values().flat_map(by_name).collect();
    for service in after.services() {
        tell_wanted(known.get(&service.service), &service, now, journal);
        for replica in &service.replicas {
            let earlier = gone.remove(&replica.replica);
            let before = earlier.map(|earlier| kind(earlier.phase));
            // Between started and ready there is nothing to tell yet.
            let is_news =
                before != Some(kind(replica.phase)) && (before, replica.phase) != (Some("starting"), Phase::NotReady);
            if is_news {
                tell_replica(&service, replica, now, journal);
            }
        }
    }
    for replica in gone.into_values() {
        note(replica, now, "gone", format!("{} is gone", replica.replica), journal);
    }
}

fn by_name(service: &ServiceStatus) -> impl Iterator<Item = (shoal_model::ReplicaName, &ReplicaStatus)> {
    service.replicas.iter().map(|replica| (replica.replica.clone(), replica))
}

fn tell_wanted(before: Option<&ServiceStatus>, after: &ServiceStatus, now: Millis, journal: &Journal) {
    if let Some(before) = before.filter(|before| before.wanted != after.wanted) {
        let text = format!("{}: {} → {} replicas", after.service, before.wanted, after.wanted);
        journal.note_service(now, "scaled", &after.service, text);
    }
}

fn tell_replica(service: &ServiceStatus, replica: &ReplicaStatus, now: Millis, journal: &Journal) {
    let name = &replica.replica;
    let text = match replica.phase {
        Phase::Starting => format!("{name} is starting"),
        Phase::Ready => {
            format!("{name} is ready, {} ms after it was asked for", now.since(replica.started_at).as_millis())
        }
        Phase::NotReady => format!("{name} is not ready"),
        Phase::Draining { .. } => format!("{name} is leaving the routes"),
        Phase::Terminating { .. } => format!("{name} was told to finish"),
        Phase::Stopping => format!("{name} is being killed"),
        Phase::Exited => match service.last_exit.as_ref().filter(|exit| exit.replica == name.serial) {
            Some(exit) => format!("{name} {}", exit.text),
            None => format!("{name} has ended"),
        },
    };
    note(replica, now, kind(replica.phase), text, journal);
}

fn kind(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Ready => "ready",
        Phase::NotReady => "not-ready",
        Phase::Draining { .. } => "draining",
        Phase::Terminating { .. } => "terminating",
        Phase::Stopping => "killed",
        Phase::Exited => "exited",
    }
}

fn note(replica: &ReplicaStatus, at: Millis, kind: &'static str, text: String, journal: &Journal) {
    let service = Some(replica.replica.service.clone());
    journal.add(Entry { place: 0, at, kind, service, replica: Some(replica.replica.clone()), text });
}
