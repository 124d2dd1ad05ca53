//! One accepted connection: TLS where the listener has it, HTTP/1.1 or HTTP/2, until it ends or the gateway drains.

use crate::clock;
use crate::core_loop::{Core, stopped};
use crate::destination::Destination;
use crate::forward;
use crate::headers::Origin;
use crate::http1;
use crate::progress::Progress;
use crate::upload::UNREAD_MAX;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4); no HTTP/1.1 request does.
const HTTP2_START: &[u8] = b"PRI ";
/// From one look at a connection's first bytes to the next, while too few have come: at first and at most.
const PEEK_PAUSE_MIN: Duration = Duration::from_millis(2);
const PEEK_PAUSE_MAX: Duration = Duration::from_millis(250);
/// The most requests one HTTP/2 client may have under way.
const STREAMS_MAX: u32 = 256;

/// How often a connection is looked at for a stall, at most and at least.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_MAX: Duration = Duration::from_secs(5);
/// How long an idle connection is kept once the gateway stops: a request may be on its way already. At most half of the
/// time that there is for draining.
pub(crate) const LINGER_MAX: Duration = Duration::from_secs(2);
/// The most bytes of an answer that wait for one HTTP/2 client's window.
const SEND_BUFFER_MAX: usize = 64 * 1024;

/// How much of one request's body over HTTP/2 comes before anybody asks for it, and how much of all on one connection: so
/// that several whose replicas take nothing leave room for others.
const STREAM_WINDOW: u32 = UNREAD_MAX;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// A connection that can be ended so that whoever is at its other end knows that something is missing.
pub(crate) trait Abort {
    /// Has the connection reset once it is dropped.
    fn abort(&self) -> io::Result<()>;
}

impl Abort for TcpStream {
    fn abort(&self) -> io::Result<()> {
        self.set_zero_linger()
    }
}

impl Abort for TlsStream<TcpStream> {
    fn abort(&self) -> io::Result<()> {
        self.get_ref().0.abort()
    }
}

/// What a connection was made to.
#[derive(Clone)]
pub(crate) enum Door {
    /// A listener with routes; its name.
    Public(Arc<str>),
    /// A listener of one caller's, for one of its calls.
    Call(Arc<Destination>),
}

/// Who is connected, and what serves them.
pub(crate) struct Client {
    pub(crate) core: Arc<Core>,
    pub(crate) door: Door,
    pub(crate) origin: Origin,
    progress: Progress,
}

/// A request under way on its connection, until its answer was given or will never be.
pub(crate) struct RequestGuard {
    client: Arc<Client>,
    /// Whether the client has been given a piece of the answer and has not asked for the next.
    untaken: bool,
}

impl RequestGuard {
    /// A request that has just come.
    pub(crate) fn new(client: &Arc<Client>) -> Self {
        client.progress.began(milliseconds());
        Self { client: Arc::clone(client), untaken: false }
    }

    /// How long the client may leave a piece of its answer untaken.
    pub(crate) fn allow(&self, idle: Duration) {
        self.client.progress.allow(idle);
    }

    /// The client has been given a piece of the answer.
    pub(crate) fn given(&mut self) {
        if !self.untaken {
            self.untaken = true;
            self.client.progress.gave(milliseconds());
        }
    }

    /// The client takes more.
    pub(crate) fn taken(&mut self) {
        if self.untaken {
            self.untaken = false;
            self.client.progress.took();
        }
    }

    pub(crate) fn core(&self) -> &Core {
        &self.client.core
    }
}

impl Drop for RequestGuard {
    fn drop(&mut self) {
        self.taken();
        self.client.progress.ended(milliseconds());
    }
}

fn milliseconds() -> u64 {
    clock::now().0 / 1_000_000
}

/// What a connection is held to before it is known which route its requests take.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) headers_max: usize,
    pub(crate) header_bytes_max: usize,
    /// The shortest time that any of its routes lets an answer be left untaken.
    idle_min: Duration,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    core: Arc<Core>,
    door: Door,
    stream: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let served = async {
        stream.set_nodelay(true)?;
        let Some((bounds, tls)) = bounds(&core, &door) else { return Ok(()) };
        let patience = core.settings.header_timeout;
        let origin = Origin { peer: peer.ip(), secure: tls.is_some() };
        let progress = Progress::new(milliseconds());
        let client = Arc::new(Client { core, door, origin, progress });
        // Nothing has been asked yet, but may be about to: a gateway that stops waits a little for that.
        if let Some(acceptor) = tls {
            let stream = tokio::select! {
                () = lingered(&client, &mut stop) => return Ok(()),
                shaken = tokio::time::timeout(patience, acceptor.accept(stream)) => shaken??,
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(client, stream, bounds, stop).await;
            }
            return Ok(http1::serve(&client, stream, bounds, stop).await?);
        }
        let seen = tokio::time::timeout(patience, starts_http2(&stream));
        let is_http2 = tokio::select! {
            () = lingered(&client, &mut stop) => return Ok(()),
            seen = seen => seen??,
        };
        if is_http2 {
            serve_http2(client, stream, bounds, stop).await
        } else {
            Ok(http1::serve(&client, stream, bounds, stop).await?)
        }
    };
    let served: Served = served.await;
    if let Err(error) = served {
        tracing::debug!(%peer, "a connection ended: {error}");
    }
}

