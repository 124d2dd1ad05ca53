//! The nouns of Shoal, and the seam between its brain and its runtimes.
//!
//! Two halves. The nouns ([`Application`], [`Service`], [`Revision`], [`Replica names`](ReplicaName), [`Route`],
//! [`Endpoint`], probes) are what a manifest declares. The seam ([`Action`] down, [`Observation`] up) is all that
//! passes between the brain and whatever runs replicas; it is data, so any exchange can be printed and replayed.
//!
//! Never: depends on anything but serde; reads a clock, a file or a socket.

mod application;
mod causes;
mod endpoint;
mod fault;
mod limits;
mod names;
mod probe;
mod revision;
mod seam;
mod time;

pub use application::{Application, Database, Gateway, Listen, Replicas, Route, Run, Service, Source, Tls};
pub use causes::with_causes;
pub use endpoint::{Address, Endpoint, Generation};
pub use fault::{Fault, FaultError, FaultId, FaultKind, FaultRate, FaultTarget};
pub use limits::{Limits, Priority};
pub use names::{NameError, ReplicaName, RevisionId, ServiceName};
pub use probe::{ProbeCheck, ProbeKind, ProbeSettings, Probes};
pub use revision::{LaunchSettings, Revision};
pub use seam::{
    Action, ActionId, ActionKind, Disturbance, Exit, Observation, ProbeOutcome, ReplicaIdentity, ReplicaLife, Signal,
};
pub use time::Millis;
