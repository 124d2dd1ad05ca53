//! A runtime on folders of its own, and ways to wait for what it observes. Whatever a test left is ended when it is dropped.

use shoal_model::{
    Action, ActionId, ActionKind, Address, Exit, LaunchSettings, Listen, Observation, ProbeCheck, ProbeKind,
    ProbeOutcome, ProbeSettings, Probes, ReplicaLife, ReplicaName, Revision, RevisionId, Signal,
};
use shoal_process::{ProcessRuntime, ProcessSettings};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    pub folder: TempDir,
    runtime: Option<ProcessRuntime>,
    observations: mpsc::Receiver<Observation>,
    lives: BTreeMap<ReplicaName, ReplicaLife>,
    pub seen: Vec<Observation>,
    next_action: u64,
}

pub fn name(text: &str) -> ReplicaName {
    text.parse().unwrap()
}

fn probe(check: ProbeCheck) -> ProbeSettings {
    ProbeSettings { check, period: Duration::from_millis(100), timeout: Duration::from_secs(2), failures_max: 100 }
}

/// A revision that runs this command, without a socket and with nothing asked of it.
pub fn revision(command: &[&str]) -> Revision {
    revision_probed(command, ProbeCheck::Process)
}

/// A revision that runs this command and is asked this.
pub fn revision_probed(command: &[&str], check: ProbeCheck) -> Revision {
    let probes = Probes { startup: probe(check.clone()), readiness: probe(check.clone()), liveness: probe(check) };
    Revision {
        id: RevisionId("0123456789ab".to_owned()),
        service: "web".parse().unwrap(),
        launch: LaunchSettings {
            command: command.iter().map(|&part| part.to_owned()).collect(),
            folder: PathBuf::from("/"),
            env: BTreeMap::new(),
            listen: Listen::None,
            sockets: BTreeMap::new(),
            calls: BTreeSet::new(),
            database: None,
            probes,
            drain_timeout: Duration::from_secs(20),
        },
    }
}

/// One registry of ports for all tests, as for all applications of a user.
pub fn ports() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("ports")
}

fn settings(folder: &Path) -> ProcessSettings {
    ProcessSettings {
        runtime: folder.join("run"),
        state: folder.join(".shoal"),
        shoal: PathBuf::from(env!("CARGO_BIN_EXE_shoal-process-keeper")),
        ports: ports(),
    }
}

