//! Faults on purpose: what somebody asked to go wrong, where, how often, and until when. Data only; who makes them happen
//! is said at each kind.

use crate::{Millis, ReplicaName, ServiceName};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// Numbers the faults of an application; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub u64);

/// Something that goes wrong on purpose, from when it is added until it is removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Fault {
    /// Whom it hits.
    pub target: FaultTarget,
    /// What goes wrong.
    pub kind: FaultKind,
    /// Which share of the calls it hits; always all for what is not about calls.
    #[serde(default)]
    pub rate: FaultRate,
    /// Only calls of this method: the last part of the path, such as `Capture`; any when absent.
    #[serde(default)]
    pub method: Option<String>,
    /// How often it may still happen; without a bound when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// When it goes away by itself; never when absent.
    #[serde(default)]
    pub until: Option<Millis>,
}

impl Fault {
    /// Whether it happens where calls are made, as against to a process.
    #[must_use]
    pub fn is_about_calls(&self) -> bool {
        self.kind.is_about_calls()
    }
}

/// Whom a fault hits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultTarget {
    /// Calls of `callee` made by any replica of `caller`. The gateway, as the one who brings requests from outside, is the
    /// caller `gateway`.
    Call {
        /// Who calls.
        caller: ServiceName,
        /// Who is called.
        callee: ServiceName,
    },
    /// Every replica of a service, and every call of it.
    Service(ServiceName),
    /// One replica, and every call that is sent to it.
    Replica(ReplicaName),
}

impl FaultTarget {
    /// The service that suffers it: the callee, where it is about a call.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        match self {
            Self::Call { callee, .. } => callee,
            Self::Service(service) => service,
            Self::Replica(replica) => &replica.service,
        }
    }
}

impl fmt::Display for FaultTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call { caller, callee } => write!(f, "{caller}->{callee}"),
            Self::Service(service) => write!(f, "{service}"),
            Self::Replica(replica) => write!(f, "{replica}"),
        }
    }
}

/// What goes wrong. The first four happen to calls, where they are made: in the SDK's client and in the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The request is sent only after this time, which counts toward its deadline.
    Delay(Duration),
    /// The callee never hears of the request; the caller gets this error, as if the callee had answered it.
    Error(FaultError),
    /// The callee does what it was asked, but its answer is lost: the caller sees a broken connection.
    LostAnswer,
    /// The callee gets the same request twice, one after the other; the caller gets the second answer.
    Duplicate,
    /// The process stands still (SIGSTOP) until the fault goes away (SIGCONT).
    Pause,
    /// The process dies (SIGKILL): at once, or when it reaches the crash point of this name.
    Kill {
        /// A crash point that the program names by the SDK.
        #[serde(default)]
        at: Option<String>,
    },
    /// The process can write to no file any more, as on a full disk: the kernel refuses (`RLIMIT_FSIZE`).
    DiskFull,
}

impl FaultKind {
    /// Whether it happens where calls are made, as against to a process.
    #[must_use]
    pub fn is_about_calls(&self) -> bool {
        matches!(self, Self::Delay(_) | Self::Error(_) | Self::LostAnswer | Self::Duplicate)
    }

    /// Whether the programs that it concerns make it happen, and so must be told of it.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.is_about_calls() || matches!(self, Self::Kill { at: Some(_) })
    }

    /// Its word, as it is written on a command line.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Delay(_) => "delay",
            Self::Error(_) => "error",
            Self::LostAnswer => "lost-answer",
            Self::Duplicate => "duplicate",
            Self::Pause => "pause",
            Self::Kill { .. } => "kill",
            Self::DiskFull => "disk-full",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        match self {
            Self::Delay(span) => write!(f, " {} ms", span.as_millis()),
            Self::Error(error) => write!(f, " {error}"),
            Self::Kill { at: Some(point) } => write!(f, " at {point}"),
            _ => Ok(()),
        }
    }
}

/// The error of [`FaultKind::Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultError {
    /// `unavailable`, HTTP 503.
    Unavailable,
    /// `internal`, HTTP 500.
    Internal,
    /// `resource_exhausted`, HTTP 429.
    ResourceExhausted,
    /// `deadline_exceeded`, HTTP 504.
    DeadlineExceeded,
}

impl FaultError {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Unavailable, Self::Internal, Self::ResourceExhausted, Self::DeadlineExceeded];

    /// Its word, as it is written on a command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unavailable => "unavailable",
            Self::Internal => "internal",
            Self::ResourceExhausted => "resource-exhausted",
            Self::DeadlineExceeded => "deadline-exceeded",
        }
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A share of calls in parts per million; 1 to 1,000,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultRate(pub u32);

impl FaultRate {
    /// Every call.
    pub const ALWAYS: Self = Self(1_000_000);

    /// A share as a fraction, rounded to the next part per million; `None` unless it is above 0 and at most 1.
    #[must_use]
    pub fn of(share: f64) -> Option<Self> {
        if !(share > 0.0 && share <= 1.0) {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to a million")]
        let parts = (share * 1e6).round() as u32;
        Some(Self(parts.max(1)))
    }

    /// As a fraction of 1.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1e6
    }

    /// Whether a call is hit, for a number drawn evenly from all.
    #[must_use]
    pub fn hits(self, random: u64) -> bool {
        random % 1_000_000 < u64::from(self.0)
    }
}

impl Default for FaultRate {
    fn default() -> Self {
        Self::ALWAYS
    }
}
