//! Tests of header hygiene: pure, no sockets.

use super::*;
use proptest::prelude::*;

fn map(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn shop() -> Host {
    Host { authority: "Shop.example:8080".to_owned() }
}

#[test]
fn hop_by_hop_headers_end_here() {
    let mut headers = map(&[
        ("connection", "close, X-Private"),
        ("connection", "bad token,"),
        ("x-private", "1"),
        ("keep-alive", "timeout=5"),
        ("proxy-authorization", "Basic x"),
        ("te", "gzip"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("cookie", "kept"),
        ("trailer", "kept"),
    ]);
    remove_hop_by_hop(&mut headers);
    let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(left, ["cookie", "trailer"]);
}

#[test]
fn a_name_with_an_underscore_does_not_pass_for_one_of_ours() {
    let mut headers = map(&[
        ("x_forwarded_for", "6.6.6.6"),
        ("x-forwarded_host", "evil"),
        ("content_length", "5"),
        ("transfer_encoding", "chunked"),
        ("my_own", "kept"),
        ("x-forwarded-for", "kept"),
    ]);
    remove_aliases(&mut headers);
    let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["my_own", "x-forwarded-for"]);
}

#[test]
fn crumbs_become_one_cookie() {
    let mut headers = map(&[("cookie", "a=1"), ("accept", "*/*"), ("cookie", "b=2; c=3")]);
    join_cookies(&mut headers);
    assert_eq!(headers["cookie"], "a=1; b=2; c=3");
    assert_eq!(headers.get_all("cookie").iter().count(), 1);
}

#[test]
fn a_strangers_forwarding_headers_are_replaced() {
    let mut headers = map(&[
        ("x-forwarded-for", "1.2.3.4"),
        ("x-forwarded-for", "5.6.7.8"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=1.2.3.4"),
    ]);
    forward(&mut headers, Origin { peer: "203.0.113.9".parse().unwrap(), secure: false }, &shop());
    assert_eq!(headers["x-forwarded-for"], "203.0.113.9");
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-forwarded-host"], "Shop.example:8080");
    assert_eq!(headers["forwarded"], "for=203.0.113.9;proto=http;host=\"Shop.example:8080\"");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
}

#[test]
fn a_local_proxys_forwarding_headers_are_added_to() {
    let mut headers = map(&[
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop.example"),
    ]);
    forward(&mut headers, Origin { peer: "::ffff:127.0.0.1".parse().unwrap(), secure: false }, &shop());
    assert_eq!(headers["x-forwarded-for"], "203.0.113.9, 127.0.0.1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-forwarded-host"], "shop.example");
    let mut headers = map(&[("x-forwarded-for", &"1".repeat(5000)), ("x-forwarded-proto", "gopher")]);
    forward(&mut headers, Origin { peer: "::1".parse().unwrap(), secure: true }, &Host::default());
    assert_eq!(headers["x-forwarded-for"], "::1");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["forwarded"], "for=\"[::1]\";proto=https");
    assert!(!headers.contains_key("x-forwarded-host"));
}

#[test]
fn the_host_is_found_or_refused() {
    let uri = |text: &str| text.parse::<Uri>().unwrap();
    let found = host(&uri("/x"), Version::HTTP_11, &map(&[("host", "Shop.example:8080")])).unwrap();
    assert_eq!(found, shop());
    let absolute = host(&uri("http://other.example/x"), Version::HTTP_11, &map(&[("host", "shop.example")])).unwrap();
    assert_eq!(absolute.authority, "other.example");
    assert_eq!(host(&uri("/x"), Version::HTTP_10, &HeaderMap::new()).unwrap(), Host::default());
    for bad in [map(&[]), map(&[("host", "a"), ("host", "b")]), map(&[("host", "a b")]), map(&[("host", "me@a")])] {
        assert!(host(&uri("/x"), Version::HTTP_11, &bad).is_err(), "{bad:?}");
    }
}

#[test]
fn grpc_is_told_from_its_likes() {
    for (value, is) in [
        ("application/grpc", true),
        ("application/grpc+proto", true),
        ("Application/GRPC; charset=x", true),
        ("application/grpc-web", false),
        ("application/json", false),
    ] {
        assert_eq!(is_grpc(value.as_bytes()), is, "{value}");
    }
}

proptest! {
    #[test]
    fn nothing_hop_by_hop_survives(names in proptest::collection::vec("[a-z]{1,6}", 0..6), tokens in proptest::collection::vec("[ -~]{0,12}", 0..6)) {
        let mut headers = HeaderMap::new();
        for name in &names {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_static("1"));
        }
        let named = names.first().cloned().unwrap_or_default();
        headers.append(header::CONNECTION, HeaderValue::from_str(&format!("{},{named}", tokens.join(","))).unwrap());
        remove_hop_by_hop(&mut headers);
        prop_assert!(!headers.contains_key(header::CONNECTION));
        prop_assert!(named.is_empty() || !headers.contains_key(named.as_str()));
    }
}
