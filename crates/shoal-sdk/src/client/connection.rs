//! One HTTP/2 connection to one endpoint, made when it is first needed and again when it is gone. Never: retries; the
//! channel does.

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use shoal_model::Address;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

/// How long a connection may take to be made. An endpoint is near; one that does not answer is gone.
pub(super) const CONNECT_MAX: Duration = Duration::from_secs(2);
/// How often an idle or busy connection is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The flow-control window: what may be on its way before the reader has read it.
const WINDOW: u32 = 1024 * 1024;

/// A connection to this address. Dropping it lets requests in flight finish.
#[derive(Debug)]
pub(super) struct Connection {
    address: Address,
    // Held while connecting, so that many calls at once make one connection.
    sender: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Connection {
    pub fn new(address: Address) -> Self {
        Self { address, sender: Mutex::new(None) }
    }

    /// What sends requests on the connection, which is made if there is none or it is gone.
    pub async fn sender(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let mut sender = self.sender.lock().await;
        if let Some(sender) = sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let connected = tokio::time::timeout(CONNECT_MAX, connect(&self.address)).await;
        let connected = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        *sender = Some(connected.clone());
        Ok(connected)
    }

    /// Lets go of the connection, which ends with its last request.
    pub async fn close(&self) {
        *self.sender.lock().await = None;
    }
}

async fn connect(address: &Address) -> io::Result<SendRequest<Full<Bytes>>> {
    match address {
        Address::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            handshake(stream).await
        }
        Address::Unix(path) => handshake(UnixStream::connect(path).await?).await,
    }
}

async fn handshake<S>(stream: S) -> io::Result<SendRequest<Full<Bytes>>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a callee broke");
        }
    });
    Ok(sender)
}
