//! Ctrl-C: what was started is stopped before the bench ends. Never: ends it in the middle of a turn.

use crate::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// Signals have no other way to reach a loop.
static REQUESTED: AtomicBool = AtomicBool::new(false);

/// Takes SIGINT and SIGTERM over from now on.
pub fn listen() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut interrupt, mut terminate) = {
        let _entered = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let wait = move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        REQUESTED.store(true, Ordering::Relaxed);
        eprintln!("stopping after this turn");
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

/// Fails once the bench was asked to stop.
pub fn check() -> Result<(), Failure> {
    if REQUESTED.load(Ordering::Relaxed) { Err("it was interrupted".into()) } else { Ok(()) }
}
