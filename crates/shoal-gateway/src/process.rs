//! The gateway as a process: environment in, exit code out.

use crate::gateway::{Gateway, GatewaySettings};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use shoal_discovery::{HolderName, sockets};
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// `shoal __gateway`: serves on the sockets it was passed until SIGTERM or SIGINT, then drains. Call it before any
/// thread runs. Reads `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`, `SHOAL_DISCOVERY`, `SHOAL_HEALTH`, `SHOAL_REPLICA`
/// and `RUST_LOG`.
#[must_use]
pub fn main() -> ExitCode {
    // Whoever keeps the log writes the time to each line.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info")))
        .init();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", shoal_model::with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let listeners = sockets::take_listeners()?;
    let discovery =
        env::var_os("SHOAL_DISCOVERY").ok_or("`SHOAL_DISCOVERY` is not set; `shoal up` starts the gateway with it")?;
    let name = env::var("SHOAL_REPLICA").unwrap_or_else(|_| format!("gateway-{}", std::process::id()));
    let mut settings = GatewaySettings::new(PathBuf::from(discovery), HolderName(name));
    settings.health = env::var_os("SHOAL_HEALTH").map(PathBuf::from);
    if let Err(error) = allow_descriptors() {
        tracing::warn!("the limit of open files stays as it is: {error}");
    }
    for (name, listener) in &listeners {
        tracing::info!("listening on {} for `{name}`", listener.local_addr()?);
    }
    let drain = settings.drain_timeout;
    // Before the gateway starts: a signal that comes meanwhile must not end it at once.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let gateway = Gateway::start(settings, listeners)?;
    runtime.block_on(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    tracing::info!("stopping: requests under way have {} s", drain.as_secs());
    let unfinished = gateway.stop();
    if unfinished > 0 {
        tracing::warn!("{unfinished} connections were cut off");
    }
    Ok(())
}

/// Each request holds two descriptors; the usual soft limit of 1024 is there for programs that use `select`.
fn allow_descriptors() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
}
