//! Small applications to test with.

use shoal_model::{
    Address, LaunchSettings, Listen, ProbeCheck, ProbeSettings, Probes, ReplicaIdentity, ReplicaName, Revision,
    RevisionId, ServiceName,
};
use shoal_reconcile::ServiceTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

pub fn replica(name: &str) -> ReplicaName {
    name.parse().unwrap()
}

/// A revision that starts within 5 s, fails after 3 liveness failures, and drains within 10 s.
pub fn revision(name: &str, id: &str) -> Revision {
    let probe = |failures_max, period| ProbeSettings {
        check: ProbeCheck::Process,
        period: Duration::from_millis(period),
        timeout: Duration::from_millis(period),
        failures_max,
    };
    Revision {
        id: RevisionId(id.to_owned()),
        service: service(name),
        launch: LaunchSettings {
            command: vec!["/bin/program".to_owned()],
            folder: "/srv".into(),
            env: BTreeMap::new(),
            listen: Listen::Fd,
            sockets: BTreeMap::new(),
            calls: BTreeSet::new(),
            database: None,
            probes: Probes { startup: probe(50, 100), readiness: probe(1, 1000), liveness: probe(3, 1000) },
            drain_timeout: Duration::from_secs(10),
        },
    }
}

pub fn target(name: &str, id: &str, replicas: u32) -> ServiceTarget {
    ServiceTarget { revision: revision(name, id), replicas, replicas_max: 1000, after: BTreeSet::new() }
}

pub fn identity(replica: &ReplicaName) -> ReplicaIdentity {
    ReplicaIdentity { boot: "b".to_owned(), pid: 1000 + replica.serial as u32, started: replica.serial }
}

pub fn address(replica: &ReplicaName) -> Address {
    Address::Tcp(([127, 0, 0, 1], 9000 + (replica.serial % 50_000) as u16).into())
}
