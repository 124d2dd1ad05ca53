//! An answer's body over HTTP/1.1, from the replica's connection to the client's.

use super::chunked::{self, Decoder, Piece};
use super::request::Framing;
use super::wire::{PIECE, Wire};
use std::io;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};

/// An answer's body.
pub(super) struct Download {
    body: Body,
    /// Whether the client gets it in chunks.
    chunks: bool,
    /// Who is waited for.
    pub(super) waits_for: Side,
    /// How often something came from the replica.
    pub(super) came: u64,
}

enum Body {
    Over,
    Sized(u64),
    Chunked(Decoder),
    Closing,
}

/// One of the two ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Replica,
}

/// The side that broke off, and what it did.
#[derive(Debug)]
pub(super) struct BrokenOff(pub(super) Side);

impl Download {
    pub(super) fn new(framing: Framing, is_http10: bool) -> Self {
        let body = match framing {
            Framing::Empty => Body::Over,
            Framing::Sized(length) => Body::Sized(length),
            Framing::Chunked => Body::Chunked(Decoder::new()),
            Framing::Closing => Body::Closing,
        };
        let chunks = matches!(body, Body::Chunked(_) | Body::Closing) && !is_http10;
        Self { body, chunks, waits_for: Side::Replica, came: 0 }
    }

    /// Passes on what it can; ready once all of it has gone to the client.
    pub(super) fn poll<S, R>(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<S>,
        replica: &mut Wire<R>,
    ) -> Poll<Result<(), BrokenOff>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
        R: AsyncRead + AsyncWrite + Unpin,
    {
        loop {
            self.waits_for = Side::Client;
            if let Body::Sized(left) = &mut self.body
                && !replica.data().is_empty()
            {
                let count = usize::try_from(*left).unwrap_or(usize::MAX).min(replica.data().len());
                let data = replica.data().get(..count).unwrap_or_default();
                let written = ready!(client.poll_pass(context, data)).map_err(of(Side::Client))?;
                replica.consume(written);
                *left -= written as u64;
                if *left == 0 {
                    self.body = Body::Over;
                }
                continue;
            }
            self.take(replica, &mut client.outbox)?;
            ready!(client.poll_flush(context)).map_err(of(Side::Client))?;
            if matches!(self.body, Body::Over) {
                return Poll::Ready(Ok(()));
            }
            if !replica.data().is_empty() {
                continue;
            }
            self.waits_for = Side::Replica;
            if ready!(replica.poll_fill(context)).map_err(of(Side::Replica))? {
                self.came += 1;
            } else if matches!(self.body, Body::Closing) {
                self.body = Body::Over;
                if self.chunks {
                    client.outbox.extend_from_slice(chunked::END);
                }
            } else {
                return Poll::Ready(Err(BrokenOff(Side::Replica)));
            }
        }
    }

    /// Takes what has come, until there is a piece to be written; what is passed on as it is, is left for that.
    fn take<R: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        replica: &mut Wire<R>,
        out: &mut Vec<u8>,
    ) -> Result<(), BrokenOff> {
        while !replica.data().is_empty() && out.len() < PIECE {
            let (used, data) = match &mut self.body {
                Body::Over | Body::Sized(_) => return Ok(()),
                Body::Closing => (replica.data().len(), replica.data()),
                Body::Chunked(decoder) => match decoder.next(replica.data()) {
                    Err(_) => return Err(BrokenOff(Side::Replica)),
                    Ok((used, Piece::Data(data))) => (used, data),
                    Ok((used, Piece::More)) => (used, &[][..]),
                    Ok((used, Piece::End)) => {
                        replica.consume(used);
                        self.body = Body::Over;
                        if self.chunks {
                            out.extend_from_slice(chunked::END);
                        }
                        return Ok(());
                    }
                },
            };
            if self.chunks {
                chunked::encode(data, out);
            } else {
                out.extend_from_slice(data);
            }
            replica.consume(used);
        }
        Ok(())
    }
}

fn of(side: Side) -> impl Fn(io::Error) -> BrokenOff {
    move |_| BrokenOff(side)
}
