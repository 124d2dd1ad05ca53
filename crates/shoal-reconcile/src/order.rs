//! Order among services: who may start, and who may stop. Start order follows `after`; stop order goes from the gateway
//! over callers to those they call. Never touches a replica.

use crate::state::{Replica, ServiceState, State};
use shoal_model::{RevisionId, ServiceName};
use std::collections::BTreeSet;

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
    let by = |edges: fn(&ServiceState) -> BTreeSet<&ServiceName>| -> BTreeSet<ServiceName> {
        let called = callers().flat_map(|(name, service)| edges(service).into_iter().filter(move |it| *it != name));
        called.cloned().collect()
    };
    let first = |called: &BTreeSet<ServiceName>| callers().any(|(name, _)| !called.contains(name));
    let called = by(may_call);
    if !state.stopping || first(&called) {
        return called;
    }
    // They call each other in a circle. Start order has none, so its reverse may still tell; else all go at once.
    let called = by(starts_after);
    if first(&called) { called } else { BTreeSet::new() }
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
