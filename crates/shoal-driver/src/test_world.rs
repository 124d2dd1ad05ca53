//! For tests: names, targets and observations.

use shoal_model::{
    Exit, LaunchSettings, Listen, Millis, Observation, ProbeCheck, ProbeKind, ProbeOutcome, ProbeSettings, Probes,
    ReplicaIdentity, ReplicaLife, ReplicaName, Replicas, Revision, RevisionId, ServiceName,
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

/// A target of `replicas` copies of a revision.
pub fn target(name: &str, revision: &str, replicas: u32) -> (ServiceName, ServiceTarget) {
    let second = Duration::from_secs(1);
    let probe = ProbeSettings { check: ProbeCheck::Process, period: second, timeout: second, failures_max: 3 };
    let launch = LaunchSettings {
        command: vec!["true".to_owned()],
        folder: "/".into(),
        env: BTreeMap::new(),
        listen: Listen::None,
        sockets: BTreeMap::new(),
        calls: BTreeSet::new(),
        database: None,
        probes: Probes { startup: probe.clone(), readiness: probe.clone(), liveness: probe },
        drain_timeout: second,
    };
    let revision = Revision { id: RevisionId(revision.to_owned()), service: service(name), launch };
    let replicas = Replicas { min: replicas, max: Replicas::MOST, target_concurrency: None };
    (service(name), ServiceTarget::new(revision, replicas, BTreeSet::new()))
}

pub fn running(name: &str) -> Observation {
    let identity = ReplicaIdentity { boot: "boot".to_owned(), pid: 4242, started: 1 };
    let address = Some(shoal_model::Address::Tcp(([127, 0, 0, 1], 4242).into()));
    Observation::ReplicaChanged { replica: replica(name), life: ReplicaLife::Running { identity, address } }
}

pub fn exited(name: &str, code: i32) -> Observation {
    let life = ReplicaLife::Exited { exit: Exit::Code { code }, at: Millis(0), log: Vec::new() };
    Observation::ReplicaChanged { replica: replica(name), life }
}

pub fn ready(name: &str) -> Observation {
    Observation::ProbeFinished { replica: replica(name), kind: ProbeKind::Readiness, outcome: ProbeOutcome::Passed }
}
