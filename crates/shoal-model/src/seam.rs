//! The seam: actions go down to a runtime, observations come up from it.

use crate::{
    Address, Endpoint, FaultId, Generation, Millis, ProbeKind, ReplicaName, Revision, RevisionId, ServiceName,
};
use serde::{Deserialize, Serialize};

/// Numbers an action; a runtime that meets one twice does nothing the second time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ActionId(pub u64);

/// What a runtime is asked to do. Idempotent by `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Given once, ever.
    pub id: ActionId,
    /// What to do.
    pub kind: ActionKind,
}

/// What a runtime is asked to do: with a named replica, or with what callers see of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
pub enum ActionKind {
    /// Start this replica.
    Start {
        /// A name never used before.
        replica: ReplicaName,
        /// What it runs.
        revision: Box<Revision>,
    },
    /// Tell every holder of this service's routes where its ready replicas are.
    Publish {
        /// Whose endpoints.
        service: ServiceName,
        /// Counts the change.
        generation: Generation,
        /// All of them, sorted; empty when none is ready.
        endpoints: Vec<Endpoint>,
    },
    /// Send a signal to the replica's program, if it is still the one that was started.
    Signal {
        /// To whom.
        replica: ReplicaName,
        /// Which.
        signal: Signal,
    },
    /// Make the replica suffer these faults and no others of their kinds. Says all of it each time, so that repeating it does
    /// no harm.
    Disturb {
        /// Which.
        replica: ReplicaName,
        /// What it suffers from now on.
        disturbance: Disturbance,
    },
    /// Kill the replica with everything it started, at once.
    Stop {
        /// Which.
        replica: ReplicaName,
    },
    /// Free what is kept of a replica that has ended: its sockets, port and record. Its log stays.
    Forget {
        /// Which.
        replica: ReplicaName,
    },
}

/// A signal a replica can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// Finish and exit: `SIGTERM`.
    Terminate,
    /// Die at once, as a crash would have it: `SIGKILL`. It is replaced as after any crash.
    Kill,
}

/// The faults of a process that last: see [`FaultKind`](crate::FaultKind).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disturbance {
    /// It stands still.
    #[serde(default)]
    pub is_paused: bool,
    /// It can write to no file.
    #[serde(default)]
    pub is_disk_full: bool,
}

/// What a runtime reports. Level, not edge: repeating or losing one does no harm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "saw")]
pub enum Observation {
    /// The life of a replica as it is now.
    ReplicaChanged {
        /// Whose.
        replica: ReplicaName,
        /// What of it.
        life: ReplicaLife,
    },
    /// A replica answered a probe, or did not.
    ProbeFinished {
        /// Whose.
        replica: ReplicaName,
        /// Which probe.
        kind: ProbeKind,
        /// How it went.
        outcome: ProbeOutcome,
    },
    /// Every holder of a service's routes has acknowledged this generation, or its lease has run out.
    RoutesAcknowledged {
        /// Whose routes.
        service: ServiceName,
        /// The generation that nobody lags behind.
        generation: Generation,
    },
    /// A replica is finishing of its own accord (somebody sent its program `SIGTERM`): it takes nothing new and will exit.
    ReplicaLeaving {
        /// Which.
        replica: ReplicaName,
    },
    /// So often a fault has happened in all, as far as those say who make it happen.
    FaultHappened {
        /// Which fault.
        fault: FaultId,
        /// Since it was added; one that is lower than another before it is old news.
        total: u64,
    },
}

/// The life of a replica, as its runtime sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ReplicaLife {
    /// Its program runs.
    Running {
        /// Which process it is.
        identity: ReplicaIdentity,
        /// Where it listens; `None` for a program that does not.
        address: Option<Address>,
    },
    /// It ended, or never ran.
    Exited {
        /// How.
        exit: Exit,
        /// When.
        at: Millis,
        /// Its last log lines, at most 20, for whoever must find out why.
        log: Vec<String>,
    },
}

/// Which process a replica is; a pid alone can be reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaIdentity {
    /// The boot it runs in: `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
    /// The program's process id.
    pub pid: u32,
    /// The program's start time in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

/// How a replica ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum Exit {
    /// It exited with this status.
    Code {
        /// 0 to 255.
        code: i32,
    },
    /// A signal ended it.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// Its keeper died, and took it along.
    KeeperDied,
    /// It could not be started.
    NotStarted {
        /// One sentence that says why and what to do.
        why: String,
    },
}

/// How a probe went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum ProbeOutcome {
    /// It passed.
    Passed,
    /// It did not.
    Failed {
        /// One sentence: what was asked, and what came back.
        why: String,
    },
}

impl RevisionId {
    /// The id of a revision with this content hash: the first 12 hexadecimal digits.
    #[must_use]
    pub fn from_hash(hexadecimal: &str) -> Self {
        Self(hexadecimal.chars().take(12).collect())
    }
}
