//! What happens in a process: capture the environment, build the service, serve it, drain, exit. The only place that
//! reads `std::env`. Never: returns to serve again.

use crate::client::Directory;
use crate::frames;
use crate::serve::Listener;
use crate::serve::listen::Listening;
use crate::variables::Variables;
use crate::{Environment, Service, Shutdown, StartError};
use shoal_discovery::{Health, sockets};
use shoal_model::ServiceName;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long heavy work may go on once everything else has stopped.
const HEAVY_MAX: Duration = Duration::from_secs(1);
/// How long the supervisor is given to hear that this process was told to stop.
const LEAVE_MAX: Duration = Duration::from_millis(200);

/// Runs a service until `SIGTERM` or `SIGINT`; for `main`.
///
/// Captures the environment once, starts the health socket, builds the service, listens (on a passed socket, else on
/// `PORT`), and reports ready. When asked to stop it finishes what is in flight, tells the background tasks, and returns;
/// asked a second time it exits at once. One thread runs everything; see [`heavy`](crate::heavy()). Call it before any other
/// thread runs: it takes `LISTEN_FDS` and `LISTEN_PID` out of the environment.
pub fn run<F, Built>(service: F) -> ExitCode
where
    F: FnOnce(Environment) -> Built,
    Built: Future<Output = Result<Service, StartError>>,
{
    let pairs =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let variables = Variables::new(pairs);
    let program = std::env::args_os().next().map(std::path::PathBuf::from);
    let program = program.as_deref().and_then(std::path::Path::file_name);
    let program = program.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let passed = sockets::take_listeners();
    start_log(&variables);
    match run_captured(&variables, passed, &program, service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn start_log(variables: &Variables) {
    let wanted = variables.get("RUST_LOG").unwrap_or("info");
    let (filter, wrong) = match EnvFilter::try_new(wanted) {
        Ok(filter) => (filter, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr);
    // Under Shoal the keeper writes the time of each line.
    let started = if variables.get("SHOAL_REPLICA").is_some() { log.without_time().try_init() } else { log.try_init() };
    if let Err(error) = started {
        tracing::warn!("the log was started before, and stays as it is: {error}");
    }
    if let Some(error) = wrong {
        tracing::warn!("RUST_LOG=`{wanted}` is not understood, so `info` is used: {error}");
    }
}

/// The sockets that were passed, by name, or why they cannot be taken.
type Passed = Result<BTreeMap<String, TcpListener>, String>;

fn run_captured<F, Built>(variables: &Variables, passed: Passed, program: &str, service: F) -> Result<(), StartError>
where
    F: FnOnce(Environment) -> Built,
    Built: Future<Output = Result<Service, StartError>>,
{
    let listening = Listening::decide(variables, passed.map_err(StartError::new)?)?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads((2 * cores).max(4))
        .build()
        .map_err(|error| StartError::new("cannot start the event loop").because(error))?;
    let result = runtime.block_on(live(variables, listening, program, service));
    runtime.shutdown_timeout(HEAVY_MAX);
    result
}

async fn live<F, Built>(
    variables: &Variables,
    listening: Listening,
    program: &str,
    service: F,
) -> Result<(), StartError>
where
    F: FnOnce(Environment) -> Built,
    Built: Future<Output = Result<Service, StartError>>,
{
    let name = service_name(variables, program)?;
    let health = start_health(variables)?;
    let stop = Shutdown::new();
    stop_on_signals(stop.clone())?;
    let directory = Directory::start(variables, &name)?;
    let leaving = tokio::spawn(leave(stop.clone(), Arc::clone(&directory)));
    let environment = Environment::from_variables(variables, name, Arc::clone(&directory))?;
    let built = tokio::select! {
        built = service(environment) => built?,
        () = stop.requested() => return Ok(()),
    };
    directory.declare_crash_points(built.crash_points.clone());
    drop(directory);
    let listener = listening.open()?;
    tracing::info!(address = %listener.local_addr()?, "listening");
    let built = match variables.path("SHOAL_HEALTH") {
        Some(socket) => built.frames(&with_suffix(socket, frames::SOCKET_SUFFIX)),
        None => built,
    };
    let served = built.serve_on(Listener::Tcp(listener), stop, health).await;
    if let Err(error) = leaving.await {
        tracing::debug!(%error, "the supervisor may not have heard that this process stops");
    }
    served?;
    tracing::info!("stopped");
    Ok(())
}

/// `SHOAL_SERVICE`, or the program's name where it is started by hand.
pub(crate) fn service_name(variables: &Variables, program: &str) -> Result<ServiceName, StartError> {
    match variables.get("SHOAL_SERVICE") {
        Some(name) => name.parse().map_err(|why| StartError::new(format!("SHOAL_SERVICE is wrong: {why}"))),
        None => program.replace('_', "-").parse().map_err(|_| {
            StartError::new(format!("`{program}` is no service's name: set SHOAL_SERVICE to one, such as `catalogue`"))
        }),
    }
}

fn start_health(variables: &Variables) -> Result<Option<Health>, StartError> {
    let Some(socket) = variables.path("SHOAL_HEALTH") else {
        return Ok(None);
    };
    let health = Health::serve(socket.clone()).map_err(|error| {
        StartError::new(format!("cannot answer for health at `{}`, as SHOAL_HEALTH says", socket.display()))
            .because(error)
    })?;
    tokio::spawn(health.beat());
    Ok(Some(health))
}

/// Tells the supervisor, at the wish to stop, that another replica should take the place of this one.
async fn leave(stop: Shutdown, directory: Arc<Directory>) {
    stop.requested().await;
    directory.leave(LEAVE_MAX).await;
}

fn with_suffix(path: PathBuf, suffix: &str) -> PathBuf {
    let mut path = path.into_os_string();
    path.push(suffix);
    path.into()
}

fn stop_on_signals(stop: Shutdown) -> Result<(), StartError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        loop {
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            };
            if stop.is_requested() {
                tracing::warn!(signal = name, "asked to stop again: stopping at once");
                std::process::exit(1);
            }
            tracing::info!(signal = name, "stopping");
            stop.request();
        }
    });
    Ok(())
}
