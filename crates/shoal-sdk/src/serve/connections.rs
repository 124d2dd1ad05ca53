//! Accepts connections, serves HTTP/1.1 and HTTP/2 on each, and drains them in the end. Never: looks into a request.

use super::Answerer;
use crate::frames;
use crate::service::{Condition, Service};
use crate::wire::panic_text;
use crate::{Shutdown, StartError};
use http::HeaderValue;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use shoal_discovery::Health;
use shoal_model::Address;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How long requests and background tasks may take to finish once the shutdown is requested.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long connections may take to close once their requests are finished.
const CLOSE_MAX: Duration = Duration::from_secs(1);
/// How long requests that are already on their way are still read once the socket is closed; what is sent later on a
/// connection that is kept alive may find it closed.
const LAST_READ: Duration = Duration::from_millis(20);
/// How long a client may take to send a request's head over HTTP/1.1, also the next one on a connection that is kept alive; longer
/// than proxies keep idle connections, so that they close first and never find one closed.
const HEAD_MAX: Duration = Duration::from_secs(120);
/// How often an HTTP/2 connection is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// The most connections at once; the next ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 10_000;
/// The most requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 1_000;
/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The pause between two looks at what a service waits for.
const READY_PAUSE: Duration = Duration::from_millis(200);

/// Where connections come from.
pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Where connections come from, and what tells how things stand.
pub(crate) struct Ways {
    pub listener: Listener,
    /// For callers that know frames.
    pub frames: Option<frames::Listening>,
    pub health: Option<Health>,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    fn tcp(stream: TcpStream) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot send without delay");
        }
        Self::Tcp(stream)
    }

    /// What a caller offers that knows frames, and reached this connection without a proxy in between.
    fn offer(&self) -> Option<HeaderValue> {
        let address = match self {
            Self::Tcp(stream) => Address::Tcp(stream.local_addr().ok()?),
            Self::Unix(stream) => Address::Unix(stream.local_addr().ok()?.as_pathname()?.to_owned()),
        };
        frames::offer(&address)
    }
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Tcp(listener) => Ok(Stream::tcp(listener.accept().await?.0)),
            Self::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }

    /// Closes the socket, so that the kernel refuses further connections. Those that it has accepted already, and that
    /// would be reset with whatever was sent on them, are returned.
    fn close(self) -> io::Result<Vec<Stream>> {
        let mut waiting = Vec::new();
        // Asked of the kernel itself: what the event loop knows may be out of date. Non-blocking, so this ends.
        match self {
            Self::Tcp(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::tcp(TcpStream::from_std(stream)?));
                }
            }
            Self::Unix(listener) => {
                let listener = listener.into_std()?;
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    waiting.push(Stream::Unix(UnixStream::from_std(stream)?));
                }
            }
        }
        Ok(waiting)
    }
}

/// Serves until the shutdown is requested, then drains.
pub(crate) async fn serve(service: Service, ways: Ways, shutdown: Shutdown) -> Result<(), StartError> {
    let Ways { listener, frames, health } = ways;
    let mut answerer = Answerer::new(&service.servers, service.pages)?;
    answerer.invite(frames.as_ref().and_then(frames::Listening::invitation));
    // Ends with this function at the latest.
    let mut framed = JoinSet::new();
    if let Some(frames) = frames {
        let methods = Arc::clone(answerer.methods());
        framed.spawn(frames.serve(methods, answerer.in_flight().clone(), shutdown.clone()));
    }
    let mut background = JoinSet::new();
    for (name, task) in service.background {
        let task = task(shutdown.clone());
        background.spawn(async move {
            task.await;
            name
        });
    }
    let becoming_ready = tokio::spawn(become_ready(service.ready_when, health.clone()));
    let graceful = GracefulShutdown::new();
    let failed = tokio::select! {
        () = accept_all(&listener, &answerer, &graceful) => None,
        () = shutdown.requested() => None,
        panic = a_panic(&mut background) => Some(panic),
    };
    becoming_ready.abort();
    if let Some(health) = &health {
        health.set_ready(false);
    }
    shutdown.request();
    match listener.close() {
        Ok(waiting) => waiting.into_iter().for_each(|stream| {
            tokio::spawn(connection(stream, answerer.clone(), graceful.watcher()));
        }),
        Err(error) => tracing::warn!(%error, "connections may have been reset while the socket was closed"),
    }
    tokio::time::sleep(LAST_READ).await;
    let drained = drain(&answerer, graceful, framed, &mut background).await;
    match failed.map_or(drained, Err) {
        Ok(()) => Ok(()),
        Err(panic) => Err(StartError::new(format!("a background task panicked: {panic}"))),
    }
}

