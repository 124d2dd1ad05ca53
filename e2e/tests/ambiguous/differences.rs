//! What nginx or haproxy refuse and our gateway takes, on purpose, and why.

/// Cases, and the reason for taking them.
pub const DIFFERENCES: &[(&[&str], &str)] = &[
    (
        &["large-header-of-30-kib", "large-target-of-30-kib"],
        "heads of up to 64 KiB are taken: session cookies and signed links grow large, and memory is not what it was",
    ),
    (&["length-spaces-around", "coding-after-a-tab"], "a tab is white space around a value (RFC 9110 section 5.6.3)"),
    (
        &["method-lower-case", "method-trace", "length-too-short"],
        "what a method means is the service's business: any token is passed on, as it was written",
    ),
    (
        &["target-dots", "target-encoded-nul", "target-bad-percent"],
        "a path is passed on as it was sent, neither decoded nor cleaned: only the service knows what it stands for",
    ),
    (&["target-asterisk-options"], "`OPTIONS *` asks a server what it can do (RFC 9110 section 9.3.7)"),
    (
        &["h2-path-fragment"],
        "what follows `#` is cut off before anything looks at the target, so that nobody behind can read it otherwise",
    ),
    (&["host-dots"], "a name that no route has is nobody's host, and the service sees it as it was sent"),
    (
        &["websocket-that-is-not-granted", "upgrade-with-a-request-behind"],
        "whether a handshake is proper is for the service to say; without its 101 the connection stays HTTP",
    ),
    (&["h2-both-hosts-same"], "`host` may repeat `:authority` (RFC 9113 section 8.3.1), and one is passed on"),
    (&["h2-trailers"], "trailers are part of HTTP/2, and of gRPC"),
    (
        &["h2-trailer-path", "h2-trailer-length"],
        "what a trailer must not say is left out, and the request stays the one that it was",
    ),
];
