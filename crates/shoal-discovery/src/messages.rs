//! The lines of the discovery protocol, one JSON value each; says nothing of when they are sent.
//!
//! A holder opens with `Hello`; the publisher answers `Welcome` or `Refused`. Unknown fields are ignored; a peer accepts
//! its own version and the one before.

use crate::DurationSketch;
use serde::{Deserialize, Serialize};
use shoal_model::{Endpoint, Fault, FaultId, Generation, ReplicaName, RevisionId, Route, ServiceName, Tls};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The protocol's version that this release speaks.
pub const VERSION: u32 = 3;

/// The version from which on there are faults.
pub const VERSION_WITH_FAULTS: u32 = 3;

/// The longest line either side reads, in bytes.
pub const LINE_MAX: usize = 4 * 1024 * 1024;

/// The most services one holder may name in its `Hello`.
pub const WATCHES_MAX: usize = 1000;

/// The most edges one `Report` may carry; a holder with more sends several.
pub const EDGES_PER_REPORT_MAX: usize = 64;

/// The most callers that one line adds or removes, so that it stays within [`LINE_MAX`] even if each calls as many
/// services as it can; more come in further lines.
pub const CALLERS_PER_LINE_MAX: usize = 400;

/// The most faults that one line names.
pub const FAULTS_MAX: usize = 200;

/// The most crash points that one process declares, and the longest name of one in bytes.
pub const CRASH_POINTS_MAX: usize = 200;
/// See [`CRASH_POINTS_MAX`].
pub const CRASH_POINT_LENGTH_MAX: usize = 100;

/// Whether a peer that speaks `version` is understood: this version, or the one before it.
#[must_use]
pub fn accepts(version: u32) -> bool {
    understands(VERSION, version)
}

/// Whether a peer that speaks version `peer` of anything is understood by one that speaks `own`: that one, or the one before.
#[must_use]
pub fn understands(own: u32, peer: u32) -> bool {
    peer == own || (peer > 0 && peer.checked_add(1) == Some(own))
}

/// Who holds routes: a replica's name, such as `catalogue-7` or `gateway-1`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HolderName(pub String);

impl HolderName {
    /// The longest name a publisher takes, in bytes.
    pub const LENGTH_MAX: usize = 100;
}

impl fmt::Display for HolderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which services a holder wants to hear of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Watches {
    /// Every service, and the routing table: the gateway.
    All,
    /// These services: one that calls them.
    Only(BTreeSet<ServiceName>),
}

impl Watches {
    /// Whether a service is among them.
    #[must_use]
    pub fn includes(&self, service: &ServiceName) -> bool {
        match self {
            Self::All => true,
            Self::Only(services) => services.contains(service),
        }
    }
}

/// What a holder says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromHolder {
    /// The first line of every connection.
    Hello {
        /// The version it speaks.
        version: u32,
        /// Who it is.
        holder: HolderName,
        /// What it wants to hear.
        watches: Watches,
    },
    /// It applied this generation: no new request of its goes anywhere that this generation does not list.
    Acknowledge {
        /// Whose endpoints.
        service: ServiceName,
        /// Which state of them.
        generation: Generation,
    },
    /// Its counters, as totals since it started; edges not named are unchanged.
    Report {
        /// At most [`EDGES_PER_REPORT_MAX`].
        edges: Vec<EdgeReport>,
    },
    /// Nothing but that it lives: renews its lease, as every other line does.
    Alive,
    /// It was told to end, and finishes what it has: somebody should take its place. Said once on a connection.
    Leaving,
    /// The names of the places where its process can be made to die. At most [`CRASH_POINTS_MAX`].
    CrashPoints {
        /// All of them; replaces what was said before.
        names: BTreeSet<String>,
    },
    /// It makes the faults of this [`FromPublisher::Faults`] happen from now on, and no others.
    FaultsApplied {
        /// Which.
        change: u64,
    },
    /// Faults happened: how often since the last line of this kind. At most [`FAULTS_MAX`].
    FaultsHappened {
        /// By fault.
        counts: Vec<(FaultId, u64)>,
    },
    /// The only line of a connection that is opened for it, without a hello: its process has reached a crash point, and
    /// dies there if it is [`FromPublisher::Granted`].
    CrashAt {
        /// The version it speaks.
        version: u32,
        /// Who it is.
        holder: HolderName,
        /// Which fault has it die.
        fault: FaultId,
    },
}

