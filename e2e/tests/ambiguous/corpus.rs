//! Requests over HTTP/1.1 that have two readings, or none, and what must come of each.
//!
//! In what is sent, `|` stands for CRLF, and `~` for `/` and the case's name, so that whatever reaches the upstream tells
//! where it came from.
//! After each case the same connection brings one more proper request, `GET end`, that asks to close the connection.

use Expect::{AtMost, Exactly, Nothing};

/// What may reach the upstream.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    /// No whole request at all.
    Nothing,
    /// These, in this order, and all of them are answered.
    Exactly(&'static [&'static str]),
    /// The first of these, as many as you like.
    AtMost(&'static [&'static str]),
}

/// A case: its name, what is sent, and what may reach the upstream, each as method, rest of the target and body.
pub type Case = (&'static str, &'static str, Expect);

const ONE: Expect = Exactly(&["GET a", "GET end"]);
const HELLO: Expect = Exactly(&["POST a hello", "GET end"]);

/// Requests as they should be: a proxy that refuses everything would be safe, and useless.
#[rustfmt::skip] // One case after another, as a table.
pub const PROPER: &[Case] = &[
    ("get", "GET ~/a HTTP/1.1|Host: h||", ONE),
    ("no-space-after-colon", "GET ~/a HTTP/1.1|host:h||", ONE),
    ("post", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5||hello", HELLO),
    ("head", "HEAD ~/a HTTP/1.1|Host: h||", Exactly(&["HEAD a", "GET end"])),
    ("chunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||2|he|3|llo|0||", HELLO),
    ("chunked-get", "GET ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0||",
        Exactly(&["GET a hello", "GET end"])),
    ("chunked-empty", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||0||", Exactly(&["POST a", "GET end"])),
    ("get-with-a-body", "GET ~/a HTTP/1.1|Host: h|Content-Length: 5||hello", Exactly(&["GET a hello", "GET end"])),
    ("length-zero", "POST ~/a HTTP/1.1|Host: h|Content-Length: 0||", Exactly(&["POST a", "GET end"])),
    ("three-at-once", "GET ~/a HTTP/1.1|Host: h||POST ~/b HTTP/1.1|Host: h|Content-Length: 2||hi\
        GET ~/c HTTP/1.1|Host: h||", Exactly(&["GET a", "POST b hi", "GET c", "GET end"])),
    ("http-1.0", "GET ~/a HTTP/1.0|Host: h||", Exactly(&["GET a"])),
    ("http-1.0-kept", "GET ~/a HTTP/1.0|Host: h|Connection: keep-alive||", AtMost(&["GET a", "GET end"])),
    ("http-1.0-post", "POST ~/a HTTP/1.0|Host: h|Content-Length: 5||hello", Exactly(&["POST a hello"])),
    ("closed-after-one", "GET ~/a HTTP/1.1|Host: h|Connection: close||GET ~/b HTTP/1.1|Host: h||", Exactly(&["GET a"])),
    ("percent", "GET ~/a%20b?c=%2F&d= HTTP/1.1|Host: h||", Exactly(&["GET a%20b?c=%2F&d=", "GET end"])),
    ("whole-target", "GET http://h~/a HTTP/1.1|Host: h||", ONE),
    ("expect", "POST ~/a HTTP/1.1|Host: h|Expect: 100-continue|Content-Length: 5||hello", HELLO),
    ("trailer", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0|X-Sum: 1||", HELLO),
    ("high-bytes-in-a-value", "GET ~/a HTTP/1.1|Host: h|X: caf\u{e9}||", ONE),
    ("blank-line-before", "|GET ~/a HTTP/1.1|Host: h||", ONE),
    ("websocket-that-is-not-granted", "GET ~/a HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: websocket||",
        AtMost(&["GET a", "GET end"])),
    ("h2c-that-is-not-granted", "GET ~/a HTTP/1.1|Host: h|Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|\
        HTTP2-Settings: AAMAAABkAAQAAP__||", ONE),
];

/// Two lengths, or one that is no number.
#[rustfmt::skip]
pub const LENGTHS: &[Case] = &[
    ("length-plus", "POST ~/a HTTP/1.1|Host: h|Content-Length: +5||hello", Nothing),
    ("length-minus", "POST ~/a HTTP/1.1|Host: h|Content-Length: -5||hello", Nothing),
    ("length-empty", "POST ~/a HTTP/1.1|Host: h|Content-Length: ||hello", Nothing),
    ("length-two-words", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5 5||hello", Nothing),
    ("length-hexadecimal", "POST ~/a HTTP/1.1|Host: h|Content-Length: 0x5||hello", Nothing),
    ("length-fraction", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5.0||hello", Nothing),
    ("length-exponent", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5e0||hello", Nothing),
    ("length-list-same", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5, 5||hello", Nothing),
    ("length-list", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5, 6||hello", Nothing),
    ("length-comma", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5,||hello", Nothing),
    ("length-twice-same", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5|Content-Length: 5||hello", Nothing),
    ("length-twice", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5|Content-Length: 0||hello", Nothing),
    ("length-twice-other-order", "POST ~/a HTTP/1.1|Host: h|Content-Length: 0|Content-Length: 5||hello", Nothing),
    ("length-beyond-64-bits", "POST ~/a HTTP/1.1|Host: h|Content-Length: 18446744073709551621||hello", Nothing),
    ("length-beyond-63-bits", "POST ~/a HTTP/1.1|Host: h|Content-Length: 9223372036854775813||hello", Nothing),
    ("length-quoted", "POST ~/a HTTP/1.1|Host: h|Content-Length: \"5\"||hello", Nothing),
    ("length-after-vertical-tab", "POST ~/a HTTP/1.1|Host: h|Content-Length: \x0b5||hello", Nothing),
    ("length-with-nul", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5\0||hello", Nothing),
    ("length-space-before-colon", "POST ~/a HTTP/1.1|Host: h|Content-Length : 5||hello", Nothing),
    ("length-tab-before-colon", "POST ~/a HTTP/1.1|Host: h|Content-Length\t: 5||hello", Nothing),
    ("length-folded", "POST ~/a HTTP/1.1|Host: h|Content-Length:| 5||hello", Nothing),
    ("length-indented", "POST ~/a HTTP/1.1|Host: h|X: a| Content-Length: 5||hello", Nothing),
    ("length-behind-a-bare-cr", "POST ~/a HTTP/1.1|Host: h|X: a\rContent-Length: 5||hello", Nothing),
    ("length-leading-zeros", "POST ~/a HTTP/1.1|Host: h|Content-Length: 005||hello", HELLO),
    ("length-spaces-around", "POST ~/a HTTP/1.1|Host: h|Content-Length: \t 5 \t||hello", HELLO),
    ("length-underscore", "POST ~/a HTTP/1.1|Host: h|Content_Length: 5||GET ~/b HTTP/1.1|Host: h||",
        Exactly(&["POST a", "GET b", "GET end"])),
    ("length-too-short", "POST ~/a HTTP/1.1|Host: h|Content-Length: 1||hello", AtMost(&["POST a h", "elloGET end"])),
    ("length-zero-with-a-body", "POST ~/a HTTP/1.1|Host: h|Content-Length: 0||GET ~/b HTTP/1.1|Host: h||",
        Exactly(&["POST a", "GET b", "GET end"])),
    ("no-length-with-a-body", "POST ~/a HTTP/1.1|Host: h||hello|", AtMost(&["POST a"])),
    ("length-hidden-by-connection", "POST ~/a HTTP/1.1|Host: h|Connection: content-length|Content-Length: 5||hello",
        AtMost(&["POST a hello", "GET end"])),
];

/// A length and a coding, a coding that is not `chunked`, or one that only some see.
#[rustfmt::skip]
pub const CODINGS: &[Case] = &[
    ("length-then-coding", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|Transfer-Encoding: chunked||0||X", Nothing),
    ("coding-then-length", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked|Content-Length: 6||0||X", Nothing),
    ("length-shorter-than-chunks", "POST ~/a HTTP/1.1|Host: h|Content-Length: 4|Transfer-Encoding: chunked||\
        5e|GET ~/b HTTP/1.1|Host: h|Content-Length: 15||0||", Nothing),
    ("length-fits-chunks", "POST ~/a HTTP/1.1|Host: h|Content-Length: 15|Transfer-Encoding: chunked||5|hello|0||", Nothing),
    ("length-zero-and-coding", "POST ~/a HTTP/1.1|Host: h|Content-Length: 0|Transfer-Encoding: chunked||5|hello|0||", Nothing),
    ("length-and-coding-hidden-by-connection", "POST ~/a HTTP/1.1|Host: h|Connection: transfer-encoding|Content-Length: 6|\
        Transfer-Encoding: chunked||0||X", Nothing),
    ("coding-hidden-by-connection", "POST ~/a HTTP/1.1|Host: h|Connection: transfer-encoding|Transfer-Encoding: chunked||\
        5|hello|0||", AtMost(&["POST a hello", "GET end"])),
    ("identity", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: identity|Content-Length: 5||hello", Nothing),
    ("identity-alone", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: identity||hello", Nothing),
    ("chunked-identity", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked, identity||0||", Nothing),
    ("identity-chunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: identity, chunked||0||", Nothing),
    ("gzip-chunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: gzip, chunked||5|hello|0||", Nothing),
    ("gzip", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: gzip|Content-Length: 5||hello", Nothing),
    ("xchunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: xchunked|Content-Length: 5||0||", Nothing),
    ("chunkedx", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunkedx||0||", Nothing),
    ("chunked-parameter", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked;q=1||0||", Nothing),
    ("chunked-quoted", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: \"chunked\"||0||", Nothing),
    ("chunked-twice", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked|Transfer-Encoding: chunked||0||", Nothing),
    ("chunked-chunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked, chunked||0||", Nothing),
    ("chunked-and-identity", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked|Transfer-Encoding: identity||0||", Nothing),
    ("identity-and-chunked", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: identity|Transfer-Encoding: chunked||0||", Nothing),
    ("coding-empty", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: |Content-Length: 5||hello", Nothing),
    ("coding-comma", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: ,chunked||0||", Nothing),
    ("coding-comma-after", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked,||0||", Nothing),
    ("coding-after-vertical-tab", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: \x0bchunked||0||", Nothing),
    ("coding-with-nul", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked\0||0||", Nothing),
    ("coding-space-before-colon", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding : chunked||0||", Nothing),
    ("coding-space-before-colon-and-length", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|Transfer-Encoding : chunked||\
        0||X", Nothing),
    ("coding-folded", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding:| chunked||0||", Nothing),
    ("coding-in-a-folded-line", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|X: a| Transfer-Encoding: chunked||0||X", Nothing),
    ("coding-behind-a-bare-lf", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|X: a\nTransfer-Encoding: chunked||0||X", Nothing),
    ("coding-behind-a-bare-cr", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|X: a\rTransfer-Encoding: chunked||0||X", Nothing),
    ("coding-before-a-bare-cr", "POST ~/a HTTP/1.1|Host: h|Content-Length: 6|Transfer-Encoding: chunked\rX: a||0||X", Nothing),
    ("coding-in-http-1.0", "POST ~/a HTTP/1.0|Host: h|Transfer-Encoding: chunked||5|hello|0||", Nothing),
    ("coding-and-length-in-http-1.0", "POST ~/a HTTP/1.0|Host: h|Connection: keep-alive|Content-Length: 6|\
        Transfer-Encoding: chunked||0||X", Nothing),
    ("coding-underscore", "POST ~/a HTTP/1.1|Host: h|Content-Length: 5|Transfer_Encoding: chunked||0||", 
        Exactly(&["POST a 0\r\n\r\n", "GET end"])),
    ("coding-in-capitals", "POST ~/a HTTP/1.1|Host: h|TRANSFER-ENCODING: CHUNKED||5|hello|0||", HELLO),
    ("coding-after-a-tab", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding:\tchunked||5|hello|0||", HELLO),
];

/// Chunks that say two things.
#[rustfmt::skip]
pub const CHUNKS: &[Case] = &[
    ("chunk-0x", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||0x5|hello|0||", Nothing),
    ("chunk-plus", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||+5|hello|0||", Nothing),
    ("chunk-minus", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||-5|hello|0||", Nothing),
    ("chunk-underscore", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||0_5|hello|0||", Nothing),
    ("chunk-no-size", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked|||hello|0||", Nothing),
    ("chunk-no-number", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||g|hello|0||", Nothing),
    ("chunk-extension-without-size", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||;a=5|hello|0||", Nothing),
    ("chunk-beyond-64-bits", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||10000000000000005|hello|0||", Nothing),
    ("chunk-64-bits", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||ffffffffffffffff|hello|0||", Nothing),
    ("chunk-63-bits", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||8000000000000005|hello|0||", Nothing),
    ("chunk-space-before", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked|| 5|hello|0||", Nothing),
    ("chunk-two-numbers", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5 5|hello|0||", Nothing),
    ("chunk-vertical-tab-after", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5\x0b|hello|0||", Nothing),
    ("chunk-nul-after", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5\0|hello|0||", Nothing),
    ("chunk-ends-with-cr", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5\rhello\r0\r\r", Nothing),
    ("chunk-cr-in-extension", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5;\ra|hello|0||", Nothing),
    ("chunk-ends-with-lf", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5\nhello\n0\n\n", Nothing),
    ("chunk-lf-in-extension", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5;\n|hello|0||", Nothing),
    ("chunk-data-ends-with-lf", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello\n0||", Nothing),
    ("chunk-data-without-an-end", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello0||", Nothing),
    ("chunk-data-too-long", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello!|0||", Nothing),
    ("chunk-data-two-too-long", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello!!0||", Nothing),
    ("chunk-extension-hides-a-request", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||\
        2;\nxx|4c|0||GET ~/b HTTP/1.1|Host: h|Content-Length: 5||0||", Nothing),
    ("chunk-last-minus", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|-0||", Nothing),
    ("chunk-last-space-before", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello| 0||", Nothing),
    ("chunk-no-last", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|", Nothing),
    ("chunk-end-cut", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0|", Nothing),
    ("chunk-size-in-capitals", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||A|hellohello|0||",
        Exactly(&["POST a hellohello", "GET end"])),
    ("chunk-leading-zeros", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||005|hello|000||", HELLO),
    ("chunk-extension", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5;a=b;c=\"d\"|hello|0;e||", HELLO),
    ("chunk-extension-quoted-end", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5;a=\"|hello|0||", HELLO),
    ("chunk-space-after", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5 |hello|0 ||", AtMost(&["POST a hello", "GET end"])),
    ("chunk-tab-after", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5\t|hello|0||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-length", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0|Content-Length: 50||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-length-announced", "POST ~/a HTTP/1.1|Host: h|Trailer: Content-Length, Host|Transfer-Encoding: chunked||\
        5|hello|0|Content-Length: 50|Host: evil||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-coding-announced", "POST ~/a HTTP/1.1|Host: h|Trailer: Transfer-Encoding|Transfer-Encoding: chunked||\
        5|hello|0|Transfer-Encoding: chunked||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-folded", "POST ~/a HTTP/1.1|Host: h|Trailer: x|Transfer-Encoding: chunked||5|hello|0|X: a| b||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-without-colon", "POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||5|hello|0|what||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-with-nul", "POST ~/a HTTP/1.1|Host: h|Trailer: x|Transfer-Encoding: chunked||5|hello|0|X: a\0||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-with-cr", "POST ~/a HTTP/1.1|Host: h|Trailer: x|Transfer-Encoding: chunked||5|hello|0|X: a\rb: c||", AtMost(&["POST a hello", "GET end"])),
    ("trailer-ends-with-lf", "POST ~/a HTTP/1.1|Host: h|Trailer: x|Transfer-Encoding: chunked||5|hello|0|X: a\n\n", AtMost(&["POST a hello", "GET end"])),
];

/// First lines that are read in more ways than one.
#[rustfmt::skip]
pub const STARTS: &[Case] = &[
    ("start-two-spaces", "GET  ~/a HTTP/1.1|Host: h||", Nothing),
    ("start-two-spaces-before-version", "GET ~/a  HTTP/1.1|Host: h||", Nothing),
    ("start-tabs", "GET\t~/a\tHTTP/1.1|Host: h||", Nothing),
    ("start-space-before", " GET ~/a HTTP/1.1|Host: h||", Nothing),
    ("start-space-after", "GET ~/a HTTP/1.1 |Host: h||", Nothing),
    ("start-vertical-tab", "GET\x0b~/a HTTP/1.1|Host: h||", Nothing),
    ("start-cr-for-space", "GET\r~/a HTTP/1.1|Host: h||", Nothing),
    ("start-nul-before", "\0GET ~/a HTTP/1.1|Host: h||", Nothing),
    ("start-empty-method", " ~/a HTTP/1.1|Host: h||", Nothing),
    ("start-no-target", "GET HTTP/1.1|Host: h|X-Case: ~/||", Nothing),
    ("start-only-method", "GET|Host: h|X-Case: ~/||", Nothing),
    ("version-none", "GET ~/a|", Nothing),
    ("version-none-with-headers", "GET ~/a|Host: h||", Nothing),
    ("version-1.2", "GET ~/a HTTP/1.2|Host: h||", Nothing),
    ("version-2.0", "GET ~/a HTTP/2.0|Host: h||", Nothing),
    ("version-0.9", "GET ~/a HTTP/0.9|Host: h||", Nothing),
    ("version-9.9", "GET ~/a HTTP/9.9|Host: h||", Nothing),
    ("version-1.10", "GET ~/a HTTP/1.10|Host: h||", Nothing),
    ("version-01.1", "GET ~/a HTTP/01.1|Host: h||", Nothing),
    ("version-1.1-and-more", "GET ~/a HTTP/1.1x|Host: h||", Nothing),
    ("version-lower-case", "GET ~/a http/1.1|Host: h||", Nothing),
    ("version-without-a-point", "GET ~/a HTTP/11|Host: h||", Nothing),
    ("version-of-another", "GET ~/a ICY/1.1|Host: h||", Nothing),
    ("version-twice", "GET ~/a HTTP/1.1 HTTP/1.1|Host: h||", Nothing),
    ("method-brackets", "G(E)T ~/a HTTP/1.1|Host: h||", Nothing),
    ("method-nul", "GET\0 ~/a HTTP/1.1|Host: h||", Nothing),
    ("method-high-byte", "G\u{cb}T ~/a HTTP/1.1|Host: h||", Nothing),
    ("method-colon", "GET: ~/a HTTP/1.1|Host: h||", Nothing),
    ("method-connect", "CONNECT h:80 HTTP/1.1|Host: h:80|X-Case: ~/||", Nothing),
    ("method-connect-path", "CONNECT ~/a HTTP/1.1|Host: h||", Nothing),
    ("method-lower-case", "get ~/a HTTP/1.1|Host: h||", AtMost(&["get a", "GET end"])),
    ("method-of-ones-own", "BREW ~/a HTTP/1.1|Host: h||", Exactly(&["BREW a", "GET end"])),
    ("method-trace", "TRACE ~/a HTTP/1.1|Host: h||", AtMost(&["TRACE a", "GET end"])),
    ("target-space", "GET ~/a b HTTP/1.1|Host: h||", Nothing),
    ("target-tab", "GET ~/a\tb HTTP/1.1|Host: h||", Nothing),
    ("target-nul", "GET ~/a\0b HTTP/1.1|Host: h||", Nothing),
    ("target-cr", "GET ~/a\rb HTTP/1.1|Host: h||", Nothing),
    ("target-lf", "GET ~/a\nX: HTTP/1.1|Host: h||", Nothing),
    ("target-delete", "GET ~/a\x7fb HTTP/1.1|Host: h||", Nothing),
    ("target-control", "GET ~/a\x01b HTTP/1.1|Host: h||", Nothing),
    ("target-high-bytes", "GET ~/caf\u{e9} HTTP/1.1|Host: h||", Nothing),
    ("target-fragment", "GET ~/a#b HTTP/1.1|Host: h||", Nothing),
    ("target-no-slash", "GET a HTTP/1.1|Host: h|X-Case: ~/||", Nothing),
    ("target-question-first", "GET ?a HTTP/1.1|Host: h|X-Case: ~/||", Nothing),
    ("target-asterisk", "GET * HTTP/1.1|Host: h|X-Case: ~/||", Nothing),
    ("target-asterisk-options", "OPTIONS * HTTP/1.1|Host: h|X-Case: ~/||", AtMost(&["OPTIONS *", "GET end"])),
    ("target-backslash", "GET ~/a\\b HTTP/1.1|Host: h||", AtMost(&["GET a\\b", "GET end"])),
    ("target-two-slashes", "GET /~/a HTTP/1.1|Host: h||", AtMost(&["GET a", "GET end"])),
    ("target-dots", "GET ~/../../../a HTTP/1.1|Host: h||", AtMost(&["GET ../../../a", "GET end"])),
    ("target-encoded-nul", "GET ~/%00 HTTP/1.1|Host: h||", AtMost(&["GET %00", "GET end"])),
    ("target-bad-percent", "GET ~/%zz HTTP/1.1|Host: h||", AtMost(&["GET %zz", "GET end"])),
    ("target-encoded-crlf", "GET ~/a%0d%0aX:%20b HTTP/1.1|Host: h||", Exactly(&["GET a%0d%0aX:%20b", "GET end"])),
    ("target-whole-other-host", "GET http://evil~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-other-port", "GET http://h:81~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-default-port", "GET http://h:80~/a HTTP/1.1|Host: h||", AtMost(&["GET a", "GET end"])),
    ("target-whole-capitals", "GET HTTP://H~/a HTTP/1.1|Host: h||", AtMost(&["GET a", "GET end"])),
    ("target-whole-user", "GET http://u@h~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-no-host", "GET http://~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-no-slashes", "GET http:~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-of-another-scheme", "GET ftp://h~/a HTTP/1.1|Host: h||", Nothing),
    ("target-whole-without-host-header", "GET http://h~/a HTTP/1.1||", Nothing),
    ("target-host-only", "GET h~/a HTTP/1.1|Host: h||", Nothing),
    ("http2-start-cut", "PRI * HTTP/2.0|X-Case: ~/||GET ~/a HTTP/1.1|Host: h||", Nothing),
    ("tls-hello", "\x16\x03\x01\x02|~/a HTTP/1.1|Host: h||", Nothing),
    ("blank-lines-before", "|||||GET ~/a HTTP/1.1|Host: h||", AtMost(&["GET a", "GET end"])),
    ("lf-before", "\nGET ~/a HTTP/1.1|Host: h||", AtMost(&["GET a", "GET end"])),
    ("cr-before", "\rGET ~/a HTTP/1.1|Host: h||", Nothing),
];

/// Header lines that only some see, and more than one host.
#[rustfmt::skip]
pub const HEADERS: &[Case] = &[
    ("host-none", "GET ~/a HTTP/1.1||", Nothing),
    ("host-none-in-http-1.0", "GET ~/a HTTP/1.0||", Exactly(&["GET a"])),
    ("host-empty", "GET ~/a HTTP/1.1|Host:||", Nothing),
    ("host-twice", "GET ~/a HTTP/1.1|Host: h|Host: evil||", Nothing),
    ("host-twice-same", "GET ~/a HTTP/1.1|Host: h|Host: h||", Nothing),
    ("host-twice-apart", "GET ~/a HTTP/1.1|Host: h|X: y|hOsT: h||", Nothing),
    ("host-list", "GET ~/a HTTP/1.1|Host: h, evil||", Nothing),
    ("host-list-without-a-space", "GET ~/a HTTP/1.1|Host: h,evil||", Nothing),
    ("host-space", "GET ~/a HTTP/1.1|Host: h evil||", Nothing),
    ("host-path", "GET ~/a HTTP/1.1|Host: h/x||", Nothing),
    ("host-question", "GET ~/a HTTP/1.1|Host: h?x||", Nothing),
    ("host-fragment", "GET ~/a HTTP/1.1|Host: h#x||", Nothing),
    ("host-backslash", "GET ~/a HTTP/1.1|Host: h\\x||", Nothing),
    ("host-user", "GET ~/a HTTP/1.1|Host: u@h||", Nothing),
    ("host-scheme", "GET ~/a HTTP/1.1|Host: http://h||", Nothing),
    ("host-port-no-number", "GET ~/a HTTP/1.1|Host: h:80x||", Nothing),
    ("host-port-too-large", "GET ~/a HTTP/1.1|Host: h:99999||", Nothing),
    ("host-port-empty", "GET ~/a HTTP/1.1|Host: h:||", AtMost(&["GET a", "GET end"])),
    ("host-port-twice", "GET ~/a HTTP/1.1|Host: h:80:80||", Nothing),
    ("host-brackets", "GET ~/a HTTP/1.1|Host: [::1]:80||", ONE),
    ("host-bracket-open", "GET ~/a HTTP/1.1|Host: [::1||", Nothing),
    ("host-bracket-late", "GET ~/a HTTP/1.1|Host: h]||", Nothing),
    ("host-nul", "GET ~/a HTTP/1.1|Host: h\0evil||", Nothing),
    ("host-tab", "GET ~/a HTTP/1.1|Host: h\tevil||", Nothing),
    ("host-high-byte", "GET ~/a HTTP/1.1|Host: h\u{e9}||", Nothing),
    ("host-quote", "GET ~/a HTTP/1.1|Host: h\"x||", Nothing),
    ("host-angle", "GET ~/a HTTP/1.1|Host: h<x>||", Nothing),
    ("host-dots", "GET ~/a HTTP/1.1|Host: ..||", AtMost(&["GET a", "GET end"])),
    ("host-space-before-colon", "GET ~/a HTTP/1.1|Host : h||", Nothing),
    ("host-folded", "GET ~/a HTTP/1.1|Host:| h||", Nothing),
    ("host-folded-twice", "GET ~/a HTTP/1.1|Host: h| evil||", Nothing),
    ("host-indented", "GET ~/a HTTP/1.1| Host: evil|Host: h||", Nothing),
    ("host-hidden-by-connection", "GET ~/a HTTP/1.1|Host: h|Connection: host||", AtMost(&["GET a", "GET end"])),
    ("name-empty", "GET ~/a HTTP/1.1|Host: h|: b||", Nothing),
    ("name-space", "GET ~/a HTTP/1.1|Host: h|a b: c||", Nothing),
    ("name-nul", "GET ~/a HTTP/1.1|Host: h|a\0b: c||", Nothing),
    ("name-high-byte", "GET ~/a HTTP/1.1|Host: h|caf\u{e9}: c||", Nothing),
    ("name-brackets", "GET ~/a HTTP/1.1|Host: h|a(b): c||", Nothing),
    ("name-slash", "GET ~/a HTTP/1.1|Host: h|a/b: c||", Nothing),
    ("name-without-colon", "GET ~/a HTTP/1.1|Host: h|what||", Nothing),
    ("name-space-before-colon", "GET ~/a HTTP/1.1|Host: h|a : b||", Nothing),
    ("name-cr-before-colon", "GET ~/a HTTP/1.1|Host: h|a\r: b||", Nothing),
    ("first-line-indented", "GET ~/a HTTP/1.1| a: b|Host: h||", Nothing),
    ("line-folded", "GET ~/a HTTP/1.1|Host: h|a: b| c||", Nothing),
    ("line-folded-by-a-tab", "GET ~/a HTTP/1.1|Host: h|a: b|\tc||", Nothing),
    ("line-folded-empty", "GET ~/a HTTP/1.1|Host: h|a: b| ||", Nothing),
    ("value-nul", "GET ~/a HTTP/1.1|Host: h|a: b\0c||", Nothing),
    ("value-cr", "GET ~/a HTTP/1.1|Host: h|a: b\rc||", Nothing),
    ("value-two-crs", "GET ~/a HTTP/1.1|Host: h|a: b\r|c: d||", Nothing),
    ("value-control", "GET ~/a HTTP/1.1|Host: h|a: b\x01c||", Nothing),
    ("value-delete", "GET ~/a HTTP/1.1|Host: h|a: b\x7fc||", Nothing),
    ("lines-end-with-lf", "GET ~/a HTTP/1.1\nHost: h\n\n", AtMost(&["GET a", "GET end"])),
    ("line-ends-with-lf", "GET ~/a HTTP/1.1|Host: h\nX: a||", AtMost(&["GET a", "GET end"])),
    ("lines-end-with-cr", "GET ~/a HTTP/1.1\rHost: h\r\r", Nothing),
    ("head-ends-with-lf", "GET ~/a HTTP/1.1|Host: h|\nGET ~/b HTTP/1.1|Host: h||", AtMost(&["GET a", "GET b", "GET end"])),
    ("head-ends-with-lf-lf", "GET ~/a HTTP/1.1|Host: h\n\nGET ~/b HTTP/1.1|Host: h||", AtMost(&["GET a", "GET b", "GET end"])),
    ("head-ends-with-lf-cr", "GET ~/a HTTP/1.1|Host: h\n\rX: a|GET ~/b HTTP/1.1|Host: h||", Nothing),
    ("head-ends-with-two-crs", "GET ~/a HTTP/1.1|Host: h\r\r\nGET ~/b HTTP/1.1|Host: h||", Nothing),
    ("upgrade-with-a-request-behind", "GET ~/a HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: websocket||\
        GET ~/b HTTP/1.1|Host: h||", AtMost(&["GET a", "GET b", "GET end"])),
    ("upgrade-with-a-body", "POST ~/a HTTP/1.1|Host: h|Connection: Upgrade|Upgrade: websocket|Content-Length: 5||hello",
        AtMost(&["POST a hello", "GET end"])),
    ("connection-hides-what-is-forwarded", "GET ~/a HTTP/1.1|Host: h|Connection: close, x-forwarded-for, forwarded||",
        Exactly(&["GET a"])),
];

/// Heads that are too large: made, since they are long.
#[must_use]
pub fn large() -> Vec<(&'static str, String, Expect)> {
    let head = |extra: String| format!("GET ~/a HTTP/1.1|Host: h|{extra}|");
    let many = |count: usize, size: usize| {
        head((0..count).map(|index| format!("x-{index}: {}|", "v".repeat(size))).collect::<String>())
    };
    vec![
        ("large-90-headers", many(90, 10), ONE),
        ("large-header-of-30-kib", many(1, 30 * 1024), ONE),
        (
            "large-target-of-30-kib",
            format!("GET ~/a?{} HTTP/1.1|Host: h||", "q".repeat(30 * 1024)),
            Exactly(&["GET a?qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "GET end"]),
        ),
        ("large-200-headers", many(200, 1), Nothing),
        ("large-10000-headers", many(10_000, 1), Nothing),
        ("large-header-of-100-kib", many(1, 100 * 1024), Nothing),
        ("large-head-of-100-kib", many(50, 2 * 1024), Nothing),
        ("large-target-of-100-kib", format!("GET ~/a?{} HTTP/1.1|Host: h||", "q".repeat(100 * 1024)), Nothing),
        ("large-name-of-100-kib", head(format!("{}: v|", "n".repeat(100 * 1024))), Nothing),
        ("large-method-of-100-kib", format!("{} ~/a HTTP/1.1|Host: h||", "M".repeat(100 * 1024)), Nothing),
        ("large-blank-lines-before", format!("{}GET ~/a HTTP/1.1|Host: h||", "|".repeat(100 * 1024)), Nothing),
        ("large-chunk-extension", chunked(&format!("5;{}|hello|0||", "e".repeat(100 * 1024))), Nothing),
        ("large-chunk-size", chunked(&format!("{}5|hello|0||", "0".repeat(100 * 1024))), Nothing),
        ("large-trailers", chunked(&format!("5|hello|0|x: {}||", "t".repeat(100 * 1024))), Nothing),
        ("large-many-trailers", chunked(&format!("5|hello|0|{}|", "t: u|".repeat(20_000))), Nothing),
        ("large-many-chunk-extensions", chunked(&format!("{}0||", "1;eeeeeeeeeeeeeeee|x|".repeat(20_000))), Nothing),
    ]
}

fn chunked(body: &str) -> String {
    format!("POST ~/a HTTP/1.1|Host: h|Transfer-Encoding: chunked||{body}")
}
