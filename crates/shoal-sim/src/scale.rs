//! How much many replicas cost: a thousand services of ten, each of them a holder of routes, in the simulated runtime. The
//! time that counts is this machine's, from a change until everybody has applied it and the supervisor knows.

use crate::application;
use crate::machine::Mark;
use crate::world::{Event, World};
use shoal_driver::Wish;
use shoal_model::{Exit, ReplicaName, Replicas, Revision, RevisionId, ServiceName};
use shoal_reconcile::ServiceTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Changes, of which the one in the middle counts.
const CHANGES: u64 = 5;
/// How long a change may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Replicas that run.
    pub replicas: usize,
    /// Holders that were told of the change.
    pub holders: usize,
    /// From nothing until all of them were ready.
    pub up: Duration,
    /// From a replica's end until its successor is known to every holder, and the supervisor knows that it is.
    pub change: Duration,
    /// The most memory that this process had, in bytes: the supervisor's, and the simulated holders' too.
    pub memory: u64,
}

/// Starts so many services with ten replicas each; all of them call the first. Then a replica of the first crashes.
///
/// # Errors
/// When it does not settle, or something happens that must not.
pub fn measure(services: u32) -> Result<Figures, String> {
    let mut world = World::calm();
    let begun = Instant::now();
    world.ask(Wish::Accept(Box::new(application::prepared(targets(services)))));
    settle(&mut world)?;
    let up = begun.elapsed();
    let first = named(0);
    let holders = world.holders.values().filter(|held| held.watches(&first)).count();
    let mut changes = Vec::new();
    for serial in 1..=CHANGES {
        changes.push(change(&mut world, &ReplicaName { service: first.clone(), serial })?);
    }
    changes.sort_unstable();
    let change = changes.get(changes.len() / 2).copied().unwrap_or_default();
    Ok(Figures { replicas: world.machine.traces.len(), holders, up, change, memory: memory() })
}

/// A replica crashes; how long until everybody has its successor.
fn change(world: &mut World, victim: &ReplicaName) -> Result<Duration, String> {
    let mark: Mark = world.machine.mark(victim).ok_or("nothing runs")?;
    let begun = Instant::now();
    world.after(0, Event::Exit { mark, exit: Exit::Code { code: 1 } });
    while !is_known(world, &victim.service, victim) {
        world.run_until(world.now + 5);
        if let Some(violation) = world.violation() {
            return Err(violation.0.clone());
        }
        if begun.elapsed() > PATIENCE {
            return Err("a change is not known to all after a minute".to_owned());
        }
    }
    Ok(begun.elapsed())
}

fn settle(world: &mut World) -> Result<(), String> {
    for _ in 0..120 {
        world.run_until(world.now + 500);
        if let Some(violation) = world.violation() {
            return Err(violation.0.clone());
        }
        let is_settled = world.supervisor.as_ref().is_some_and(|it| it.core.state().is_settled());
        if is_settled && world.unsettled().is_none() {
            return Ok(());
        }
    }
    Err(world.unsettled().unwrap_or_default())
}

/// Whether its successor is in everybody's routes, and it is forgotten because everybody acknowledged that it left.
fn is_known(world: &World, service: &ServiceName, victim: &ReplicaName) -> bool {
    let Some(supervisor) = &world.supervisor else { return false };
    let Some(status) = supervisor.core.state().service(service) else { return false };
    let wanted: BTreeSet<&ReplicaName> = status.replicas.iter().map(|replica| &replica.replica).collect();
    let told = |routes: &BTreeMap<ServiceName, BTreeSet<ReplicaName>>| {
        routes.get(service).is_some_and(|routes| routes.iter().eq(wanted.iter().copied()))
    };
    let forgotten = !wanted.contains(victim) && status.ready == wanted.len();
    forgotten && world.holders.values().filter(|held| held.watches(service)).all(|held| told(&held.routes))
}

fn named(index: u32) -> ServiceName {
    application::service(&format!("service-{index}"))
}

fn targets(services: u32) -> BTreeMap<ServiceName, ServiceTarget> {
    let period = Duration::from_secs(60);
    let target = |name: ServiceName, calls: BTreeSet<ServiceName>, replicas: u32| {
        let launch = application::launch(calls, period, Duration::from_secs(10));
        let revision = Revision { id: RevisionId("r1".to_owned()), service: name.clone(), launch };
        (name, ServiceTarget { revision, replicas, replicas_max: Replicas::MOST, after: BTreeSet::new() })
    };
    let of = |index: u32| {
        let callees = [0, index / 2].into_iter().filter(|callee| *callee < index);
        target(named(index), callees.map(named).collect(), 10)
    };
    (0..services).map(of).chain([target(ServiceName::gateway(), BTreeSet::new(), 1)]).collect()
}

/// The most memory that this process had; 0 where that cannot be known.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
