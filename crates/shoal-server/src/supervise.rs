//! The supervisor's life: takes the lock, finds what runs, assembles the parts, drives, and tidies up at the end.

use crate::control::{self, ControlService};
use crate::driver::{self, Driver, Event};
use crate::folders::{FolderError, Folders};
use crate::journal::Journal;
use crate::launch::READY;
use crate::lock::{Lock, LockError};
use crate::{callers, clock, faults, revisions};
use shoal_discovery::{DiscoveryServer, DiscoverySettings};
use shoal_driver::{Core, CoreError, Store, StoreError};
use shoal_model::with_causes;
use shoal_process::{ProcessError, ProcessRuntime, ProcessSettings};
use shoal_sdk::Shutdown;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Events that wait for the driver; what sends them waits when it is full.
const EVENTS_MAX: usize = 4096;

/// How long the last answers may take at the end.
const ANSWERS_MAX: Duration = Duration::from_secs(2);

/// Why a supervisor could not start.
#[derive(Debug, thiserror::Error)]
enum SuperviseError {
    #[error("`__supervise` needs the folder of an application")]
    NoFolder,
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Core(#[from] CoreError),
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error("{what}")]
    Io { what: String, source: io::Error },
}

impl SuperviseError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// `shoal __supervise FOLDER`: supervises until everything is stopped. Says on standard output whether it started.
#[must_use]
pub fn supervise(words: &[OsString]) -> ExitCode {
    tracing_subscriber::fmt().with_writer(io::stderr).with_ansi(false).with_env_filter(log_filter()).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(words)),
        Err(error) => Err(SuperviseError::io("this machine would not start an event loop")(error)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let sentence = with_causes(&error);
            tracing::error!("{sentence}");
            say(&sentence);
            ExitCode::FAILURE
        }
    }
}

fn log_filter() -> tracing_subscriber::EnvFilter {
    tracing_subscriber::EnvFilter::try_from_env("SHOAL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"))
}

async fn run(words: &[OsString]) -> Result<(), SuperviseError> {
    detach()?;
    let folder = words.first().ok_or(SuperviseError::NoFolder)?;
    let base = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|base| base.is_absolute());
    let folders = Folders::of(Path::new(folder), base.as_deref())?;
    folders.make()?;
    // Never given back: who waits for it waits for the end of this process, and not only of its work.
    Box::leak(Box::new(Lock::take(&folders.lock())?));
    let core = Core::open(Store::open(&folders.state.join("state.redb"))?)?;
    let (events, driver_events) = mpsc::channel(EVENTS_MAX);
    let (driver, shoal) = assemble(&folders, core, &events).await?;
    let runtime = driver.runtime.clone();
    let journal = driver.journal.clone();
    let shutdown = Shutdown::new();
    let control = ControlService::new(folders.clone(), shoal, events, &driver, shutdown.clone());
    let listener = bind(&folders.control_socket())?;
    let serving = tokio::spawn(control::serve(listener, control, shutdown.clone()));
    say(READY);
    tracing::info!(folder = %folders.application.display(), "supervising");
    let core = driver.run(driver_events).await;
    runtime.end_all().await?;
    if let Err(error) = driver::locked(&core).close() {
        tracing::warn!("{}", with_causes(&error));
    }
    tracing::info!("everything is stopped");
    journal.note(clock::now(), "stopped", "Everything is stopped");
    shutdown.request();
    // The last answers are on their way to whoever asked for the end.
    if tokio::time::timeout(ANSWERS_MAX, serving).await.is_err() {
        tracing::warn!("somebody was still waiting for an answer");
    }
    std::fs::remove_dir_all(&folders.runtime).map_err(SuperviseError::io("the runtime folder could not be removed"))
}

/// A session of its own, so that no terminal's end or Ctrl-C reaches it; and no folder kept from being unmounted.
fn detach() -> Result<(), SuperviseError> {
    rustix::process::setsid().map_err(|error| SuperviseError::io("a new session was refused")(error.into()))?;
    std::env::set_current_dir("/").map_err(SuperviseError::io("the root folder cannot be entered"))
}

/// Puts the parts together around what an earlier supervisor left running.
async fn assemble(
    folders: &Folders,
    mut core: Core,
    events: &mpsc::Sender<Event>,
) -> Result<(Driver, PathBuf), SuperviseError> {
    let executable = std::env::current_exe().map_err(SuperviseError::io("this program cannot find itself"))?;
    let shoal = revisions::keep_shoal(folders, &executable)
        .map_err(SuperviseError::io("this program cannot be copied to .shoal/bin"))?;
    let settings = ProcessSettings {
        runtime: folders.runtime.clone(),
        state: folders.state.clone(),
        shoal: shoal.clone(),
        ports: folders.ports.clone(),
    };
    let (observations, observed) = mpsc::channel(EVENTS_MAX);
    tokio::spawn(forward(observed, events.clone()));
    let runtime = ProcessRuntime::start(settings, observations.clone()).await?;
    let found: BTreeSet<_> = runtime.adopt().await?.into_iter().collect();
    let now = clock::now();
    for reason in core.adopted(&found, now) {
        tracing::info!(?reason, "not found again");
    }
    let settings =
        DiscoverySettings { holders_before: !found.is_empty(), keeps_counts: true, ..DiscoverySettings::default() };
    let discovery = DiscoveryServer::start_with(settings, bind(&folders.discovery_socket())?, observations);
    let discovery = Arc::new(discovery);
    tokio::spawn(callers::tell(runtime.callers(), Arc::clone(&discovery)));
    if let Some(accepted) = core.accepted() {
        discovery.set_routing(accepted.routing.clone());
    }
    discovery.set_faults(core.state().faults().into_iter().map(faults::published).collect());
    let journal = Journal::default();
    if !found.is_empty() {
        journal.note(now, "adopted", format!("Found {} replicas that were left running", found.len()));
    }
    Ok((Driver { core: Arc::new(Mutex::new(core)), runtime, discovery, journal }, shoal))
}

async fn forward(mut observed: mpsc::Receiver<shoal_model::Observation>, events: mpsc::Sender<Event>) {
    while let Some(observation) = observed.recv().await {
        if events.send(Event::Observed(observation)).await.is_err() {
            break; // the driver has ended
        }
    }
}

/// Binds a socket where an earlier supervisor may have left one; the lock says that none listens there now.
fn bind(path: &Path) -> Result<UnixListener, SuperviseError> {
    let failed = || SuperviseError::io(format!("the socket {} cannot be made", path.display()));
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed()(error)),
        _ => UnixListener::bind(path).map_err(failed()),
    }
}

/// One line to whoever started us, and no more: the pipe closes behind it.
fn say(sentence: &str) {
    let mut stdout = io::stdout();
    // Whoever started us may be gone; the log has it too.
    let _ = writeln!(stdout, "{sentence}").and_then(|()| stdout.flush());
    if let Ok(null) = std::fs::File::open("/dev/null")
        && let Err(error) = rustix::stdio::dup2_stdout(null)
    {
        tracing::warn!("standard output stays open: {error}");
    }
}
