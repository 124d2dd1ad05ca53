//! What travels with a call: deadline, trace and request id. Never: the request itself, or who may do what.

use crate::trace::{Trace, hexadecimal};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call may take when nobody says otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from outside, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// The longest request id that is kept in place: a UUID, as most are.
const REQUEST_ID_SHORT: usize = 36;
/// The longest time that can be asked for; the wire carries at most ten digits of milliseconds, about 115 days.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// What travels with a call, from its first caller to the last service it reaches. Cheap to clone.
///
/// A method is given one, and hands it to each call it makes, so that all of them share the deadline, the trace and the
/// request id.
#[derive(Clone, Debug)]
pub struct Call {
    deadline: Instant,
    /// Whether a caller waits until then; otherwise it is only the default.
    waited_for: bool,
    trace: Trace,
    request_id: RequestId,
}

/// A request's id: visible ASCII. Most are short, and need no memory of their own.
#[derive(Clone)]
enum RequestId {
    Short { length: u8, bytes: [u8; REQUEST_ID_SHORT] },
    Long(Arc<str>),
}

impl RequestId {
    fn new() -> Self {
        let mut bytes = [0; REQUEST_ID_SHORT];
        hexadecimal(&crate::random::id16(), &mut bytes);
        Self::Short { length: 32, bytes }
    }

    /// `None` when it is too long, empty or not visible ASCII.
    fn taken(text: &str) -> Option<Self> {
        let fine = !text.is_empty() && text.len() <= REQUEST_ID_MAX && text.bytes().all(|byte| byte.is_ascii_graphic());
        if !fine {
            return None;
        }
        let mut bytes = [0; REQUEST_ID_SHORT];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Some(Self::Short { length: text.len() as u8, bytes })
            }
            None => Some(Self::Long(text.into())),
        }
    }

    fn as_str(&self) -> &str {
        match self {
            // Always ASCII, by construction.
            Self::Short { length, bytes } => {
                std::str::from_utf8(bytes.get(..usize::from(*length)).unwrap_or_default()).unwrap_or_default()
            }
            Self::Long(text) => text,
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Default for Call {
    fn default() -> Self {
        Self::new()
    }
}

impl Call {
    /// A call that starts here: a new trace, a new request id, [`DEADLINE_DEFAULT`] from now.
    #[must_use]
    pub fn new() -> Self {
        Self::started(None, None, None)
    }

    /// The call that a request belongs to: its `traceparent` and `x-request-id` where they are well formed, new ones
    /// otherwise; [`DEADLINE_DEFAULT`] from now.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self::received(headers, None)
    }

    pub(crate) fn received(headers: &HeaderMap, deadline: Option<Instant>) -> Self {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let trace = text(TRACEPARENT).and_then(|trace| Trace::parse(trace, text(TRACESTATE).unwrap_or_default()));
        Self::started(trace, text(REQUEST_ID), deadline)
    }

    /// A call of these parts, where they are well formed.
    pub(crate) fn started(trace: Option<Trace>, request_id: Option<&str>, deadline: Option<Instant>) -> Self {
        Self {
            deadline: deadline.unwrap_or_else(|| Instant::now() + DEADLINE_DEFAULT),
            waited_for: deadline.is_some(),
            trace: trace.unwrap_or_else(Trace::new),
            request_id: request_id.and_then(RequestId::taken).unwrap_or_else(RequestId::new),
        }
    }

    /// The same call with this much time left. Never more than it has, when that was set before, here or by a caller.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        let deadline = Instant::now() + timeout.min(TIMEOUT_MAX);
        self.deadline = if self.waited_for { deadline.min(self.deadline) } else { deadline };
        self.waited_for = true;
        self
    }

    /// When the caller stops waiting.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// How long the caller still waits; zero when it does no more.
    #[must_use]
    pub fn time_left(&self) -> Duration {
        self.time_left_at(Instant::now())
    }

    pub(crate) fn time_left_at(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// Names the request in logs: given by whoever sent it first, or made.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request_id.as_str()
    }

    /// This call's position in its trace, as W3C writes it: `00-<trace>-<span>-<flags>`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        String::from_utf8_lossy(&self.trace.traceparent()).into_owned()
    }

    /// The id of the whole trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        let mut text = [0; 32];
        hexadecimal(&self.trace.trace, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    }

    pub(crate) fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The call that this one makes: the same trace and request id, a span of its own, the same deadline.
    pub(crate) fn child(&self) -> Self {
        Self { trace: self.trace.child(), request_id: self.request_id.clone(), ..*self }
    }

    /// Writes the headers that carry the call onward.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        // All of these are visible ASCII, checked when they were read or made here.
        let mut insert = |name: HeaderName, text: &[u8]| {
            if let Ok(value) = HeaderValue::from_bytes(text) {
                headers.insert(name, value);
            }
        };
        insert(TRACEPARENT, &self.trace.traceparent());
        insert(REQUEST_ID, self.request_id().as_bytes());
        if let Some(state) = &self.trace.state {
            insert(TRACESTATE, state.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn a_trace_is_passed_on_with_a_span_of_its_own() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let call =
            Call::from_headers(&headers(&[(TRACEPARENT, parent), (TRACESTATE, "vendor=1"), (REQUEST_ID, "abc-1")]));
        assert_eq!(call.traceparent(), parent);
        assert_eq!(call.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let mut onward = HeaderMap::new();
        call.child().write_headers(&mut onward);
        let sent = onward[TRACEPARENT].to_str().unwrap();
        assert!(sent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{sent}");
        assert_ne!(sent, parent);
        assert_eq!(onward[REQUEST_ID], "abc-1");
        assert_eq!(onward[TRACESTATE], "vendor=1");
    }

    #[test]
    fn what_is_malformed_is_replaced() {
        let call = Call::from_headers(&headers(&[(TRACEPARENT, "00-short-00f067aa0ba902b7-01")]));
        assert_eq!(call.traceparent().len(), 55);
        let long = "x".repeat(REQUEST_ID_MAX + 1);
        for bad in ["", "with space", long.as_str()] {
            let call = Call::from_headers(&headers(&[(REQUEST_ID, bad)]));
            assert_eq!(call.request_id().len(), 32, "{bad}");
        }
    }

    #[test]
    fn request_ids_of_all_lengths_are_kept() {
        for length in [1, REQUEST_ID_SHORT - 1, REQUEST_ID_SHORT, REQUEST_ID_SHORT + 1, REQUEST_ID_MAX] {
            let id = "i".repeat(length);
            assert_eq!(Call::from_headers(&headers(&[(REQUEST_ID, &id)])).child().request_id(), id);
        }
    }

    #[test]
    fn a_timeout_replaces_the_default_and_then_only_shortens() {
        let call = Call::new();
        assert!(call.time_left() <= DEADLINE_DEFAULT);
        let minute = call.clone().with_timeout(Duration::from_secs(60));
        assert!(minute.deadline() > call.deadline());
        let second = minute.clone().with_timeout(Duration::from_secs(1));
        assert!(second.deadline() < call.deadline());
        assert_eq!(second.clone().with_timeout(Duration::MAX).deadline(), second.deadline());
        let received = Call::received(&HeaderMap::new(), Some(call.deadline()));
        assert_eq!(received.with_timeout(Duration::MAX).deadline(), call.deadline());
    }

    #[test]
    fn ids_differ() {
        assert_ne!(Call::new().trace_id(), Call::new().trace_id());
        assert_ne!(Call::new().request_id(), Call::new().request_id());
    }
}
