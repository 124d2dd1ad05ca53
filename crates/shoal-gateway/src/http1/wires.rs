//! HTTP/1.1 connections to replicas, one pool a core: those that are idle now, to be used again.
//!
//! Never: keeps a connection to an address that left the view, or one on which something came that nobody asked for.

use super::wire::Wire;
use crate::pool::{IDLE_MAX, IDLE_PER_ADDRESS_MAX, Stream, connected};
use shoal_model::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

/// A connection to a replica.
pub(super) type Replica = Wire<Stream>;

/// The idle connections of one core.
#[derive(Default)]
pub(crate) struct Wires {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    addresses: BTreeSet<Address>,
    idle: BTreeMap<Address, Vec<Idle>>,
}

struct Idle {
    wire: Replica,
    since: Instant,
}

impl Idle {
    /// Whether nothing has come on it, not even its end.
    fn is_quiet(&mut self) -> bool {
        self.wire.poll_fill(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

impl Wires {
    /// An idle connection that has been so for less than `idle_max`.
    pub(super) fn take(&self, address: &Address, idle_max: Duration, now: Instant) -> Option<Replica> {
        let mut inner = self.inner();
        let idle = inner.idle.get_mut(address)?;
        // The last one given back is the one least likely to be closed by now.
        while let Some(mut kept) = idle.pop() {
            if now.saturating_duration_since(kept.since) >= idle_max {
                // Those before it are older still.
                idle.push(kept);
                return None;
            }
            if kept.is_quiet() {
                return Some(kept.wire);
            }
        }
        None
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(super) fn give_back(&self, address: &Address, wire: Replica, now: Instant) {
        let mut inner = self.inner();
        if !inner.addresses.contains(address) {
            return;
        }
        if let Some(idle) = inner.idle.get_mut(address) {
            if idle.len() < IDLE_PER_ADDRESS_MAX {
                idle.push(Idle { wire, since: now });
            }
            return;
        }
        inner.idle.insert(address.clone(), vec![Idle { wire, since: now }]);
    }

    /// Lets go of connections to any other address.
    pub(crate) fn keep_only(&self, addresses: &BTreeSet<Address>) {
        let mut inner = self.inner();
        inner.idle.retain(|address, _| addresses.contains(address));
        inner.addresses.clone_from(addresses);
    }

    /// Lets go of connections that were closed, or idle for long. Called every second or so.
    pub(crate) fn sweep(&self) {
        let mut inner = self.inner();
        for idle in inner.idle.values_mut() {
            idle.retain_mut(|kept| kept.since.elapsed() < IDLE_MAX && kept.is_quiet());
        }
        inner.idle.retain(|_, idle| !idle.is_empty());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new connection. `Err` says what the replica did.
pub(super) async fn connect(address: &Address, timeout: Duration) -> Result<Replica, String> {
    Ok(Wire::new(connected(address, timeout).await?))
}
