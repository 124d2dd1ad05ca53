//! Connections to replicas, one pool a core: idle HTTP/1.1 connections to use again, and one shared HTTP/2 connection
//! per replica. Never keeps a connection to an address that left the view.

use crate::http1::Wires;
use crate::upload::UpstreamBody;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use shoal_model::Address;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// Sends on an HTTP/1.1 connection, one request at a time.
pub(crate) type Sender1 = http1::SendRequest<UpstreamBody>;
/// Sends on an HTTP/2 connection, many at a time; clones share it.
pub(crate) type Sender2 = http2::SendRequest<UpstreamBody>;

/// How long an idle connection is kept. Common servers close theirs after 5 s or more (Node, Uvicorn); closing first
/// means that a request seldom meets a connection that the replica closes at the same moment.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(4);
/// How long one may have been idle for a request that cannot be sent twice.
pub(crate) const IDLE_MAX_ONCE: Duration = Duration::from_secs(1);
/// The most idle connections kept to one address.
pub(crate) const IDLE_PER_ADDRESS_MAX: usize = 64;
/// The largest head of a replica's answer, in bytes.
const ANSWER_HEAD_MAX: usize = 256 * 1024;

/// How much of one answer over HTTP/2 may come that its client does not take, and how much of all answers on a connection:
/// so much that those whose clients take nothing never stop the others.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = u32::MAX >> 1;

/// The connections of one core.
#[derive(Default)]
pub(crate) struct Pool {
    /// Those that the gateway's own HTTP/1.1 uses.
    pub(crate) wires: Wires,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    addresses: BTreeSet<Address>,
    idle: BTreeMap<Address, Vec<Idle>>,
    shared: BTreeMap<Address, Shared>,
    /// Where HTTP/2 connections are being made: one at a time to each address.
    connecting: BTreeMap<Address, Connecting>,
    /// How many HTTP/2 connections were shared.
    shared_ever: u64,
}

/// An HTTP/2 connection that is shared, and its number.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) number: u64,
    pub(crate) sender: Sender2,
}

/// Held by whoever connects; keeps why the last one could not, and when.
type Connecting = Arc<tokio::sync::Mutex<Option<(Instant, String)>>>;

struct Idle {
    sender: Sender1,
    since: Instant,
}

impl Pool {
    /// An idle connection that has been so for less than `idle_max`.
    pub(crate) fn take(&self, address: &Address, idle_max: Duration) -> Option<Sender1> {
        let mut inner = self.inner();
        let idle = inner.idle.get_mut(address)?;
        // The last one given back is the one least likely to be closed by now.
        let index = idle.iter().rposition(|kept| kept.sender.is_ready() && kept.since.elapsed() < idle_max)?;
        Some(idle.remove(index).sender)
    }

    /// Keeps a connection whose answer has been read to its end.
    pub(crate) fn give_back(&self, address: &Address, sender: Sender1) {
        let mut inner = self.inner();
        if sender.is_closed() || !inner.addresses.contains(address) {
            return;
        }
        let idle = inner.idle.entry(address.clone()).or_default();
        if idle.len() < IDLE_PER_ADDRESS_MAX {
            idle.push(Idle { sender, since: Instant::now() });
        }
    }

    /// The HTTP/2 connection to an address, if there is an open one.
    pub(crate) fn shared(&self, address: &Address) -> Option<Shared> {
        let mut inner = self.inner();
        let shared = inner.shared.get(address).filter(|shared| !shared.sender.is_closed()).cloned();
        if shared.is_none() {
            inner.shared.remove(address);
        }
        shared
    }

    /// A new HTTP/2 connection for a request that came at `came` and did not get through on the one with the number `tried`:
    /// those who ask together get one and the same, or hear of the same failure.
    pub(crate) async fn connect_shared(
        &self,
        address: &Address,
        tried: Option<u64>,
        came: Instant,
        timeout: Duration,
    ) -> Result<Sender2, String> {
        let connecting = Arc::clone(self.inner().connecting.entry(address.clone()).or_default());
        let mut failed = connecting.lock().await;
        if let Some(shared) = self.shared(address).filter(|shared| Some(shared.number) != tried) {
            return Ok(shared.sender);
        }
        if let Some((_, why)) = failed.as_ref().filter(|(at, _)| *at >= came) {
            return Err(why.clone());
        }
        match connect_http2(address, timeout).await {
            Ok(sender) => {
                self.share(address, sender.clone());
                Ok(sender)
            }
            Err(why) => {
                *failed = Some((Instant::now(), why.clone()));
                Err(why)
            }
        }
    }

    /// Shares an HTTP/2 connection with the requests to come.
    fn share(&self, address: &Address, sender: Sender2) {
        let mut inner = self.inner();
        if inner.addresses.contains(address) {
            inner.shared_ever += 1;
            let number = inner.shared_ever;
            inner.shared.insert(address.clone(), Shared { number, sender });
        }
    }

    /// Lets go of connections to any other address; what is in flight on them goes on.
    pub(crate) fn keep_only(&self, addresses: &BTreeSet<Address>) {
        self.wires.keep_only(addresses);
        let mut inner = self.inner();
        inner.idle.retain(|address, _| addresses.contains(address));
        inner.shared.retain(|address, _| addresses.contains(address));
        inner.connecting.retain(|address, _| addresses.contains(address));
        inner.addresses.clone_from(addresses);
    }

    /// Lets go of connections that were closed, or idle for long. Called every second or so.
    pub(crate) fn sweep(&self) {
        self.wires.sweep();
        let mut inner = self.inner();
        for idle in inner.idle.values_mut() {
            idle.retain(|kept| !kept.sender.is_closed() && kept.since.elapsed() < IDLE_MAX);
        }
        inner.idle.retain(|_, idle| !idle.is_empty());
        inner.shared.retain(|_, shared| !shared.sender.is_closed());
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A new HTTP/1.1 connection. `Err` says what the replica did.
pub(crate) async fn connect_http1(address: &Address, timeout: Duration) -> Result<Sender1, String> {
    shake_http1(connected(address, timeout).await?).await
}

/// A new HTTP/2 connection, without TLS and with prior knowledge. `Err` says what the replica did.
async fn connect_http2(address: &Address, timeout: Duration) -> Result<Sender2, String> {
    shake_http2(connected(address, timeout).await?).await
}

/// A connection to a replica, of either kind.
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

/// A new connection. `Err` says what the replica did.
pub(crate) async fn connected(address: &Address, timeout: Duration) -> Result<Stream, String> {
    let connecting = async {
        match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        }
    };
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Err("refused the connection".to_owned()),
        Ok(Err(error)) => Err(format!("cannot be connected to ({error})")),
        Err(_) => Err(format!("accepted no connection within {} s", timeout.as_secs_f32())),
    }
}

async fn shake_http1(stream: Stream) -> Result<Sender1, String> {
    let (sender, connection) = http1::Builder::new()
        .max_header_size(ANSWER_HEAD_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("cannot be spoken to ({error})"))?;
    // Whoever waits for the answer is told of the error; here it is only noted.
    tokio::spawn(async move { note(connection.await) });
    Ok(sender)
}

async fn shake_http2(stream: Stream) -> Result<Sender2, String> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| format!("does not speak HTTP/2 ({error})"))?;
    tokio::spawn(async move { note(connection.await) });
    Ok(sender)
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        tracing::debug!("a connection to a replica ended: {error}");
    }
}
