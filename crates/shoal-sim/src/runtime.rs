//! The simulated runtime: what the supervisor's process runtime does with actions, and what it reports. As the real one, it
//! does an action once, has one task per replica, and finds again what an earlier one left. Decides nothing.

use crate::holders::Held;
use crate::machine::{Mark, Process, Stage, Trace, address};
use crate::planted::Planted;
use crate::world::{Event, World};
use shoal_model::{
    Action, ActionId, ActionKind, Exit, Observation, ProbeKind, ProbeOutcome, ReplicaLife, ReplicaName, Revision,
    Signal,
};
use std::collections::{BTreeMap, BTreeSet};

/// How often a runtime that may lose reports says again how things are.
const REPEAT_EVERY: u64 = 5_000;

/// What one supervisor's runtime knows.
#[derive(Debug, Default)]
pub struct Runtime {
    /// Actions that were done.
    done: BTreeSet<ActionId>,
    /// The replicas that have a task, and what was last reported of each.
    tasks: BTreeMap<ReplicaName, Task>,
}

#[derive(Debug, Default)]
struct Task {
    life: Option<ReplicaLife>,
    forgotten: bool,
    /// Told to finish before it ran: the keeper is told again once it does.
    signalled: bool,
    told_at: u64,
}

impl World {
    /// What the machine has of replicas, each taken over by a task of its own.
    pub fn adopt(&mut self) -> BTreeSet<ReplicaName> {
        let found: BTreeSet<ReplicaName> = self.machine.traces.keys().cloned().collect();
        for name in &found {
            self.begin_task(name);
            self.look_at(name);
        }
        if let (true, Some(life)) = (self.temper.lossy, self.life()) {
            self.after(REPEAT_EVERY, Event::Repeat { life });
        }
        found
    }

    /// Does what an action says, once.
    pub fn execute(&mut self, action: Action) {
        let Some(supervisor) = &mut self.supervisor else { return };
        if !supervisor.runtime.done.insert(action.id) {
            return;
        }
        match action.kind {
            ActionKind::Publish { .. } => {}
            ActionKind::Start { replica, revision } => self.start(&replica, revision),
            // Nobody asks for faults of processes here: they would only hide those that the history makes.
            ActionKind::Disturb { .. } | ActionKind::Signal { signal: Signal::Kill, .. } => {}
            ActionKind::Signal { replica, signal: Signal::Terminate } => {
                self.check_signal(&replica);
                self.order(&replica, Event::Terminate { replica: replica.clone() });
            }
            ActionKind::Stop { replica } => self.order(&replica, Event::Kill { replica: replica.clone() }),
            ActionKind::Forget { replica } => self.forget(&replica),
        }
    }

    fn start(&mut self, replica: &ReplicaName, revision: Box<Revision>) {
        let taken = self.machine.traces.get(replica);
        if let Some(trace) = taken.filter(|trace| trace.revision != revision.id) {
            let text = format!("{replica} of {} was started while its name is {}'s", revision.id, trace.revision);
            self.fail(text);
        }
        if !self.begin_task(replica) {
            self.report_again(replica);
            return;
        }
        let delay = self.random.between(1, 40);
        if let Some(life) = self.life() {
            self.after(delay, Event::Launch { life, replica: replica.clone(), revision });
        }
    }

    /// The task has made its folder and starts the keeper, unless there is one already.
    pub fn launch(&mut self, replica: &ReplicaName, revision: &Revision) {
        if self.machine.traces.contains_key(replica) {
            self.look_at(replica);
            return;
        }
        let trace = Trace { revision: revision.id.clone(), launch: revision.launch.clone(), stage: Stage::Starting };
        self.machine.traces.insert(replica.clone(), trace);
        if self.rough(60) {
            // The keeper cannot be started, or its program is missing.
            self.set_stage(replica, Stage::Ended(Exit::NotStarted { why: "no such program".to_owned() }));
            self.look_at(replica);
            return;
        }
        let delay = self.random.between(1, 30);
        self.after(delay, Event::Spawn { replica: replica.clone() });
    }