/// What the publisher says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromPublisher {
    /// The hello was accepted.
    Welcome {
        /// The version that both will speak.
        version: u32,
        /// How long the publisher waits for a holder it hears nothing from.
        lease: Duration,
        /// How often each side says that it lives.
        heartbeat: Duration,
    },
    /// The gateway's routes; replaces the table before it.
    Routing(RoutingTable),
    /// All endpoints of a service; replaces what was held.
    Snapshot {
        /// Whose.
        service: ServiceName,
        /// Counts the changes.
        generation: Generation,
        /// Sorted by replica; empty when none is ready.
        endpoints: Vec<Endpoint>,
    },
    /// What changed in a service's endpoints.
    Delta {
        /// Whose.
        service: ServiceName,
        /// The generation it applies to.
        from: Generation,
        /// The generation it leads to.
        generation: Generation,
        /// New endpoints, and changed ones (which replace the endpoint of the same replica).
        added: Vec<Endpoint>,
        /// Replicas that take no new request.
        removed: Vec<ReplicaName>,
    },
    /// The replicas whose calls a holder of everything serves, at sockets that their keepers hand out.
    Callers {
        /// Whether this is the first line of its kind on the connection: it replaces what was held.
        is_snapshot: bool,
        /// New ones, and changed ones (which replace the caller of the same name). At most [`CALLERS_PER_LINE_MAX`].
        added: Vec<Caller>,
        /// Those whose processes have ended.
        removed: Vec<ReplicaName>,
        /// Whether another line follows that belongs to the same change: only all of them together are to be applied.
        #[serde(default)]
        continues: bool,
    },
    /// How many requests may be under way at one replica of a service before its callers turn some away; replaces what
    /// was held. Services that are not named have no such limit of their own.
    Concurrency {
        /// By service, those that the holder watches.
        max: BTreeMap<ServiceName, u32>,
    },
    /// What this holder is to make go wrong on purpose; replaces what was held. Comes before any endpoints.
    Faults {
        /// Counts the changes, for the acknowledgement.
        change: u64,
        /// Those that concern this holder, with how often each may still happen. At most [`FAULTS_MAX`].
        faults: Vec<(FaultId, Fault)>,
    },
    /// The process may die at its crash point; it was counted. Answers [`FromHolder::CrashAt`].
    Granted,
    /// Nothing but that it lives.
    Heartbeat,
    /// The holder is not served; the connection ends after this line.
    Refused {
        /// One sentence that says why and what to do.
        why: String,
    },
}

/// A replica that makes calls through listening sockets of its own, one for each service that it may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// Who calls.
    pub replica: ReplicaName,
    /// What it runs.
    pub revision: RevisionId,
    /// The socket of its keeper, which hands out copies of the listening sockets: see [`crate::kept`].
    pub keeper: PathBuf,
    /// Whom it may call: each is the name of one of those sockets.
    pub callees: BTreeSet<ServiceName>,
}

/// The gateway's listeners and where each sends its requests, and what every caller keeps to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoutingTable {
    /// By the name their socket was passed under: `public`.
    pub listeners: BTreeMap<String, ListenerRoutes>,
    /// How many requests may be under way at one replica of a service before its callers turn some away.
    #[serde(default)]
    pub concurrency_max: BTreeMap<ServiceName, u32>,
}

/// What one listener does with its requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerRoutes {
    /// TLS from certificate files; plain HTTP without.
    pub tls: Option<Tls>,
    /// In any order; the gateway takes the most specific.
    pub routes: Vec<Route>,
}

/// The counters of one edge, caller to callee: totals since the reporter started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// The calling service, or `gateway`.
    pub caller: String,
    /// The called service.
    pub callee: ServiceName,
    /// Calls that ended, in any way.
    pub calls: u64,
    /// Calls that failed: transport failures, HTTP 5xx, and the codes unavailable, internal, unknown, data_loss and
    /// deadline_exceeded. A call that its own caller cancelled is none of them.
    pub errors: u64,
    /// Calls under way now; not a total.
    pub in_flight: u64,
    /// How long calls took, without cancelled ones.
    pub durations: DurationSketch,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_next_door_below_are_accepted_and_no_others() {
        assert!(accepts(VERSION));
        assert!(!accepts(VERSION + 1));
        assert!(!accepts(u32::MAX));
        assert!(!accepts(0), "there never was a version 0");
        assert!(understands(3, 2) && !understands(3, 1) && !understands(3, 4));
    }

    #[test]
    fn lines_read_back_and_unknown_fields_are_ignored() {
        let hello = FromHolder::Hello {
            version: 1,
            holder: HolderName("catalogue-7".to_owned()),
            watches: Watches::Only(BTreeSet::from(["payment".parse().unwrap()])),
        };
        let text = serde_json::to_string(&hello).unwrap();
        assert_eq!(text, r#"{"hello":{"version":1,"holder":"catalogue-7","watches":{"only":["payment"]}}}"#);
        assert_eq!(serde_json::from_str::<FromHolder>(&text).unwrap(), hello);
        let newer = r#"{"acknowledge":{"service":"payment","generation":4,"colour":"blue"}}"#;
        assert!(matches!(serde_json::from_str(newer).unwrap(), FromHolder::Acknowledge { .. }));
    }
}
