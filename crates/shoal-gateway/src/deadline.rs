//! The time a call has: as its route says, and as its client says in the timeout header of gRPC or Connect. Pure.
//!
//! A client's deadline is for the whole call, to the last byte of the answer; it goes on to the replica with what is
//! left of it. Specified by "gRPC over HTTP2" (`Timeout`) and by the Connect protocol (`Connect-Timeout-Ms`).

use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::{Duration, Instant};

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const CONNECT_TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
/// The most digits of a timeout of gRPC, and of one of Connect.
const GRPC_DIGITS: usize = 8;
const CONNECT_DIGITS: usize = 10;

/// Until when a request is worth serving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deadline {
    /// When the answer must have begun.
    pub(crate) begin: Instant,
    /// When it must have ended, if the client said so.
    pub(crate) end: Option<Instant>,
    /// How long the answer's beginning may take in all.
    pub(crate) allowed: Duration,
    form: Option<Form>,
}

/// What a client says of the time it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    time: Duration,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Grpc,
    Connect,
}

impl Deadline {
    /// Of a request that came at `now` on a route with this timeout. A header that is not as specified counts for
    /// nothing; the replica may refuse it.
    pub(crate) fn of(headers: &HeaderMap, now: Instant, timeout: Duration) -> Self {
        let value = |name| headers.get(name).map(HeaderValue::as_bytes);
        Self::new(Asked::of(value(GRPC_TIMEOUT), value(CONNECT_TIMEOUT)), now, timeout)
    }

    /// Of a request that came at `now` on a route with this timeout, and asked for this.
    pub(crate) fn new(asked: Option<Asked>, now: Instant, timeout: Duration) -> Self {
        match asked {
            Some(Asked { time, form }) => {
                let allowed = timeout.min(time);
                Self { begin: now + allowed, end: Some(now + time), allowed, form: Some(form) }
            }
            None => Self { begin: now + timeout, end: None, allowed: timeout, form: None },
        }
    }

    /// Writes what is left of the client's deadline into the request's headers.
    pub(crate) fn shrink(&self, headers: &mut HeaderMap, now: Instant) {
        let Some((name, text)) = self.left(now) else { return };
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }

    /// What is left of the client's deadline, as the header that says so.
    pub(crate) fn left(&self, now: Instant) -> Option<(HeaderName, String)> {
        let (form, end) = (self.form?, self.end?);
        let left = end.saturating_duration_since(now);
        Some(match form {
            Form::Grpc => (GRPC_TIMEOUT, grpc_text(left)),
            Form::Connect => (CONNECT_TIMEOUT, left.as_millis().clamp(1, 9_999_999_999).to_string()),
        })
    }
}

impl Asked {
    /// As these headers say; gRPC's counts where both are there.
    pub(crate) fn of(grpc: Option<&[u8]>, connect: Option<&[u8]>) -> Option<Self> {
        match (grpc, connect) {
            (Some(value), _) => grpc_timeout(value).map(|time| Self { time, form: Form::Grpc }),
            (None, Some(value)) => connect_timeout(value).map(|time| Self { time, form: Form::Connect }),
            (None, None) => None,
        }
    }
}

/// In the smallest unit that it fits, rounded down so that no hop adds to it; but a timeout of nothing would be refused
/// for its form.
fn grpc_text(left: Duration) -> String {
    let most = 10_u128.pow(GRPC_DIGITS as u32) - 1;
    let in_units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (u128::from(left.as_secs()), 'S')];
    let (amount, unit) = in_units.into_iter().find(|(amount, _)| *amount <= most).unwrap_or((most, 'S'));
    format!("{}{unit}", amount.max(1))
}

fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    let amount = number(digits, GRPC_DIGITS)?;
    Some(match unit {
        b'H' => Duration::from_secs(amount * 3600),
        b'M' => Duration::from_secs(amount * 60),
        b'S' => Duration::from_secs(amount),
        b'm' => Duration::from_millis(amount),
        b'u' => Duration::from_micros(amount),
        b'n' => Duration::from_nanos(amount),
        _ => return None,
    })
}

fn connect_timeout(value: &[u8]) -> Option<Duration> {
    number(value, CONNECT_DIGITS).map(Duration::from_millis)
}

fn number(digits: &[u8], most: usize) -> Option<u64> {
    if digits.is_empty() || digits.len() > most || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROUTE: Duration = Duration::from_secs(60);

    fn with(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn each_unit_is_read_and_nonsense_is_nothing() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("1S", Some(Duration::from_secs(1))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("m", None),
            ("5", None),
            ("100000000m", None),
            ("-1S", None),
            ("1 S", None),
        ] {
            assert_eq!(grpc_timeout(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(connect_timeout(b"9999999999"), Some(Duration::from_millis(9_999_999_999)));
        assert_eq!(connect_timeout(b"10000000000"), None);
    }

    #[test]
    fn the_shorter_of_route_and_client_is_for_the_beginning_and_the_clients_for_the_end() {
        let now = Instant::now();
        let short = Deadline::of(&with(GRPC_TIMEOUT, "1S"), now, ROUTE);
        assert_eq!((short.begin - now, short.end), (Duration::from_secs(1), Some(now + Duration::from_secs(1))));
        let long = Deadline::of(&with(CONNECT_TIMEOUT, "600000"), now, ROUTE);
        assert_eq!((long.begin - now, long.end), (ROUTE, Some(now + Duration::from_secs(600))));
        let none = Deadline::of(&HeaderMap::new(), now, ROUTE);
        assert_eq!((none.begin - now, none.end), (ROUTE, None));
    }

    proptest! {
        #[test]
        fn what_goes_on_is_valid_and_shrinks(asked in 1u64..99_999_999, passed in 0u64..200_000_000) {
            for (name, text) in [(GRPC_TIMEOUT, format!("{asked}m")), (CONNECT_TIMEOUT, asked.to_string())] {
                let mut headers = with(name.clone(), &text);
                let now = Instant::now();
                let deadline = Deadline::of(&headers, now, ROUTE);
                deadline.shrink(&mut headers, now + Duration::from_millis(passed));
                let value = headers[&name].as_bytes();
                let left = if name == GRPC_TIMEOUT { grpc_timeout(value) } else { connect_timeout(value) };
                let expected = Duration::from_millis(asked.saturating_sub(passed));
                let least = if name == GRPC_TIMEOUT { Duration::from_micros(1) } else { Duration::from_millis(1) };
                prop_assert_eq!(left, Some(expected.max(least)));
            }
        }

        #[test]
        fn no_hop_adds_to_it(amount in 1u64..=99_999_999, unit in "[HMSmun]", passed in 1u64..1_000_000) {
            let asked = grpc_timeout(format!("{amount}{unit}").as_bytes()).unwrap();
            let mut headers = with(GRPC_TIMEOUT, &format!("{amount}{unit}"));
            let now = Instant::now();
            Deadline::of(&headers, now, ROUTE).shrink(&mut headers, now + Duration::from_nanos(passed));
            let left = grpc_timeout(headers[&GRPC_TIMEOUT].as_bytes()).unwrap();
            prop_assert!(left < asked || left == Duration::from_micros(1), "{:?} of {:?}", left, asked);
        }

        #[test]
        fn no_header_panics(value in proptest::collection::vec(33u8..127, 0..20)) {
            let mut headers = HeaderMap::from_iter([(GRPC_TIMEOUT, HeaderValue::from_bytes(&value).unwrap())]);
            let now = Instant::now();
            Deadline::of(&headers, now, ROUTE).shrink(&mut headers, now);
        }
    }
}
