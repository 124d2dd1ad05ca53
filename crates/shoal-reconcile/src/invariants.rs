//! What must hold whatever happens: a second pair of eyes on every step, shared by tests, simulations and whoever wants
//! to check a running server. Never used to decide anything.

use crate::drain::{grace, patience};
use crate::routes::ACKNOWLEDGED_WITHIN;
use crate::state::{Ending, Phase, Replica, State, named};
use crate::step::Step;
use shoal_model::{
    Action, ActionId, ActionKind, Endpoint, Generation, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaLife,
    ReplicaName, ServiceName, Signal,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// A rule that a step broke; its `Display` says which and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation(String);

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Watches one application's steps, across restarts of its supervisor.
#[derive(Clone, Debug, Default)]
pub struct Invariants {
    actions: BTreeMap<ActionId, Action>,
    started: BTreeSet<ReplicaName>,
    seen: BTreeSet<ReplicaName>,
    ended: BTreeSet<ReplicaName>,
    stopped: BTreeSet<ReplicaName>,
    signalled: BTreeMap<ReplicaName, Millis>,
    routes: BTreeMap<ServiceName, Published>,
    // When a replica was last taken out of the routes, and under which generation.
    left: BTreeMap<ReplicaName, (Generation, Millis)>,
}

#[derive(Clone, Debug, Default)]
struct Published {
    generation: Generation,
    acknowledged: Generation,
    endpoints: Vec<Endpoint>,
}

impl Invariants {
    /// Knows nothing yet: begin with the application's first step.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that after a restart these replicas were not found.
    pub fn gone(&mut self, replicas: impl IntoIterator<Item = ReplicaName>) {
        self.ended.extend(replicas);
    }

    /// Checks one step, given the state it began with.
    #[must_use]
    pub fn check(&mut self, before: &State, observations: &[Observation], step: &Step, now: Millis) -> Vec<Violation> {
        self.note(observations, &step.state, now);
        let mut found = Vec::new();
        for action in &step.actions {
            self.check_id(action, &mut found);
            match &action.kind {
                ActionKind::Start { replica, .. } => {
                    self.check_start(replica, action.id, before, &step.state, &mut found);
                }
                ActionKind::Publish { service, generation, endpoints } => {
                    self.check_publish(service, *generation, endpoints, &step.state, now, &mut found);
                }
                ActionKind::Signal { replica, signal: Signal::Terminate } => {
                    self.check_signal(replica, &step.state, now, &mut found);
                }
                // As somebody asked for: these take nobody's place in any order.
                ActionKind::Signal { signal: Signal::Kill, .. } | ActionKind::Disturb { .. } => {}
                ActionKind::Stop { replica } => self.check_stop(replica, &step.state, now, &mut found),
                ActionKind::Forget { replica } => self.check_forget(replica, now, &mut found),
            }
            self.actions.entry(action.id).or_insert_with(|| action.clone());
        }
        check_leaving(&step.state, &mut found);
        check_stop_order(before, &step.state, &mut found);
        check_ready_floor(before, observations, &step.state, &mut found);
        found
    }

    fn note(&mut self, observations: &[Observation], after: &State, now: Millis) {
        for observation in observations {
            match observation {
                Observation::ReplicaChanged { replica, life } => {
                    self.seen.insert(replica.clone());
                    if matches!(life, ReplicaLife::Exited { .. }) {
                        self.ended.insert(replica.clone());
                    }
                }
                Observation::RoutesAcknowledged { service, generation } => {
                    let routes = self.routes.entry(service.clone()).or_default();
                    routes.acknowledged = routes.acknowledged.max(*generation);
                }
                // Somebody else told it to finish.
                Observation::ReplicaLeaving { replica } => {
                    let known = after.replica(replica);
                    if known.is_some_and(|replica| replica.ending == Some(Ending::Leaving)) {
                        self.signalled.entry(replica.clone()).or_insert(now);
                    }
                }
                Observation::ProbeFinished { .. } | Observation::FaultHappened { .. } => {}
            }
        }
    }

    fn check_id(&self, action: &Action, found: &mut Vec<Violation>) {
        if self.actions.get(&action.id).is_some_and(|earlier| earlier != action) {
            found.push(Violation(format!("action id {} was given to two different actions", action.id.0)));
        }
    }

    fn check_start(
        &mut self,
        replica: &ReplicaName,
        id: ActionId,
        before: &State,
        state: &State,
        found: &mut Vec<Violation>,
    ) {
        let again = self.actions.contains_key(&id);
        if !self.started.insert(replica.clone()) && !again {
            found.push(Violation(format!("{replica} was started under a name that was used before")));
        }
        let Some(service) = state.services.get(&replica.service) else {
            found.push(Violation(format!("{replica} was started for no service")));
            return;
        };
        // One that is only asked for again was wanted when it was decided; that may have been a step whose supervisor died
        // over it, and which was not seen here.
        if again || before.replica(replica).is_some() {
            return;
        }
        let wanted = service.wanted() as usize;
        let count = service.replicas.values().filter(|replica| replica.stays()).count();
        let most = wanted + 1;
        if count > most {
            found.push(Violation(format!("{replica} was started as number {count} where {most} are allowed")));
        }
    }

    fn check_publish(
        &mut self,
        service: &ServiceName,
        generation: Generation,
        endpoints: &[Endpoint],
        state: &State,
        now: Millis,
        found: &mut Vec<Violation>,
    ) {
        let routes = self.routes.entry(service.clone()).or_default();
        if generation <= routes.generation {
            found.push(Violation(format!("{service} published generation {} twice", generation.0)));
        }
        for endpoint in endpoints {
            let known = state.replica(&endpoint.replica);
            if known.is_none_or(|replica| {
                replica.phase != Phase::Ready || Some(&endpoint.address) != replica.address.as_ref()
            }) {
                found.push(Violation(format!("{} was published and is not ready there", endpoint.replica)));
            }
            self.left.remove(&endpoint.replica);
        }
        let present: BTreeSet<&ReplicaName> = endpoints.iter().map(|endpoint| &endpoint.replica).collect();
        for endpoint in &routes.endpoints {
            if !present.contains(&endpoint.replica) {
                self.left.insert(endpoint.replica.clone(), (generation, now));
            }
        }
        routes.generation = generation;
        routes.endpoints = endpoints.to_vec();
    }

    fn check_signal(&mut self, replica: &ReplicaName, state: &State, now: Millis, found: &mut Vec<Violation>) {
        self.check_ours(replica, "signalled", found);
        self.check_left(replica, "signalled", patience_of(state, replica), now, found);
        self.signalled.entry(replica.clone()).or_insert(now);
    }

    fn check_stop(&mut self, replica: &ReplicaName, state: &State, now: Millis, found: &mut Vec<Violation>) {
        self.check_ours(replica, "killed", found);
        self.check_left(replica, "killed", patience_of(state, replica), now, found);
        self.stopped.insert(replica.clone());
        let known = state.services.get(&replica.service);
        let Some(known) = known.and_then(|service| Some((service, service.replicas.get(&replica.serial)?))) else {
            return;
        };
        let (service, status) = known;
        if matches!(status.ending, Some(Ending::NeverStarted | Ending::Leftover)) {
            return;
        }
        let timeout = service.revisions.get(&status.revision).map_or(Duration::ZERO, |it| it.launch.drain_timeout);
        let timeout = grace(status.ending.as_ref(), timeout);
        match self.signalled.get(replica) {
            Some(at) if now.since(*at) >= timeout => {}
            Some(_) => found.push(Violation(format!("{replica} was killed before its drain timeout"))),
            None => found.push(Violation(format!("{replica} was killed without being told to finish"))),
        }
    }

    fn check_forget(&mut self, replica: &ReplicaName, now: Millis, found: &mut Vec<Violation>) {
        self.check_ours(replica, "forgotten", found);
        self.check_left(replica, "forgotten", ACKNOWLEDGED_WITHIN, now, found);
        if !self.ended.contains(replica) && !self.stopped.contains(replica) {
            found.push(Violation(format!("{replica} was forgotten before it ended")));
        }
    }

    fn check_ours(&self, replica: &ReplicaName, what: &str, found: &mut Vec<Violation>) {
        if !self.started.contains(replica) && !self.seen.contains(replica) {
            found.push(Violation(format!("{replica} was {what}, and was never started nor seen")));
        }
    }

    /// The drain order: whoever is signalled, killed or freed must be out of the routes, and everyone must know.
    fn check_left(
        &self,
        replica: &ReplicaName,
        what: &str,
        patience: Duration,
        now: Millis,
        found: &mut Vec<Violation>,
    ) {
        let Some(routes) = self.routes.get(&replica.service) else { return };
        if routes.endpoints.iter().any(|endpoint| endpoint.replica == *replica) {
            found.push(Violation(format!("{replica} was {what} while in the routes")));
        }
        if let Some((generation, at)) = self.left.get(replica)
            && routes.acknowledged < *generation
            && now.since(*at) < patience
        {
            found.push(Violation(format!("{replica} was {what} before everyone knew that it had left")));
        }
    }
}

fn patience_of(state: &State, name: &ReplicaName) -> Duration {
    let service = state.services.get(&name.service);
    patience(service.and_then(|service| service.replicas.get(&name.serial)?.ending.as_ref()))
}

/// Whoever said that it leaves is out of the routes by the end of the step.
fn check_leaving(after: &State, found: &mut Vec<Violation>) {
    for (name, service) in &after.services {
        for published in &service.routes.published {
            let replica = service.replicas.get(&published.serial);
            if replica.is_some_and(|replica| replica.ending == Some(Ending::Leaving)) {
                found.push(Violation(format!("{} leaves and is in the routes", named(name, published.serial))));
            }
        }
    }
}

/// Callers stop before those they call: nobody leaves for `down` or its removal while a service that is called by no
/// other, and so could go first, may still call it.
fn check_stop_order(before: &State, after: &State, found: &mut Vec<Violation>) {
    let leaves = |name: &ServiceName, serial: &u64, replica: &Replica| {
        let earlier = before.services.get(name).and_then(|service| service.replicas.get(serial));
        matches!(replica.ending, Some(Ending::Down | Ending::Removed))
            && earlier.is_none_or(|earlier| earlier.ending.is_none())
    };
    let leaving = after
        .services
        .iter()
        .filter(|(name, service)| service.replicas.iter().any(|(serial, replica)| leaves(name, serial, replica)));
    let leaving: BTreeSet<&ServiceName> = leaving.map(|(name, _)| name).collect();
    if leaving.is_empty() {
        return;
    }
    let callers =
        after.services.iter().filter(|(_, service)| service.has_live() && (after.stopping || service.target.is_some()));
    let calls: Vec<(&ServiceName, BTreeSet<&ServiceName>)> = callers
        .map(|(name, service)| {
            let live = service.replicas.values().filter(|replica| replica.is_live());
            let revisions = live.filter_map(|replica| service.revisions.get(&replica.revision));
            (name, revisions.flat_map(|revision| &revision.launch.calls).collect())
        })
        .collect();
    for (caller, callees) in &calls {
        let is_called = after.stopping && calls.iter().any(|(other, them)| other != caller && them.contains(caller));
        for callee in leaving.iter().filter(|name| callees.contains(*name) && *name != caller && !is_called) {
            found.push(Violation(format!("{callee} leaves while {caller} may still call it")));
        }
    }
}

fn failed_readiness(observation: &Observation) -> Option<&ReplicaName> {
    let Observation::ProbeFinished { replica, kind, outcome: ProbeOutcome::Failed { .. } } = observation else {
        return None;
    };
    // Who had started, and does not say so again to a new supervisor, is not ready either.
    matches!(kind, ProbeKind::Readiness | ProbeKind::Startup).then_some(replica)
}

/// A replacement or a scale never takes away a ready replica that is needed. One that this supervisor has not heard of may
/// have ended, so it is nobody's reason to go.
fn check_ready_floor(before: &State, observations: &[Observation], after: &State, found: &mut Vec<Violation>) {
    if after.stopping {
        return;
    }
    let failed: BTreeSet<&ReplicaName> = observations.iter().filter_map(failed_readiness).collect();
    for (name, service) in &after.services {
        let Some(target) = &service.target else { continue };
        let was_ready = |serial: &u64| {
            before.services.get(name).and_then(|service| service.replicas.get(serial)).is_some_and(|it| it.is_ready())
        };
        let taken = service.replicas.iter().any(|(serial, replica)| {
            was_ready(serial)
                && !failed.contains(&named(name, *serial))
                && matches!(replica.ending, Some(Ending::Replaced | Ending::ScaledDown))
        });
        let surely_ready = |replica: &&Replica| replica.is_ready() && !replica.is_unheard();
        let (ready, wanted) = (service.replicas.values().filter(surely_ready).count(), target.wanted() as usize);
        if taken && ready < wanted {
            found.push(Violation(format!("{name} has {ready} ready replicas of {wanted} after one was taken away")));
        }
    }
}
