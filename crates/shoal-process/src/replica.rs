//! The supervisor's side of one replica: a task from its start or adoption until it is forgotten.
//!
//! Never: ends the replica when it is itself ended; only a `Stop` does that.

use crate::folders;
use crate::keeper::protocol::{Answer, Ask};
use crate::launch::{self, Connection, Parts};
use crate::probe::{self, Target};
use crate::record::{Ended, Record};
use crate::runtime::{Shared, application, clean_up, prune_logs};
use crate::{clock, leftovers, lock, logs, sockets};
use shoal_discovery::{Caller, kept};
use shoal_model::{ActionId, Disturbance, Exit, Observation, ReplicaLife, ReplicaName, Revision, Signal};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

/// How long a keeper may take to start a program: it waits for the disk and for the program's file.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a keeper may take to stop one, before both are killed from here.
const STOP_TIMEOUT: Duration = Duration::from_secs(8);
/// How long killed processes may take to vanish.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// From one try to reach a keeper to the next, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MOST: Duration = Duration::from_secs(1);
/// How long the lock may still be held by somebody who only looked at it.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a socket with a fixed address is kept for whoever takes the place of one that ended by itself; longer than the
/// longest pause between two starts.
const SUCCESSOR_TIMEOUT: Duration = Duration::from_secs(60);
/// The log lines that an end is reported with.
const LINES: usize = 20;

/// How a task begins.
pub(crate) enum Begin {
    /// With a new process; or with the one there is.
    Launch(Box<Revision>),
    /// With what an earlier supervisor left.
    Adopt,
}

/// What a task can be told.
#[derive(Debug)]
pub(crate) enum Command {
    Signal {
        signal: Signal,
        action: ActionId,
    },
    Disturb(Disturbance),
    Stop,
    Forget,
    /// Say again how things are.
    Report,
}

/// What a task knows of its replica.
#[derive(Clone, Debug)]
pub(crate) enum Life {
    Starting,
    Running(Arc<Record>),
    Ended(Ended),
}

/// One replica's task.
pub(crate) struct Task {
    shared: Arc<Shared>,
    name: ReplicaName,
    commands: mpsc::UnboundedReceiver<Command>,
    life: watch::Sender<Life>,
    connection: Option<Connection>,
    /// When a keeper that was just started must have answered.
    answer_by: Option<Instant>,
    retry: Duration,
    signal: Option<(Signal, ActionId)>,
    disturbance: Option<Disturbance>,
    stop: bool,
    forget: bool,
    force_at: Option<Instant>,
    probes: Option<Probing>,
    log: Vec<String>,
}

/// Probes that end with this.
struct Probing(AbortHandle);

impl Drop for Probing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

enum Prepared {
    /// Nobody has this name: here is what to start it with.
    Fresh(Parts),
    /// A keeper has, or had, this name.
    There,
}

impl Task {
    pub(crate) fn new(
        shared: Arc<Shared>,
        name: ReplicaName,
        commands: mpsc::UnboundedReceiver<Command>,
        life: watch::Sender<Life>,
    ) -> Self {
        Self {
            shared,
            name,
            commands,
            life,
            connection: None,
            answer_by: None,
            retry: RETRY_FIRST,
            signal: None,
            disturbance: None,
            stop: false,
            forget: false,
            force_at: None,
            probes: None,
            log: Vec::new(),
        }
    }

    /// Works until the replica is forgotten.
    pub(crate) async fn run(mut self, begin: Begin) {
        let ended = match begin {
            Begin::Adopt => self.keep().await,
            Begin::Launch(revision) => match self.launch(&revision).await {
                Ok(()) => self.keep().await,
                Err(why) => not_started(why),
            },
        };
        self.finish(ended).await;
        while !self.forget {
            match self.commands.recv().await {
                Some(Command::Forget) => break,
                Some(_) => self.report().await,
                // The runtime is being dropped; the next one finds the record.
                None => return,
            }
        }
        if self.signal.is_none() && !self.stop {
            self.shared.fixed.passed_on(&self.name, SUCCESSOR_TIMEOUT).await;
        }
        self.tell(Ask::Forget).await;
        self.shared.fixed.release(&self.name);
        // Off the event loop, which may have its successor to start.
        let (shared, name) = (Arc::clone(&self.shared), self.name.clone());
        let cleaned = blocking(move || {
            clean_up(&shared, &name);
            prune_logs(&shared, &name.service);
        });
        if let Err(error) = cleaned.await {
            tracing::warn!(replica = %self.name, %error, "failed to clean up after a replica");
        }
    }

