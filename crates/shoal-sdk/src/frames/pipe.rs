//! Moves bytes of a connection between its socket and two buffers, and cuts what came into frames. Never: waits in the
//! middle of either; both sides of a connection go on in one task.

use super::codec::{self, Violation};
use bytes::{Bytes, BytesMut};
use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};
use tokio::net::UnixStream;

/// The least room there is to read into.
const READ_MIN: usize = 16 * 1024;
/// The most that is read at once, but for a longer frame.
const READ_MAX: usize = 64 * 1024;
/// A buffer for writing that grew beyond this is let go of once it is written.
const KEEP_MAX: usize = 256 * 1024;

/// A connection's socket, and its bytes on the way.
pub(super) struct Pipe {
    stream: UnixStream,
    incoming: BytesMut,
    room: usize,
    outgoing: Vec<u8>,
    /// How many bytes of `outgoing` are written.
    gone: usize,
    /// How many bytes were ever written.
    written: u64,
}

impl Pipe {
    pub fn new(stream: UnixStream) -> Self {
        Self { stream, incoming: BytesMut::new(), room: READ_MIN, outgoing: Vec::new(), gone: 0, written: 0 }
    }

    /// How many bytes were ever written.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Whether everything it was given is written.
    pub fn is_flushed(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// The buffer to fill with what is to be written next; empty whenever [`is_flushed`](Self::is_flushed).
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.outgoing
    }

    /// Writes for as long as the socket takes it; ready once all is written.
    pub fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.outgoing.get(self.gone..).filter(|rest| !rest.is_empty()) {
            match Pin::new(&mut self.stream).poll_write(context, rest) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.gone += count;
                    self.written += count as u64;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.gone = 0;
        if self.outgoing.capacity() > KEEP_MAX {
            self.outgoing = Vec::new();
        }
        self.outgoing.clear();
        Poll::Ready(Ok(()))
    }

    /// Reads once; how many bytes came, 0 at the end.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.incoming.capacity() - self.incoming.len() < self.room / 4 {
            self.incoming.reserve(self.room);
        }
        let room = self.incoming.capacity() - self.incoming.len();
        let filled = pin!(self.stream.read_buf(&mut self.incoming)).poll(context);
        if let Poll::Ready(Ok(count)) = filled {
            // What is filled to the brim had more to give.
            self.room = if count == room { (self.room * 2).min(READ_MAX) } else { self.room };
        }
        filled
    }

    /// The next whole frame that was read, if there is one.
    pub fn next_frame(&mut self, message_max: usize) -> Result<Option<Bytes>, Violation> {
        let Some(length) = codec::length(&self.incoming, message_max)? else {
            return Ok(None);
        };
        if self.incoming.len() < length {
            self.incoming.reserve(length - self.incoming.len());
            return Ok(None);
        }
        let frame = self.incoming.split_to(length).freeze();
        if self.incoming.is_empty() && length > READ_MAX {
            // Else its memory would stay for as long as nothing else comes.
            self.incoming = BytesMut::new();
        }
        Ok(Some(frame))
    }
}
