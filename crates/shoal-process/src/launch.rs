//! The supervisor's side of a keeper: starting one, connecting to one, and talking with it.
//!
//! Never: keeps a listening socket or a lock of a replica; both are the keeper's once it was told what to start.

use crate::environment;
use crate::folders::{self, Folders};
use crate::identity;
use crate::keeper::protocol::{self, Answer, Ask, LINE_MAX, Launch, Reply, Request, SOCKETS_MAX, VERSION};
use crate::sockets::Sockets;
use shoal_discovery::descriptors;
use shoal_model::{ReplicaName, Revision};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// How long a keeper may take to take in a line.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection to a keeper.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
}

impl Connection {
    /// Connects to a keeper that runs.
    pub(crate) async fn open(socket: &Path) -> io::Result<Self> {
        Ok(Self { stream: UnixStream::connect(socket).await?, input: Vec::new() })
    }

    /// Asks something; the answer comes with [`next`](Self::next).
    pub(crate) async fn ask(&mut self, ask: Ask) -> io::Result<()> {
        let line = protocol::line(&Request { version: VERSION, ask })?;
        tokio::time::timeout(SEND_TIMEOUT, self.stream.write_all(&line)).await.map_err(|_| io::ErrorKind::TimedOut)?
    }

    /// The next line; `None` when the keeper has gone. Can be dropped and called again without losing anything.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Answer>> {
        loop {
            if let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let reply: Reply = serde_json::from_slice(&line)?;
                if protocol::understands(reply.version) {
                    return Ok(Some(reply.answer));
                }
                let why = format!("the keeper speaks version {}, this release {VERSION}", reply.version);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            if self.input.len() > LINE_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the keeper's line is too long"));
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// What a replica is started with, besides its revision.
pub(crate) struct Parts {
    /// The lock that the keeper holds from now on.
    pub(crate) lock: File,
    /// Its sockets.
    pub(crate) sockets: Sockets,
}

/// Starts a keeper and tells it what to start; otherwise one sentence that says why not. The answer comes over the
/// connection.
pub(crate) async fn launch(
    shoal: &Path,
    folders: &Folders,
    replica: &ReplicaName,
    revision: &Revision,
    parts: Parts,
) -> Result<Connection, String> {
    let unique = identity::unique_text().map_err(|error| format!("failed to read `/proc`: {error}"))?;
    let mark = format!("{}-{unique}", folders.application_mark());
    let names: Vec<String> = parts.sockets.passed.iter().map(|(name, _)| name.clone()).collect();
    let sockets = names.len() + parts.sockets.calls.len();
    if sockets > SOCKETS_MAX {
        let mend = "let it call fewer services, or split it";
        return Err(format!("{replica} would get {sockets} sockets, and {SOCKETS_MAX} is the most: {mend}"));
    }
    let socket = folders.keeper_socket(replica);
    for path in [&socket, &folders.health_socket(replica)] {
        folders::socket_path_fits(path).map_err(|error| error.to_string())?;
    }
    let settings = &revision.launch;
    let line = protocol::line(&Request {
        version: VERSION,
        ask: Ask::Launch(Box::new(Launch {
            replica: replica.clone(),
            revision: revision.id.clone(),
            command: settings.command.clone(),
            folder: settings.folder.clone(),
            env: environment::of_program(replica, revision, folders, &parts.sockets, &mark),
            launch: mark.clone(),
            sockets: names,
            is_fixed: parts.sockets.is_fixed,
            calls: parts.sockets.calls.keys().cloned().collect(),
            address: parts.sockets.address.clone(),
            socket,
            record: folders.record(replica),
            log: crate::logs::path(folders.state(), replica),
            health: folders.health_socket(replica),
            probes: settings.probes.clone(),
            drain_timeout: settings.drain_timeout,
        })),
    })
    .map_err(|error| format!("failed to describe {replica} to its keeper: {error}"))?;

    let stream =
        spawn(shoal, replica, &mark).map_err(|error| format!("failed to start `{}`: {error}", shoal.display()))?;
    let descriptors = [OwnedFd::from(parts.lock)]
        .into_iter()
        .chain(parts.sockets.passed.into_iter().map(|(_, listener)| OwnedFd::from(listener)))
        .chain(parts.sockets.calls.into_values().map(|(listener, _)| OwnedFd::from(listener)))
        .collect();
    let mut connection = Connection { stream, input: Vec::new() };
    match tokio::time::timeout(SEND_TIMEOUT, connection.send_launch(&line, descriptors)).await {
        Ok(Ok(())) => Ok(connection),
        Ok(Err(error)) => Err(format!("failed to tell the keeper of {replica} what to start: {error}")),
        Err(_) => Err(format!("the keeper of {replica} did not listen within {} s", SEND_TIMEOUT.as_secs())),
    }
}

/// Starts a keeper on one end of a socket pair, and returns the other.
fn spawn(shoal: &Path, replica: &ReplicaName, mark: &str) -> io::Result<UnixStream> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let mut child = tokio::process::Command::new(shoal)
        .arg("__keep")
        .arg(replica.to_string())
        .env_clear()
        // So that even a keeper whose folders were deleted is found again.
        .env(environment::LAUNCH, mark)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(false)
        .spawn()?;
    // Its end is heard over the connection; this only keeps it from staying a zombie.
    tokio::spawn(async move {
        let _ = child.wait().await;
    });
    UnixStream::from_std(ours)
}

impl Connection {
    /// Sends the launch, the descriptors with its first bytes. Both are closed here when this returns.
    async fn send_launch(&mut self, line: &[u8], descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let borrowed: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let stream = &self.stream;
        let send = || descriptors::send(stream, line, &borrowed);
        let sent = stream.async_io(Interest::WRITABLE, send).await?;
        drop(borrowed);
        drop(descriptors);
        self.stream.write_all(line.get(sent..).unwrap_or_default()).await
    }
}
