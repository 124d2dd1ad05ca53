//! Probes: the questions a runtime asks a replica.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a probe decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProbeKind {
    /// Has it started? Until it passes once, the other two are not asked.
    Startup,
    /// May it receive requests now?
    Readiness,
    /// Is it alive? When it fails too often in a row, the replica is replaced.
    Liveness,
}

/// How a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "how")]
pub enum ProbeCheck {
    /// The SDK's health socket: answers readiness, and how long ago the event loop last ticked.
    Sdk {
        /// A tick older than this means that the replica hangs.
        hang_after: Duration,
    },
    /// `GET path` on the replica's address; 2xx and 3xx pass.
    Http {
        /// An absolute path, such as `/health`.
        path: String,
    },
    /// A TCP connection is accepted. Never with [`Listen::Fd`](crate::Listen::Fd), where it would always pass.
    Tcp,
    /// The process runs: always passes. For programs that do not listen.
    Process,
}

/// One probe's question and timing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeSettings {
    /// How it asks.
    pub check: ProbeCheck,
    /// From one question to the next.
    pub period: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Failures in a row that count.
    pub failures_max: u32,
}

/// The three probes of a service. Startup's budget is `period × failures_max`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    /// Asked until it passes once.
    pub startup: ProbeSettings,
    /// Asked from then on; decides whether requests come.
    pub readiness: ProbeSettings,
    /// Asked from then on; decides whether the replica is replaced.
    pub liveness: ProbeSettings,
}