    async fn launch(&mut self, revision: &Revision) -> Result<(), String> {
        let (shared, name, settings) = (Arc::clone(&self.shared), self.name.clone(), revision.launch.clone());
        let prepared =
            blocking(move || prepare(&shared, &name, &settings)).await.map_err(|error| error.to_string())??;
        let Prepared::Fresh(parts) = prepared else { return Ok(()) };
        let shared = &self.shared;
        let connection = launch::launch(&shared.shoal, &shared.folders, &self.name, revision, parts).await?;
        self.connection = Some(connection);
        self.answer_by = Some(Instant::now() + START_TIMEOUT);
        Ok(())
    }

    /// Stays with the keeper until the replica has ended.
    async fn keep(&mut self) -> Ended {
        loop {
            let deadline = [self.answer_by, self.force_at].into_iter().flatten().min();
            let retry = self.retry;
            let next = async {
                match &mut self.connection {
                    Some(connection) => Some(connection.next().await),
                    None => {
                        tokio::time::sleep(retry).await;
                        None
                    }
                }
            };
            tokio::select! {
                next = next => match next {
                    None => if let Some(ended) = self.connect().await { return ended },
                    Some(Ok(Some(answer))) => if let Some(ended) = self.hear(answer).await { return ended },
                    Some(Ok(None)) => self.connection = None,
                    Some(Err(error)) => {
                        tracing::warn!(replica = %self.name, %error, "the connection to a keeper broke");
                        self.connection = None;
                    }
                },
                // After `Forget` nobody has anything more to say, and the channel is closed.
                command = self.commands.recv(), if !self.forget => match command {
                    Some(command) => self.obey(command).await,
                    // The runtime is being dropped, and this task aborted: the replica goes on.
                    None => std::future::pending().await,
                },
                () = sleep_until(deadline) => self.force().await,
            }
        }
    }

    /// Connects to the keeper; when there is none any more, the end.
    async fn connect(&mut self) -> Option<Ended> {
        self.retry = (self.retry * 2).min(RETRY_MOST);
        if let Ok(connection) = Connection::open(&self.shared.folders.keeper_socket(&self.name)).await {
            self.connection = Some(connection);
            self.tell(Ask::Subscribe).await;
            if let Some(disturbance) = self.disturbance {
                self.tell(Ask::Disturb(disturbance)).await;
            }
            if let Some((signal, action)) = self.signal {
                self.tell(Ask::Signal { signal, action: action.0 }).await;
            }
            if self.stop {
                self.tell(Ask::Stop).await;
            }
            return None;
        }
        // The lock decides, not the socket: a keeper that begins or ends has none, and one that hangs does not answer.
        if lock::is_held(&self.shared.folders.lock(&self.name)).unwrap_or(true) {
            self.show_unreachable().await;
            return None;
        }
        let (path, known) = (self.shared.folders.record(&self.name), self.record());
        let (name, started) = (self.name.clone(), self.answer_by.is_some());
        match blocking(move || after_keeper(&path, known.as_deref(), &name, started)).await {
            Ok(ended) => Some(ended),
            Err(error) => Some(not_started(error.to_string())),
        }
    }

    /// Whom a keeper holds that does not answer is known from the record.
    async fn show_unreachable(&mut self) {
        if self.retry < RETRY_MOST || !matches!(*self.life.borrow(), Life::Starting) {
            return;
        }
        if let Ok(Some(record)) = Record::read(&self.shared.folders.record(&self.name))
            && record.program.is_some_and(|program| program.is_alive())
        {
            self.running(record).await;
        }
    }