/// What holds for a connection at this door; `None` when its listener is gone.
fn bounds(core: &Core, door: &Door) -> Option<(Bounds, Option<TlsAcceptor>)> {
    match door {
        Door::Public(listener) => {
            let current = core.current();
            let listening = current.listeners.get(&**listener)?;
            let (headers_max, header_bytes_max) = (listening.headers_max, listening.header_bytes_max);
            let bounds = Bounds { headers_max, header_bytes_max, idle_min: listening.idle_min };
            Some((bounds, listening.tls.clone()))
        }
        Door::Call(destination) => {
            let limits = &destination.limits;
            let (headers_max, header_bytes_max) = (limits.headers_max, limits.header_bytes_max);
            Some((Bounds { headers_max, header_bytes_max, idle_min: limits.idle_timeout }, None))
        }
    }
}

/// Returns some time after the gateway was told to stop.
async fn lingered(client: &Client, stop: &mut watch::Receiver<bool>) {
    stopped(stop).await;
    linger(client).await;
}

async fn linger(client: &Client) {
    tokio::time::sleep(LINGER_MAX.min(client.core.settings.drain_timeout / 2)).await;
}

/// Returns when the client has taken too long, either over its next request or over an answer.
async fn stalled(client: &Client, bounds: Bounds, patience: Duration) {
    let look = (patience.min(bounds.idle_min) / 4).clamp(LOOK_MIN, LOOK_MAX);
    while !client.progress.is_stalled(milliseconds(), patience) {
        tokio::time::sleep(look).await;
    }
}

/// Whether the client starts with HTTP/2; waits for its first bytes.
async fn starts_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_START.len()];
    for pause in peek_pauses() {
        let seen = stream.peek(&mut start).await?;
        let seen = start.get(..seen).unwrap_or_default();
        if seen.len() == HTTP2_START.len() || seen.is_empty() || !HTTP2_START.starts_with(seen) {
            return Ok(seen == HTTP2_START);
        }
        // What is there already makes the socket readable, so that only time tells.
        tokio::time::sleep(pause).await;
    }
    Ok(false)
}

/// The pauses between looks at a connection's first bytes: longer and longer, without end.
fn peek_pauses() -> impl Iterator<Item = Duration> {
    std::iter::successors(Some(PEEK_PAUSE_MIN), |pause| Some((*pause * 2).min(PEEK_PAUSE_MAX)))
}

type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn serve_http2<S>(client: Arc<Client>, stream: S, bounds: Bounds, mut stop: watch::Receiver<bool>) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = Arc::clone(&client.core.settings);
    let asked = Arc::clone(&client);
    let service = service_fn(move |request| forward::answer(Arc::clone(&asked), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(bounds.header_bytes_max).unwrap_or(u32::MAX))
        .max_send_buf_size(SEND_BUFFER_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stall = pin!(stalled(&client, bounds, settings.http2_idle_timeout));
    let leaves = async {
        stopped(&mut stop).await;
        if client.progress.is_new() {
            // Made at the last moment: its first request is on its way.
            linger(&client).await;
        }
    };
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        // A client that does not take its answers is cut off; one that asks nothing is told to go.
        () = stall.as_mut() => if client.progress.is_busy() { return Ok(()) },
        () = leaves => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        ended = connection.as_mut() => Ok(ended?),
        () = stalled(&client, bounds, settings.header_timeout) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_stops_in_its_first_bytes_is_looked_at_seldom() {
        let patience = Duration::from_secs(30);
        let ends = peek_pauses().scan(Duration::ZERO, |passed, pause| {
            *passed += pause;
            Some(*passed)
        });
        let looks = ends.take_while(|passed| *passed < patience).count();
        assert!((100..150).contains(&looks), "{looks} looks");
    }
}
