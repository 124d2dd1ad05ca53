//! The local proxy's listeners: those of the replicas that call, fetched from their keepers and given to the cores.
//!
//! A caller that discovery names has its keeper asked for its listening sockets, until they are had or the caller is gone.
//! Each socket tells who calls whom, and belongs to one core.
//!
//! Never: takes sockets of a call that was not declared, or closes them before the caller has gone.

use crate::core_loop::{CallersChange, ListenerId};
use crate::destination::Destination;
use shoal_discovery::{Caller, kept};
use shoal_model::{ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// The pause before a keeper that did not answer is asked again, at first and at most.
const RETRY_FIRST: Duration = Duration::from_millis(20);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// Sockets that a keeper handed out.
pub(crate) struct Fetched {
    replica: ReplicaName,
    keeper: PathBuf,
    sockets: BTreeMap<String, TcpListener>,
}

/// The callers that are served.
pub(crate) struct Callers {
    known: BTreeMap<ReplicaName, Known>,
    cores: Vec<mpsc::UnboundedSender<CallersChange>>,
    fetched: mpsc::UnboundedSender<Fetched>,
    listeners_made: u64,
}

struct Known {
    caller: Caller,
    fetching: AbortHandle,
    /// Which core has them.
    listeners: Vec<(usize, ListenerId)>,
}

impl Callers {
    /// Nobody yet. What keepers hand out comes over the second, and is to be given to [`Callers::open`].
    pub(crate) fn new(cores: Vec<mpsc::UnboundedSender<CallersChange>>) -> (Self, mpsc::UnboundedReceiver<Fetched>) {
        let (fetched, receiver) = mpsc::unbounded_channel();
        (Self { known: BTreeMap::new(), cores, fetched, listeners_made: 0 }, receiver)
    }

    /// Serves these from now on, and no others.
    pub(crate) fn follow(&mut self, callers: &BTreeMap<ReplicaName, Caller>) {
        let gone: Vec<ReplicaName> = self
            .known
            .iter()
            .filter(|(replica, known)| callers.get(*replica) != Some(&known.caller))
            .map(|(replica, _)| replica.clone())
            .collect();
        for replica in gone {
            self.close(&replica);
        }
        for (replica, caller) in callers {
            if !self.known.contains_key(replica) {
                let fetching = tokio::spawn(fetch(caller.clone(), self.fetched.clone())).abort_handle();
                let known = Known { caller: caller.clone(), fetching, listeners: Vec::new() };
                self.known.insert(replica.clone(), known);
            }
        }
    }

    /// Gives what was fetched to the cores. `destination`: where a call of a service to another goes.
    pub(crate) fn open(
        &mut self,
        fetched: Fetched,
        mut destination: impl FnMut(&ServiceName, &ServiceName) -> Arc<Destination>,
    ) {
        let Self { known, cores, listeners_made, .. } = self;
        // The caller may have gone meanwhile, or be told of anew.
        let is_wanted = |known: &&mut Known| known.caller.keeper == fetched.keeper && known.listeners.is_empty();
        let Some(known) = known.get_mut(&fetched.replica).filter(is_wanted) else { return };
        let mut sockets = fetched.sockets;
        for callee in &known.caller.callees {
            let Some(socket) = sockets.remove(callee.as_str()) else {
                tracing::warn!("the keeper of {} has no socket for its calls to {callee}", fetched.replica);
                continue;
            };
            *listeners_made += 1;
            let id = ListenerId(*listeners_made);
            // One after the other: the calls of a service's replicas spread over the cores.
            let core = usize::try_from(id.0).unwrap_or(0) % cores.len().max(1);
            let name = Arc::from(format!("{} to {callee}", fetched.replica));
            let destination = destination(&fetched.replica.service, callee);
            let change = CallersChange::Open { id, name, socket, destination };
            // A core that has ended serves nobody any more.
            if cores.get(core).is_some_and(|core| core.send(change).is_ok()) {
                known.listeners.push((core, id));
            }
        }
    }

    fn close(&mut self, replica: &ReplicaName) {
        let Some(known) = self.known.remove(replica) else { return };
        known.fetching.abort();
        for (core, id) in known.listeners {
            if let Some(core) = self.cores.get(core) {
                let _ = core.send(CallersChange::Close { id }); // as above
            }
        }
    }
}

/// Asks a caller's keeper for its sockets until they are had.
async fn fetch(caller: Caller, fetched: mpsc::UnboundedSender<Fetched>) {
    let mut pause = RETRY_FIRST;
    loop {
        match kept::listeners(&caller.keeper).await {
            Ok(sockets) => {
                // Whoever wanted them may have ended.
                let _ = fetched.send(Fetched { replica: caller.replica, keeper: caller.keeper, sockets });
                return;
            }
            Err(error) if pause == RETRY_MOST => {
                tracing::warn!("the sockets for the calls of {} are not to be had: {error}", caller.replica);
            }
            Err(error) => tracing::debug!("the keeper of {} did not answer: {error}", caller.replica),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_MOST);
    }
}
