//! The runtime: actions in, observations out, one task per replica.
//!
//! Never: ends a replica because it is itself dropped. Replicas outlive it, and the next one adopts them.

use crate::error::ProcessError;
use crate::fixed::FixedSockets;
use crate::folders::{self, Folders};
use crate::ports::Ports;
use crate::replica::{Begin, Command, Life, Task};
use crate::reporter::Reporter;
use crate::usage::{self, Usage};
use crate::{identity, leftovers, logs};
use shoal_discovery::Caller;
use shoal_model::{Action, ActionId, ActionKind, Exit, Observation, ReplicaLife, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long adopting waits for keepers to answer; those that do not are asked on in the background.
const ADOPT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long ending everything waits for keepers to have done it.
const END_TIMEOUT: Duration = Duration::from_secs(20);
/// How long processes without a keeper may take to vanish after they were killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// The logs of ended replicas that are kept per service.
const LOGS_KEPT: usize = 10;
/// The most action ids that are remembered.
const ACTIONS_MAX: usize = 4096;

/// Where the runtime keeps its things.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// The application's folder for sockets, such as `$XDG_RUNTIME_DIR/shoal/<hash>`.
    pub runtime: PathBuf,
    /// The application's state folder, `.shoal/`.
    pub state: PathBuf,
    /// The `shoal` executable, for `__keep` and `__exec`.
    pub shoal: PathBuf,
    /// The folder of the user's registry of ports, shared by all applications.
    pub ports: PathBuf,
}

/// What every task of one runtime shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) shoal: PathBuf,
    pub(crate) folders: Folders,
    pub(crate) ports: Ports,
    pub(crate) fixed: FixedSockets,
    pub(crate) reporter: Reporter,
    pub(crate) callers: watch::Sender<Arc<Callers>>,
}

/// Replicas that call through sockets of their own.
type Callers = BTreeMap<ReplicaName, Caller>;

/// Runs replicas as processes. A cheap handle; when the last is dropped, replicas go on without it.
#[derive(Clone, Debug)]
pub struct ProcessRuntime {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    replicas: Mutex<BTreeMap<ReplicaName, Entry>>,
    /// Tasks that clean up after replicas that were forgotten.
    forgetting: Mutex<Vec<AbortHandle>>,
    done: Mutex<BTreeSet<ActionId>>,
}

