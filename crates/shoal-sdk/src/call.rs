//! What travels with a call: deadline, trace and request id. Never: the request itself, or who may do what.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call may take when nobody says otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(10);

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id that is taken from outside, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// The longest `tracestate` that is passed on, in bytes; the least that W3C asks for.
const TRACESTATE_MAX: usize = 512;

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
    request_id: Arc<str>,
}

/// A position in a trace, as W3C's Trace Context defines it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Trace {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
    state: Option<Arc<str>>,
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
        let mut trace = headers.get(TRACEPARENT).and_then(|value| Trace::parse(value.to_str().ok()?));
        if let Some(trace) = &mut trace {
            let state = headers.get(TRACESTATE).and_then(|value| value.to_str().ok());
            trace.state = state.filter(|state| !state.is_empty() && state.len() <= TRACESTATE_MAX).map(Arc::from);
        }
        let request_id =
            headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(|id| is_request_id(id)).map(Arc::from);
        Self::started(trace, request_id, deadline)
    }

    fn started(trace: Option<Trace>, request_id: Option<Arc<str>>, deadline: Option<Instant>) -> Self {
        let trace = trace.unwrap_or_else(Trace::new);
        let request_id = request_id.unwrap_or_else(|| hexadecimal(&random::<16>()).into());
        Self {
            deadline: deadline.unwrap_or_else(|| Instant::now() + DEADLINE_DEFAULT),
            waited_for: deadline.is_some(),
            trace,
            request_id,
        }
    }

    /// The same call with this much time left. Never more than it has, when that was set before, here or by a caller.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        // The wire carries at most ten digits of milliseconds, about 115 days.
        let deadline = Instant::now() + timeout.min(Duration::from_secs(24 * 60 * 60));
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
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Names the request in logs: given by whoever sent it first, or made.
    #[must_use]
    pub fn request_id(&self) -> &str {
        &self.request_id
    }

    /// This call's position in its trace, as W3C writes it: `00-<trace>-<span>-<flags>`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        let Trace { trace, span, flags, .. } = &self.trace;
        format!("00-{}-{}-{flags:02x}", hexadecimal(trace), hexadecimal(span))
    }

    /// The id of the whole trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        hexadecimal(&self.trace.trace)
    }

    /// The call that this one makes: the same trace and request id, a span of its own, the same deadline.
    pub(crate) fn child(&self) -> Self {
        let mut child = self.clone();
        child.trace.span = nonzero_random();
        child
    }

    /// Writes the headers that carry the call onward.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        // All of these are visible ASCII, checked when they were read or made here.
        let mut insert = |name: HeaderName, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        insert(TRACEPARENT, &self.traceparent());
        insert(REQUEST_ID, &self.request_id);
        if let Some(state) = &self.trace.state {
            insert(TRACESTATE, state);
        }
    }
}

impl Trace {
    fn new() -> Self {
        Self { trace: nonzero_random(), span: nonzero_random(), flags: 1, state: None }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version: [u8; 1] = bytes_of(parts.next()?)?;
        let trace: [u8; 16] = bytes_of(parts.next()?)?;
        let span: [u8; 8] = bytes_of(parts.next()?)?;
        let [flags] = bytes_of(parts.next()?)?;
        // Version 0 has exactly four parts; a later one may add some, which are ignored.
        let version_ok = version[0] != 0xff && (version[0] != 0 || parts.next().is_none());
        if !version_ok || trace == [0; 16] || span == [0; 8] {
            return None;
        }
        Some(Self { trace, span, flags: flags & 1, state: None })
    }
}

fn is_request_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= REQUEST_ID_MAX && id.bytes().all(|byte| byte.is_ascii_graphic())
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let lower_case_only = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 2 * N || !lower_case_only {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn nonzero_random<const N: usize>() -> [u8; N] {
    let mut bytes = random::<N>();
    if bytes.iter().all(|byte| *byte == 0) {
        bytes = [1; N];
    }
    bytes
}

/// Random bytes for ids. Should the system refuse them, ids that are only likely to differ are better than none.
fn random<const N: usize>() -> [u8; N] {
    try_random().unwrap_or_else(|_| {
        let nanos =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |since| since.as_nanos());
        let mut bytes = [0; N];
        for (byte, clock) in bytes.iter_mut().zip(nanos.to_le_bytes().into_iter().cycle()) {
            *byte = clock;
        }
        bytes
    })
}

/// Random bytes from the system, good for keys.
pub(crate) fn try_random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
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
        for bad in [
            "",
            "00-short-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::parse(bad), None, "{bad}");
            let call = Call::from_headers(&headers(&[(TRACEPARENT, bad)]));
            assert_eq!(call.traceparent().len(), 55);
        }
        let long = "x".repeat(REQUEST_ID_MAX + 1);
        for bad in ["", "with space", long.as_str()] {
            let call = Call::from_headers(&headers(&[(REQUEST_ID, bad)]));
            assert_eq!(call.request_id().len(), 32, "{bad}");
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
