//! Tells what changed between two states, in sentences for the journal. Pure but for the journal it writes to.

use crate::journal::{Entry, Journal};
use shoal_model::{Millis, ServiceName};
use shoal_reconcile::{Ending, Phase, ReplicaStatus, ServiceStatus, ServiceTarget, State};
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
        Phase::Terminating { .. } => match &replica.ending {
            Some(ending @ Ending::Leaving) => format!("{name} finishes, because {ending}"),
            _ => format!("{name} was told to finish"),
        },
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{World, exited, probed, service, target};
    use shoal_model::ProbeKind;
    use std::time::Duration;

    /// What the journal says of a change.
    async fn told(world: &mut World, change: impl FnOnce(&mut World)) -> Vec<String> {
        let before = world.state.clone();
        change(world);
        let journal = Journal::default();
        tell(&before, &world.state, world.now, &journal);
        let entries = journal.after(0, Duration::ZERO).await;
        entries.into_iter().map(|entry| format!("{}: {}", entry.kind, entry.text)).collect()
    }

    #[tokio::test]
    async fn a_replicas_life_is_told() {
        let mut world = World::new([target("a", "r1", 1)]);
        assert_eq!(told(&mut world, |world| world.see(&[])).await, ["starting: a-1 is starting"]);
        let ready = told(&mut world, |world| world.make_ready(&["a-1"])).await;
        assert_eq!(ready, ["ready: a-1 is ready, 3000 ms after it was asked for"]);
        let crashed = told(&mut world, |world| world.see(&[exited("a-1", 3)])).await;
        assert_eq!(crashed[0], "exited: a-1 exited with code 3");
        let gone = told(&mut world, |world| {
            world.acknowledge();
            world.see(&[]);
        });
        assert!(gone.await.contains(&"gone: a-1 is gone".to_owned()));
    }

    #[tokio::test]
    async fn probes_are_not_news_until_they_change_something() {
        let mut world = World::new([target("a", "r1", 1)]);
        world.make_ready(&["a-1"]);
        let fail = [probed("a-1", ProbeKind::Readiness, false)];
        let pass = [probed("a-1", ProbeKind::Readiness, true)];
        assert!(told(&mut world, |world| world.see(&pass)).await.is_empty());
        assert!(told(&mut world, |world| world.see(&fail)).await.is_empty(), "one failure of three");
        let lost = told(&mut world, |world| {
            world.see(&fail);
            world.see(&fail);
        });
        assert_eq!(lost.await, ["not-ready: a-1 is not ready"]);
        assert_eq!(told(&mut world, |world| world.see(&pass)).await, ["ready: a-1 is ready"]);
    }

    #[tokio::test]
    async fn a_scale_says_from_what_to_what_and_who_leaves_why() {
        let mut world = World::new([target("a", "r1", 2)]);
        world.make_ready(&["a-1", "a-2"]);
        world.acknowledge();
        let scaled = told(&mut world, |world| {
            world.state.scale(&service("a"), 1, world.now).unwrap();
            world.see(&[]);
        });
        let scaled = scaled.await;
        assert_eq!(scaled[0], "scaled: a: 2 → 1 replicas");
        assert!(scaled[1].ends_with("is leaving the routes, because fewer are wanted"), "{scaled:?}");
        let drained = told(&mut world, World::acknowledge).await;
        assert!(drained.iter().all(|text| text.contains("was told to finish")) && drained.len() == 1, "{drained:?}");
    }

    #[tokio::test]
    async fn down_is_said_once() {
        let mut world = World::new([target("a", "r1", 1)]);
        world.make_ready(&["a-1"]);
        let stopping = told(&mut world, |world| {
            world.state.stop(world.now);
            world.see(&[]);
        });
        let stopping = stopping.await;
        assert_eq!(stopping[0], "stopping: Stopping: everything is drained first");
        let again = told(&mut world, |world| world.state.stop(world.now)).await;
        assert!(again.is_empty(), "{again:?}");
    }

    #[test]
    fn what_changes_is_counted_without_the_gateway() {
        let world = World::new([target("a", "r1", 1), target("b", "r1", 1), target("gateway", "r1", 1)]);
        let said = |targets: Vec<(ServiceName, ServiceTarget)>| changed(&world.state, &targets.into_iter().collect());
        let (a, b, gateway) = (target("a", "r1", 1), target("b", "r1", 1), target("gateway", "r1", 1));
        assert_eq!(said(vec![a.clone(), b.clone(), gateway.clone()]), "Nothing has changed");
        assert_eq!(said(vec![target("a", "r2", 1), b.clone(), gateway.clone()]), "1 service is new or has changed");
        assert_eq!(said(vec![target("a", "r1", 2), b.clone(), gateway.clone()]), "1 service is new or has changed");
        assert_eq!(said(vec![a.clone(), gateway.clone()]), "1 service was removed");
        assert_eq!(said(vec![a.clone(), b.clone(), target("gateway", "r2", 1)]), "The gateway has changed");
        assert_eq!(said(vec![a, b]), "The gateway has changed");
        let two = said(vec![target("c", "r1", 1), target("d", "r1", 1), gateway]);
        assert_eq!(two, "2 services are new or have changed, 2 services were removed");
    }
}
