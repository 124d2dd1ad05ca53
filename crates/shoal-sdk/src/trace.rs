//! A position in a trace, as W3C's Trace Context defines it, and how it is read and written. Never: decides what is
//! traced.

use std::sync::Arc;

/// The longest `tracestate` that is passed on, in bytes; the least that W3C asks for.
pub(crate) const TRACESTATE_MAX: usize = 512;
/// The length of a written position: `00-<trace>-<span>-<flags>`.
pub(crate) const TRACEPARENT_LENGTH: usize = 55;

/// A position in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) trace: [u8; 16],
    pub(crate) span: [u8; 8],
    pub(crate) flags: u8,
    /// What tracing systems add; passed on as it came.
    pub(crate) state: Option<Arc<str>>,
}

impl Trace {
    /// A trace that starts here.
    pub(crate) fn new() -> Self {
        Self { trace: crate::random::id16(), span: crate::random::id8(), flags: 1, state: None }
    }

    /// One that came from elsewhere; `None` when an id is all zero, which W3C forbids.
    pub(crate) fn of_parts(trace: [u8; 16], span: [u8; 8], flags: u8, state: &str) -> Option<Self> {
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = Some(state).filter(|state| !state.is_empty() && state.len() <= TRACESTATE_MAX);
        Some(Self { trace, span, flags: flags & 1, state: state.map(Arc::from) })
    }

    pub(crate) fn parse(text: &str, state: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let version: [u8; 1] = bytes_of(parts.next()?)?;
        let trace: [u8; 16] = bytes_of(parts.next()?)?;
        let span: [u8; 8] = bytes_of(parts.next()?)?;
        let [flags] = bytes_of(parts.next()?)?;
        // Version 0 has exactly four parts; a later one may add some, which are ignored.
        let version_ok = version[0] != 0xff && (version[0] != 0 || parts.next().is_none());
        if version_ok { Self::of_parts(trace, span, flags, state) } else { None }
    }

    /// The same trace, a span of its own.
    pub(crate) fn child(&self) -> Self {
        Self { span: crate::random::id8(), ..self.clone() }
    }

    /// As W3C writes it.
    pub(crate) fn traceparent(&self) -> [u8; TRACEPARENT_LENGTH] {
        let mut text = *b"00-________________________________-________________-__";
        hexadecimal(&self.trace, text.get_mut(3..35).unwrap_or_default());
        hexadecimal(&self.span, text.get_mut(36..52).unwrap_or_default());
        hexadecimal(&[self.flags], text.get_mut(53..).unwrap_or_default());
        text
    }
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        // Upper case is not allowed.
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = match pair {
            [high, low] => digit(*high)? << 4 | digit(*low)?,
            _ => return None,
        };
    }
    Some(bytes)
}

/// Writes bytes as digits, two for each, for as long as there is room.
pub(crate) fn hexadecimal(bytes: &[u8], text: &mut [u8]) {
    let digit = |half: u8| if half < 10 { b'0' + half } else { b'a' + half - 10 };
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_and_written_back() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace = Trace::parse(text, "vendor=1").unwrap();
        assert_eq!(trace.traceparent(), text.as_bytes());
        assert_eq!(trace.state.as_deref(), Some("vendor=1"));
        let child = trace.child();
        assert_eq!((child.trace, child.flags), (trace.trace, trace.flags));
        assert_ne!(child.span, trace.span);
        assert!(
            Trace::parse(&text.replacen("00", "01", 1).replace("-01", "-01-more"), "").is_some(),
            "a later version"
        );
    }

    #[test]
    fn what_is_malformed_is_none() {
        for bad in [
            "",
            "00-short-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(Trace::parse(bad, ""), None, "{bad}");
        }
        assert_eq!(Trace::of_parts([1; 16], [1; 8], 1, &"x".repeat(TRACESTATE_MAX + 1)).unwrap().state, None);
    }
}
