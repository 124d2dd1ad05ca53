//! For tests: an application whose replicas are moved by hand, through the real brain.

use shoal_model::{
    Exit, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaIdentity, ReplicaLife, ReplicaName, Replicas, Revision,
    RevisionId, ServiceName,
};
use shoal_reconcile::{ServiceTarget, State, step};
use std::collections::{BTreeMap, BTreeSet};

/// A service's name.
pub fn service(name: &str) -> ServiceName {
    name.parse().unwrap()
}

/// A replica's name.
pub fn replica(name: &str) -> ReplicaName {
    name.parse().unwrap()
}

/// A target of `replicas` copies of a revision.
pub fn target(name: &str, revision: &str, replicas: u32) -> (ServiceName, ServiceTarget) {
    let launch = crate::test_launch();
    let revision = Revision { id: RevisionId(revision.to_owned()), service: service(name), launch };
    let replicas = Replicas { min: replicas, max: Replicas::MOST, target_concurrency: None };
    (service(name), ServiceTarget::new(revision, replicas, BTreeSet::new()))
}

/// A state without services at the time 0.
pub struct World {
    pub state: State,
    pub now: Millis,
}

impl World {
    pub fn new<const N: usize>(targets: [(ServiceName, ServiceTarget); N]) -> Self {
        let mut world = Self { state: State::new(), now: Millis(1_000) };
        world.state.set_target(BTreeMap::from(targets), world.now);
        world
    }

    /// Lets a second pass and the brain see these.
    pub fn see(&mut self, observations: &[Observation]) {
        self.now = Millis(self.now.0 + 1_000);
        self.state = step(self.state.clone(), observations, self.now).state;
    }

    /// Starts whatever is asked for, until it is ready.
    pub fn make_ready(&mut self, names: &[&str]) {
        self.see(&[]);
        self.see(&names.iter().map(|name| running(name)).collect::<Vec<_>>());
        let passed = |name: &&str| [probed(name, ProbeKind::Startup, true), probed(name, ProbeKind::Readiness, true)];
        self.see(&names.iter().flat_map(passed).collect::<Vec<_>>());
    }

    /// Everybody acknowledges the routes as they are.
    pub fn acknowledge(&mut self) {
        let known = self.state.services();
        let acknowledged = known
            .into_iter()
            .map(|known| Observation::RoutesAcknowledged { service: known.service, generation: known.generation });
        self.see(&acknowledged.collect::<Vec<_>>());
    }
}

pub fn running(name: &str) -> Observation {
    let identity = ReplicaIdentity { boot: "boot".to_owned(), pid: 4242, started: 1 };
    let address = Some(shoal_model::Address::Tcp(([127, 0, 0, 1], 4242).into()));
    Observation::ReplicaChanged { replica: replica(name), life: ReplicaLife::Running { identity, address } }
}

pub fn exited(name: &str, code: i32) -> Observation {
    let log = vec!["cannot find my keys".to_owned()];
    let life = ReplicaLife::Exited { exit: Exit::Code { code }, at: Millis(0), log };
    Observation::ReplicaChanged { replica: replica(name), life }
}

pub fn probed(name: &str, kind: ProbeKind, passed: bool) -> Observation {
    let failed = || ProbeOutcome::Failed { why: "refused".to_owned() };
    let outcome = if passed { ProbeOutcome::Passed } else { failed() };
    Observation::ProbeFinished { replica: replica(name), kind, outcome }
}
