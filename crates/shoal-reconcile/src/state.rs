//! What the brain remembers between two steps, and how it is read back from disk. Never decides anything.

use crate::backoff::Slot;
use crate::faults::Faults;
use crate::routes::Routes;
use serde::{Deserialize, Serialize};
use shoal_model::{
    ActionId, Address, Generation, Millis, ReplicaIdentity, ReplicaName, Revision, RevisionId, ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The target of every service, and every replica there is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    pub(crate) version: u32,
    // Set by `down`: nothing is started any more.
    #[serde(default)]
    pub(crate) stopping: bool,
    pub(crate) next_action: u64,
    // A service that was removed stays here without a target, so that its serials and generations are never reused.
    pub(crate) services: BTreeMap<ServiceName, ServiceState>,
    // What goes wrong on purpose.
    #[serde(default)]
    pub(crate) faults: Faults,
}

/// Why a stored state cannot be used; its `Display` is one sentence with the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenError(String);

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for OpenError {}

impl State {
    /// The version of the stored form that this release writes.
    pub const VERSION: u32 = 1;
    /// The oldest version that this release opens: that of the release before, once there was one.
    pub const VERSION_OLDEST: u32 = 1;

    /// A state without services.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: Self::VERSION,
            stopping: false,
            next_action: 1,
            services: BTreeMap::new(),
            faults: Faults::default(),
        }
    }

    /// Reads a stored state: this version's or the previous release's. Fields it does not know are ignored.
    ///
    /// # Errors
    /// A newer version, one too old, or what is not a state at all.
    pub fn open(stored: serde_json::Value) -> Result<Self, OpenError> {
        let version = stored.get("version").and_then(serde_json::Value::as_u64);
        let Some(version) = version else {
            return Err(OpenError(
                "the stored state has no version, so it was not written by shoal; move `.shoal/state.redb` away to start afresh"
                    .to_owned(),
            ));
        };
        if version > u64::from(Self::VERSION) {
            return Err(OpenError(format!(
                "the stored state has version {version}, written by a newer shoal, and this one reads up to {}; use the newer shoal",
                Self::VERSION
            )));
        }
        if version < u64::from(Self::VERSION_OLDEST) {
            return Err(OpenError(format!(
                "the stored state has version {version}, and this shoal reads {} and later; open it with the release in between first",
                Self::VERSION_OLDEST
            )));
        }
        let mut state: Self = serde_json::from_value(stored).map_err(|error| {
            OpenError(format!(
                "the stored state does not read as version {version} ({error}); move `.shoal/state.redb` away to start afresh"
            ))
        })?;
        state.version = Self::VERSION;
        Ok(state)
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

/// One service: what is wanted of it and what there is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ServiceState {
    // `None` for a service that was removed.
    pub(crate) target: Option<Target>,
    // Of the next replica; the first is 1.
    pub(crate) next_serial: u64,
    // Replicas with a lower serial were started before the last `restart` and are outdated.
    #[serde(default)]
    pub(crate) fresh_from: u64,
    // Whether it was started since it last had nothing running: start order matters only before.
    #[serde(default)]
    pub(crate) has_started: bool,
    // Those of the target and of every replica.
    pub(crate) revisions: BTreeMap<RevisionId, Revision>,
    // By serial.
    pub(crate) replicas: BTreeMap<u64, Replica>,
    // Only those in which a replica of the present revision has crashed.
    #[serde(default)]
    pub(crate) slots: BTreeMap<u32, Slot>,
    pub(crate) routes: Routes,
}

/// What is wanted of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) revision: RevisionId,
    // The manifest's number; a scale holds until this changes.
    pub(crate) replicas_declared: u32,
    pub(crate) replicas_scaled: Option<u32>,
    pub(crate) replicas_max: u32,
    pub(crate) after: BTreeSet<ServiceName>,
}

impl Target {
    pub(crate) fn wanted(&self) -> u32 {
        self.replicas_scaled.unwrap_or(self.replicas_declared)
    }
}

