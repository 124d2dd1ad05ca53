//! A request's body on its way to a replica: counted against its limits, watched for stalls, and kept, while it is
//! small, for the case that the request has to be sent once more.
//!
//! Never: reads ahead. What the replica does not take stays with the client.

use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// The most bytes of a body that are kept to be sent once more.
pub(crate) const KEPT_MAX: usize = 64 * 1024;
/// The most bytes of a body over HTTP/2 that come before anybody asks for them: what its client may send ahead.
pub(crate) const UNREAD_MAX: u32 = 64 * 1024;

/// A request's body, for one try at a replica.
pub(crate) enum UpstreamBody {
    /// The request has none.
    Empty,
    /// It comes from the client.
    Passed(Passing),
}

/// One try's end of an [`Upload`]. A later try takes the body from an earlier one.
pub(crate) struct Passing {
    upload: Upload,
    attempt: u32,
    /// How many pieces it has passed on.
    given: usize,
    /// Whether it has passed on everything.
    done: bool,
}

/// A request's body, for all tries.
#[derive(Clone)]
pub(crate) struct Upload {
    state: Arc<Mutex<State>>,
}

struct State {
    source: Incoming,
    limits: UploadLimits,
    attempt: u32,
    /// The pieces passed on so far; `None` once they are too many, or not needed.
    kept: Option<Vec<Bytes>>,
    trailers: Option<HeaderMap>,
    passed: u64,
    ended: bool,
    failure: Option<UploadError>,
    stall: Option<Pin<Box<Sleep>>>,
}

/// What a body is held to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UploadLimits {
    pub(crate) bytes_max: u64,
    /// How long the client may send nothing while the replica waits.
    pub(crate) idle: Duration,
    /// Whether sending the request once more may make sense at all.
    pub(crate) keep: bool,
}

/// Why a body did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UploadError {
    /// The client broke it off, or sent what is no body.
    Broken,
    /// It is larger than allowed.
    TooLarge,
    /// The client sent nothing for too long.
    TooSlow,
    /// Its end had not come when the answer should have begun.
    TooLate,
    /// A later try took it over.
    Superseded,
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "the request's body did not arrive whole",
            Self::TooLarge => "the request's body is too large",
            Self::TooSlow => "the request's body came too slowly",
            Self::TooLate => "the request's body came too late",
            Self::Superseded => "the request is sent elsewhere",
        })
    }
}

impl std::error::Error for UploadError {}

impl Upload {
    /// The body of a request; `None` when it has none.
    pub(crate) fn of(source: Incoming, limits: UploadLimits) -> Option<Self> {
        if source.is_end_stream() {
            return None;
        }
        let state = State {
            source,
            limits,
            attempt: 0,
            kept: limits.keep.then(Vec::new),
            trailers: None,
            passed: 0,
            ended: false,
            failure: None,
            stall: None,
        };
        Some(Self { state: Arc::new(Mutex::new(state)) })
    }

    /// The body for one more try, from its beginning. Ask [`is_whole`](Self::is_whole) first.
    pub(crate) fn body(&self) -> UpstreamBody {
        let mut state = self.state();
        state.attempt += 1;
        // Nobody waits for the client until this try asks for more than is kept.
        state.stall = None;
        UpstreamBody::Passed(Passing { upload: self.clone(), attempt: state.attempt, given: 0, done: false })
    }

    /// Whether all of the body can still be had: nothing was passed on, or all that was is kept.
    pub(crate) fn is_whole(&self) -> bool {
        let state = self.state();
        state.failure.is_none() && (state.passed == 0 || (state.limits.keep && state.kept.is_some()))
    }

    /// Whether its length is known.
    pub(crate) fn is_sized(&self) -> bool {
        self.size(0).exact().is_some()
    }

    /// How many bytes of it are in memory, or may come to be there before anybody asks for them.
    pub(crate) fn held_bytes(&self) -> u64 {
        let state = self.state();
        let kept = if state.kept.is_some() { state.passed } else { 0 };
        let unread = if state.ended { 0 } else { state.source.size_hint().upper().unwrap_or(u64::MAX) };
        kept + unread.min(u64::from(UNREAD_MAX))
    }

    /// Whether it is the client who is waited for.
    pub(crate) fn waits_for_client(&self) -> bool {
        self.state().stall.is_some()
    }

    /// Keeps nothing more: the answer has begun. What a try has still to pass on stays until it did.
    pub(crate) fn forget(&self) {
        self.state().limits.keep = false;
    }

    /// What went wrong with it, if anything did.
    pub(crate) fn failure(&self) -> Option<UploadError> {
        self.state().failure
    }

    /// What a try that has passed on `given` pieces has still to pass on, in bytes.
    fn size(&self, given: usize) -> SizeHint {
        let state = self.state();
        let kept = state.kept.iter().flatten().skip(given).map(|piece| piece.len() as u64).sum::<u64>();
        let rest = state.source.size_hint();
        let mut size = SizeHint::new();
        size.set_lower(rest.lower().saturating_add(kept));
        if let Some(upper) = rest.upper() {
            size.set_upper(upper.saturating_add(kept));
        }
        size
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, UploadError>>>;

impl State {
    /// The next piece for a try that has passed on `given`.
    fn poll(&mut self, attempt: u32, given: usize, context: &mut Context<'_>) -> Polled {
        if self.attempt != attempt {
            return Poll::Ready(Some(Err(UploadError::Superseded)));
        }
        if let Some(error) = self.failure {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(piece) = self.kept.as_ref().and_then(|kept| kept.get(given)) {
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        self.poll_source(context)
    }

    fn is_done(&self, given: usize) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.len() <= given) && self.source.is_end_stream()
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Polled {
        if self.ended {
            return Poll::Ready(self.trailers.clone().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let frame = match Pin::new(&mut self.source).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => return self.poll_stall(context),
        };
        self.stall = None;
        let Some(frame) = frame else {
            self.ended = true;
            return Poll::Ready(None);
        };
        let frame = match frame.map_err(|_| UploadError::Broken) {
            Ok(frame) => frame,
            Err(error) => return self.fail(error),
        };
        if let Some(trailers) = frame.trailers_ref() {
            self.ended = true;
            self.trailers = Some(trailers.clone());
        }
        if let Some(data) = frame.data_ref() {
            self.passed += data.len() as u64;
            if self.passed > self.limits.bytes_max {
                return self.fail(UploadError::TooLarge);
            }
            if self.passed > KEPT_MAX as u64 || !self.limits.keep {
                self.kept = None;
            } else if let Some(kept) = &mut self.kept {
                kept.push(data.clone());
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn poll_stall(&mut self, context: &mut Context<'_>) -> Polled {
        let idle = self.limits.idle;
        let stall = self.stall.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + idle)));
        ready!(stall.as_mut().poll(context));
        self.fail(UploadError::TooSlow)
    }

    fn fail(&mut self, error: UploadError) -> Polled {
        self.failure = Some(error);
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Self::Passed(passing) = self.get_mut() else { return Poll::Ready(None) };
        if passing.done {
            return Poll::Ready(None);
        }
        let polled = ready!(passing.upload.state().poll(passing.attempt, passing.given, context));
        passing.given += 1;
        passing.done = !matches!(&polled, Some(Ok(frame)) if frame.is_data());
        Poll::Ready(polled)
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Passed(passing) => passing.done || passing.upload.state().is_done(passing.given),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Passed(passing) => passing.upload.size(passing.given),
        }
    }
}
