//! One connection, and one exchange on it. Never: decides whether to ask again; the client does.

use crate::request::Request;
use crate::wire::{self, Body, Piece};
use bytes::{Bytes, BytesMut};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Where requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// An address.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its fields, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
}

impl Response {
    /// The first field of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// How far a request had got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Not a byte of it was sent: no connection could be made.
    Unsent,
    /// It was sent, or a part of it; not a byte of an answer came.
    Unanswered,
    /// The answer had begun, and did not end.
    Begun,
}

/// A request without a whole answer. An answer that says no is an answer.
#[derive(Clone, Debug)]
pub struct Failure {
    /// How far it had got.
    pub stage: Stage,
    /// Whether it failed by taking too long.
    pub late: bool,
    /// What happened.
    pub why: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Unsent => "before it was sent",
            Stage::Unanswered => "before an answer began",
            Stage::Begun => "before the answer ended",
        };
        write!(f, "{stage}: {}", self.why)
    }
}

impl std::error::Error for Failure {}

/// A [`Stage`] that is seen from outside while an exchange runs.
#[derive(Debug, Default)]
pub(crate) struct Progress(AtomicU8);

impl Progress {
    pub(crate) fn set(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Relaxed);
    }

    pub(crate) fn stage(&self) -> Stage {
        match self.0.load(Ordering::Relaxed) {
            0 => Stage::Unsent,
            1 => Stage::Unanswered,
            _ => Stage::Begun,
        }
    }
}

/// What is kept of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    All,
    Status,
}

/// A connection and what was read from it but not used.
pub(crate) struct Connection {
    stream: Stream,
    buffer: BytesMut,
    /// Whether it has carried an exchange before.
    pub(crate) used: bool,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read_buf(buffer).await,
            Self::Unix(stream) => stream.read_buf(buffer).await,
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.write_all(bytes).await,
            Self::Unix(stream) => stream.write_all(bytes).await,
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }
}

impl Connection {
    pub(crate) async fn open(target: &Target) -> io::Result<Self> {
        let stream = match target {
            Target::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Stream::Tcp(stream)
            }
            Target::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
        };
        Ok(Self { stream, buffer: BytesMut::with_capacity(16 * 1024), used: false })
    }

    /// Whether nothing is known against sending on it.
    pub(crate) fn is_open(&self) -> bool {
        let read = self.stream.try_read(&mut [0]);
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads the answer. The flag tells whether the connection can be used again.
    pub(crate) async fn exchange(
        &mut self,
        request: &Request,
        keep: Keep,
        bytes_max: usize,
        progress: &Progress,
    ) -> Result<(Response, bool), String> {
        progress.set(Stage::Unanswered);
        // Whoever refuses a request may answer before it has read all of it.
        let written = self.stream.write_all(request.bytes()).await;
        self.used = true;
        let head = loop {
            if let Some(head) = wire::head(&mut self.buffer, keep == Keep::All, request.has_no_answer_body())? {
                if head.status != 100 {
                    break head;
                }
            } else if self.more(progress).await? == 0 {
                let why = "the connection was closed".to_owned();
                return Err(written.err().map_or(why, |error| error.to_string()));
            }
        };
        let mut body = Body::new(head.ending);
        let mut kept = BytesMut::new();
        let mut length = 0;
        loop {
            match body.next(&mut self.buffer)? {
                Piece::End => break,
                Piece::More => {
                    if self.more(progress).await? == 0 {
                        if body.ends_by_close() {
                            break;
                        }
                        return Err("the connection was closed".to_owned());
                    }
                }
                Piece::Data(data) => {
                    length += data.len();
                    if length > bytes_max {
                        return Err(format!("the answer is longer than {bytes_max} bytes"));
                    }
                    if keep == Keep::All {
                        kept.extend_from_slice(&data);
                    }
                }
            }
        }
        let reusable = head.kept && written.is_ok() && self.buffer.is_empty();
        Ok((Response { status: head.status, headers: head.headers, body: kept.freeze() }, reusable))
    }

    async fn more(&mut self, progress: &Progress) -> Result<usize, String> {
        self.buffer.reserve(8 * 1024);
        let read = self.stream.read(&mut self.buffer).await.map_err(|error| error.to_string())?;
        if read > 0 {
            progress.set(Stage::Begun);
        }
        Ok(read)
    }
}
