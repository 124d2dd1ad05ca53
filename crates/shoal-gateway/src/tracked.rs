//! An answer's body on its way to the client: counts the call when it ends, then lets the connection be used again.

use crate::pool::{Pool, Sender1};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use shoal_balance::Pick;
use shoal_discovery::InFlight;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// What the gateway answers with: a replica's body, or one of its own.
pub(crate) enum AnswerBody {
    Passed(Box<Tracked>),
    Own(Full<Bytes>),
}

/// A replica's body with what must happen at its end.
pub(crate) struct Tracked {
    body: Incoming,
    call: Option<OpenCall>,
}

/// A call whose answer has not ended. Dropped before that, it counts as cancelled, and its connection is closed.
pub(crate) struct OpenCall {
    /// Holds the replica's place in the balancer.
    pub(crate) _pick: Pick,
    pub(crate) in_flight: InFlight,
    pub(crate) started: Instant,
    pub(crate) is_error: bool,
    /// To be given back when the body has ended well.
    pub(crate) connection: Option<(Arc<Pool>, Sender1)>,
}

impl OpenCall {
    /// The answer ended; `whole` when it did so as it should.
    pub(crate) fn end(self, whole: bool) {
        self.in_flight.finish(self.started.elapsed(), self.is_error || !whole);
        if let Some((pool, sender)) = self.connection
            && whole
        {
            pool.give_back(&self._pick.endpoint().address, sender);
        }
    }
}

impl AnswerBody {
    /// A replica's body; an empty one ends its call at once.
    pub(crate) fn passed(body: Incoming, call: OpenCall) -> Self {
        let mut tracked = Tracked { body, call: Some(call) };
        if tracked.body.is_end_stream() {
            tracked.end(true);
        }
        Self::Passed(Box::new(tracked))
    }
}

impl Tracked {
    fn end(&mut self, whole: bool) {
        if let Some(call) = self.call.take() {
            call.end(whole);
        }
    }
}

/// gRPC's status, when it is one that blames the service: unknown, deadline_exceeded, internal, unavailable, data_loss.
pub(crate) fn is_grpc_error(headers: &HeaderMap) -> bool {
    headers.get("grpc-status").is_some_and(|status| matches!(status.as_bytes(), b"2" | b"4" | b"13" | b"14" | b"15"))
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let tracked = match self.get_mut() {
            Self::Own(body) => return Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Self::Passed(tracked) => tracked,
        };
        let frame = ready!(Pin::new(&mut tracked.body).poll_frame(context));
        match &frame {
            None => tracked.end(true),
            Some(Err(_)) => tracked.end(false),
            Some(Ok(frame)) => {
                if let (Some(trailers), Some(call)) = (frame.trailers_ref(), &mut tracked.call) {
                    call.is_error |= is_grpc_error(trailers);
                }
                if tracked.body.is_end_stream() {
                    tracked.end(true);
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Own(body) => body.is_end_stream(),
            Self::Passed(tracked) => tracked.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Own(body) => body.size_hint(),
            Self::Passed(tracked) => tracked.body.size_hint(),
        }
    }
}