    /// The keeper starts its program, whether or not anybody supervises.
    pub fn spawn(&mut self, replica: &ReplicaName) {
        let Some(trace) = self.machine.traces.get(replica) else { return };
        if !matches!(trace.stage, Stage::Starting) {
            return;
        }
        let (revision, launch) = (trace.revision.clone(), trace.launch.clone());
        let owned = self.machine.owned().any(|(name, _)| name == replica);
        if owned {
            self.fail(format!("{replica} has two processes"));
        }
        let slow = self.rough(100);
        let starts_in = if slow { self.random.between(5_000, 30_000) } else { self.random.between(5, 800) };
        let never = self.rough(40);
        let ready_at = (!never).then_some(self.now + starts_in);
        let heeds_signal = !self.rough(60);
        let process = Process {
            started: 0,
            replica: Some(replica.clone()),
            revision,
            ready_at,
            hangs_until: 0,
            unready_until: 0,
            heeds_signal,
            told_at: None,
        };
        let mark = self.machine.spawn(process);
        self.set_stage(replica, Stage::Running(mark));
        self.tell(|| format!("{replica} runs as pid {}", mark.pid));
        if self.rough(120) {
            let delay = self.random.between(1, 40_000);
            self.after(delay, Event::Crash { mark });
        }
        if let Some(held) = Held::of(replica, mark, &launch) {
            self.holders.insert(replica.clone(), held);
            let delay = self.random.between(1, 30);
            self.after(delay, Event::Connect { holder: replica.clone(), mark });
        }
        let task = self.supervisor.as_ref().and_then(|it| it.runtime.tasks.get(replica));
        if task.is_some_and(|task| task.signalled) {
            self.after(1, Event::Terminate { replica: replica.clone() });
        }
        self.look_at(replica);
    }

    /// Looks how a replica that has a task is, reports it, and has it probed if it runs.
    fn look_at(&mut self, replica: &ReplicaName) {
        let Some(life) = self.life() else { return };
        let has_task = self.supervisor.as_ref().is_some_and(|it| it.runtime.tasks.contains_key(replica));
        let Some(trace) = self.machine.traces.get(replica).filter(|_| has_task) else { return };
        match trace.stage.clone() {
            Stage::Starting => {}
            Stage::Folder => {
                let exit = Exit::NotStarted { why: "the supervisor ended while it was starting it".to_owned() };
                self.set_stage(replica, Stage::Ended(exit));
                self.look_at(replica);
            }
            Stage::Orphaned(_) => {
                let delay = self.random.between(5, 2_000);
                self.after(delay, Event::LookAfter { life, replica: replica.clone() });
            }
            Stage::Running(mark) => {
                let identity = self.machine.identity(replica, mark);
                self.report(replica, ReplicaLife::Running { identity, address: Some(address(mark)) });
                let delay = self.random.between(5, 50);
                self.after(delay, Event::Probe { life, replica: replica.clone(), kind: ProbeKind::Startup });
            }
            Stage::Ended(exit) => {
                let log = vec!["last words".to_owned()];
                self.report(replica, ReplicaLife::Exited { exit, at: self.time(), log });
                let forgotten = self.supervisor.as_ref().and_then(|it| it.runtime.tasks.get(replica));
                if forgotten.is_some_and(|task| task.forgotten) {
                    self.clean_up(replica);
                }
            }
        }
    }

    /// The keeper is dead: what it left is killed, if it can be proved to be it.
    pub fn look_after(&mut self, replica: &ReplicaName) {
        let Some(trace) = self.machine.traces.get(replica) else { return };
        let Stage::Orphaned(mark) = trace.stage else { return };
        self.signal(replica, mark);
        self.set_stage(replica, Stage::Ended(Exit::KeeperDied));
        self.look_at(replica);
    }

    /// Kills whoever a signal to this process reaches.
    fn signal(&mut self, replica: &ReplicaName, mark: Mark) {
        let Some(reached) = self.machine.aimed(mark) else { return };
        let process = self.machine.end(reached);
        if process.is_none_or(|process| process.replica.as_ref() != Some(replica)) {
            self.fail(format!("a signal for {replica}, once pid {}, reached a stranger", mark.pid));
        }
        self.holders.remove(replica);
    }