async fn become_ready(condition: Option<Condition>, health: Option<Health>) {
    if let Some(condition) = condition {
        let mut said = String::new();
        while let Err(waiting_for) = condition().await {
            if waiting_for != said {
                tracing::info!("waiting for {waiting_for}");
            }
            if let Some(health) = &health {
                health.set_waiting_for(Some(waiting_for.clone()));
            }
            said = waiting_for;
            tokio::time::sleep(READY_PAUSE).await;
        }
    }
    if let Some(health) = &health {
        health.set_waiting_for(None);
        health.set_ready(true);
    }
    tracing::debug!("ready");
}

async fn accept_all(listener: &Listener, answerer: &Answerer, graceful: &GracefulShutdown) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        // The semaphore is never closed.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok(stream) => {
                let connection = connection(stream, answerer.clone(), graceful.watcher());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: Stream, answerer: Answerer, watcher: Watcher) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_MAX)
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    // Asked once for each connection, and only where there is something to invite to.
    let offer = answerer.invites().then(|| stream.offer()).flatten();
    let answer = service_fn(move |request| answerer.clone().answer(request, offer.clone()));
    let ended = match stream {
        Stream::Tcp(stream) => {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), answer);
            watcher.watch(connection.into_owned()).await
        }
        Stream::Unix(stream) => {
            let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), answer);
            watcher.watch(connection.into_owned()).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

/// Waits for a background task that panics; for ever when none does.
async fn a_panic(background: &mut JoinSet<&'static str>) -> String {
    while let Some(ended) = background.join_next().await {
        if let Err(panic) = ended_well(ended) {
            return panic;
        }
    }
    std::future::pending().await
}

fn ended_well(ended: Result<&'static str, tokio::task::JoinError>) -> Result<(), String> {
    match ended {
        Ok(name) => {
            tracing::debug!(task = name, "a background task ended");
            Ok(())
        }
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Err(panic_text(panic.as_ref()).to_owned()),
            Err(_cancelled) => Ok(()),
        },
    }
}

/// Finishes requests and background tasks, both within [`DRAIN_MAX`].
async fn drain(
    answerer: &Answerer,
    graceful: GracefulShutdown,
    mut framed: JoinSet<()>,
    background: &mut JoinSet<&'static str>,
) -> Result<(), String> {
    answerer.leave();
    let until = Instant::now() + DRAIN_MAX;
    let requests = async {
        let closed = async {
            graceful.shutdown().await;
            while framed.join_next().await.is_some() {}
        };
        tokio::pin!(closed);
        tokio::select! {
            () = &mut closed => return,
            () = answerer.in_flight().none() => {}
        }
        // What is left are idle connections, and watchers that would stay for ever.
        if tokio::time::timeout(CLOSE_MAX, closed).await.is_err() {
            tracing::debug!("some connections did not close in time");
        }
    };
    let tasks = async {
        let mut result = Ok(());
        while let Some(ended) = background.join_next().await {
            result = result.and(ended_well(ended));
        }
        result
    };
    let (requests, tasks) =
        tokio::join!(tokio::time::timeout_at(until, requests), tokio::time::timeout_at(until, tasks));
    if requests.is_err() {
        tracing::warn!(requests = answerer.in_flight().count(), "requests did not finish in time");
    }
    tasks.unwrap_or_else(|_| {
        tracing::warn!("background tasks did not end in time");
        Ok(())
    })
}
