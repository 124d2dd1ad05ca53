//! What must hold at every moment, judged by what really runs and not by what the supervisor believes. Changes nothing.

use crate::machine::Stage;
use crate::world::World;
use shoal_driver::Turn;
use shoal_model::{ActionKind, Endpoint, Millis, Observation, ReplicaName, ServiceName};
use shoal_reconcile::invariants::Invariants;
use shoal_reconcile::{Ending, Phase, State, Step};
use std::collections::{BTreeMap, BTreeSet};

/// How long any holder is waited for.
const PATIENCE: u64 = 15_000;
/// How long for one that does not answer.
const PATIENCE_UNRESPONSIVE: u64 = 1_000;
/// How long one that does not answer gets to finish.
const GRACE_UNRESPONSIVE: u64 = 5_000;
/// How much later than another an action may be carried out, or reach its replica.
const LATENCY: u64 = 150;

/// What was noted so far.
#[derive(Default)]
pub struct Watch {
    invariants: Invariants,
    /// Seen since the last turn that was checked.
    seen: Vec<Observation>,
    /// What was kept last.
    kept: Option<State>,
    /// Who is in the routes of each service.
    published: BTreeMap<ServiceName, BTreeSet<ReplicaName>>,
    /// When a replica left the routes.
    left: BTreeMap<ReplicaName, u64>,
    /// As many as must serve, because so many did and nothing took them away.
    floors: BTreeMap<ServiceName, u64>,
    /// Whether the state was lost since everything was last stopped.
    lost: bool,
}

impl Watch {
    /// These came in.
    pub fn note_seen(&mut self, seen: &[Observation]) {
        self.seen.extend_from_slice(seen);
    }

    /// These were published.
    pub fn note_published(&mut self, service: &ServiceName, endpoints: &[Endpoint], now: u64) {
        let present: BTreeSet<ReplicaName> = endpoints.iter().map(|endpoint| endpoint.replica.clone()).collect();
        let before = self.published.insert(service.clone(), present.clone()).unwrap_or_default();
        self.left.extend(before.difference(&present).map(|left| (left.clone(), now)));
        self.left.retain(|left, _| !present.contains(left));
    }

    /// A supervisor took over, and found these.
    pub fn note_adopted(&mut self, state: &State, found: &BTreeSet<ReplicaName>) {
        let replicas = state.services().into_iter().flat_map(|service| service.replicas);
        let gone = replicas.filter(|it| it.phase == Phase::Exited && !found.contains(&it.replica));
        self.invariants.gone(gone.map(|it| it.replica));
    }

    /// A supervisor died. If that was in the middle of a commit, what it saw and what followed may have been kept; what
    /// probes said is known from the state alone.
    pub fn note_death(&mut self, in_commit: bool) {
        self.seen.retain(|seen| in_commit && !matches!(seen, Observation::ProbeFinished { .. }));
    }

    /// As many are wanted as this says.
    fn note_wanted(&mut self, state: &State) {
        if state.is_stopping() {
            return self.floors.clear();
        }
        self.floors.retain(|name, floor| {
            let wanted = state.service(name).filter(|service| service.revision.is_some()).map(|service| service.wanted);
            *floor = (*floor).min(wanted.unwrap_or(0).into());
            *floor > 0
        });
    }

    /// The state was lost: names and numbers begin anew.
    pub fn note_loss(&mut self) {
        *self = Self { lost: true, ..Self::default() };
    }

    /// Whether replicas may run that the state knows nothing of.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.lost
    }

    /// The machine rebooted: nothing serves.
    pub fn note_reboot(&mut self) {
        self.floors.clear();
    }

    /// Everything was stopped.
    pub fn note_end(&mut self) {
        self.floors.clear();
        self.seen.clear();
        self.kept = None;
        self.lost = false;
    }
}

impl World {
    /// What is opened is what was kept; after a kill in the middle of a commit it may be what was being kept.
    pub fn check_recovered(&mut self, state: &State) {
        self.watch.note_wanted(state);
        let interrupted = std::mem::take(&mut self.interrupted);
        let Some(kept) = self.watch.kept.as_ref().map(stored) else { return };
        let recovered = stored(state);
        let number = |state: &serde_json::Value| state.get("next_action").and_then(serde_json::Value::as_u64);
        if recovered != kept && !(interrupted && number(&recovered) >= number(&kept)) {
            let text =
                format!("what was kept is not what is found: {:?} then, {:?} now", number(&kept), number(&recovered));
            self.fail(text);
        }
    }

