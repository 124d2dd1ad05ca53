//! Places where a service can be made to die on purpose. Never: dies unless somebody asked for it by `shoal fault`, and the
//! supervisor counted it.

use rustix::process::{Signal, getpid, kill_process};
use shoal_discovery::faults::wall_clock;
use shoal_discovery::{HolderName, may_crash};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What is called at each crash point in a test.
pub(crate) type Hook = Arc<dyn Fn(&str) + Send + Sync>;

/// What is to go wrong on purpose in this process. Cheap to clone.
#[derive(Clone, Default)]
pub struct Faults {
    pub(crate) held: shoal_discovery::Faults,
    pub(crate) supervisor: Option<Supervisor>,
    pub(crate) hook: Option<Hook>,
}

/// Who counts the deaths of this process.
#[derive(Clone, Debug)]
pub(crate) struct Supervisor {
    pub discovery: PathBuf,
    pub holder: HolderName,
}

impl Faults {
    /// A place where `shoal fault add <service> kill --at <name>` kills this process. The names of a service are declared by
    /// [`Service::crash_points`](crate::Service::crash_points). Costs next to nothing when nobody asked for a fault.
    pub fn crash_point(&self, name: &str) {
        if self.held.is_any() || self.hook.is_some() {
            self.reached(name);
        }
    }

    #[cold]
    fn reached(&self, name: &str) {
        if let Some(hook) = &self.hook {
            hook(name);
        }
        let Some(supervisor) = &self.supervisor else { return };
        let Some(hit) = self.held.crash(name, wall_clock(), &mut crate::random::number) else { return };
        match may_crash(&supervisor.discovery, &supervisor.holder, hit.id()) {
            Ok(true) => {
                hit.counted_elsewhere();
                die(name);
            }
            Ok(false) => tracing::debug!(crash_point = name, "the fault that would kill this process here is over"),
            // Nobody would know that it has happened, and it would happen again.
            Err(error) => tracing::warn!(crash_point = name, %error, "not killed on purpose: nobody can be told"),
        }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults").field("is_any", &self.held.is_any()).finish_non_exhaustive()
    }
}

/// Ends the process as a crash does: nothing is flushed, closed or run to its end.
fn die(name: &str) {
    tracing::warn!(crash_point = name, "killed on purpose");
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        tracing::error!(%error, "a process cannot kill itself");
        std::process::abort();
    }
    // The signal is on its way, and nothing may happen before it is here.
    loop {
        std::thread::park();
    }
}