/// One replica, from the decision to start it until it is forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Replica {
    pub(crate) revision: RevisionId,
    pub(crate) phase: Phase,
    // When it entered its phase.
    pub(crate) since: Millis,
    pub(crate) started_at: Millis,
    // The place among its service's replicas whose crashes it adds to; `None` for one we did not start.
    pub(crate) slot: Option<u32>,
    // How often its slot's replica had been replaced after a crash when it started.
    #[serde(default)]
    pub(crate) restarts: u32,
    #[serde(default)]
    pub(crate) was_ready: bool,
    // Known once the runtime saw it run.
    pub(crate) running: Option<Running>,
    // Why it must go, from that decision on.
    pub(crate) ending: Option<Ending>,
    // The generation of its service's routes without it, and when that was published; `None` while published or never.
    pub(crate) left: Option<Left>,
    #[serde(default)]
    pub(crate) issued: Issued,
    // Unknown after a restart, so never stored.
    #[serde(skip)]
    pub(crate) probing: Probing,
    // Set for one that was ready under an earlier supervisor, until this one hears of it or this time has come.
    #[serde(skip)]
    pub(crate) unheard_until: Option<Millis>,
}

/// The process of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Running {
    pub(crate) identity: ReplicaIdentity,
    pub(crate) address: Option<Address>,
    pub(crate) since: Millis,
}

/// When a replica left the routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Left {
    pub(crate) generation: Generation,
    pub(crate) at: Millis,
}

/// The actions on a replica that nothing has confirmed yet. After a restart they go out again under the same ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Issued {
    pub(crate) start: Option<ActionId>,
    pub(crate) signal: Option<ActionId>,
    pub(crate) stop: Option<ActionId>,
    // How many kills were asked for.
    #[serde(default)]
    pub(crate) stops: u32,
    // Whether they must go out again.
    #[serde(default)]
    pub(crate) again: bool,
}

/// What the probes of a replica said lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probing {
    pub(crate) startup_why: Option<String>,
    pub(crate) readiness: Failures,
    pub(crate) liveness: Failures,
}

/// Failures of one probe in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) counted_at: Millis,
    pub(crate) why: Option<String>,
}

/// Where a replica is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum Phase {
    /// Asked for; its startup probe has not passed yet.
    Starting,
    /// Started, and may not receive requests now.
    NotReady,
    /// Receives requests.
    Ready,
    /// Leaves the routes: waits until everyone who holds them has acknowledged this generation.
    Draining {
        /// The generation without it.
        generation: Generation,
    },
    /// Was told to finish and exit.
    Terminating {
        /// When it is killed.
        deadline: Millis,
    },
    /// Is being killed.
    Stopping,
    /// Has ended; what is kept of it is freed once nobody routes to its address any more.
    Exited,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Starting => "starting",
            Self::NotReady => "not ready",
            Self::Ready => "ready",
            Self::Draining { .. } => "draining",
            Self::Terminating { .. } => "terminating",
            Self::Stopping => "stopping",
            Self::Exited => "exited",
        })
    }
}

/// Why a replica must go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "because")]
pub enum Ending {
    /// Fewer are wanted.
    ScaledDown,
    /// A newer one takes its place.
    Replaced,
    /// Its service is no longer in the manifest.
    Removed,
    /// The application stops.
    Down,
    /// Its liveness probe failed too often.
    Unresponsive,
    /// Its startup probe did not pass in time.
    NeverStarted,
    /// It ran, and the state knew nothing of it.
    Leftover,
    /// Somebody else told it to end, and it finishes by itself.
    Leaving,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::reasons::ending_text(self))
    }
}

impl Replica {
    /// Whether it still has, or may have, a process.
    pub(crate) fn is_live(&self) -> bool {
        self.phase != Phase::Exited
    }

    /// Whether it is meant to stay.
    pub(crate) fn stays(&self) -> bool {
        self.is_live() && self.ending.is_none()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// Whether it was ready before this supervisor began, and may have ended since for all that is known.
    pub(crate) fn is_unheard(&self) -> bool {
        self.is_ready() && self.unheard_until.is_some()
    }

    pub(crate) fn enter(&mut self, phase: Phase, now: Millis) {
        self.phase = phase;
        self.since = now;
    }
}

impl ServiceState {
    /// Whether this replica is of the wanted revision and was started since the last `restart`.
    pub(crate) fn is_fresh(&self, serial: u64, replica: &Replica) -> bool {
        serial >= self.fresh_from && self.target.as_ref().is_some_and(|target| target.revision == replica.revision)
    }

    pub(crate) fn wanted(&self) -> u32 {
        self.target.as_ref().map_or(0, Target::wanted)
    }

    pub(crate) fn has_live(&self) -> bool {
        self.replicas.values().any(Replica::is_live)
    }

    pub(crate) fn ready(&self) -> usize {
        self.replicas.values().filter(|replica| replica.is_ready()).count()
    }
}

/// The name of a service's replica.
pub(crate) fn named(service: &ServiceName, serial: u64) -> ReplicaName {
    ReplicaName { service: service.clone(), serial }
}
