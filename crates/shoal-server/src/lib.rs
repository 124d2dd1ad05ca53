//! The supervisor: assembles the parts, drives the brain, answers the control API.
//!
//! [`supervise`] is the process; [`start`] makes one and [`connect`] speaks to it. Inside, everything goes one way: a wish
//! comes in at `control`, the `driver` hands it to the [`Core`], which has the brain decide and commits, and then acts;
//! observations come back to the driver. The simulation puts its own runtime, disk and clock around the same [`Core`].
//! `prepare` turns a manifest into a target, and `status` puts together what is.
//!
//! Never: decides what should run; that is shoal-reconcile's.

mod callers;
mod cargo_build;
mod client;
mod clock;
mod contract_methods;
mod control;
mod databases;
mod digests;
mod driver;
mod faults;
mod folders;
mod journal;
mod launch;
mod lock;
mod log_reader;
mod machine;
mod prepare;
mod revisions;
mod samples;
mod status;
mod supervise;
mod tale;
mod target;

shoal_sdk::include_contracts!();

/// The client's side of the control API.
mod calls {
    shoal_sdk::include_calls!();
}

/// The messages of the control API, and the trait that its client implements.
pub mod api {
    pub use crate::calls::Control as ControlClient;
    pub use crate::shoal::control::v1::*;
}

pub use client::{ConnectError, connect, until_ended};
pub use contract_methods::{ContractError, methods};
pub use folders::{FolderError, Folders, find_application};
pub use launch::{StartError, has_leftovers, start};
pub use prepare::read_manifest;
pub use supervise::supervise;

#[cfg(test)]
mod test_world;

#[cfg(test)]
fn test_launch() -> shoal_model::LaunchSettings {
    let probe = shoal_model::ProbeSettings {
        check: shoal_model::ProbeCheck::Process,
        period: std::time::Duration::from_secs(1),
        timeout: std::time::Duration::from_secs(1),
        failures_max: 3,
    };
    shoal_model::LaunchSettings {
        command: vec!["true".to_owned()],
        folder: "/".into(),
        env: std::collections::BTreeMap::new(),
        listen: shoal_model::Listen::None,
        sockets: std::collections::BTreeMap::new(),
        calls: std::collections::BTreeSet::new(),
        database: None,
        probes: shoal_model::Probes { startup: probe.clone(), readiness: probe.clone(), liveness: probe },
        drain_timeout: std::time::Duration::from_secs(1),
    }
}
