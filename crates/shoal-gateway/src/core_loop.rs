//! One core of the gateway: a single-threaded event loop that accepts from every listener and serves what it accepted.
//!
//! Never: shares a connection with another core, or keeps using a view that it reported as replaced.

use crate::applied::Applied;
use crate::complaints::Complaints;
use crate::connection;
use crate::gateway::GatewaySettings;
use crate::pool::Pool;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// What the connections of one core share.
pub(crate) struct Core {
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) complaints: Complaints,
    pub(crate) busy: Arc<Busy>,
    current: watch::Sender<Arc<Current>>,
}

/// The view a request is served by. A request holds it until it is on its way to its replica.
pub(crate) struct Current {
    pub(crate) applied: Arc<Applied>,
    /// Its channel closes when nobody holds this view any more.
    _held: mpsc::Sender<()>,
}

/// One listener as one core has it.
pub(crate) struct Listener {
    pub(crate) name: Arc<str>,
    pub(crate) socket: TcpListener,
    /// Shared by the cores: one place per connection.
    pub(crate) places: Arc<Semaphore>,
}

/// What one core is given to run.
pub(crate) struct CoreTask {
    pub(crate) index: usize,
    pub(crate) settings: Arc<GatewaySettings>,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) views: watch::Receiver<Arc<Applied>>,
    pub(crate) applied: mpsc::Sender<(usize, u64)>,
    pub(crate) stop: watch::Receiver<bool>,
}

/// Counts connections and tunnels, and tells when there are none.
#[derive(Default)]
pub(crate) struct Busy {
    count: AtomicUsize,
    changed: Notify,
}

/// One connection or tunnel, until dropped.
pub(crate) struct BusyGuard(Arc<Busy>);

impl Busy {
    pub(crate) fn begin(self: &Arc<Self>) -> BusyGuard {
        self.count.fetch_add(1, Ordering::AcqRel);
        BusyGuard(Arc::clone(self))
    }

    fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    async fn none(&self) {
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
    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.borrow())
    }
}

/// Runs a core until it is told to stop and its connections are done. Returns how many were not when time was up.
pub(crate) async fn run(task: CoreTask, beat: Option<impl Future<Output = ()> + Send + 'static>) -> usize {
    if let Some(beat) = beat {
        tokio::spawn(beat);
    }
    let (held, released) = mpsc::channel(1);
    let first = Arc::new(Current { applied: Arc::new(Applied::default()), _held: held });
    let core = Arc::new(Core {
        settings: Arc::clone(&task.settings),
        pool: Arc::new(Pool::default()),
        complaints: Complaints::default(),
        busy: Arc::new(Busy::default()),
        current: watch::channel(first).0,
    });
    tokio::spawn(apply_views(Arc::clone(&core), task.index, task.views, task.applied, released));
    tokio::spawn(sweep(Arc::clone(&core)));
    let accepting: Vec<_> = task
        .listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(Arc::clone(&core), listener, task.stop.clone())))
        .collect();
    stopped(&mut task.stop.clone()).await;
    for loop_of_one in accepting {
        if let Err(error) = loop_of_one.await {
            tracing::error!("an accept loop failed: {error}");
        }
    }
    match tokio::time::timeout(core.settings.drain_timeout, core.busy.none()).await {
        Ok(()) => 0,
        Err(_) => core.busy.count(),
    }
}

/// Returns when the gateway is told to stop, or is gone.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stopping| *stopping).await.is_err() {
        tracing::debug!("the gateway was dropped");
    }
}

/// Takes over each view, and reports it once no request that started under an older one is still to be sent.
async fn apply_views(
    core: Arc<Core>,
    index: usize,
    mut views: watch::Receiver<Arc<Applied>>,
    applied: mpsc::Sender<(usize, u64)>,
    mut released: mpsc::Receiver<()>,
) {
    loop {
        let next = Arc::clone(&views.borrow_and_update());
        core.pool.keep_only(&next.addresses);
        let serial = next.serial;
        let (held, next_released) = mpsc::channel(1);
        drop(core.current.send_replace(Arc::new(Current { applied: next, _held: held })));
        // Nothing is ever sent: this returns when the last holder of the view before is gone. Bounded, because a
        // request holds its view for no longer than connecting may take.
        while released.recv().await.is_some() {}
        released = next_released;
        if applied.send((index, serial)).await.is_err() || views.changed().await.is_err() {
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

async fn accept(core: Arc<Core>, listener: Listener, mut stop: watch::Receiver<bool>) {
    let mut current = core.current.subscribe();
    // Until its routes and certificate are known, connections wait in the socket's queue.
    tokio::select! {
        () = stopped(&mut stop) => return,
        known = current.wait_for(|current| current.applied.listeners.contains_key(&*listener.name)) => {
            if known.is_err() {
                return;
            }
        }
    }
    loop {
        let accepted = tokio::select! {
            () = stopped(&mut stop) => return,
            accepted = accept_one(&listener, &core) => accepted,
        };
        let Some((stream, peer, place)) = accepted else { continue };
        let busy = core.busy.begin();
        let (core, name, stop) = (Arc::clone(&core), Arc::clone(&listener.name), stop.clone());
        tokio::spawn(async move {
            let _held = (busy, place);
            connection::serve(core, name, stream, peer, stop).await;
        });
    }
}

/// The next connection, once there is a place for it; `None` when accepting failed.
async fn accept_one(
    listener: &Listener,
    core: &Core,
) -> Option<(tokio::net::TcpStream, std::net::SocketAddr, OwnedSemaphorePermit)> {
    let place = match Arc::clone(&listener.places).try_acquire_owned() {
        Ok(place) => place,
        Err(_) => {
            tracing::warn!(
                "the listener `{}` has its {} connections, which is the most; new ones wait until one ends",
                listener.name,
                core.settings.connections_max
            );
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
