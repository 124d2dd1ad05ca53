//! What a replica is told of a request, whatever the client says: what the gateway vouches for is said once, and by the gateway.

/// A case: its name, what is sent (as in the corpus), a header, and its values at the replica; `None` for one of the gateway's own making.
pub type Case = (&'static str, &'static str, &'static str, &'static [Option<&'static str>]);

/// The corpus.
#[rustfmt::skip] // One case after another, as a table.
pub const CASES: &[Case] = &[
    ("for", "GET ~/a HTTP/1.1|Host: h||", "x-forwarded-for", &[Some("127.0.0.1")]),
    ("for-hidden", "GET ~/a HTTP/1.1|Host: h|Connection: x-forwarded-for||", "x-forwarded-for", &[Some("127.0.0.1")]),
    ("for-twice", "GET ~/a HTTP/1.1|Host: h|X-Forwarded-For: 1.1.1.1|X-Forwarded-For: 2.2.2.2||", "x-forwarded-for", &[Some("1.1.1.1, 2.2.2.2, 127.0.0.1")]),
    ("for-alias", "GET ~/a HTTP/1.1|Host: h|X_Forwarded_For: 6.6.6.6||", "x_forwarded_for", &[]),
    ("for-half-alias", "GET ~/a HTTP/1.1|Host: h|X-Forwarded_For: 6.6.6.6||", "x-forwarded_for", &[]),
    ("length-alias", "GET ~/a HTTP/1.1|Host: h|Content_Length: 5||", "content_length", &[]),
    ("coding-alias", "GET ~/a HTTP/1.1|Host: h|Transfer_Encoding: chunked||", "transfer_encoding", &[]),
    ("id-made", "GET ~/a HTTP/1.1|Host: h||", "x-request-id", &[None]),
    ("id-kept", "GET ~/a HTTP/1.1|Host: h|X-Request-Id: mine||", "x-request-id", &[Some("mine")]),
    ("id-hidden", "GET ~/a HTTP/1.1|Host: h|Connection: x-request-id||", "x-request-id", &[None]),
    ("id-twice", "GET ~/a HTTP/1.1|Host: h|X-Request-Id: a|X-Request-Id: b||", "x-request-id", &[None]),
    ("trace-hidden", "GET ~/a HTTP/1.1|Host: h|Connection: traceparent||", "traceparent", &[None]),
    ("host-hidden", "GET ~/a HTTP/1.1|Host: h|Connection: host||", "host", &[Some("h")]),
    ("proxy-password", "GET ~/a HTTP/1.1|Host: h|Proxy-Authorization: Basic x||", "proxy-authorization", &[]),
    ("expect", "POST ~/a HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 2||hi", "expect", &[]),
    ("te", "GET ~/a HTTP/1.1|Host: h|TE: trailers||", "te", &[]),
    ("h2c", "GET ~/a HTTP/1.1|Host: h|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk||", "upgrade", &[]),
    ("h2c-settings", "GET ~/a HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: h2c|HTTP2-Settings: AAMAAABk||", "http2-settings", &[]),
    ("private", "GET ~/a HTTP/1.1|Host: h|Connection: x-private|X-Private: 1||", "x-private", &[]),
    ("cookie", "GET ~/a HTTP/1.1|Host: h|Cookie: a=1; b=2||", "cookie", &[Some("a=1; b=2")]),
];
