//! A simulated runtime: processes that start slowly, crash, hang, ignore signals; observations that get lost, come twice
//! or late; a supervisor that dies between commit and action. Every step is checked against the invariants.

use crate::application::{address, identity};
use shoal_model::{
    Action, ActionId, ActionKind, Disturbance, Endpoint, Exit, Generation, Millis, Observation, ProbeKind,
    ProbeOutcome, ReplicaLife, ReplicaName, ServiceName, Signal,
};
use shoal_reconcile::invariants::Invariants;
use shoal_reconcile::{State, step};
use std::collections::{BTreeMap, BTreeSet};

pub const TICK: u64 = 250;

/// A seeded random source.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % limit.max(1)
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1000) < permille
    }
}

struct Process {
    ready_at: Option<u64>,
    ends_at: Option<u64>,
    hangs_from: Option<u64>,
    heeds_signal: bool,
    // Somebody else told it to end, and it says so.
    leaving: bool,
    exit: Option<Exit>,
}

pub struct World {
    pub now: u64,
    pub state: State,
    pub faults: bool,
    pub random: Random,
    processes: BTreeMap<ReplicaName, Process>,
    executed: BTreeSet<ActionId>,
    forgotten: BTreeSet<ReplicaName>,
    pub disturbed: BTreeMap<ReplicaName, Disturbance>,
    published: BTreeMap<ServiceName, (Generation, Vec<Endpoint>)>,
    late: Vec<(u64, Observation)>,
    invariants: Invariants,
    pub story: Vec<String>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            now: 1_000_000,
            state: State::new(),
            faults: true,
            random: Random::new(seed),
            processes: BTreeMap::new(),
            executed: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            disturbed: BTreeMap::new(),
            published: BTreeMap::new(),
            late: Vec::new(),
            invariants: Invariants::new(),
            story: Vec::new(),
        }
    }

    pub fn time(&self) -> Millis {
        Millis(self.now)
    }

    pub fn living(&self) -> BTreeSet<ReplicaName> {
        self.processes.iter().filter(|(_, process)| process.exit.is_none()).map(|(name, _)| name.clone()).collect()
    }

    pub fn records(&self) -> usize {
        self.processes.len()
    }

    pub fn routed(&self, service: &ServiceName) -> BTreeSet<ReplicaName> {
        let endpoints = self.published.get(service).map(|(_, endpoints)| endpoints.as_slice()).unwrap_or_default();
        endpoints.iter().map(|endpoint| endpoint.replica.clone()).collect()
    }

    /// One tick of the runtime, and one step of the brain.
    pub fn tick(&mut self) {
        self.now += if self.faults { 1 + self.random.below(2 * TICK) } else { TICK };
        self.live();
        let mut observations = self.observations();
        if self.faults {
            self.disturb(&mut observations);
        }
        let actions = self.step(&observations);
        for action in &actions {
            self.execute(action);
        }
    }

    /// Steps, checks, and answers the actions without doing them.
    fn step(&mut self, observations: &[Observation]) -> Vec<Action> {
        let before = self.state.clone();
        let step = step(before.clone(), observations, self.time());
        for action in &step.actions {
            self.story.push(format!("{} {} {}", self.now, action.id.0, told(&action.kind)));
        }
        for reason in &step.reasons {
            self.story.push(format!(
                "{}   {:?} {}",
                self.now,
                reason.replica.as_ref().map(ToString::to_string),
                reason.text
            ));
        }
        let violations = self.invariants.check(&before, observations, &step, self.time());
        assert!(violations.is_empty(), "at {}: {violations:?}\n{}", self.now, self.story.join("\n"));
        if !step.changed {
            assert!(step.actions.is_empty());
            let stored = |state: &State| serde_json::to_value(state).unwrap();
            assert_eq!(stored(&before), stored(&step.state), "an uncommitted change");
        }
        // Nothing is left to do at the same time: a step is not a nibble.
        let next = shoal_reconcile::step(step.state.clone(), &[], self.time());
        let left: Vec<String> = next.actions.iter().map(|action| told(&action.kind)).collect();
        assert!(left.is_empty() && !next.changed, "left undone: {left:?}\n{}", self.story.join("\n"));
        if let Some(wake_at) = step.wake_at {
            assert!(wake_at > self.time(), "asked to wake at {} at {}", wake_at.0, self.now);
        }
        self.state = step.state;
        step.actions
    }

    /// The supervisor dies, perhaps with actions committed and not done, and a new one takes over.
    pub fn restart_supervisor(&mut self) {
        let observations = self.observations();
        let actions = self.step(&observations);
        let done = self.random.below(actions.len() as u64 + 1) as usize;
        for action in actions.iter().take(done) {
            self.execute(action);
        }
        self.story.push(format!("{} supervisor restarts, {} actions lost", self.now, actions.len() - done));
        self.late.clear();
        self.executed.clear();
        // Some die while nobody watches, with or without leaving a record.
        let dying: Vec<ReplicaName> = self.living().into_iter().filter(|_| self.random.chance(50)).collect();
        for name in dying {
            if self.random.chance(500) {
                self.processes.remove(&name);
                self.invariants.gone([name]);
            } else if let Some(process) = self.processes.get_mut(&name) {
                process.exit = Some(Exit::KeeperDied);
            }
        }
        self.state = State::open(serde_json::to_value(&self.state).unwrap()).unwrap();
        self.now += self.random.below(20_000);
        self.state.resumed(self.time());
        let found: BTreeSet<ReplicaName> = self.processes.keys().cloned().collect();
        let _reasons = self.state.adopted(&found, self.time());
        let gone = self.state.services().into_iter().flat_map(|service| service.replicas);
        let gone: Vec<ReplicaName> = gone.map(|replica| replica.replica).filter(|name| !found.contains(name)).collect();
        // Those whose start never happened are asked for again and may yet live.
        self.invariants.gone(gone.into_iter().filter(|name| {
            self.state.replica(name).is_some_and(|replica| replica.phase == shoal_reconcile::Phase::Exited)
        }));
        // The publisher's memory is gone with it.
        for (service, (generation, _)) in &self.published {
            assert!(self.state.endpoints(service).is_some_and(|(known, _)| known >= *generation));
        }
        let lives = self.lives();
        let actions = self.step(&lives);
        for action in &actions {
            self.execute(action);
        }
    }

    fn live(&mut self) {
        let now = self.now;
        for (name, process) in &mut self.processes {
            let is_paused = self.disturbed.get(name).is_some_and(|disturbance| disturbance.is_paused);
            if process.exit.is_none() && !is_paused && process.ends_at.is_some_and(|at| at <= now) {
                process.exit = Some(Exit::Code { code: 1 });
                self.story.push(format!("{now} {name} exits"));
            }
        }
        if self.faults {
            for process in self.processes.values_mut() {
                if self.random.chance(10) {
                    process.ends_at = Some(now);
                }
                if self.random.chance(5) {
                    process.hangs_from = Some(now);
                }
                // Some then take longer than they may.
                if self.random.chance(10) {
                    process.leaving = true;
                    process.ends_at = self.random.chance(800).then(|| now + self.random.below(3_000));
                }
            }
        }
    }

    fn lives(&self) -> Vec<Observation> {
        let life = |name: &ReplicaName, process: &Process| match &process.exit {
            Some(exit) => {
                ReplicaLife::Exited { exit: exit.clone(), at: self.time(), log: vec!["last words".to_owned()] }
            }
            None => ReplicaLife::Running { identity: identity(name), address: Some(address(name)) },
        };
        let processes = self.processes.iter();
        processes
            .map(|(name, process)| Observation::ReplicaChanged { replica: name.clone(), life: life(name, process) })
            .collect()
    }

    fn observations(&mut self) -> Vec<Observation> {
        let mut observations = self.lives();
        // Perhaps heard only after its end.
        let leaving = self.processes.iter().filter(|(_, process)| process.leaving);
        observations.extend(leaving.map(|(name, _)| Observation::ReplicaLeaving { replica: name.clone() }));
        for (name, process) in self.processes.iter().filter(|(_, process)| process.exit.is_none()) {
            let is_paused = self.disturbed.get(name).is_some_and(|disturbance| disturbance.is_paused);
            let hangs = is_paused || process.hangs_from.is_some_and(|at| at <= self.now);
            let ready = process.ready_at.is_some_and(|at| at <= self.now) && !hangs;
            let flaps = self.faults && self.random.chance(30);
            let mut answer = |kind, passed: bool| {
                let outcome = match passed {
                    true => ProbeOutcome::Passed,
                    false => ProbeOutcome::Failed { why: "no answer".to_owned() },
                };
                observations.push(Observation::ProbeFinished { replica: name.clone(), kind, outcome });
            };
            answer(ProbeKind::Startup, ready);
            if process.ready_at.is_some_and(|at| at <= self.now) {
                answer(ProbeKind::Readiness, ready && !flaps);
                answer(ProbeKind::Liveness, !hangs);
            }
        }
        for (service, (generation, _)) in &self.published {
            observations.push(Observation::RoutesAcknowledged { service: service.clone(), generation: *generation });
        }
        observations
    }

    /// Loses, repeats and delays.
    fn disturb(&mut self, observations: &mut Vec<Observation>) {
        let mut delivered = Vec::new();
        for observation in observations.drain(..) {
            match self.random.below(100) {
                0..30 => {}
                30..40 => delivered.extend([observation.clone(), observation]),
                40..50 => {
                    let at = self.now + self.random.below(5_000);
                    self.late.push((at, observation));
                }
                _ => delivered.push(observation),
            }
        }
        let now = self.now;
        let (due, late) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        let due: Vec<(u64, Observation)> = due;
        delivered.extend(due.into_iter().map(|(_, observation)| observation));
        *observations = delivered;
    }

    fn execute(&mut self, action: &Action) {
        if !self.executed.insert(action.id) {
            return;
        }
        match &action.kind {
            ActionKind::Start { replica, .. } => self.start(replica),
            ActionKind::Publish { service, generation, endpoints } => {
                self.published.insert(service.clone(), (*generation, endpoints.clone()));
            }
            ActionKind::Signal { replica, signal: Signal::Kill } => {
                if let Some(process) = self.processes.get_mut(replica) {
                    process.exit.get_or_insert(Exit::Signal { signal: 9 });
                }
            }
            ActionKind::Disturb { replica, disturbance } => {
                self.disturbed.insert(replica.clone(), *disturbance);
            }
            ActionKind::Signal { replica, signal: Signal::Terminate } => {
                let delay = self.random.below(3_000);
                let now = self.now;
                if let Some(process) = self.processes.get_mut(replica).filter(|process| process.heeds_signal) {
                    process.ends_at.get_or_insert(now + delay);
                }
            }
            ActionKind::Stop { replica } => {
                if let Some(process) = self.processes.get_mut(replica) {
                    process.exit.get_or_insert(Exit::Signal { signal: 9 });
                }
            }
            ActionKind::Forget { replica } => {
                let process = self.processes.remove(replica);
                assert!(process.is_none_or(|process| process.exit.is_some()), "{replica} was forgotten while it runs");
                self.forgotten.insert(replica.clone());
                self.disturbed.remove(replica);
            }
        }
    }

    fn start(&mut self, replica: &ReplicaName) {
        assert!(!self.forgotten.contains(replica), "{replica} was started after it was forgotten");
        if self.processes.contains_key(replica) {
            return;
        }
        let mut process = Process {
            ready_at: Some(self.now + self.random.below(2_000)),
            ends_at: None,
            hangs_from: None,
            heeds_signal: true,
            leaving: false,
            exit: None,
        };
        if self.faults {
            match self.random.below(10) {
                0 => process.exit = Some(Exit::NotStarted { why: "no such program".to_owned() }),
                1 => process.ready_at = None,
                2 => process.ends_at = Some(self.now + self.random.below(3_000)),
                3 => process.heeds_signal = false,
                _ => {}
            }
        }
        self.processes.insert(replica.clone(), process);
    }

    /// A replica of an earlier life of the application, which the state knows nothing of.
    pub fn leave_behind(&mut self, replica: ReplicaName) {
        if !self.processes.contains_key(&replica)
            && self.state.replica(&replica).is_none()
            && !self.forgotten.contains(&replica)
        {
            self.start(&replica);
        }
    }

    /// No more faults: what runs heeds signals and answers; what hung goes on hanging and must be replaced.
    pub fn calm(&mut self) {
        self.faults = false;
        self.late.clear();
        self.story.push(format!("{} calm", self.now));
    }
}

/// An action as one line.
pub fn told(kind: &ActionKind) -> String {
    match kind {
        ActionKind::Start { replica, revision } => format!("start {replica} of revision {}", revision.id),
        ActionKind::Publish { service, generation, endpoints } => {
            let names: Vec<String> = endpoints.iter().map(|endpoint| endpoint.replica.to_string()).collect();
            let names = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
            format!("publish {service} generation {}: {names}", generation.0)
        }
        ActionKind::Signal { replica, signal } => format!("signal {replica} {signal:?}").to_lowercase(),
        ActionKind::Disturb { replica, disturbance } => {
            let suffers = [(disturbance.is_paused, " pause"), (disturbance.is_disk_full, " disk-full")];
            let suffers = suffers.into_iter().filter(|(does, _)| *does).map(|(_, what)| what);
            format!("disturb {replica}:{}", suffers.collect::<String>())
        }
        ActionKind::Stop { replica } => format!("kill {replica}"),
        ActionKind::Forget { replica } => format!("forget {replica}"),
    }
}