    /// Takes in what the keeper says; the end, when it says so.
    async fn hear(&mut self, answer: Answer) -> Option<Ended> {
        self.retry = RETRY_FIRST;
        match answer {
            Answer::Status { record } => {
                if record.is_fixed && matches!(*self.life.borrow(), Life::Starting) {
                    self.find_sockets().await;
                }
                if let Some(ended) = record.ended.clone() {
                    return Some(ended);
                }
                self.answer_by = None;
                self.running(*record).await;
            }
            Answer::Done | Answer::Sockets { .. } => {}
            // Before the first status it is the launch that was refused.
            Answer::Refused { why } if matches!(*self.life.borrow(), Life::Starting) => return Some(not_started(why)),
            Answer::Refused { why } => tracing::warn!(replica = %self.name, why, "a keeper refused"),
        }
        None
    }

    /// Takes copies of what a keeper keeps that was there before this task, and so before anybody follows its replica.
    async fn find_sockets(&mut self) {
        if self.answer_by.is_some() {
            return self.shared.fixed.confirm(&self.name);
        }
        let found = kept::listeners(&self.shared.folders.keeper_socket(&self.name)).await;
        let found = found.and_then(|found| {
            found.into_values().try_for_each(|listener| self.shared.fixed.found(&self.name, listener))
        });
        if let Err(error) = found {
            tracing::warn!(replica = %self.name, %error, "its keeper did not hand out its sockets");
        }
    }

    /// Who serves its calls hears where to find them.
    fn tell_of_calls(&self, record: &Record) {
        if record.calls.is_empty() {
            return;
        }
        let caller = Caller {
            replica: self.name.clone(),
            revision: record.revision.clone(),
            keeper: self.shared.folders.keeper_socket(&self.name),
            callees: record.calls.clone(),
        };
        self.shared.callers.send_modify(|callers| {
            Arc::make_mut(callers).insert(caller.replica.clone(), caller);
        });
    }

    async fn running(&mut self, record: Record) {
        if matches!(*self.life.borrow(), Life::Running(_)) {
            return;
        }
        self.tell_of_calls(&record);
        let target =
            Target { replica: self.name.clone(), address: record.address.clone(), health: record.health.clone() };
        let probing = probe::run(target, record.probes.clone(), self.shared.reporter.clone());
        self.life.send_replace(Life::Running(Arc::new(record)));
        self.report().await;
        self.probes = Some(Probing(tokio::spawn(probing).abort_handle()));
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Signal { signal, action } => {
                // Who is told to die once is not told again: it has a successor by then.
                if signal == Signal::Terminate {
                    self.signal = Some((signal, action));
                }
                self.tell(Ask::Signal { signal, action: action.0 }).await;
            }
            Command::Disturb(disturbance) => {
                self.disturbance = Some(disturbance);
                self.tell(Ask::Disturb(disturbance)).await;
            }
            Command::Stop => {
                self.stop = true;
                self.force_at.get_or_insert(Instant::now() + STOP_TIMEOUT);
                self.tell(Ask::Stop).await;
            }
            Command::Forget => {
                // Only what has ended is forgotten: so it ends first.
                self.forget = true;
                Box::pin(self.obey(Command::Stop)).await;
            }
            Command::Report => self.report().await,
        }
    }

    /// The keeper took too long: it and its program are killed from here.
    async fn force(&mut self) {
        self.answer_by = None;
        self.force_at = Some(Instant::now() + STOP_TIMEOUT);
        tracing::warn!(replica = %self.name, "its keeper does not answer, and is killed");
        let (known, path) = (self.record(), self.shared.folders.record(&self.name));
        let killed = blocking(move || {
            let record = match known {
                Some(record) => Some((*record).clone()),
                None => Record::read(&path)?,
            };
            record.map_or(Ok(Vec::new()), |record| leftovers::kill_launch(&record, KILL_TIMEOUT))
        });
        match killed.await {
            Ok(Ok(left)) if left.is_empty() => {}
            Ok(Ok(left)) => tracing::warn!(replica = %self.name, ?left, "processes survived being killed"),
            Ok(Err(error)) | Err(error) => tracing::warn!(replica = %self.name, %error, "failed to kill a replica"),
        }
    }

    /// Asks the keeper, if it can be reached; who cannot be reached is asked again once it can.
    async fn tell(&mut self, ask: Ask) {
        if let Some(connection) = &mut self.connection
            && let Err(error) = connection.ask(ask).await
        {
            tracing::debug!(replica = %self.name, %error, "a keeper could not be told");
            self.connection = None;
        }
    }

    async fn finish(&mut self, ended: Ended) {
        self.probes = None;
        self.shared.callers.send_if_modified(|callers| {
            callers.contains_key(&self.name) && Arc::make_mut(callers).remove(&self.name).is_some()
        });
        self.shared.folders.remove_own_sockets(&self.name);
        let path = logs::path(self.shared.folders.state(), &self.name);
        let page = blocking(move || logs::last(&path, LINES)).await.and_then(|page| page);
        match page {
            Ok(page) => self.log = page.lines.into_iter().map(|line| line.text).collect(),
            Err(error) => tracing::warn!(replica = %self.name, %error, "failed to read its last log lines"),
        }
        self.life.send_replace(Life::Ended(ended));
        self.report().await;
    }

    /// Says how things are.
    async fn report(&self) {
        let life = match &*self.life.borrow() {
            Life::Starting => return,
            Life::Running(record) => match record.identity() {
                Some(identity) => ReplicaLife::Running { identity, address: record.address.clone() },
                None => return,
            },
            Life::Ended(ended) => ReplicaLife::Exited { exit: ended.exit.clone(), at: ended.at, log: self.log.clone() },
        };
        let observation = Observation::ReplicaChanged { replica: self.name.clone(), life };
        self.shared.reporter.report(observation).await;
    }

    fn record(&self) -> Option<Arc<Record>> {
        match &*self.life.borrow() {
            Life::Running(record) => Some(Arc::clone(record)),
            Life::Starting | Life::Ended(_) => None,
        }
    }
}

