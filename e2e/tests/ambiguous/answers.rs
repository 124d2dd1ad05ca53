//! Answers that have two readings, or none, and what a client may see of them. In what is sent, `|` stands for CRLF, and `@` for a
//! mebibyte of letters.

use Seen::{Cut, Either, Refused, Whole};

/// What a client may see.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// The gateway's own answer that there is none.
    Refused,
    /// This status and body.
    Whole(u16, &'static str),
    /// One of both.
    Either(u16, &'static str),
    /// Nothing that looks whole.
    Cut,
}

/// A case: its name, what the upstream sends, whether it closes the connection then, and what the client may see.
pub type Case = (&'static str, &'static str, bool, Seen);

/// The corpus.
#[rustfmt::skip] // One case after another, as a table.
pub const CASES: &[Case] = &[
    ("proper", "HTTP/1.1 200 OK|Content-Length: 5||hello", false, Whole(200, "hello")),
    ("proper-chunks", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|0||", false, Whole(200, "hello")),
    ("to-the-end", "HTTP/1.1 200 OK||hello", true, Whole(200, "hello")),
    ("version-1.0", "HTTP/1.0 200 OK||hello", true, Whole(200, "hello")),
    ("interim", "HTTP/1.1 100 Continue||HTTP/1.1 103 Early Hints|Link: x||HTTP/1.1 200 OK|Content-Length: 5||hello", false, Whole(200, "hello")),
    ("nothing-with-a-body", "HTTP/1.1 204 No Content|Content-Length: 5||hello", false, Whole(204, "")),
    ("unchanged-with-a-body", "HTTP/1.1 304 Not Modified|Content-Length: 5||hello", false, Whole(304, "")),
    ("a-second-answer", "HTTP/1.1 200 OK|Content-Length: 5||helloHTTP/1.1 200 OK|Content-Length: 6||poison", false, Whole(200, "hello")),
    ("a-second-answer-after-chunks", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|0||HTTP/1.1 200 OK|Content-Length: 6||poison",
        false, Whole(200, "hello")),
    ("a-second-answer-after-nothing", "HTTP/1.1 204 No Content||HTTP/1.1 200 OK|Content-Length: 6||poison", false, Whole(204, "")),
    ("letters-after", "HTTP/1.1 200 OK|Content-Length: 5||hello, poison", false, Whole(200, "hello")),

    ("two-lengths", "HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 5||hello", false, Refused),
    ("length-list", "HTTP/1.1 200 OK|Content-Length: 5, 2||hello", false, Refused),
    ("length-plus", "HTTP/1.1 200 OK|Content-Length: +5||hello", false, Refused),
    ("length-minus", "HTTP/1.1 200 OK|Content-Length: -5||hello", false, Refused),
    ("length-word", "HTTP/1.1 200 OK|Content-Length: five||hello", false, Refused),
    ("length-and-coding", "HTTP/1.1 200 OK|Content-Length: 2|Transfer-Encoding: chunked||5|hello|0||", false, Either(200, "hello")),
    ("coding-unknown", "HTTP/1.1 200 OK|Transfer-Encoding: gzip||hello", true, Refused),
    ("coding-gzip-chunked", "HTTP/1.1 200 OK|Transfer-Encoding: gzip, chunked||5|hello|0||", false, Refused),
    ("coding-chunked-twice", "HTTP/1.1 200 OK|Transfer-Encoding: chunked|Transfer-Encoding: chunked||5|hello|0||", false, Refused),
    ("too-short", "HTTP/1.1 200 OK|Content-Length: 9||hello", true, Cut),
    ("chunk-no-number", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||zz|hello|0||", false, Cut),
    ("chunk-too-long", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello!|0||", false, Cut),
    ("chunk-cr-only", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5\rhello\r0\r\r", true, Cut),
    ("chunks-without-end", "HTTP/1.1 200 OK|Transfer-Encoding: chunked||5|hello|", true, Cut),

    ("name-space", "HTTP/1.1 200 OK|a b: c|Content-Length: 5||hello", false, Refused),
    ("name-space-before-colon", "HTTP/1.1 200 OK|Content-Length : 5||hello", true, Refused),
    ("name-without-colon", "HTTP/1.1 200 OK|what|Content-Length: 5||hello", false, Refused),
    ("value-nul", "HTTP/1.1 200 OK|a: b\0c|Content-Length: 5||hello", false, Refused),
    ("value-cr", "HTTP/1.1 200 OK|a: b\rc: d|Content-Length: 5||hello", false, Refused),
    ("line-folded", "HTTP/1.1 200 OK|a: b| c|Content-Length: 5||hello", false, Refused),
    ("version-2", "HTTP/2.0 200 OK|Content-Length: 5||hello", false, Refused),
    ("version-0.9", "hello", true, Refused),
    ("version-of-another", "ICY 200 OK|Content-Length: 5||hello", false, Refused),
    ("status-of-two-digits", "HTTP/1.1 99 OK|Content-Length: 5||hello", false, Refused),
    ("status-of-four-digits", "HTTP/1.1 2000 OK|Content-Length: 5||hello", false, Refused),
    ("status-word", "HTTP/1.1 OK|Content-Length: 5||hello", false, Refused),
    ("switching-unasked", "HTTP/1.1 101 Switching Protocols|Connection: upgrade|Upgrade: websocket||hello", false, Refused),
    ("head-of-a-mebibyte", "HTTP/1.1 200 OK|a: @|Content-Length: 5||hello", false, Refused),
    ("head-without-end", "HTTP/1.1 200 OK|a: @", true, Refused),
    ("nothing", "", true, Refused),
];
