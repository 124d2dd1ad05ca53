//! Read access for `status`: what there is, in words and numbers. Never changes anything.

use crate::state::{Ending, Phase, Replica, ServiceState, State, named};
use serde::{Deserialize, Serialize};
use shoal_model::{
    Address, Endpoint, Generation, Millis, ReplicaIdentity, ReplicaName, Revision, RevisionId, ServiceName,
};

/// One service.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceStatus {
    /// Which.
    pub service: ServiceName,
    /// The wanted revision; `None` for a service that is being removed.
    pub revision: Option<RevisionId>,
    /// How many replicas are wanted now.
    pub wanted: u32,
    /// The manifest's number.
    pub declared: u32,
    /// Whether [`State::scale`] changed the number.
    pub is_scaled: bool,
    /// How many replicas of any revision are ready.
    pub ready: usize,
    /// The generation of its endpoints that was last published.
    pub generation: Generation,
    /// Its replicas by serial, also those that leave.
    pub replicas: Vec<ReplicaStatus>,
    /// The last crash that still counts.
    pub last_exit: Option<LastExit>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaStatus {
    /// Which.
    pub replica: ReplicaName,
    /// What it runs.
    pub revision: RevisionId,
    /// Where it is in its life.
    pub phase: Phase,
    /// Since when it is there.
    pub since: Millis,
    /// When it was asked for.
    pub started_at: Millis,
    /// How many replicas before it in its place crashed.
    pub restarts: u32,
    /// Its process, once it was seen running.
    pub identity: Option<ReplicaIdentity>,
    /// Where it listens.
    pub address: Option<Address>,
    /// Why it leaves.
    pub ending: Option<Ending>,
}

/// A crash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastExit {
    /// The serial of the replica.
    pub replica: u64,
    /// How it ended, as the end of a sentence: "exited with code 1".
    pub text: String,
    /// Its last log lines, at most 20.
    pub log: Vec<String>,
    /// When.
    pub at: Millis,
}

impl State {
    /// Every service that is wanted or still has replicas, in the order of names.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceStatus> {
        let shown =
            self.services.iter().filter(|(_, service)| service.target.is_some() || !service.replicas.is_empty());
        shown.map(|(name, service)| service_status(name, service)).collect()
    }

    /// One service; `None` when there is no such service.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<ServiceStatus> {
        let service = self.services.get(name)?;
        (service.target.is_some() || !service.replicas.is_empty()).then(|| service_status(name, service))
    }

    /// One replica, until it is forgotten.
    #[must_use]
    pub fn replica(&self, name: &ReplicaName) -> Option<ReplicaStatus> {
        let replica = self.services.get(&name.service)?.replicas.get(&name.serial)?;
        Some(replica_status(&name.service, name.serial, replica))
    }

    /// What a replica runs; a runtime that adopted it needs its probes.
    #[must_use]
    pub fn revision_of(&self, name: &ReplicaName) -> Option<&Revision> {
        let service = self.services.get(&name.service)?;
        service.revisions.get(&service.replicas.get(&name.serial)?.revision)
    }

    /// Every revision that is wanted or still runs; others' files may be freed.
    pub fn revisions(&self) -> impl Iterator<Item = &Revision> {
        self.services.values().flat_map(|service| service.revisions.values())
    }

    /// What was last published of a service; a publisher that has just started takes these as where holders stand.
    #[must_use]
    pub fn endpoints(&self, name: &ServiceName) -> Option<(Generation, Vec<Endpoint>)> {
        let service = self.services.get(name)?;
        Some((service.routes.generation, crate::routes::endpoints(name, service)))
    }

    /// Whether [`stop`](Self::stop) was asked for.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// Whether everything has stopped, as [`stop`](Self::stop) asked.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopping && self.services.values().all(|service| service.replicas.is_empty())
    }

    /// Whether everything is as wanted: as many ready replicas of the wanted revision as wanted, and no others.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        if self.stopping {
            return self.is_stopped();
        }
        self.services.values().all(|service| {
            let fine = |(serial, replica): (&u64, &Replica)| replica.is_ready() && service.is_fresh(*serial, replica);
            service.replicas.len() == service.wanted() as usize && service.replicas.iter().all(fine)
        })
    }
}

fn service_status(name: &ServiceName, service: &ServiceState) -> ServiceStatus {
    let target = service.target.as_ref();
    let last_exit = service.slots.values().filter_map(|slot| slot.last.as_ref()).max_by_key(|exit| exit.at);
    ServiceStatus {
        service: name.clone(),
        revision: target.map(|target| target.revision.clone()),
        wanted: service.wanted(),
        declared: target.map_or(0, |target| target.replicas_declared),
        is_scaled: target.is_some_and(|target| target.replicas_scaled.is_some()),
        ready: service.ready(),
        generation: service.routes.generation,
        replicas: service.replicas.iter().map(|(serial, replica)| replica_status(name, *serial, replica)).collect(),
        last_exit: last_exit.cloned(),
    }
}

fn replica_status(service: &ServiceName, serial: u64, replica: &Replica) -> ReplicaStatus {
    ReplicaStatus {
        replica: named(service, serial),
        revision: replica.revision.clone(),
        phase: replica.phase,
        since: replica.since,
        started_at: replica.started_at,
        restarts: replica.restarts,
        identity: replica.running.as_ref().map(|running| running.identity.clone()),
        address: replica.running.as_ref().and_then(|running| running.address.clone()),
        ending: replica.ending.clone(),
    }
}
