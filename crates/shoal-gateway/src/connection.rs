//! One accepted connection: TLS where the listener has it, HTTP/1.1 or HTTP/2, until it ends or the gateway drains.

use crate::core_loop::{Core, stopped};
use crate::forward;
use crate::headers::Origin;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// How an HTTP/2 connection begins (RFC 9113 section 3.4); no HTTP/1.1 request does.
const HTTP2_START: &[u8] = b"PRI ";
/// From one look at a connection's first bytes to the next, while too few have come.
const PEEK_PAUSE: Duration = Duration::from_millis(2);
/// The most requests one HTTP/2 client may have under way.
const STREAMS_MAX: u32 = 256;

/// Who is connected, and what serves them.
pub(crate) struct Client {
    pub(crate) core: Arc<Core>,
    /// The name of the listener.
    pub(crate) listener: Arc<str>,
    pub(crate) origin: Origin,
    /// Whether a request has begun on this connection.
    begun: AtomicBool,
}

/// Serves a connection to its end.
pub(crate) async fn serve(
    core: Arc<Core>,
    listener: Arc<str>,
    stream: TcpStream,
    peer: SocketAddr,
    mut stop: watch::Receiver<bool>,
) {
    let served = async {
        stream.set_nodelay(true)?;
        let tls = core.current().applied.listeners.get(&*listener).and_then(|listening| listening.tls.clone());
        let patience = core.settings.header_timeout;
        let origin = Origin { peer: peer.ip(), secure: tls.is_some() };
        let client = Arc::new(Client { core, listener, origin, begun: AtomicBool::new(false) });
        // Nothing has been asked yet: a gateway that stops just closes the connection.
        if let Some(acceptor) = tls {
            let stream = tokio::select! {
                () = stopped(&mut stop) => return Ok(()),
                shaken = tokio::time::timeout(patience, acceptor.accept(stream)) => shaken??,
            };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                return serve_http2(client, stream, stop).await;
            }
            return serve_http1(client, stream, stop).await;
        }
        let is_http2 = tokio::select! {
            () = stopped(&mut stop) => return Ok(()),
            seen = tokio::time::timeout(patience, starts_http2(&stream)) => seen??,
        };
        if is_http2 { serve_http2(client, stream, stop).await } else { serve_http1(client, stream, stop).await }
    };
    let served: Result<(), Box<dyn std::error::Error + Send + Sync>> = served.await;
    if let Err(error) = served {
        tracing::debug!(%peer, "a connection ended: {error}");
    }
}

/// Whether the client starts with HTTP/2; waits for its first bytes.
async fn starts_http2(stream: &TcpStream) -> io::Result<bool> {
    let mut start = [0; HTTP2_START.len()];
    loop {
        let seen = stream.peek(&mut start).await?;
        let seen = start.get(..seen).unwrap_or_default();
        if seen.len() == HTTP2_START.len() || seen.is_empty() || !HTTP2_START.starts_with(seen) {
            return Ok(seen == HTTP2_START);
        }
        tokio::time::sleep(PEEK_PAUSE).await;
    }
}

type Served = Result<(), Box<dyn std::error::Error + Send + Sync>>;

async fn serve_http1<S>(client: Arc<Client>, stream: S, mut stop: watch::Receiver<bool>) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = Arc::clone(&client.core.settings);
    let asked = Arc::clone(&client);
    let service = service_fn(move |request| {
        asked.begun.store(true, Ordering::Relaxed);
        forward::answer(Arc::clone(&asked), request)
    });
    // hyper's own limit on the number of headers is 100, which is the gateway's.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(settings.header_timeout)
        .max_header_size(settings.header_bytes_max)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopped(&mut stop) => {}
    }
    // A browser's spare connection has nothing to finish.
    if client.begun.load(Ordering::Relaxed) {
        connection.as_mut().graceful_shutdown();
        connection.await?;
    }
    Ok(())
}

async fn serve_http2<S>(client: Arc<Client>, stream: S, mut stop: watch::Receiver<bool>) -> Served
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = Arc::clone(&client.core.settings);
    let header_bytes_max = u32::try_from(settings.header_bytes_max).unwrap_or(u32::MAX);
    let service = service_fn(move |request| forward::answer(Arc::clone(&client), request));
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(settings.header_timeout)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(header_bytes_max)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = stopped(&mut stop) => {}
    }
    connection.as_mut().graceful_shutdown();
    Ok(connection.await?)
}
