//! Whether a request has a single reading: one length, one host, one target. What has two may be read differently by the replica,
//! which is how requests are smuggled past a proxy (RFC 9112 section 11.2). The same for the length of an answer. Pure.
//!
//! Never: mends a request. Whatever the HTTP library lets through and is not plain is refused.

use crate::route::normal_host;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Uri, Version};

/// The longest `Content-Length`, in digits: below what any reader's integers hold.
const LENGTH_DIGITS_MAX: usize = 18;

/// Finds what is ambiguous in a request's head; `Err` is the sentence for a 400 answer.
pub(crate) fn check(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    length(headers)?;
    target(method, uri)?;
    one_host(uri, version, headers)
}

/// Finds what is ambiguous in the head of an answer over HTTP/1.1; `Err` is what the replica did.
pub(crate) fn check_answer(headers: &HeaderMap) -> Result<(), &'static str> {
    // Over HTTP/1.1 the library takes a length and a coding, and hands both on.
    length(headers).map_err(|_| "gave an answer whose length can be read in two ways")
}

fn length(headers: &HeaderMap) -> Result<(), &'static str> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let length = lengths.next();
    if lengths.next().is_some() {
        return Err("The request has more than one `Content-Length` header.");
    }
    if let Some(length) = length.map(http::HeaderValue::as_bytes)
        && !((1..=LENGTH_DIGITS_MAX).contains(&length.len()) && length.iter().all(u8::is_ascii_digit))
    {
        return Err("The request's `Content-Length` is not a number of bytes.");
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(()) };
    if length.is_some() {
        return Err("The request has both a `Content-Length` and a `Transfer-Encoding` header.");
    }
    if codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
        return Err("The request's `Transfer-Encoding` is not `chunked`, the only one that the gateway takes.");
    }
    Ok(())
}

fn target(method: &Method, uri: &Uri) -> Result<(), &'static str> {
    // A name without a scheme is what CONNECT asks for; a client of a proxy for other sites names their scheme.
    if !matches!((uri.scheme_str(), uri.authority()), (None, None) | (Some("http" | "https"), Some(_))) {
        return Err("The request's target is not a path.");
    }
    if uri.path() == "*" && method != Method::OPTIONS {
        return Err("The request's target `*` is only for the method OPTIONS.");
    }
    Ok(())
}

fn one_host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<(), &'static str> {
    let header = headers.get(HOST).map(|value| value.as_bytes().trim_ascii());
    let is_named = header.is_some_and(|host| !host.is_empty());
    // The replica speaks HTTP/1.1, which wants a host (RFC 9112 section 3.2).
    let wanted = match version {
        Version::HTTP_2 => is_named || uri.authority().is_some_and(|authority| !authority.host().is_empty()),
        Version::HTTP_11 => is_named,
        _ => true,
    };
    if !wanted {
        return Err("The request has no `Host` header.");
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    // A comma is a letter of a name to some, and the end of the first of two to others.
    if authority.is_some_and(|authority| authority.contains(',')) || header.is_some_and(|host| host.contains(&b',')) {
        return Err("The request's `Host` header is not a host.");
    }
    if let (Some(authority), Some(header)) = (authority, header) {
        let default = if uri.scheme_str() == Some("https") { "443" } else { "80" };
        let header = std::str::from_utf8(header).map_err(|_| "The request's `Host` header is not a host.")?;
        let port = |host| Some(port(host)).filter(|port| !port.is_empty()).unwrap_or(default);
        if normal_host(authority) != normal_host(header) || port(authority) != port(header) {
            return Err("The request names two hosts.");
        }
    }
    let port = authority.map_or_else(|| header.and_then(|host| std::str::from_utf8(host).ok()).map_or("", port), port);
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    if !port.is_empty() && !is_port {
        return Err("The request's host has no valid port.");
    }
    Ok(())
}