    /// The brain's own invariants, over every turn that was committed.
    pub fn check_turn(&mut self, turn: &Turn) {
        let Some(before) = &turn.before else {
            if !turn.actions.is_empty() {
                self.fail("actions came of a turn that changed nothing".to_owned());
            }
            return;
        };
        if !turn.is_kept && !turn.actions.is_empty() {
            self.fail("actions came of a turn that was not kept".to_owned());
        }
        let Some(supervisor) = &self.supervisor else { return };
        let step = Step {
            state: supervisor.core.state().clone(),
            actions: turn.actions.clone(),
            reasons: Vec::new(),
            wake_at: turn.wake_at,
            changed: true,
        };
        let seen = std::mem::take(&mut self.watch.seen);
        // By a clock that nobody sets.
        let violations = self.watch.invariants.check(before, &seen, &step, Millis(self.now));
        self.watch.note_wanted(&step.state);
        let nibble = shoal_reconcile::step(step.state.clone(), &[], supervisor.core.own_time(self.time()));
        if turn.is_kept {
            self.watch.kept = Some(step.state);
        }
        if let Some(violation) = violations.first() {
            self.fail(violation.to_string());
        }
        if nibble.changed || !nibble.actions.is_empty() {
            let actions: Vec<String> = nibble.actions.iter().map(|action| told(&action.kind)).collect();
            self.fail(format!("a turn left undone: {actions:?}"));
        }
    }

    /// Whoever is told to finish is used by nobody who can be heard.
    pub fn check_signal(&mut self, replica: &ReplicaName) {
        let now = self.now;
        let known = self.supervisor.as_ref().and_then(|it| it.core.state().replica(replica));
        let patience = match known.and_then(|known| known.ending) {
            Some(Ending::Unresponsive) => PATIENCE_UNRESPONSIVE,
            Some(Ending::Leaving) => 0,
            _ => PATIENCE,
        };
        let is_told =
            self.machine.running(replica).is_none_or(|process| process.told_at.is_some() || !process.answers(now));
        let overdue = self.watch.left.get(replica).is_some_and(|at| now + LATENCY >= at + patience);
        if is_told || overdue {
            return;
        }
        let users = self
            .holders
            .iter()
            .filter(|(name, held)| *name != replica && held.uses(replica, now) && held.is_heard(now));
        if let Some(user) = users.map(|(name, _)| name.clone()).next() {
            self.fail(format!("{replica} was told to finish while {user} uses it"));
        }
    }

    /// Whoever is killed was told to finish, and had its time.
    pub fn check_kill(&mut self, replica: &ReplicaName) {
        let now = self.now;
        let known = self.supervisor.as_ref().and_then(|it| it.core.state().replica(replica));
        let Some(ending) = known.and_then(|known| known.ending) else { return };
        let (Some(trace), Some(process)) = (self.machine.traces.get(replica), self.machine.running(replica)) else {
            return;
        };
        let drain = u64::try_from(trace.launch.drain_timeout.as_millis()).unwrap_or(u64::MAX);
        let grace = match ending {
            Ending::NeverStarted | Ending::Leftover => return,
            Ending::Unresponsive => drain.min(GRACE_UNRESPONSIVE),
            _ => drain,
        };
        if process.told_at.is_none_or(|at| now + LATENCY < at + grace) {
            let told = process.told_at.map(|at| now - at);
            self.fail(format!("{replica} was killed {told:?} ms after it was told to finish, in place of {grace}"));
        }
    }

    /// As many as served go on serving, unless fewer are wanted or replicas themselves fail.
    pub fn check_floors(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        let state = supervisor.core.state();
        if state.is_stopping() || self.temper.replicas {
            self.watch.floors.clear();
            return;
        }
        let mut fallen = Vec::new();
        for service in state.services() {
            let wanted = if service.revision.is_some() { u64::from(service.wanted) } else { 0 };
            let name = service.service;
            let serving = self.serving(&name);
            let floor = self.watch.floors.entry(name.clone()).or_default();
            if serving < *floor {
                fallen.push(format!("{name} has {serving} serving replicas where {floor} served"));
            }
            *floor = (*floor).max(serving.min(wanted));
        }
        fallen.into_iter().for_each(|text| self.fail(text));
    }

