//! One connection as HTTP/1.1 uses it: bytes that came and are not used yet, and bytes that are still to go. Looks into
//! none of them.
//!
//! Never: reads more than is asked for, so that what nobody takes waits at its sender.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The most bytes that are read at once.
pub(super) const PIECE: usize = 16 * 1024;
/// A buffer that has grown beyond this is given up once it is empty.
const KEEP: usize = 32 * 1024;

thread_local! {
    // Connections read into this and keep what came only, so that idle ones need no buffer.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE]);
}

/// A connection with its buffers.
pub(super) struct Wire<S> {
    io: S,
    inbox: Vec<u8>,
    /// Where the bytes in `inbox` begin that are not used yet.
    start: usize,
    /// Bytes to go.
    pub(super) outbox: Vec<u8>,
    written: usize,
    /// How many bytes have gone in all.
    sent: u64,
    is_over: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// A connection on which nothing has come yet.
    pub(super) fn new(io: S) -> Self {
        Self { io, inbox: Vec::new(), start: 0, outbox: Vec::new(), written: 0, sent: 0, is_over: false }
    }

    /// The bytes that came and are not used yet.
    pub(super) fn data(&self) -> &[u8] {
        self.inbox.get(self.start..).unwrap_or_default()
    }

    /// The first `count` bytes are used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.inbox.len());
        if self.start == self.inbox.len() {
            self.start = 0;
            self.inbox.clear();
            if self.inbox.capacity() > KEEP {
                self.inbox = Vec::new();
            }
        }
    }

    /// Whether the other side has ended what it sends.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Reads some bytes; `false` when no more will come.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
            let came = buffer.filled();
            self.is_over |= came.is_empty();
            if self.start > 0 {
                self.inbox.drain(..self.start);
                self.start = 0;
            }
            self.inbox.extend_from_slice(came);
            Poll::Ready(Ok(!came.is_empty()))
        })
    }

    /// How many bytes have gone in all.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Writes everything that is to go.
    pub(super) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outbox.is_empty() {
            let rest = self.outbox.get(self.written..).unwrap_or_default();
            let count = ready!(Pin::new(&mut self.io).poll_write(context, rest))?;
            self.wrote(count)?;
        }
        Pin::new(&mut self.io).poll_flush(context)
    }

    /// Writes everything that is to go, and then some of `more`, together where that is possible; returns how much of it.
    pub(super) fn poll_pass(&mut self, context: &mut Context<'_>, more: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let rest = self.outbox.get(self.written..).unwrap_or_default();
            let ahead = rest.len();
            let count = if rest.is_empty() {
                ready!(Pin::new(&mut self.io).poll_write(context, more))?
            } else {
                let both = [IoSlice::new(rest), IoSlice::new(more)];
                ready!(Pin::new(&mut self.io).poll_write_vectored(context, &both))?
            };
            let beyond = count.saturating_sub(ahead);
            self.sent += beyond as u64;
            if ahead > 0 || count == 0 {
                self.wrote(count - beyond)?;
            }
            if beyond > 0 {
                return Poll::Ready(Ok(beyond));
            }
        }
    }

    fn wrote(&mut self, count: usize) -> io::Result<()> {
        if count == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.written += count;
        self.sent += count as u64;
        if self.written >= self.outbox.len() {
            self.written = 0;
            self.outbox.clear();
            if self.outbox.capacity() > KEEP {
                self.outbox = Vec::new();
            }
        }
        Ok(())
    }

    /// Forgets what is to go.
    pub(super) fn forget(&mut self) {
        self.outbox.clear();
        self.written = 0;
    }

    /// Says that nothing more will be sent.
    pub(super) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    /// What came and is not used yet, as bytes to go on another connection.
    pub(super) fn take_data(&mut self) -> Vec<u8> {
        let data = self.data().to_vec();
        self.consume(data.len());
        data
    }

    /// The connection itself.
    pub(super) fn io(&mut self) -> &mut S {
        &mut self.io
    }
}

/// One timer for all that a connection waits for. It is set anew only for an earlier time: when it goes off for something
/// that has ended since, it is set for what is waited for now. So most requests set no timer at all.
///
/// Used by one task only, which it wakes.
pub(super) struct Alarm {
    sleep: Pin<Box<Sleep>>,
    set: Instant,
    is_polled: bool,
}

impl Alarm {
    pub(super) fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(first)), set: first, is_polled: false }
    }

    /// Ready once `deadline` has passed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>, deadline: Instant) -> Poll<()> {
        if deadline < self.set {
            self.reset(deadline);
        }
        loop {
            if self.is_polled && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.is_polled = true;
            ready!(self.sleep.as_mut().poll(context));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.reset(deadline);
        }
    }

    fn reset(&mut self, deadline: Instant) {
        self.set = deadline;
        self.is_polled = false;
        self.sleep.as_mut().reset(deadline);
    }
}