    /// Tells a replica's task; when there is none, says that the replica is gone.
    fn order(&mut self, replica: &ReplicaName, order: Event) {
        let has_task = self.supervisor.as_ref().is_some_and(|it| it.runtime.tasks.contains_key(replica));
        if has_task {
            let delay = self.random.between(1, 20);
            self.after(delay, order);
            return;
        }
        let why = format!("no trace of {replica} is left");
        let life = ReplicaLife::Exited { exit: Exit::NotStarted { why }, at: self.time(), log: Vec::new() };
        self.deliver(Observation::ReplicaChanged { replica: replica.clone(), life }, self.now + 1);
    }

    fn forget(&mut self, replica: &ReplicaName) {
        let Some(trace) = self.machine.traces.get(replica) else {
            self.drop_task(replica);
            return;
        };
        if matches!(trace.stage, Stage::Ended(_)) {
            self.clean_up(replica);
            return;
        }
        // Only what has ended is forgotten: so it ends first.
        self.begin_task(replica);
        if let Some(task) = self.supervisor.as_mut().and_then(|it| it.runtime.tasks.get_mut(replica)) {
            task.forgotten = true;
        }
        self.order(replica, Event::Kill { replica: replica.clone() });
    }

    fn clean_up(&mut self, replica: &ReplicaName) {
        self.machine.traces.remove(replica);
        self.drop_task(replica);
    }

    fn drop_task(&mut self, replica: &ReplicaName) {
        if let Some(supervisor) = &mut self.supervisor {
            supervisor.runtime.tasks.remove(replica);
        }
    }

    /// A signal to finish comes in, from the supervisor or from outside.
    pub fn terminate(&mut self, replica: &ReplicaName) {
        let now = self.now;
        let Some(mark) = self.machine.mark(replica) else {
            if let Some(task) = self.supervisor.as_mut().and_then(|it| it.runtime.tasks.get_mut(replica)) {
                task.signalled = true;
            }
            return;
        };
        let Some(process) = self.machine.running_mut(replica) else { return };
        process.told_at.get_or_insert(now);
        let (heeds_signal, hangs_until) = (process.heeds_signal, process.hangs_until);
        if heeds_signal && hangs_until > now {
            // It finds the signal when it goes on, if it ever does.
            self.at(hangs_until, Event::Terminate { replica: replica.clone() });
        } else if heeds_signal {
            let delay = self.random.between(1, 900);
            self.after(delay, Event::Exit { mark, exit: Exit::Code { code: 0 } });
            self.leave(replica);
        }
    }

    /// A kill comes in.
    pub fn kill(&mut self, replica: &ReplicaName) {
        let Some(trace) = self.machine.traces.get(replica) else { return };
        match trace.stage {
            Stage::Running(mark) => {
                self.check_kill(replica);
                self.signal(replica, mark);
                self.set_stage(replica, Stage::Ended(Exit::Signal { signal: 9 }));
                self.look_at(replica);
            }
            Stage::Starting => {
                self.set_stage(replica, Stage::Ended(Exit::NotStarted { why: "stopped before it ran".to_owned() }));
                self.look_at(replica);
            }
            Stage::Folder | Stage::Orphaned(_) | Stage::Ended(_) => self.look_at(replica),
        }
    }

    /// A process crashes, if anything still goes wrong.
    pub fn crash(&mut self, mark: Mark) {
        if self.faults {
            self.exit(mark, Exit::Code { code: 1 });
        }
    }

    /// A process exits by itself; its keeper records it.
    pub fn exit(&mut self, mark: Mark, exit: Exit) {
        let Some(process) = self.machine.end(mark) else { return };
        let Some(replica) = process.replica else { return };
        self.tell(|| format!("{replica} exits: {exit:?}"));
        self.holders.remove(&replica);
        self.set_stage(&replica, Stage::Ended(exit));
        self.look_at(&replica);
    }

    /// Its keeper is killed, and takes it along.
    pub fn kill_keeper(&mut self, replica: &ReplicaName) {
        let Some(Trace { stage: Stage::Running(mark), .. }) = self.machine.traces.get(replica) else { return };
        let mark = *mark;
        self.machine.end(mark);
        self.holders.remove(replica);
        self.set_stage(replica, Stage::Orphaned(mark));
        self.look_at(replica);
    }