    /// How many replicas of a service are in the routes and really serve.
    fn serving(&self, service: &ServiceName) -> u64 {
        let now = self.now;
        let serves = |name: &ReplicaName| self.machine.running(name).is_some_and(|process| process.serves(now));
        if *service == ServiceName::gateway() {
            let gateways = self.supervisor.as_ref().and_then(|it| it.core.state().service(service));
            let ready = gateways.into_iter().flat_map(|it| it.replicas).filter(|it| it.phase == Phase::Ready);
            return ready.filter(|it| serves(&it.replica)).count() as u64;
        }
        let published = self.watch.published.get(service).into_iter().flatten();
        published.filter(|name| serves(name)).count() as u64
    }

    /// Why things are not as they should be in the end; `None` when they are.
    #[must_use]
    pub fn unsettled(&self) -> Option<String> {
        let Some(supervisor) = &self.supervisor else { return Some("nobody supervises".to_owned()) };
        let state = supervisor.core.state();
        if !state.is_settled() {
            let reasons: Vec<String> = state.reasons(self.time()).iter().map(|reason| reason.text.clone()).collect();
            return Some(format!("the state is not settled: {reasons:?}"));
        }
        let mut wanted = BTreeSet::new();
        for status in state.services().into_iter().flat_map(|service| service.replicas) {
            let Some(process) = self.machine.running(&status.replica) else {
                return Some(format!("{} does not run", status.replica));
            };
            if !process.serves(self.now) || process.revision != status.revision {
                return Some(format!("{} does not serve as {}", status.replica, status.revision));
            }
            wanted.insert(status.replica);
        }
        let owned: BTreeSet<ReplicaName> = self.machine.owned().map(|(name, _)| name.clone()).collect();
        if owned != wanted || self.machine.traces.len() != wanted.len() {
            return Some(format!("{owned:?} run, {wanted:?} should, {} are recorded", self.machine.traces.len()));
        }
        self.misled(&wanted)
    }

    /// A holder that does not have the routes that it should have.
    fn misled(&self, wanted: &BTreeSet<ReplicaName>) -> Option<String> {
        let gateway = ServiceName::gateway();
        let mut right: BTreeMap<&ServiceName, BTreeSet<&ReplicaName>> = BTreeMap::new();
        for name in wanted.iter().filter(|name| name.service != gateway) {
            right.entry(&name.service).or_default().insert(name);
        }
        for (name, held) in &self.holders {
            for service in held.watched().map_or_else(|| right.keys().copied().collect(), Vec::from_iter) {
                let routes = held.routes.get(service).into_iter().flatten();
                let right = right.get(service).into_iter().flatten().copied();
                if !routes.eq(right) {
                    return Some(format!("{name} does not send to those of {service} that are ready"));
                }
            }
        }
        None
    }

    /// What is left after everything was stopped.
    #[must_use]
    pub fn leftover(&self) -> Option<String> {
        let live = self.machine.traces.iter().filter(|(_, trace)| !matches!(trace.stage, Stage::Ended(_)));
        let mut names: Vec<String> = live.map(|(name, _)| name.to_string()).collect();
        names.extend(self.machine.owned().map(|(name, _)| name.to_string()));
        let supervised = self.supervisor.is_some();
        (supervised || !names.is_empty()).then(|| format!("a supervisor: {supervised}, replicas: {names:?}"))
    }
}

fn stored(state: &State) -> serde_json::Value {
    serde_json::to_value(state).unwrap_or_default()
}

/// An action as one line.
#[must_use]
pub fn told(kind: &ActionKind) -> String {
    match kind {
        ActionKind::Start { replica, revision } => format!("start {replica} of {}", revision.id),
        ActionKind::Publish { service, generation, endpoints } => {
            let names: Vec<String> = endpoints.iter().map(|endpoint| endpoint.replica.to_string()).collect();
            format!("publish {service} generation {}: {}", generation.0, names.join(", "))
        }
        ActionKind::Signal { replica, signal } => {
            format!("signal {replica} to {}", format!("{signal:?}").to_lowercase())
        }
        ActionKind::Disturb { replica, disturbance } => format!("disturb {replica}: {disturbance:?}"),
        ActionKind::Stop { replica } => format!("kill {replica}"),
        ActionKind::Forget { replica } => format!("forget {replica}"),
    }
}
