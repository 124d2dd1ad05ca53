//! An answer's body on its way to the client: watched for stalls, ended at the client's deadline, and counted when it
//! ends; then its connection can be used again.

use crate::clock;
use crate::connection::RequestGuard;
use crate::core_loop::Core;
use crate::destination::{Admission, Destination};
use crate::pool::Sender1;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use shoal_balance::{Outcome, Pick};
use shoal_discovery::InFlight;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// What the gateway answers with.
pub(crate) struct AnswerBody {
    content: Content,
    request: RequestGuard,
}

enum Content {
    /// A body of the gateway's own, or none.
    Own(Full<Bytes>),
    /// A replica's.
    Passed(Box<Tracked>),
}

/// A replica's body with what must happen at its end.
struct Tracked {
    body: Incoming,
    call: Option<OpenCall>,
    limits: AnswerLimits,
    stall: Option<Pin<Box<Sleep>>>,
    /// Nothing more comes: the deadline's trailers were the last.
    over: bool,
}

/// What an answer is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AnswerLimits {
    /// How long the replica may send nothing.
    pub(crate) idle: Duration,
    /// When it must have ended.
    pub(crate) end: Option<Instant>,
    /// Whether its end is a status in trailers.
    pub(crate) is_grpc: bool,
}

/// Why an answer did not get through.
#[derive(Debug)]
pub(crate) enum AnswerError {
    /// The replica broke it off.
    Broken(hyper::Error),
    /// The replica sent nothing for too long.
    Stalled,
    /// The client's deadline has passed.
    TimedOut,
}

impl fmt::Display for AnswerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken(_) => "the replica broke its answer off",
            Self::Stalled => "the replica's answer did not go on",
            Self::TimedOut => "the answer did not end in time",
        })
    }
}

impl std::error::Error for AnswerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Broken(error) => Some(error),
            Self::Stalled | Self::TimedOut => None,
        }
    }
}

/// A call whose answer has not ended. Dropped before that, it counts as cancelled, and its connection is closed.
pub(crate) struct OpenCall {
    /// The replica's place in the balancer.
    pub(crate) pick: Pick,
    pub(crate) destination: Arc<Destination>,
    pub(crate) in_flight: InFlight,
    pub(crate) admission: Admission,
    pub(crate) started: Instant,
    pub(crate) outcome: Outcome,
    /// To be given back when the body has ended well.
    pub(crate) connection: Option<Sender1>,
}

impl OpenCall {
    /// The answer ended by itself; `broken` says how if it did so as it should not.
    pub(crate) fn end(self, core: &Core, broken: Option<Outcome>) {
        let now = Instant::now();
        let outcome = broken.unwrap_or(self.outcome);
        self.in_flight.finish(now.saturating_duration_since(self.started), outcome != Outcome::Succeeded);
        if let Some(sender) = self.connection
            && broken.is_none()
        {
            core.pool.give_back(&self.pick.endpoint().address, sender);
        }
        self.destination.target.finish(self.pick, clock::moment_of(now), outcome);
        drop(self.admission);
    }
}

/// How an answer with this head ended, as far as its replica is to blame.
pub(crate) fn outcome(status: StatusCode, headers: &HeaderMap) -> Outcome {
    match status.as_u16() {
        500.. => Outcome::Failed,
        _ => headers.get(GRPC_STATUS).and_then(|status| grpc_outcome(status.as_bytes())).unwrap_or(Outcome::Succeeded),
    }
}

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// What gRPC's status says, where it blames the service: unknown, deadline_exceeded, internal, unavailable, data_loss. One
/// who says so can be reached, and may just pass on what ails something behind it.
pub(crate) fn grpc_outcome(status: &[u8]) -> Option<Outcome> {
    matches!(status, b"2" | b"4" | b"13" | b"14" | b"15").then_some(Outcome::Failed)
}

impl AnswerBody {
    /// The gateway's own; empty for none.
    pub(crate) fn own(body: Bytes, request: RequestGuard) -> Self {
        Self { content: Content::Own(Full::new(body)), request }
    }

    /// A replica's body; an empty one ends its call at once.
    pub(crate) fn passed(body: Incoming, call: OpenCall, limits: AnswerLimits, request: RequestGuard) -> Self {
        if body.is_end_stream() {
            call.end(request.core(), None);
            return Self::own(Bytes::new(), request);
        }
        let tracked = Tracked { body, call: Some(call), limits, stall: None, over: false };
        Self { content: Content::Passed(Box::new(tracked)), request }
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, AnswerError>>>;

impl Tracked {
    fn poll(&mut self, request: &RequestGuard, context: &mut Context<'_>) -> Polled {
        if self.over {
            return Poll::Ready(None);
        }
        if self.limits.end.is_some_and(|end| Instant::now() >= end) {
            return self.timed_out();
        }
        let frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_stall(request, context),
        };
        self.stall = None;
        match frame {
            None => {
                self.end(request, None);
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                self.end(request, Some(Outcome::Unreachable));
                Poll::Ready(Some(Err(AnswerError::Broken(error))))
            }
            Some(Ok(frame)) => {
                if let (Some(trailers), Some(call)) = (frame.trailers_ref(), &mut self.call) {
                    let status = trailers.get(GRPC_STATUS).and_then(|status| grpc_outcome(status.as_bytes()));
                    call.outcome = status.unwrap_or(call.outcome);
                }
                if self.body.is_end_stream() {
                    self.end(request, None);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn poll_stall(&mut self, request: &RequestGuard, context: &mut Context<'_>) -> Polled {
        let limits = self.limits;
        let stall = self.stall.get_or_insert_with(|| {
            let idle = Instant::now() + limits.idle;
            Box::pin(tokio::time::sleep_until(limits.end.map_or(idle, |end| end.min(idle)).into()))
        });
        if stall.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        if limits.end.is_some_and(|end| Instant::now() >= end) {
            return self.timed_out();
        }
        // It was reached, and may just have nothing to say.
        self.end(request, Some(Outcome::Failed));
        self.over = true;
        Poll::Ready(Some(Err(AnswerError::Stalled)))
    }

    /// Ends the answer at the client's deadline. A replica that has begun to answer is not to blame for it.
    fn timed_out(&mut self) -> Polled {
        self.over = true;
        if let Some(call) = self.call.take() {
            call.in_flight.finish(call.started.elapsed(), true);
        }
        if !self.limits.is_grpc {
            return Poll::Ready(Some(Err(AnswerError::TimedOut)));
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("4"));
        trailers.insert("grpc-message", HeaderValue::from_static("The answer did not end in time."));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn end(&mut self, request: &RequestGuard, broken: Option<Outcome>) {
        if let Some(call) = self.call.take() {
            call.end(request.core(), broken);
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let Self { content, request } = self.get_mut();
        request.taken();
        let polled = match content {
            Content::Own(body) => Pin::new(body).poll_frame(context).map_err(|never| match never {}),
            Content::Passed(tracked) => tracked.poll(request, context),
        };
        if matches!(&polled, Poll::Ready(Some(Ok(_)))) {
            request.given();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Own(body) => body.is_end_stream(),
            Content::Passed(tracked) => tracked.over || tracked.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Own(body) => body.size_hint(),
            Content::Passed(tracked) => tracked.body.size_hint(),
        }
    }
}