#[derive(Debug)]
struct Entry {
    commands: mpsc::UnboundedSender<Command>,
    life: watch::Receiver<Life>,
    task: AbortHandle,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for entry in locked(&self.replicas).values() {
            entry.task.abort();
        }
        locked(&self.forgetting).iter().for_each(AbortHandle::abort);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProcessRuntime {
    /// Makes the folders; starts nothing yet. Must be called on a tokio runtime, on which all its tasks will run.
    ///
    /// # Errors
    /// When a folder cannot be made or made private, or the machine has no `/proc`.
    #[expect(clippy::unused_async, reason = "so that it can only be called where its tasks can run")]
    pub async fn start(
        settings: ProcessSettings,
        observations: mpsc::Sender<Observation>,
    ) -> Result<Self, ProcessError> {
        identity::boot_id().map_err(ProcessError::Proc)?;
        let folders = Folders::open(&settings.runtime, &settings.state)?;
        let (ports, reporter) = (Ports::new(&settings.ports), Reporter::new(observations));
        let (fixed, callers) = (FixedSockets::new(), watch::Sender::default());
        let shared = Shared { shoal: settings.shoal, folders, ports, fixed, reporter, callers };
        let owner = Owner {
            shared: Arc::new(shared),
            replicas: Mutex::default(),
            forgetting: Mutex::default(),
            done: Mutex::default(),
        };
        Ok(Self { owner: Arc::new(owner) })
    }

    /// Finds every replica that an earlier supervisor left, running or ended, reports each, and takes it over. Returns
    /// their names.
    ///
    /// # Errors
    /// When the folders cannot be read.
    pub async fn adopt(&self) -> Result<Vec<ReplicaName>, ProcessError> {
        let names = self.owner.shared.folders.traces()?;
        let mut lives = Vec::new();
        for name in &names {
            lives.push(self.begin(name, Begin::Adopt).1);
        }
        let until = Instant::now() + ADOPT_TIMEOUT;
        for mut life in lives {
            // A keeper that does not answer in time is asked on by its task.
            let _ = tokio::time::timeout_at(until, life.wait_for(|life| !matches!(life, Life::Starting))).await;
        }
        Ok(names)
    }

    /// Has a task do what an action says, and never waits for it; what comes of it is observed. `Publish` is not its business.
    #[expect(clippy::unused_async, reason = "so that it can only be called where its tasks can run")]
    pub async fn execute(&self, action: Action) {
        if !self.is_new(action.id) {
            return;
        }
        match action.kind {
            ActionKind::Publish { .. } => {}
            ActionKind::Start { replica, revision } => {
                let (is_new, _) = self.begin(&replica, Begin::Launch(revision));
                if !is_new {
                    self.send(&replica, Command::Report);
                }
            }
            ActionKind::Signal { replica, signal } => {
                self.send_or_report(replica, Command::Signal { signal, action: action.id });
            }
            // Who has ended suffers nothing any more.
            ActionKind::Disturb { replica, disturbance } => drop(self.send(&replica, Command::Disturb(disturbance))),
            ActionKind::Stop { replica } => self.send_or_report(replica, Command::Stop),
            ActionKind::Forget { replica } => {
                // One without a task may still have left traces, which a task cleans up best.
                if self.owner.shared.folders.replica(&replica).exists() {
                    self.begin(&replica, Begin::Adopt);
                }
                self.send(&replica, Command::Forget);
                if let Some(entry) = locked(&self.owner.replicas).remove(&replica) {
                    let mut forgetting = locked(&self.owner.forgetting);
                    forgetting.retain(|task| !task.is_finished());
                    forgetting.push(entry.task);
                }
            }
        }
    }

    /// The running replicas that call through listening sockets of their own, which their keepers hand out; and each change.
    #[must_use]
    pub fn callers(&self) -> watch::Receiver<Arc<BTreeMap<ReplicaName, Caller>>> {
        self.owner.shared.callers.subscribe()
    }

    /// What each running replica uses now. Reads `/proc`, which takes some milliseconds.
    #[must_use]
    pub fn usage(&self) -> BTreeMap<ReplicaName, Usage> {
        let running: Vec<_> = locked(&self.owner.replicas)
            .iter()
            .filter_map(|(name, entry)| match &*entry.life.borrow() {
                Life::Running(record) => Some((name.clone(), Arc::clone(record))),
                Life::Starting | Life::Ended(_) => None,
            })
            .collect();
        usage::of(running.iter().map(|(name, record)| (name.clone(), &**record))).into_iter().collect()
    }

    /// Ends every replica at once, those of earlier supervisors too, and removes what is kept of them but the logs: nothing
    /// of this application is left behind. For `down`, after everything was drained; nothing is to be started with this
    /// runtime any more. Observations need not be received meanwhile.
    ///
    /// # Errors
    /// When the folders cannot be read, or a process survives being killed.
    pub async fn end_all(&self) -> Result<(), ProcessError> {
        self.owner.shared.reporter.end();
        self.adopt().await?;
        let lives: Vec<_> = locked(&self.owner.replicas).values().map(|entry| entry.life.clone()).collect();
        let names: Vec<_> = locked(&self.owner.replicas).keys().cloned().collect();
        for name in &names {
            self.send(name, Command::Stop);
        }
        let until = Instant::now() + END_TIMEOUT;
        for mut life in lives {
            let _ = tokio::time::timeout_at(until, life.wait_for(|life| matches!(life, Life::Ended(_)))).await;
        }
        let mark = self.owner.shared.folders.application_mark();
        let killed = tokio::task::spawn_blocking(move || leftovers::kill_application(&mark, KILL_TIMEOUT)).await;
        let survivors = killed.map_err(|error| ProcessError::Proc(error.into()))?.map_err(ProcessError::Proc)?;
        if !survivors.is_empty() {
            return Err(ProcessError::Survivors(survivors));
        }
        for entry in std::mem::take(&mut *locked(&self.owner.replicas)).into_values() {
            entry.task.abort();
        }
        self.forget_all()
    }

    fn forget_all(&self) -> Result<(), ProcessError> {
        let shared = &self.owner.shared;
        let names = shared.folders.traces()?;
        for name in &names {
            clean_up(shared, name);
        }
        for service in names.iter().map(|name| &name.service).collect::<BTreeSet<_>>() {
            prune_logs(shared, service);
        }
        if let Err(error) = shared.ports.release_all(&application(shared)) {
            tracing::warn!(%error, "failed to give back ports");
        }
        Ok(())
    }

    /// The task of a replica: a new one, or the one that is there. Whether it is new, and its life.
    fn begin(&self, name: &ReplicaName, begin: Begin) -> (bool, watch::Receiver<Life>) {
        let mut replicas = locked(&self.owner.replicas);
        if let Some(entry) = replicas.get(name) {
            return (false, entry.life.clone());
        }
        let (commands, receiver) = mpsc::unbounded_channel();
        let (sender, life) = watch::channel(Life::Starting);
        let task = Task::new(Arc::clone(&self.owner.shared), name.clone(), receiver, sender);
        let task = tokio::spawn(task.run(begin)).abort_handle();
        replicas.insert(name.clone(), Entry { commands, life: life.clone(), task });
        (true, life)
    }

    /// Whether its task was there to be told.
    fn send(&self, name: &ReplicaName, command: Command) -> bool {
        locked(&self.owner.replicas).get(name).is_some_and(|entry| entry.commands.send(command).is_ok())
    }

    /// Tells a replica's task; when there is none, says that the replica is gone, so that nobody waits for it.
    fn send_or_report(&self, replica: ReplicaName, command: Command) {
        if self.send(&replica, command) {
            return;
        }
        let why = format!("no trace of {replica} is left; it was not started, or its folder was removed");
        let life = ReplicaLife::Exited { exit: Exit::NotStarted { why }, at: crate::clock::now(), log: Vec::new() };
        let reporter = self.owner.shared.reporter.clone();
        // Apart from whoever executes, who may be the one that receives.
        tokio::spawn(async move { reporter.report(Observation::ReplicaChanged { replica, life }).await });
    }

    fn is_new(&self, id: ActionId) -> bool {
        let mut done = locked(&self.owner.done);
        if done.len() >= ACTIONS_MAX {
            done.pop_first();
        }
        done.insert(id)
    }
}

/// What the registry of ports knows this application by.
pub(crate) fn application(shared: &Shared) -> String {
    shared.folders.state().display().to_string()
}

/// Removes what is kept of a replica that has ended; its log is left to [`prune_logs`].
pub(crate) fn clean_up(shared: &Shared, name: &ReplicaName) {
    folders::remove_file(&shared.folders.keeper_socket(name));
    shared.folders.remove_own_sockets(name);
    if let Err(error) = shared.ports.release(&application(shared), &name.to_string()) {
        tracing::warn!(replica = %name, %error, "failed to give back a port");
    }
    let folder = shared.folders.replica(name);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(path = %folder.display(), %error, "failed to remove a replica's folder");
        }
        _ => {}
    }
}

/// Keeps only the newest logs of a service's ended replicas. Names are never used twice, so that without this a service
/// that crashes all day would fill the disk. A replica has ended for good when nothing but its log is kept of it.
pub(crate) fn prune_logs(shared: &Shared, service: &ServiceName) {
    let state = shared.folders.state();
    let names = match logs::replicas(state, service) {
        Ok(names) => names,
        Err(error) => return tracing::warn!(%service, %error, "failed to list logs"),
    };
    let ended: Vec<_> = names.into_iter().filter(|name| !shared.folders.replica(name).exists()).collect();
    for old in ended.iter().take(ended.len().saturating_sub(LOGS_KEPT)) {
        let path = logs::path(state, old);
        folders::remove_file(&logs::older(&path));
        folders::remove_file(&path);
    }
}
