//! One core of the gateway: a single-threaded event loop that accepts from its listeners and serves what it accepted.
//!
//! Every core accepts from each public listener. The listener of a caller belongs to one core: there may be thousands, most
//! of them idle, and what comes in there shares the connections to one callee.
//!
//! Never: shares a connection with another core.

use crate::applied::Applied;
use crate::complaints::Complaints;
use crate::connection::{self, Door};
use crate::destination::Destination;
use crate::gateway::GatewaySettings;
use crate::pool::Pool;
use shoal_balance::Waiting;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::AbortHandle;

/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// How often the log says at most that a listener is full.
const FULL_TOLD_EVERY: Duration = Duration::from_secs(10);

/// What the connections of one core share.
pub(crate) struct Core {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) complaints: Complaints,
    /// The bound of requests that wait for a replica.
    pub(crate) held: Waiting,
    current: watch::Sender<Arc<Applied>>,
}

/// One listener as one core has it.
pub(crate) struct Listener {
    /// For messages.
    pub(crate) name: Arc<str>,
    pub(crate) door: Door,
    pub(crate) socket: TcpListener,
    /// Shared by the cores that accept there: one place per connection.
    pub(crate) places: Arc<Semaphore>,
    /// Counts its connections.
    pub(crate) busy: Arc<Busy>,
}

/// What a core is told of callers' listeners.
pub(crate) enum CallersChange {
    /// Accept there from now on.
    Open { id: ListenerId, name: Arc<str>, socket: std::net::TcpListener, destination: Arc<Destination> },
    /// Accept there no more; what was accepted goes on.
    Close { id: ListenerId },
}

/// Numbers the callers' listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ListenerId(pub(crate) u64);

/// What the gateway is told when it is to end, one after the other.
#[derive(Clone)]
pub(crate) struct Stops {
    /// Nothing new from outside.
    pub(crate) public: watch::Receiver<bool>,
    /// Nothing new from callers either: whoever needed them is answered.
    pub(crate) calls: watch::Receiver<bool>,
    /// The end, whatever is still under way.
    pub(crate) all: watch::Receiver<bool>,
}

/// What one core is given to run.
pub(crate) struct CoreTask {
    pub(crate) settings: Arc<GatewaySettings>,
    /// Those from outside.
    pub(crate) listeners: Vec<Listener>,
    pub(crate) callers: mpsc::UnboundedReceiver<CallersChange>,
    pub(crate) views: watch::Receiver<Arc<Applied>>,
    pub(crate) stops: Stops,
    /// Counts the connections of callers.
    pub(crate) busy_calls: Arc<Busy>,
}

/// Counts connections, and tells when there are none.
#[derive(Default)]
pub(crate) struct Busy {
    count: AtomicUsize,
    changed: Notify,
}

/// One connection, until dropped.
pub(crate) struct BusyGuard(Arc<Busy>);

impl Busy {
    pub(crate) fn begin(self: &Arc<Self>) -> BusyGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        BusyGuard(Arc::clone(self))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Returns when there are none.
    pub(crate) async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count() == 0 {
                return;
            }
            changed.await;
        }
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

impl Core {
    /// The view to serve the next request by.
    pub(crate) fn current(&self) -> Arc<Applied> {
        Arc::clone(&self.current.borrow())
    }
}

/// Runs a core until everything is to end.
pub(crate) async fn run(task: CoreTask, beat: Option<impl Future<Output = ()> + Send + 'static>) {
    if let Some(beat) = beat {
        tokio::spawn(beat);
    }
    let cores = (task.settings.cores as u64).max(1);
    let core = Arc::new(Core {
        settings: Arc::clone(&task.settings),
        pool: Arc::new(Pool::default()),
        complaints: Complaints::default(),
        held: Waiting::new(task.settings.held_max / cores, task.settings.held_bytes_max / cores),
        current: watch::Sender::default(),
    });
    tokio::spawn(apply_views(Arc::clone(&core), task.views));
    tokio::spawn(sweep(Arc::clone(&core)));
    for listener in task.listeners {
        let accepting = listener.busy.begin();
        tokio::spawn(accept(Arc::clone(&core), listener, task.stops.public.clone(), accepting));
    }
    tokio::spawn(accept_calls(Arc::clone(&core), task.callers, task.busy_calls, task.stops.calls));
    stopped(&mut task.stops.all.clone()).await;
}

