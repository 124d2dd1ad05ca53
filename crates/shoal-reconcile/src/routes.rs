//! The published endpoints of a service: who is in them, and under which generation. Never waits for anyone;
//! `drain.rs` does.

use crate::state::{Left, Phase, Replica, ServiceState, named};
use crate::step::Outcome;
use serde::{Deserialize, Serialize};
use shoal_model::{ActionKind, Address, Endpoint, Generation, Millis, RevisionId, ServiceName};
use std::collections::BTreeMap;
use std::time::Duration;

/// A full share of requests.
const WEIGHT_FULL: u32 = 100;
/// Nobody holds an old generation longer than this: a lease is three seconds, and the publisher ends it. This is for a
/// publisher that says nothing.
pub(crate) const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(15);

/// What was last published of a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Routes {
    pub(crate) generation: Generation,
    // Nobody lags behind this one.
    pub(crate) acknowledged: Generation,
    // Sorted by serial.
    pub(crate) published: Vec<Published>,
    // The share of each revision's replicas; one without an entry has a full share.
    #[serde(default)]
    pub(crate) weights: BTreeMap<RevisionId, u32>,
    // A publisher that has just started knows nothing.
    #[serde(default)]
    pub(crate) again: bool,
}

/// An endpoint as it was published; the service is its owner's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Published {
    pub(crate) serial: u64,
    pub(crate) address: Address,
    pub(crate) weight: u32,
}

impl Routes {
    fn weight(&self, revision: &RevisionId) -> u32 {
        self.weights.get(revision).copied().unwrap_or(WEIGHT_FULL)
    }

    /// Whether nobody sends requests any more to who left then.
    pub(crate) fn is_behind(&self, left: Option<Left>, now: Millis) -> bool {
        left.is_none_or(|left| self.acknowledged >= left.generation || now >= left.at.after(ACKNOWLEDGED_WITHIN))
    }
}

/// Publishes the service's ready replicas when they are not what was last published.
pub(crate) fn publish(service: &ServiceName, state: &mut ServiceState, outcome: &mut Outcome) {
    // Nobody calls the gateway through routes.
    if *service == ServiceName::gateway() {
        return;
    }
    let unchanged = present(state).eq(state
        .routes
        .published
        .iter()
        .map(|published| (published.serial, &published.address, published.weight)));
    if unchanged && !state.routes.again {
        return;
    }
    let published: Vec<Published> = present(state)
        .map(|(serial, address, weight)| Published { serial, address: address.clone(), weight })
        .collect();
    let before = std::mem::replace(&mut state.routes.published, published);
    let anew = std::mem::take(&mut state.routes.again);
    state.routes.generation = state.routes.generation.next();
    let left = Left { generation: state.routes.generation, at: outcome.now };
    for endpoint in before {
        if let Some(replica) = state.replicas.get_mut(&endpoint.serial)
            && address_to_publish(replica).is_none()
        {
            replica.left = Some(left);
        }
    }
    if anew {
        // Who left under an earlier publisher may have left unheard by some.
        for left_before in state.replicas.values_mut().filter_map(|replica| replica.left.as_mut()) {
            *left_before = left;
        }
    }
    for endpoint in &state.routes.published {
        if let Some(replica) = state.replicas.get_mut(&endpoint.serial) {
            replica.left = None;
        }
    }
    let endpoints = endpoints(service, state);
    let generation = state.routes.generation;
    outcome.act(ActionKind::Publish { service: service.clone(), generation, endpoints });
}

/// Tells each draining replica the generation it waits for, now that it is known.
pub(crate) fn settle_generations(state: &mut ServiceState) {
    for replica in state.replicas.values_mut() {
        if let Phase::Draining { generation } = &mut replica.phase {
            *generation = replica.left.map_or(Generation(0), |left| left.generation);
        }
    }
}

fn address_to_publish(replica: &Replica) -> Option<&Address> {
    let running = replica.running.as_ref().filter(|_| replica.is_ready())?;
    running.address.as_ref()
}

fn present(state: &ServiceState) -> impl Iterator<Item = (u64, &Address, u32)> {
    state.replicas.iter().filter_map(|(serial, replica)| {
        address_to_publish(replica).map(|address| (*serial, address, state.routes.weight(&replica.revision)))
    })
}

/// What was last published of a service.
pub(crate) fn endpoints(service: &ServiceName, state: &ServiceState) -> Vec<Endpoint> {
    let published = state.routes.published.iter();
    published
        .filter_map(|published| {
            Some(Endpoint {
                replica: named(service, published.serial),
                revision: state.replicas.get(&published.serial)?.revision.clone(),
                address: published.address.clone(),
                weight: published.weight,
                identity: None,
            })
        })
        .collect()
}
