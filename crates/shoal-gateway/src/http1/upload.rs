//! A request's body over HTTP/1.1, from the client's connection to the replica's: counted against its limit and kept,
//! while it is small, for the case that the request has to be sent once more.
//!
//! Never: reads ahead. What the replica does not take stays with the client.

use super::chunked::{self, Decoder, Piece};
use super::request::Framing;
use super::wire::{PIECE, Wire};
use crate::upload::{KEPT_MAX, UploadError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// A request's body.
pub(super) struct Upload {
    body: Body,
    is_chunked: bool,
    bytes_max: u64,
    passed: u64,
    /// What was passed on so far; `None` once it is too much, or will not be needed.
    kept: Option<Vec<u8>>,
    /// Whether the client waits to be told that its body is wanted.
    expects_continue: bool,
}

enum Body {
    Over,
    Sized(u64),
    Chunked(Decoder),
}

/// Why a body did not get through.
pub(super) enum Stuck {
    /// The client's part of it is bad, or did not come.
    Client(UploadError),
    /// The replica takes no more.
    Replica,
}

impl Upload {
    /// A body that ends like this. `keep`: whether sending it once more may make sense.
    pub(super) fn new(framing: Framing, bytes_max: u64, keep: bool, expects_continue: bool) -> Self {
        let body = match framing {
            Framing::Empty | Framing::Closing => Body::Over,
            Framing::Sized(length) => Body::Sized(length),
            Framing::Chunked => Body::Chunked(Decoder::new()),
        };
        let (is_chunked, has_body) = (framing == Framing::Chunked, !matches!(body, Body::Over));
        let kept = (keep && has_body).then(Vec::new);
        Self { body, is_chunked, bytes_max, passed: 0, kept, expects_continue: expects_continue && has_body }
    }

    /// Whether all of it was taken from the client.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.body, Body::Over)
    }

    /// Whether all of it can still be had: nothing was passed on, or all that was is kept.
    pub(super) fn is_whole(&self) -> bool {
        self.passed == 0 || self.kept.is_some()
    }

    /// How many bytes of it were passed on.
    pub(super) fn passed(&self) -> u64 {
        self.passed
    }

    /// How many bytes are kept.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, |kept| kept.len() as u64)
    }

    /// Keeps nothing more: the answer has begun.
    pub(super) fn forget(&mut self) {
        self.kept = None;
        self.expects_continue = false;
    }

    /// Writes what was passed on before, for one more try.
    pub(super) fn repeat(&self, out: &mut Vec<u8>) {
        let kept = self.kept.as_deref().unwrap_or_default();
        if !self.is_chunked {
            out.extend_from_slice(kept);
            return;
        }
        chunked::encode(kept, out);
        // What ended before its first byte was passed on has ended for this try too.
        if self.is_over() {
            out.extend_from_slice(chunked::END);
        }
    }

    /// Whether the client's next bytes are waited for.
    pub(super) fn wants_input(&self, client_has_data: bool, replica_is_free: bool) -> bool {
        !self.is_over() && !client_has_data && replica_is_free
    }

    /// Passes on what it can; ready once all of it has gone to the replica.
    pub(super) fn poll<S, R>(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<S>,
        replica: &mut Wire<R>,
    ) -> Poll<Result<(), Stuck>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        R: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            ready!(replica.poll_flush(context)).map_err(|_| Stuck::Replica)?;
            if self.is_over() {
                return Poll::Ready(Ok(()));
            }
            if client.data().is_empty() {
                if client.is_over() {
                    return Poll::Ready(Err(Stuck::Client(UploadError::Broken)));
                }
                if std::mem::take(&mut self.expects_continue) {
                    client.outbox.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
                // Each time anew, since it may not have gone out whole; but a client may also send before it takes anything.
                if let Poll::Ready(Err(_)) = client.poll_flush(context) {
                    return Poll::Ready(Err(Stuck::Client(UploadError::Broken)));
                }
                let came = ready!(client.poll_fill(context));
                came.map_err(|_| Stuck::Client(UploadError::Broken))?;
                continue;
            }
            self.take(client, &mut replica.outbox).map_err(Stuck::Client)?;
        }
    }

    /// Takes what has come, until there is a piece to be written.
    fn take<S>(&mut self, client: &mut Wire<S>, out: &mut Vec<u8>) -> Result<(), UploadError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while !client.data().is_empty() && out.len() < PIECE {
            let (used, count) = self.step(client.data(), out)?;
            client.consume(used);
            self.passed += count;
            if self.passed > self.bytes_max {
                return Err(UploadError::TooLarge);
            }
            if self.is_over() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// One piece; returns how many bytes of the input are used, and how many of them are the body's.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, u64), UploadError> {
        let (used, data) = match &mut self.body {
            Body::Over => (0, &[][..]),
            Body::Sized(left) => {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                let data = input.get(..count).unwrap_or_default();
                *left -= count as u64;
                if *left == 0 {
                    self.body = Body::Over;
                }
                (count, data)
            }
            Body::Chunked(decoder) => match decoder.next(input).map_err(|_| UploadError::Broken)? {
                (used, Piece::Data(data)) => (used, data),
                (used, Piece::More) => (used, &[][..]),
                (used, Piece::End) => {
                    self.body = Body::Over;
                    out.extend_from_slice(chunked::END);
                    return Ok((used, 0));
                }
            },
        };
        if self.is_chunked {
            chunked::encode(data, out);
        } else {
            out.extend_from_slice(data);
        }
        if self.kept.as_ref().is_some_and(|kept| kept.len() + data.len() > KEPT_MAX) {
            self.kept = None;
        }
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(data);
        }
        Ok((used, data.len() as u64))
    }

    /// Passes over what has come already of a body that nobody wants; whether that was all of it.
    pub(super) fn skip<S: AsyncRead + AsyncWrite + Unpin>(&mut self, client: &mut Wire<S>) -> bool {
        let mut nowhere = Vec::new();
        while !self.is_over() && !client.data().is_empty() && !self.expects_continue {
            nowhere.clear();
            if self.take(client, &mut nowhere).is_err() {
                return false;
            }
        }
        self.is_over()
    }
}
