//! What is accepted, and what is kept of it on disk: the brain's state, and the application that was accepted last.

use serde::{Deserialize, Serialize};
use shoal_discovery::RoutingTable;
use shoal_model::{Application, ServiceName};
use shoal_reconcile::{ServiceTarget, State};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// A target, ready to be accepted.
pub struct Prepared {
    /// What the manifest declares.
    pub application: Application,
    /// What shall run, the gateway included.
    pub services: BTreeMap<ServiceName, ServiceTarget>,
    /// Which requests the gateway takes.
    pub routing: RoutingTable,
    /// Where the gateway takes requests from outside, if anywhere.
    pub public: Option<SocketAddr>,
}

/// The application that was accepted last, with what the machine added to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// What the manifest declared.
    pub application: Application,
    /// Which requests the gateway takes.
    pub routing: RoutingTable,
    /// Where it takes them from outside.
    pub public: Option<SocketAddr>,
}

/// The stored form, written.
#[derive(Serialize)]
pub(crate) struct Kept<'a> {
    /// Counts the changes of this form; the state has a version of its own.
    version: u32,
    state: &'a State,
    accepted: Option<&'a Accepted>,
}

/// The stored form, read: the state as it was written, since its own crate knows its versions.
#[derive(Deserialize)]
pub(crate) struct KeptBefore {
    /// The form's version.
    pub(crate) version: u32,
    /// For [`State::open`].
    pub(crate) state: serde_json::Value,
    /// What was accepted last.
    #[serde(default)]
    pub(crate) accepted: Option<Accepted>,
}

impl<'a> Kept<'a> {
    /// The version that this release writes, and the newest that it reads.
    pub(crate) const VERSION: u32 = 1;

    /// What is to be kept now.
    pub(crate) fn new(state: &'a State, accepted: Option<&'a Accepted>) -> Self {
        Self { version: Self::VERSION, state, accepted }
    }
}
