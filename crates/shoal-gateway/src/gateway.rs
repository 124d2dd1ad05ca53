//! The gateway as a whole: its threads are started here, and told to stop.

use crate::applied::Applied;
use crate::connection::Door;
use crate::control::{self, ControlTask};
use crate::core_loop::{self, Busy, CoreTask, Listener, Stops};
use shoal_discovery::{Edges, Health, HolderName};
use shoal_model::ServiceName;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};

/// What a gateway needs to know, and its limits.
#[derive(Clone, Debug)]
pub struct GatewaySettings {
    /// The supervisor's discovery socket.
    pub discovery: PathBuf,
    /// Where to answer health questions; nowhere when `None`.
    pub health: Option<PathBuf>,
    /// What it calls itself towards the supervisor.
    pub name: HolderName,
    /// How many event loops serve requests, each on a thread of its own.
    pub cores: usize,
    /// The most connections per listener; more wait in the socket's queue.
    pub connections_max: usize,
    /// How long a request's head, or a TLS handshake, may take; and how long a connection may be idle.
    pub header_timeout: Duration,
    /// How long connecting to a replica may take.
    pub connect_timeout: Duration,
    /// How long an HTTP/2 connection may have no request under way.
    pub http2_idle_timeout: Duration,
    /// The most requests held while no replica can take them, and their bytes in memory.
    pub held_max: u64,
    /// See `held_max`.
    pub held_bytes_max: u64,
    /// How long requests under way may take to finish once the gateway stops.
    pub drain_timeout: Duration,
}

impl GatewaySettings {
    /// The usual limits: one event loop a core, 10,000 connections a listener, 30 s for a head and to drain.
    #[must_use]
    pub fn new(discovery: PathBuf, name: HolderName) -> Self {
        Self {
            discovery,
            health: None,
            name,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            connections_max: 10_000,
            header_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            http2_idle_timeout: Duration::from_secs(300),
            held_max: 10_000,
            held_bytes_max: 64 * 1024 * 1024,
            drain_timeout: Duration::from_secs(30),
        }
    }
}

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// A listening socket cannot be used.
    #[error("the gateway's listener `{name}` cannot be used")]
    Listener {
        /// The socket's name.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The health socket cannot be served.
    #[error("the gateway's health socket `{path}` cannot be served")]
    Health {
        /// Where it was to be.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A thread or its event loop could not be made.
    #[error("a thread of the gateway could not be started")]
    Thread(#[source] io::Error),
}

/// A running gateway. Dropped, it stops by itself, without anyone waiting for it; see [`Gateway::stop`].
#[derive(Debug)]
pub struct Gateway {
    stop: watch::Sender<bool>,
    cores: Vec<JoinHandle<()>>,
    control: JoinHandle<usize>,
}

impl Gateway {
    /// Starts to serve on these sockets, by name; each accepts once its routes are known. Callers' sockets come with
    /// discovery.
    pub fn start(settings: GatewaySettings, listeners: BTreeMap<String, TcpListener>) -> Result<Self, GatewayError> {
        let settings = Arc::new(GatewaySettings { cores: settings.cores.max(1), ..settings });
        let health = settings
            .health
            .clone()
            .map(|path| Health::serve(path.clone()).map_err(|source| GatewayError::Health { path, source }));
        let health = health.transpose()?;
        let (stop, public) = watch::channel(false);
        let (stop_calls, calls) = watch::channel(false);
        let (ended, all) = watch::channel(false);
        let stops = Stops { public, calls, all };
        let (views, view_receiver) = watch::channel(Arc::new(Applied::default()));
        let (busy, busy_calls) = (Arc::new(Busy::default()), Arc::new(Busy::default()));
        let places: BTreeMap<&String, Arc<Semaphore>> =
            listeners.keys().map(|name| (name, Arc::new(Semaphore::new(settings.connections_max)))).collect();

        let (mut cores, mut callers) = (Vec::new(), Vec::new());
        for index in 0..settings.cores {
            let runtime = event_loop()?;
            let (changes, receiver) = mpsc::unbounded_channel();
            callers.push(changes);
            let task = CoreTask {
                settings: Arc::clone(&settings),
                listeners: cloned(&listeners, &places, &busy, &runtime)?,
                callers: receiver,
                views: view_receiver.clone(),
                stops: stops.clone(),
                busy_calls: Arc::clone(&busy_calls),
            };
            let beat = health.as_ref().map(Health::beat);
            let run = move || {
                runtime.block_on(core_loop::run(task, beat));
                runtime.shutdown_background();
            };
            cores.push(thread(format!("core-{index}"), run)?);
        }
        let runtime = event_loop()?;
        let task = ControlTask {
            settings,
            sockets: listeners.keys().cloned().collect(),
            edges: Edges::new(ServiceName::gateway().to_string()),
            health,
            views,
            cores: callers,
            stop: stops.public,
            stop_calls,
            ended,
            busy,
            busy_calls,
        };
        let control = thread("control".to_owned(), move || runtime.block_on(control::run(task)))?;
        Ok(Self { stop, cores, control })
    }

    /// Accepts nothing new, waits until requests under way are done or the drain timeout has passed, and returns how
    /// many connections were cut off. Blocks its thread.
    pub fn stop(self) -> usize {
        self.stop.send_replace(true);
        let unfinished = self.control.join().unwrap_or_else(|_| {
            tracing::error!("the control thread of the gateway had panicked");
            0
        });
        for core in self.cores {
            if core.join().is_err() {
                tracing::error!("a core of the gateway had panicked");
            }
        }
        unfinished
    }
}

fn event_loop() -> Result<Runtime, GatewayError> {
    Builder::new_current_thread().enable_all().build().map_err(GatewayError::Thread)
}

fn thread<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, GatewayError> {
    std::thread::Builder::new().name(name).spawn(run).map_err(GatewayError::Thread)
}

/// The listeners once more, for one core's event loop.
fn cloned(
    listeners: &BTreeMap<String, TcpListener>,
    places: &BTreeMap<&String, Arc<Semaphore>>,
    busy: &Arc<Busy>,
    runtime: &Runtime,
) -> Result<Vec<Listener>, GatewayError> {
    let _entered = runtime.enter();
    let clone = |listener: &TcpListener| {
        let socket = listener.try_clone()?;
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket)
    };
    let named = listeners.iter().zip(places.values()).map(|((name, listener), places)| {
        let socket = clone(listener).map_err(|source| GatewayError::Listener { name: name.clone(), source })?;
        let name: Arc<str> = Arc::from(name.as_str());
        let door = Door::Public(Arc::clone(&name));
        Ok(Listener { name, door, socket, places: Arc::clone(places), busy: Arc::clone(busy) })
    });
    named.collect()
}
