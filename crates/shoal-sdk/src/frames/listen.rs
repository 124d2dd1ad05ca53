//! The socket of a callee's frames, and how both ends make sure of each other. Never: serves anybody of another user.

use super::callee::{self, Methods};
use super::codec::{self, Frame, Hello, Token, Violation};
use super::{Invitation, VERSION};
use crate::Shutdown;
use crate::serve::InFlight;
use http::HeaderValue;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// The most connections at once; the next ones wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_000;
/// How long a caller may take to introduce itself.
const HELLO_MAX: Duration = Duration::from_secs(2);
/// The longest introduction, in bytes.
const HELLO_LENGTH_MAX: usize = 256;
/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound socket; it is removed when this is dropped.
pub(crate) struct Listening {
    listener: UnixListener,
    path: PathBuf,
    token: Token,
}

impl Listening {
    /// Binds the socket, for this user only; one that was left over there is replaced. Needs a tokio runtime.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is taken by another file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(path)?;
        let listening = Self { listener, path: path.to_owned(), token: crate::random::try_random()? };
        // Whoever connects before this is turned away by the check of each connection.
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        Ok(listening)
    }

    /// What invites callers here; `None` when the path cannot be said in a header.
    pub fn invitation(&self) -> Option<HeaderValue> {
        Invitation { token: self.token, socket: self.path.clone() }.header()
    }

    /// Serves until the shutdown is requested, and what was begun by then to its end. Dropping the future ends all of it.
    pub async fn serve(self, methods: Arc<Methods>, in_flight: InFlight, shutdown: Shutdown) {
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept(), if connections.len() < CONNECTIONS_MAX => accepted,
                Some(_) = connections.join_next() => continue,
                () = shutdown.requested() => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let (methods, in_flight, shutdown) = (Arc::clone(&methods), in_flight.clone(), shutdown.clone());
                    let token = self.token;
                    connections.spawn(async move {
                        if let Err(error) = connection(stream, token, methods, in_flight, shutdown).await {
                            tracing::debug!(%error, "a connection for frames broke");
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for frames");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(self);
        while connections.join_next().await.is_some() {}
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(path = %self.path.display(), %error, "cannot remove the socket for frames");
        }
    }
}

async fn connection(
    mut stream: UnixStream,
    token: Token,
    methods: Arc<Methods>,
    in_flight: InFlight,
    shutdown: Shutdown,
) -> io::Result<()> {
    check_owner(&stream)?;
    let introduced = async {
        let other = receive_hello(&mut stream, &token).await?;
        let own = Hello { version: VERSION, message_max: callee::MESSAGE_MAX as u32, token };
        send_hello(&mut stream, &own).await?;
        io::Result::Ok(other)
    };
    let introduced = tokio::time::timeout(HELLO_MAX, introduced).await;
    let other = introduced.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    callee::serve(stream, &other, methods, in_flight, shutdown).await
}

/// That the other side runs as the same user.
pub(super) fn check_owner(stream: &UnixStream) -> io::Result<()> {
    if stream.peer_cred()?.uid() == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, "the other side belongs to another user"))
}

pub(super) async fn send_hello(stream: &mut UnixStream, hello: &Hello) -> io::Result<()> {
    let mut bytes = Vec::new();
    codec::put_hello(&mut bytes, hello);
    stream.write_all(&bytes).await
}

/// Reads how the other side introduces itself, and that it means this connection.
pub(super) async fn receive_hello(stream: &mut UnixStream, token: &Token) -> io::Result<Hello> {
    let mut frame = vec![0; 4];
    stream.read_exact(&mut frame).await?;
    let length = codec::length(&frame, 0).map_err(io::Error::other)?.unwrap_or_default();
    if length > HELLO_LENGTH_MAX {
        return Err(io::Error::other(Violation::TooLong(length)));
    }
    frame.resize(length, 0);
    stream.read_exact(frame.get_mut(4..).unwrap_or_default()).await?;
    match codec::read(&frame).map_err(io::Error::other)? {
        Frame::Hello(hello) if hello.version != VERSION => Err(io::Error::other(Violation::Version)),
        Frame::Hello(hello) if hello.token != *token => Err(io::Error::other(Violation::Stranger)),
        Frame::Hello(hello) => Ok(hello),
        _ => Err(io::Error::other(Violation::Unexpected)),
    }
}
