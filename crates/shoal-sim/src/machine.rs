//! The simulated machine: processes with pids that are given again, keepers, and what they recorded. It lives on when a
//! supervisor dies, and a reboot ends all of it but the records. Decides nothing, and knows of no supervisor.

use shoal_model::{Address, Exit, LaunchSettings, ReplicaIdentity, ReplicaName, RevisionId};
use std::collections::BTreeMap;

/// A process by its pid and its start; a pid alone may be another's by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    /// Given again as soon as it is free.
    pub pid: u32,
    /// Never given again.
    pub started: u64,
}

/// What is kept of a replica on this machine.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What it was launched as.
    pub revision: RevisionId,
    /// How it was launched.
    pub launch: LaunchSettings,
    /// How far it has come.
    pub stage: Stage,
}

/// How far a replica has come.
#[derive(Clone, Debug)]
pub enum Stage {
    /// Only its folder was made.
    Folder,
    /// Its keeper is about to start it.
    Starting,
    /// It runs, and its keeper with it.
    Running(Mark),
    /// Its keeper is dead; the record names a process that may be gone, and its pid another's.
    Orphaned(Mark),
    /// It has ended.
    Ended(Exit),
}

/// A process.
#[derive(Clone, Debug)]
pub struct Process {
    /// When it started; with the pid that is its identity.
    pub started: u64,
    /// Whose it is; `None` for one that has nothing to do with the application.
    pub replica: Option<ReplicaName>,
    /// What it really runs.
    pub revision: RevisionId,
    /// When its startup is over; `None` when it never is.
    pub ready_at: Option<u64>,
    /// Answers nothing until then.
    pub hangs_until: u64,
    /// Says until then that it is not ready.
    pub unready_until: u64,
    /// Exits when it is told to finish.
    pub heeds_signal: bool,
    /// When it was told to finish.
    pub told_at: Option<u64>,
}

impl Process {
    /// Whether it answers at all.
    #[must_use]
    pub fn answers(&self, now: u64) -> bool {
        now >= self.hangs_until
    }

    /// Whether it takes requests.
    #[must_use]
    pub fn serves(&self, now: u64) -> bool {
        self.told_at.is_none()
            && self.answers(now)
            && now >= self.unready_until
            && self.ready_at.is_some_and(|at| at <= now)
    }
}

/// The machine.
#[derive(Debug, Default)]
pub struct Machine {
    boot: u64,
    started: u64,
    processes: BTreeMap<u32, Process>,
    /// By replica; what a new supervisor finds.
    pub traces: BTreeMap<ReplicaName, Trace>,
    /// Which boot's record it is.
    boots: BTreeMap<ReplicaName, u64>,
    /// Signals go to whoever has the pid now: a planted fault.
    by_pid: bool,
}

impl Machine {
    /// A machine without processes; `by_pid` when signals shall go to whoever has the pid.
    #[must_use]
    pub fn new(by_pid: bool) -> Self {
        Self { by_pid, ..Self::default() }
    }

    /// Starts a process under the lowest free pid.
    pub fn spawn(&mut self, process: Process) -> Mark {
        let pid = (2..).find(|pid| !self.processes.contains_key(pid)).unwrap_or(u32::MAX);
        self.started += 1;
        let mark = Mark { pid, started: self.started };
        if let Some(name) = &process.replica {
            self.boots.insert(name.clone(), self.boot);
        }
        self.processes.insert(pid, Process { started: mark.started, ..process });
        mark
    }

    /// A process, if it is still that one.
    #[must_use]
    pub fn process(&self, mark: Mark) -> Option<&Process> {
        self.processes.get(&mark.pid).filter(|process| process.started == mark.started)
    }

    /// The process of a replica that runs.
    #[must_use]
    pub fn running(&self, name: &ReplicaName) -> Option<&Process> {
        self.process(self.mark(name)?)
    }

    /// Which process a replica is, if it runs.
    #[must_use]
    pub fn mark(&self, name: &ReplicaName) -> Option<Mark> {
        match self.traces.get(name)?.stage {
            Stage::Running(mark) => Some(mark),
            _ => None,
        }
    }

    /// As [`running`](Self::running), to change it.
    pub fn running_mut(&mut self, name: &ReplicaName) -> Option<&mut Process> {
        let mark = self.mark(name)?;
        self.processes.get_mut(&mark.pid).filter(|process| process.started == mark.started)
    }

    /// Every process of a replica, whether or not anything is recorded of it.
    pub fn owned(&self) -> impl Iterator<Item = (&ReplicaName, &Process)> {
        self.processes.values().filter_map(|process| Some((process.replica.as_ref()?, process)))
    }

    /// Who a signal to this process would reach.
    #[must_use]
    pub fn aimed(&self, mark: Mark) -> Option<Mark> {
        let process = self.processes.get(&mark.pid)?;
        let same = process.started == mark.started;
        (same || self.by_pid).then_some(Mark { pid: mark.pid, started: process.started })
    }

    /// A process is gone.
    pub fn end(&mut self, mark: Mark) -> Option<Process> {
        self.process(mark)?;
        self.processes.remove(&mark.pid)
    }

    /// What the record says of a replica's process, as a runtime reports it.
    #[must_use]
    pub fn identity(&self, name: &ReplicaName, mark: Mark) -> ReplicaIdentity {
        let boot = self.boots.get(name).copied().unwrap_or(self.boot);
        ReplicaIdentity { boot: format!("boot-{boot}"), pid: mark.pid, started: mark.started }
    }

    /// Every process of the application is gone, and all that was recorded.
    pub fn end_all(&mut self) {
        self.processes.retain(|_, process| process.replica.is_none());
        self.traces.clear();
    }

    /// Every process is gone, and pids begin anew; what was recorded stays.
    pub fn reboot(&mut self) {
        self.boot += 1;
        for trace in self.traces.values_mut() {
            match trace.stage {
                Stage::Running(mark) => trace.stage = Stage::Orphaned(mark),
                Stage::Starting => trace.stage = Stage::Folder,
                Stage::Folder | Stage::Orphaned(_) | Stage::Ended(_) => {}
            }
        }
        self.processes.clear();
    }
}

/// Where a process listens: an address of its own, never given again.
#[must_use]
pub fn address(mark: Mark) -> Address {
    Address::Unix(format!("/run/{}", mark.started).into())
}
