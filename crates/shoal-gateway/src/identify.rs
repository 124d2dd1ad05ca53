//! The names a request carries through the application: `x-request-id` and `traceparent`. Valid ones are passed on,
//! anything else is replaced. Pure but for the random numbers of new names.

use crate::random;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header that names a request.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The longest request id that is passed on, in bytes.
const REQUEST_ID_MAX: usize = 128;
/// The longest `traceparent` of a version to come, in bytes.
const TRACEPARENT_MAX: usize = 256;

/// Makes sure that the request has both names, each once, and returns its id.
pub(crate) fn identify(headers: &mut HeaderMap) -> HeaderValue {
    if !has_one(headers, &TRACEPARENT, is_traceparent) {
        // W3C Trace Context 3.3: without a valid traceparent, tracestate means nothing.
        headers.remove(TRACESTATE);
        set(headers, TRACEPARENT, write_traceparent);
    }
    if !has_one(headers, &REQUEST_ID, is_request_id) {
        set(headers, REQUEST_ID, write_request_id);
    }
    headers.get(REQUEST_ID).cloned().unwrap_or_else(|| HeaderValue::from_static("unknown"))
}

/// Writes a new trace's parent.
pub(crate) fn write_traceparent(out: &mut Vec<u8>) {
    out.extend_from_slice(b"00-");
    write_request_id(out);
    out.push(b'-');
    out.extend_from_slice(&random::hexadecimal(random::next().max(1)));
    out.extend_from_slice(b"-01");
}

/// Writes a new request's id: 32 digits, never all zero.
pub(crate) fn write_request_id(out: &mut Vec<u8>) {
    out.extend_from_slice(&random::hexadecimal(random::next().max(1)));
    out.extend_from_slice(&random::hexadecimal(random::next()));
}

fn set(headers: &mut HeaderMap, name: HeaderName, write: fn(&mut Vec<u8>)) {
    let mut text = Vec::with_capacity(64);
    write(&mut text);
    // Digits and dashes always make a header value.
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(name, value);
    }
}

fn has_one(headers: &HeaderMap, name: &HeaderName, valid: fn(&[u8]) -> bool) -> bool {
    let mut values = headers.get_all(name).iter();
    matches!((values.next(), values.next()), (Some(value), None) if valid(value.as_bytes()))
}

pub(crate) fn is_request_id(value: &[u8]) -> bool {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/=:@".contains(byte);
    (1..=REQUEST_ID_MAX).contains(&value.len()) && value.iter().all(allowed)
}

/// W3C Trace Context 3.2: `00-<32 digits>-<16 digits>-<2 digits>`, lower-case hexadecimal, neither id all zero. A
/// version to come may add fields after another dash; version `ff` is invalid.
pub(crate) fn is_traceparent(value: &[u8]) -> bool {
    let Some((known, rest)) = value.split_at_checked(55) else { return false };
    let fields: Vec<&[u8]> = known.split(|byte| *byte == b'-').collect();
    let [version, trace, parent, flags] = fields.as_slice() else { return false };
    let lengths = version.len() == 2 && trace.len() == 32 && parent.len() == 16 && flags.len() == 2;
    let digits = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let not_zero = |field: &[u8]| field.iter().any(|byte| *byte != b'0');
    let ends = rest.is_empty() || (*version != b"00" && rest.first() == Some(&b'-'));
    lengths
        && fields.iter().all(|field| digits(field))
        && not_zero(trace)
        && not_zero(parent)
        && *version != b"ff"
        && ends
        && value.len() <= TRACEPARENT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn traceparents_are_checked() {
        assert!(is_traceparent(GOOD.as_bytes()));
        assert!(is_traceparent(GOOD.replacen("00-", "01-", 1).as_bytes()));
        assert!(is_traceparent(format!("{}-more", GOOD.replacen("00-", "01-", 1)).as_bytes()));
        for bad in [
            String::new(),
            format!("{GOOD}-more"),
            format!("{GOOD}0"),
            GOOD.to_uppercase(),
            GOOD.replacen("00-", "ff-", 1),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01".to_owned(),
            format!("{}-{}", GOOD.replacen("00-", "01-", 1), "x".repeat(300)),
        ] {
            assert!(!is_traceparent(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn valid_names_are_kept_and_others_replaced() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.insert(TRACESTATE, HeaderValue::from_static("a=b"));
        headers.insert(REQUEST_ID, HeaderValue::from_static("order-7"));
        assert_eq!(identify(&mut headers), "order-7");
        assert_eq!(
            (&headers[TRACEPARENT], &headers[TRACESTATE]),
            (&HeaderValue::from_static(GOOD), &HeaderValue::from_static("a=b"))
        );

        headers.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        headers.append(REQUEST_ID, HeaderValue::from_static("second"));
        let id = identify(&mut headers);
        assert!(is_request_id(id.as_bytes()) && id != "order-7");
        assert_eq!(headers.get_all(TRACEPARENT).iter().count(), 1);
        assert!(is_traceparent(headers[TRACEPARENT].as_bytes()) && !headers.contains_key(TRACESTATE));
    }

    proptest! {
        #[test]
        fn whatever_came_the_result_is_valid(trace in proptest::collection::vec(32u8..127, 0..80), id in proptest::collection::vec(32u8..127, 0..200)) {
            let mut headers = HeaderMap::new();
            headers.insert(TRACEPARENT, HeaderValue::from_bytes(&trace).unwrap());
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(&id).unwrap());
            identify(&mut headers);
            prop_assert!(is_traceparent(headers[TRACEPARENT].as_bytes()));
            prop_assert!(is_request_id(headers[REQUEST_ID].as_bytes()));
        }
    }
}
