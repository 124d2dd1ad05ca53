//! Revisions: immutable snapshots of a service's program and settings.

use crate::{Database, Listen, Probes, RevisionId, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// An immutable snapshot of a service's program and settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Named after its content.
    pub id: RevisionId,
    /// The service it is a snapshot of.
    pub service: ServiceName,
    /// All that a runtime needs to start a replica of it.
    pub launch: LaunchSettings,
}

/// All that a runtime needs to start a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchSettings {
    /// The program and its arguments; the first is an absolute path or a name found on `PATH`.
    pub command: Vec<String>,
    /// The folder it runs in; absolute.
    pub folder: PathBuf,
    /// Variables of this service, without those that differ per replica.
    pub env: BTreeMap<String, String>,
    /// How it gets its listening socket.
    pub listen: Listen,
    /// Sockets with fixed addresses that are bound and passed, by name, in place of the one on a free port; the
    /// gateway's. Empty for services.
    #[serde(default)]
    pub sockets: BTreeMap<String, std::net::SocketAddr>,
    /// The services it may call.
    pub calls: BTreeSet<ServiceName>,
    /// The database it is given.
    pub database: Option<Database>,
    /// The questions asked of each replica.
    pub probes: Probes,
    /// From the signal to stop until the kill.
    pub drain_timeout: Duration,
}