impl Stage {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (sender, observations) = mpsc::channel(1024);
        let runtime = ProcessRuntime::start(settings(folder.path()), sender).await.unwrap();
        Self { folder, runtime: Some(runtime), observations, lives: BTreeMap::new(), seen: Vec::new(), next_action: 1 }
    }

    pub fn runtime(&self) -> &ProcessRuntime {
        self.runtime.as_ref().unwrap()
    }

    /// Drops the runtime, as a killed supervisor would; replicas go on.
    pub fn lose_supervisor(&mut self) {
        self.runtime = None;
        self.lives.clear();
        self.seen.clear();
    }

    /// A new supervisor, which adopts.
    pub async fn new_supervisor(&mut self) -> Vec<ReplicaName> {
        self.lose_supervisor();
        let (sender, observations) = mpsc::channel(1024);
        self.observations = observations;
        let runtime = ProcessRuntime::start(settings(self.folder.path()), sender).await.unwrap();
        let adopted = runtime.adopt().await.unwrap();
        self.runtime = Some(runtime);
        adopted
    }

    pub async fn act(&mut self, kind: ActionKind) {
        self.next_action += 1;
        self.runtime().execute(Action { id: ActionId(self.next_action), kind }).await;
    }

    pub async fn start(&mut self, replica: &str, revision: Revision) {
        self.act(ActionKind::Start { replica: name(replica), revision: Box::new(revision) }).await;
    }

    pub async fn terminate(&mut self, replica: &str) {
        self.act(ActionKind::Signal { replica: name(replica), signal: Signal::Terminate }).await;
    }

    pub async fn stop(&mut self, replica: &str) {
        self.act(ActionKind::Stop { replica: name(replica) }).await;
    }

    /// Waits until the channel of observations is full.
    pub async fn fill(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.observations.len() < self.observations.max_capacity() {
            assert!(Instant::now() < deadline, "only {} observations came", self.observations.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn observe(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        match tokio::time::timeout(left, self.observations.recv()).await {
            Ok(Some(observation)) => {
                if let Observation::ReplicaChanged { replica, life } = &observation {
                    self.lives.insert(replica.clone(), life.clone());
                }
                self.seen.push(observation);
            }
            Ok(None) => panic!("the runtime is gone"),
            Err(_) => panic!("nothing came within {PATIENCE:?}; lives: {:?}", self.lives),
        }
    }

    /// The pid and address, once it runs.
    pub async fn running(&mut self, replica: &str) -> (u32, Option<SocketAddr>) {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lives.get(&name(replica)) {
                Some(ReplicaLife::Running { identity, address }) => {
                    let address = address.as_ref().map(|address| match address {
                        Address::Tcp(address) => *address,
                        Address::Unix(path) => panic!("unexpected {}", path.display()),
                    });
                    return (identity.pid, address);
                }
                Some(ReplicaLife::Exited { exit, log, .. }) => panic!("{replica} ended: {exit:?} {log:#?}"),
                None => self.observe(until).await,
            }
        }
    }

    /// How it ended and its last lines, once it has.
    pub async fn ended(&mut self, replica: &str) -> (Exit, Vec<String>) {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(ReplicaLife::Exited { exit, log, .. }) = self.lives.get(&name(replica)) {
                return (exit.clone(), log.clone());
            }
            self.observe(until).await;
        }
    }

    /// Waits until this probe of it passes.
    pub async fn passed(&mut self, replica: &str, wanted: ProbeKind) {
        let until = Instant::now() + PATIENCE;
        let passed = |observation: &Observation| {
            matches!(observation, Observation::ProbeFinished { replica: seen, kind, outcome: ProbeOutcome::Passed }
                if *seen == name(replica) && *kind == wanted)
        };
        while !self.seen.iter().any(passed) {
            self.observe(until).await;
        }
    }

    /// Waits until its log has a line that says this; the rest of that line.
    pub async fn said(&self, replica: &str, start: &str) -> String {
        let until = Instant::now() + PATIENCE;
        let path = self.log(replica);
        loop {
            let page = shoal_process::logs::last(&path, 1000).unwrap();
            if let Some(rest) = page.lines.iter().find_map(|line| line.text.strip_prefix(start)) {
                return rest.to_owned();
            }
            assert!(Instant::now() < until, "{replica} never said {start:?}: {:#?}", page.lines);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub fn log(&self, replica: &str) -> PathBuf {
        shoal_process::logs::path(&self.folder.path().join(".shoal"), &name(replica))
    }

    pub fn record(&self, replica: &str) -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(self.record_path(replica)).unwrap()).unwrap()
    }

    pub fn record_path(&self, replica: &str) -> PathBuf {
        self.folder.path().join(".shoal/replicas").join(replica).join("record.json")
    }

    pub fn keeper_pid(&self, replica: &str) -> u32 {
        u32::try_from(self.record(replica)["keeper"]["pid"].as_u64().unwrap()).unwrap()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.runtime = None;
        let settings = settings(self.folder.path());
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (sender, mut receiver) = mpsc::channel(1024);
                tokio::spawn(async move { while receiver.recv().await.is_some() {} });
                ProcessRuntime::start(settings, sender).await.unwrap().end_all().await
            })
        });
        let outcome = ended.join();
        if !std::thread::panicking() {
            outcome.unwrap().unwrap();
        }
    }
}

/// Whether a process runs; a zombie does not.
pub fn is_alive(pid: u32) -> bool {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = text.rsplit_once(')').unwrap().1.trim().chars().next().unwrap();
    !matches!(state, 'Z' | 'X')
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Sends a signal to a process this test started.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
