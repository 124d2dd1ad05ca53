//! What is published of one service, as lines, and how far everybody has acknowledged it. Knows no holder.

use crate::messages::FromPublisher;
use crate::publisher::ConnectionId;
use shoal_model::{Endpoint, Generation, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is published of one service.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) generation: Generation,
    pub(crate) endpoints: Arc<[Endpoint]>,
    /// The generation that nobody lagged behind when that was last looked at.
    pub(crate) acknowledged: Option<Generation>,
    /// No connection before this one keeps it from rising: so that ten thousand acknowledgements are not ten thousand
    /// times ten thousand looks.
    pub(crate) laggard: ConnectionId,
}

impl Published {
    pub(crate) fn new(generation: Generation, endpoints: Arc<[Endpoint]>, acknowledged: Option<Generation>) -> Self {
        Self { generation, endpoints, acknowledged, laggard: ConnectionId::default() }
    }

    /// The generation that everybody who counts has acknowledged by now, if that has risen. `acknowledged` is what a
    /// connection has; nothing for one that does not count.
    pub(crate) fn rise(
        &mut self,
        watchers: &BTreeSet<ConnectionId>,
        acknowledged: impl Fn(ConnectionId) -> Option<Option<Generation>>,
    ) -> Option<Generation> {
        let lags = |id: &&ConnectionId| acknowledged(**id).is_some_and(|level| level <= self.acknowledged);
        if let Some(id) = watchers.range(self.laggard..).find(lags) {
            self.laggard = *id;
            return None;
        }
        self.laggard = ConnectionId::default();
        let lowest = watchers.iter().filter_map(|id| acknowledged(*id)).min();
        // `None` inside means a holder that has acknowledged nothing yet.
        let generation = lowest.unwrap_or(Some(self.generation));
        if generation > self.acknowledged {
            self.acknowledged = generation;
            return generation;
        }
        None
    }

    /// All of it.
    pub(crate) fn snapshot(&self, service: &ServiceName) -> FromPublisher {
        let (service, endpoints) = (service.clone(), self.endpoints.to_vec());
        FromPublisher::Snapshot { service, generation: self.generation, endpoints }
    }

    /// What has changed since these.
    pub(crate) fn delta(&self, service: &ServiceName, from: Generation, before: &[Endpoint]) -> FromPublisher {
        let (old, new) = (by_replica(before), by_replica(&self.endpoints));
        let added = new.iter().filter(|(replica, endpoint)| old.get(*replica) != Some(endpoint));
        let removed = old.keys().filter(|replica| !new.contains_key(*replica));
        FromPublisher::Delta {
            service: service.clone(),
            from,
            generation: self.generation,
            added: added.map(|(_, endpoint)| (*endpoint).clone()).collect(),
            removed: removed.map(|replica| (*replica).clone()).collect(),
        }
    }
}

fn by_replica(endpoints: &[Endpoint]) -> BTreeMap<&ReplicaName, &Endpoint> {
    endpoints.iter().map(|endpoint| (&endpoint.replica, endpoint)).collect()
}
