//! Tells what changed between two states, in sentences for the journal. Pure but for the journal it writes to.

use crate::journal::{Entry, Journal};
use shoal_model::{Millis, ServiceName};
use shoal_reconcile::{Phase, ReplicaStatus, ServiceStatus, ServiceTarget, State};
use std::collections::BTreeMap;

/// What these targets would change, in a sentence.
#[must_use]
pub fn changed(state: &State, targets: &BTreeMap<ServiceName, ServiceTarget>) -> String {
    let before: BTreeMap<ServiceName, ServiceStatus> = state
        .services()
        .into_iter()
        .filter(|service| service.revision.is_some())
        .map(|service| (service.service.clone(), service))
        .collect();
    let gateway = ServiceName::gateway();
    let (mut changed, mut gateway_changed) = (0, false);
    for (name, target) in targets {
        let is_same = before.get(name).is_some_and(|before| {
            before.revision.as_ref() == Some(&target.revision.id) && before.declared == target.replicas
        });
        changed += usize::from(!is_same && *name != gateway);
        gateway_changed |= !is_same && *name == gateway;
    }
    let removed = before.keys().filter(|name| !targets.contains_key(*name) && **name != gateway).count();
    let mut parts = Vec::new();
    parts.extend(count(changed, "is new or has changed", "are new or have changed"));
    parts.extend(count(removed, "was removed", "were removed"));
    match (parts.is_empty(), gateway_changed || before.contains_key(&gateway) != targets.contains_key(&gateway)) {
        (true, true) => "The gateway has changed".to_owned(),
        (true, false) => "Nothing has changed".to_owned(),
        (false, _) => parts.join(", "),
    }
}

fn count(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 service {one}")),
        _ => Some(format!("{count} services {many}")),
    }
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
                tell_replica(&service, replica, before, now, journal);
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

fn tell_replica(
    service: &ServiceStatus,
    replica: &ReplicaStatus,
    before: Option<&str>,
    now: Millis,
    journal: &Journal,
) {
    let name = &replica.replica;
    let text = match replica.phase {
        Phase::Starting => format!("{name} is starting"),
        // Ready again some time later has nothing to do with when it was asked for.
        Phase::Ready if before == Some("not-ready") => format!("{name} is ready"),
        Phase::Ready => {
            format!("{name} is ready, {} ms after it was asked for", now.since(replica.started_at).as_millis())
        }
        Phase::NotReady => format!("{name} is not ready"),
        Phase::Draining { .. } => match &replica.ending {
            Some(ending) => format!("{name} is leaving the routes, because {ending}"),
            None => format!("{name} is leaving the routes"),
        },
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
