//! Order among services: who may start, and who may stop. Start order follows `after`; stop order goes from the gateway
//! over callers to those they call. Never touches a replica.

use crate::state::{Replica, ServiceState, State};
use shoal_model::{RevisionId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};

/// Whether a service may do now what it wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate<'a> {
    /// It may.
    Open,
    /// It may not start before this one is ready.
    Dependency(&'a ServiceName),
    /// It may not stop before those that call it have.
    Callers,
}

/// What a service must know of the others, gathered once per step.
pub(crate) struct Surroundings {
    ready: BTreeSet<ServiceName>,
    // Services that something which still runs may call.
    called: BTreeSet<ServiceName>,
}

impl Surroundings {
    pub(crate) fn of(state: &State) -> Self {
        let anyone_new = state.services.values().any(|service| !service.has_started && service.wanted() > 0);
        let anyone_leaves =
            state.stopping || state.services.values().any(|service| service.target.is_none() && service.has_live());
        let ready = if anyone_new { with_ready(state) } else { BTreeSet::new() };
        let called = if anyone_leaves { called(state) } else { BTreeSet::new() };
        Self { ready, called }
    }

    /// Whether this service may start, or, when it leaves, stop.
    pub(crate) fn gate<'a>(&self, name: &ServiceName, service: &'a ServiceState, stopping: bool) -> Gate<'a> {
        match &service.target {
            Some(target) if !stopping => {
                let missing = target.after.iter().find(|dependency| !self.ready.contains(*dependency));
                missing.filter(|_| !service.has_started).map_or(Gate::Open, Gate::Dependency)
            }
            _ if self.called.contains(name) => Gate::Callers,
            _ => Gate::Open,
        }
    }
}

fn with_ready(state: &State) -> BTreeSet<ServiceName> {
    let ready = state.services.iter().filter(|(_, service)| service.replicas.values().any(Replica::is_ready));
    ready.map(|(name, _)| name.clone()).collect()
}

/// Services that may still be called: by the gateway while it runs, and by every service that stays or, when everything
/// stops, that has not stopped yet.
fn called(state: &State) -> BTreeSet<ServiceName> {
    let callers = || {
        let running = state.services.iter().filter(|(_, service)| service.has_live());
        running.filter(|(_, service)| state.stopping || service.target.is_some())
    };
    let gateway = ServiceName::gateway();
    if state.stopping && callers().any(|(name, _)| *name == gateway) {
        return callers().map(|(name, _)| name).filter(|name| **name != gateway).cloned().collect();
    }
    let calls: BTreeMap<&ServiceName, BTreeSet<&ServiceName>> =
        callers().map(|(name, service)| (name, may_call(service))).collect();
    let called: BTreeSet<&ServiceName> =
        calls.iter().flat_map(|(name, callees)| callees.iter().filter(move |it| *it != name)).copied().collect();
    if !state.stopping || calls.keys().any(|name| !called.contains(name)) {
        return called.into_iter().cloned().collect();
    }
    // Every one is called: they call each other in a circle. Among a circle's own, only start order still tells.
    let waits = |name: &ServiceName| {
        let reached = reached(name, &calls);
        let callers = calls.iter().filter(|(caller, callees)| **caller != name && callees.contains(name));
        callers.into_iter().any(|(caller, _)| {
            let starts_after = state.services.get(*caller).map(starts_after).unwrap_or_default();
            !reached.contains(caller) || starts_after.contains(name)
        })
    };
    let waiting: BTreeSet<ServiceName> = calls.keys().filter(|name| waits(name)).map(|name| (*name).clone()).collect();
    // Were even start order a circle, all would go at once.
    if waiting.len() < calls.len() { waiting } else { BTreeSet::new() }
}

/// All that a service may call, and what those may call, and so on.
fn reached<'a>(
    from: &ServiceName,
    calls: &BTreeMap<&'a ServiceName, BTreeSet<&'a ServiceName>>,
) -> BTreeSet<&'a ServiceName> {
    let mut reached: BTreeSet<&ServiceName> = BTreeSet::new();
    let mut next: Vec<&ServiceName> = calls.get(from).into_iter().flatten().copied().collect();
    while let Some(name) = next.pop() {
        if reached.insert(name) {
            next.extend(calls.get(name).into_iter().flatten().copied());
        }
    }
    reached
}

/// What the running replicas of a service may call.
fn may_call(service: &ServiceState) -> BTreeSet<&ServiceName> {
    let running: BTreeSet<&RevisionId> =
        service.replicas.values().filter(|replica| replica.is_live()).map(|replica| &replica.revision).collect();
    let revisions = running.into_iter().filter_map(|id| service.revisions.get(id));
    revisions.flat_map(|revision| &revision.launch.calls).chain(starts_after(service)).collect()
}

fn starts_after(service: &ServiceState) -> BTreeSet<&ServiceName> {
    service.target.iter().flat_map(|target| &target.after).collect()
}