    /// A replica is probed, and the next probe placed.
    pub fn probe(&mut self, replica: &ReplicaName, kind: ProbeKind) {
        let Some(life) = self.life() else { return };
        let Some(trace) = self.machine.traces.get(replica) else { return };
        let probes = trace.launch.probes.clone();
        let Some(process) = self.machine.running(replica) else { return };
        let too_soon = self.is_planted(Planted::PassesTooSoon);
        let started = process.ready_at.is_some_and(|at| at <= self.now) || too_soon;
        let passes = match kind {
            ProbeKind::Startup => process.answers(self.now) && started,
            ProbeKind::Readiness => process.serves(self.now) || too_soon,
            ProbeKind::Liveness => process.answers(self.now),
        };
        let outcome = if passes { ProbeOutcome::Passed } else { ProbeOutcome::Failed { why: "no answer".to_owned() } };
        self.deliver(Observation::ProbeFinished { replica: replica.clone(), kind, outcome }, self.now);
        let mut place = |delay, kind| self.after(delay, Event::Probe { life, replica: replica.clone(), kind });
        match kind {
            ProbeKind::Startup if passes => {
                place(1, ProbeKind::Readiness);
                place(2, ProbeKind::Liveness);
            }
            ProbeKind::Startup => place(500, kind),
            ProbeKind::Readiness => place(millis(probes.readiness.period), kind),
            ProbeKind::Liveness => place(millis(probes.liveness.period), kind),
        }
    }

    /// Says again how every replica is.
    pub fn repeat(&mut self) {
        let Some(supervisor) = &self.supervisor else { return };
        let life = supervisor.life;
        let names: Vec<ReplicaName> = supervisor.runtime.tasks.keys().cloned().collect();
        names.iter().for_each(|name| self.report_again(name));
        self.after(REPEAT_EVERY, Event::Repeat { life });
    }

    fn report_again(&mut self, replica: &ReplicaName) {
        let task = self.supervisor.as_ref().and_then(|it| it.runtime.tasks.get(replica));
        if let Some(life) = task.and_then(|task| task.life.clone()) {
            self.report(replica, life);
        }
    }

    fn report(&mut self, replica: &ReplicaName, life: ReplicaLife) {
        if self.is_planted(Planted::HidesExits) && matches!(life, ReplicaLife::Exited { .. }) {
            return;
        }
        let at = self.now + self.random.between(1, 30);
        let Some(task) = self.supervisor.as_mut().and_then(|it| it.runtime.tasks.get_mut(replica)) else { return };
        task.life = Some(life.clone());
        // One task's reports keep their order.
        task.told_at = task.told_at.max(at);
        let at = task.told_at;
        self.deliver(Observation::ReplicaChanged { replica: replica.clone(), life }, at);
    }

    /// Sends an observation on its way, which it may not survive, or survive twice.
    pub fn deliver(&mut self, observation: Observation, at: u64) {
        let Some(life) = self.life() else { return };
        let disturbed = self.faults && self.temper.lossy;
        if disturbed && self.random.chance(150) {
            return;
        }
        if disturbed && self.random.chance(100) {
            let later = at + self.random.between(1, 3_000);
            self.at(later, Event::Observe { life, observation: observation.clone() });
        }
        self.at(at, Event::Observe { life, observation });
    }

    /// A task for this replica; whether it is new.
    fn begin_task(&mut self, replica: &ReplicaName) -> bool {
        let Some(supervisor) = &mut self.supervisor else { return false };
        let tasks = &mut supervisor.runtime.tasks;
        let is_new = !tasks.contains_key(replica);
        tasks.entry(replica.clone()).or_default();
        is_new
    }

    fn set_stage(&mut self, replica: &ReplicaName, stage: Stage) {
        if let Some(trace) = self.machine.traces.get_mut(replica) {
            trace.stage = stage;
        }
    }

    /// The present supervisor's number.
    #[must_use]
    pub fn life(&self) -> Option<u64> {
        self.supervisor.as_ref().map(|supervisor| supervisor.life)
    }

    /// Whether a replica has a fault of this rank now.
    pub fn rough(&mut self, permille: u64) -> bool {
        self.faults && self.temper.replicas && self.random.chance(permille)
    }
}

/// A span in whole milliseconds.
#[must_use]
pub fn millis(span: std::time::Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