fn not_started(why: String) -> Ended {
    Ended { exit: Exit::NotStarted { why }, at: clock::now() }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Runs what waits for the disk or for processes off the event loop.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}

/// Makes the replica's folders, takes its lock and opens its sockets.
fn prepare(shared: &Shared, name: &ReplicaName, settings: &shoal_model::LaunchSettings) -> Result<Prepared, String> {
    let folders = &shared.folders;
    for folder in [folders.replica(name), folders.logs(&name.service)] {
        folders::private(&folder).map_err(|error| error.to_string())?;
    }
    if folders.record(name).exists() {
        return Ok(Prepared::There);
    }
    let path = folders.lock(name);
    let failed = |error: io::Error| format!("failed to lock `{}`: {error}", path.display());
    let until = std::time::Instant::now() + LOCK_TIMEOUT;
    let lock = loop {
        match lock::take(&path).map_err(failed)? {
            Some(lock) => break lock,
            None if std::time::Instant::now() >= until => return Ok(Prepared::There),
            None => std::thread::sleep(RETRY_FIRST),
        }
    };
    let sockets = sockets::open(settings, name, &shared.ports, &shared.fixed, &application(shared), &path)?;
    Ok(Prepared::Fresh(Parts { lock, sockets }))
}

/// The keeper is dead: how its replica ended, after what was left of it has been killed.
fn after_keeper(path: &Path, known: Option<&Record>, name: &ReplicaName, started: bool) -> Ended {
    let record = match Record::read(path) {
        Ok(record) => record.or_else(|| known.cloned()),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "failed to read the record of a replica");
            known.cloned()
        }
    };
    let Some(mut record) = record else {
        return match (fs::exists(path), started) {
            (Ok(true), _) => Ended { exit: Exit::KeeperDied, at: clock::now() },
            (_, true) => not_started(format!(
                "the keeper of {name} ended before it could start it: is the `shoal` program there, and memory free?"
            )),
            (_, false) => {
                not_started(format!("the supervisor ended while it was starting {name}, and nothing of it runs"))
            }
        };
    };
    if let Some(ended) = record.ended {
        return ended;
    }
    match leftovers::kill_launch(&record, KILL_TIMEOUT) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => tracing::warn!(replica = %name, ?left, "processes survived being killed"),
        Err(error) => tracing::warn!(replica = %name, %error, "failed to look for what a replica left behind"),
    }
    let ended = Ended { exit: Exit::KeeperDied, at: clock::now() };
    record.ended = Some(ended.clone());
    // So that the next supervisor reads the same. Without it, it would come to the same by itself.
    if let Err(error) = record.write(path) {
        tracing::warn!(path = %path.display(), %error, "failed to record the end of a replica");
    }
    ended
}