/// Returns when the gateway is told to stop, or is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopping| *stopping).await.is_err() {
        tracing::debug!("the gateway was dropped");
    }
}

/// Takes over each view. Balancers need no taking over: they are shared, and change at once.
async fn apply_views(core: Arc<Core>, mut views: watch::Receiver<Arc<Applied>>) {
    loop {
        let next = Arc::clone(&views.borrow_and_update());
        core.pool.keep_only(&next.addresses);
        core.current.send_replace(next);
        if views.changed().await.is_err() {
            return;
        }
    }
}

async fn sweep(core: Arc<Core>) {
    let mut interval = tokio::time::interval(SWEEP_EVERY);
    loop {
        interval.tick().await;
        core.pool.sweep();
    }
}

/// Accepts from callers' listeners as they come and go.
async fn accept_calls(
    core: Arc<Core>,
    mut changes: mpsc::UnboundedReceiver<CallersChange>,
    busy: Arc<Busy>,
    stop: watch::Receiver<bool>,
) {
    let mut accepting: BTreeMap<ListenerId, AbortHandle> = BTreeMap::new();
    while let Some(change) = changes.recv().await {
        match change {
            CallersChange::Open { id, name, socket, destination } => {
                // Nobody else accepts there who might mind.
                let socket = match socket.set_nonblocking(true).and_then(|()| TcpListener::from_std(socket)) {
                    Ok(socket) => socket,
                    Err(error) => {
                        tracing::warn!("the calls of {name} cannot be served: {error}");
                        continue;
                    }
                };
                let places = Arc::new(Semaphore::new(core.settings.connections_max));
                let door = Door::Call(destination);
                let listener = Listener { name, door, socket, places, busy: Arc::clone(&busy) };
                let task = tokio::spawn(accept(Arc::clone(&core), listener, stop.clone(), busy.begin()));
                accepting.insert(id, task.abort_handle());
            }
            CallersChange::Close { id } => {
                if let Some(task) = accepting.remove(&id) {
                    task.abort();
                }
            }
        }
    }
}

/// Accepts until told to stop. May be aborted at any time: what was accepted is served by a task of its own. It counts as
/// busy, so that a gateway that stops does not overlook what is accepted at the last moment.
async fn accept(core: Arc<Core>, listener: Listener, mut stop: watch::Receiver<bool>, _accepting: BusyGuard) {
    if let Door::Public(name) = &listener.door {
        let mut current = core.current.subscribe();
        // Until its routes and certificate are known, connections wait in the socket's queue.
        tokio::select! {
            () = stopped(&mut stop) => return,
            known = current.wait_for(|applied| applied.listeners.contains_key(&**name)) => {
                if known.is_err() {
                    return;
                }
            }
        }
    }
    let mut told = Seldom::default();
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = accept_one(&listener, &core, &mut told) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let busy = listener.busy.begin();
        let (core, door, stop) = (Arc::clone(&core), listener.door.clone(), stop.clone());
        tokio::spawn(async move {
            let _held = (busy, place);
            connection::serve(core, door, stream, peer, stop).await;
        });
    }
}

/// The next connection, once there is a place for it; `None` when accepting failed.
async fn accept_one(
    listener: &Listener,
    core: &Core,
    told: &mut Seldom,
) -> Option<(tokio::net::TcpStream, std::net::SocketAddr, OwnedSemaphorePermit)> {
    let place = match Arc::clone(&listener.places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            if told.is_due(Instant::now()) {
                tracing::warn!(
                    "the listener `{}` has its {} connections, which is the most; new ones wait until one ends",
                    listener.name,
                    core.settings.connections_max
                );
            }
            Arc::clone(&listener.places).acquire_owned().await.ok()?
        }
    };
    match listener.socket.accept().await {
        Ok((stream, peer)) => Some((stream, peer, place)),
        Err(error) => {
            tracing::warn!("cannot accept a connection on the listener `{}`: {error}", listener.name);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// When something was last said that may hold for long, and for each connection anew.
#[derive(Default)]
struct Seldom {
    last: Option<Instant>,
}

impl Seldom {
    /// Whether it is to be said again; then it counts as said.
    fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= FULL_TOLD_EVERY);
        if is_due {
            self.last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_for_long_is_said_now_and_then() {
        let (mut told, start) = (Seldom::default(), Instant::now());
        let said = (0..25_000).filter(|passed| told.is_due(start + Duration::from_millis(*passed))).count();
        assert_eq!(said, 3);
    }
}