/// What follows a host's colon; empty when there is none.
fn port(authority: &str) -> &str {
    let name = authority.rsplit_once(']').map_or(authority, |(_, rest)| rest);
    name.rsplit_once(':').map_or("", |(_, port)| port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    fn asked(version: Version, target: &str, fields: &[(&'static str, &str)]) -> Result<(), &'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        check(&Method::GET, &target.parse().unwrap(), version, &headers)
    }

    #[test]
    fn one_length_at_most() {
        let with = |fields: &[(&'static str, &str)]| asked(Version::HTTP_11, "/", &[&[("host", "h")], fields].concat());
        assert_eq!(with(&[]), Ok(()));
        assert_eq!(with(&[("content-length", "005")]), Ok(()));
        assert_eq!(with(&[("transfer-encoding", "Chunked")]), Ok(()));
        for fields in [
            &[("content-length", "5"), ("content-length", "5")][..],
            &[("content-length", "5, 5")],
            &[("content-length", "+5")],
            &[("content-length", "")],
            &[("content-length", "9223372036854775813")],
            &[("content-length", "5"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "identity")],
            &[("transfer-encoding", "")],
        ] {
            assert!(with(fields).is_err(), "{fields:?}");
        }
    }

    #[test]
    fn an_answer_has_one_length_too() {
        let both =
            [(CONTENT_LENGTH, HeaderValue::from_static("2")), (TRANSFER_ENCODING, HeaderValue::from_static("chunked"))];
        assert!(check_answer(&HeaderMap::from_iter(both.clone())).is_err());
        for one in both {
            assert_eq!(check_answer(&HeaderMap::from_iter([one])), Ok(()));
        }
    }

    #[test]
    fn one_host_and_it_is_said_once() {
        for (target, host, is_taken) in [
            ("/", "h", true),
            ("/", "h:80", true),
            ("/", "h:", true),
            ("/", "[::1]", true),
            ("/", "[::1]:8080", true),
            ("/", "", false),
            ("/", "h,evil", false),
            ("/", "h:80x", false),
            ("/", "h:99999", false),
            ("http://h/", "h", true),
            ("http://H:80/", "h", true),
            ("https://h/", "h:443", true),
            ("http://h:81/", "h", false),
            ("http://evil/", "h", false),
            ("http://h/", "", false),
            ("ftp://h/", "h", false),
            ("h", "h", false),
            ("*", "h", false),
        ] {
            let said = asked(Version::HTTP_11, target, &[("host", host)]);
            assert_eq!(said.is_ok(), is_taken, "{target} {host}: {said:?}");
        }
        assert!(asked(Version::HTTP_11, "http://h/", &[]).is_err());
        assert_eq!(asked(Version::HTTP_10, "/", &[]), Ok(()));
        assert_eq!(asked(Version::HTTP_2, "http://h/", &[]), Ok(()));
        assert_eq!(asked(Version::HTTP_2, "http://h/", &[("host", "h")]), Ok(()));
        assert_eq!(asked(Version::HTTP_2, "/", &[("host", "h")]), Ok(()));
        assert!(asked(Version::HTTP_2, "http://h/", &[("host", "evil")]).is_err());
        assert!(asked(Version::HTTP_2, "/", &[]).is_err());
    }

    #[test]
    fn an_asterisk_is_for_options() {
        let headers = HeaderMap::from_iter([(HOST, HeaderValue::from_static("h"))]);
        let uri = Uri::from_static("*");
        assert_eq!(check(&Method::OPTIONS, &uri, Version::HTTP_11, &headers), Ok(()));
        assert!(check(&Method::GET, &uri, Version::HTTP_11, &headers).is_err());
    }

    proptest! {
        #[test]
        fn what_is_taken_has_one_length(values in proptest::collection::vec((0..2usize, "[ -~]{0,12}"), 0..4)) {
            let names = [CONTENT_LENGTH, TRANSFER_ENCODING];
            let fields = values.iter().filter_map(|(name, value)| {
                Some((names.get(*name)?.clone(), HeaderValue::from_str(value).ok()?))
            });
            let mut headers = HeaderMap::<HeaderValue>::new();
            let fields: Vec<(HeaderName, HeaderValue)> = fields.collect();
            for (name, value) in &fields {
                headers.append(name, value.clone());
            }
            if length(&headers).is_ok() {
                prop_assert!(fields.len() <= 1);
            }
        }
    }
}
