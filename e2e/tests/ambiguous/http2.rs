//! Requests over HTTP/2, which arrive at the upstream over HTTP/1.1, so that what was one field there must not become two here.
//!
//! The frames are written by hand: no library would send these.

use crate::corpus::Expect::{self, AtMost, Exactly, Nothing};
use crate::talk::{PATIENCE, read_on};
use shoal_e2e::Proxy;
use std::io::Write;
use std::time::Instant;

const START: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const ACK: u8 = 1;

/// A case: its name, its fields, each as `name: value` with `~` as in the other corpus and `\r`, `\n`, `\0` as they are, its body,
/// its trailers, and what may reach the upstream.
pub struct Case {
    pub name: &'static str,
    fields: &'static [&'static str],
    body: Option<&'static str>,
    trailers: &'static [&'static str],
    pub expect: Expect,
}

const fn get(name: &'static str, fields: &'static [&'static str], expect: Expect) -> Case {
    Case { name, fields, body: None, trailers: &[], expect }
}

const fn post(name: &'static str, fields: &'static [&'static str], body: &'static str, expect: Expect) -> Case {
    Case { name, fields, body: Some(body), trailers: &[], expect }
}

const ONE: Expect = Exactly(&["GET a"]);
const HELLO: Expect = Exactly(&["POST a hello"]);

/// The corpus.
#[rustfmt::skip] // One case after another, as a table.
pub const CASES: &[Case] = &[
    get("h2-get", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h"], ONE),
    get("h2-host-for-authority", &[":method: GET", ":scheme: http", ":path: ~/a", "host: h"], ONE),
    get("h2-both-hosts-same", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "host: h"], ONE),
    get("h2-te-trailers", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "te: trailers"], ONE),
    get("h2-cookies-in-crumbs", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "cookie: a=1", "cookie: b=2"], ONE),
    post("h2-post", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h"], "hello", HELLO),
    post("h2-post-length", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 5"], "hello", HELLO),
    post("h2-get-with-a-body", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h"], "hello", Exactly(&["GET a hello"])),
    Case { name: "h2-trailers", fields: &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h"], body: Some("hello"),
        trailers: &["x-sum: 1"], expect: HELLO },

    post("h2-length-too-short", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 3"], "hello", Nothing),
    post("h2-length-too-long", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 9"], "hello", Nothing),
    post("h2-length-zero", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 0"], 
        "GET ~/b HTTP/1.1\r\nHost: h\r\n\r\n", Nothing),
    get("h2-length-without-body", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 5"], Nothing),
    post("h2-length-twice", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 5", "content-length: 0"], "hello", Nothing),
    post("h2-length-twice-same", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 5", "content-length: 5"], "hello", Nothing),
    post("h2-length-list", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: 5, 5"], "hello", Nothing),
    post("h2-length-plus", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: +5"], "hello", Nothing),
    post("h2-length-empty", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "content-length: "], "hello", Nothing),
    post("h2-coding", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "transfer-encoding: chunked"],
        "0\r\n\r\nGET ~/b HTTP/1.1\r\nHost: h\r\n\r\n", Nothing),
    post("h2-coding-and-length", &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "transfer-encoding: chunked", "content-length: 5"], "0\r\n\r\n", Nothing),
    get("h2-connection", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "connection: close"], Nothing),
    get("h2-keep-alive", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "keep-alive: timeout=5"], Nothing),
    get("h2-proxy-connection", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "proxy-connection: keep-alive"], Nothing),
    get("h2-upgrade", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "upgrade: websocket"], Nothing),
    get("h2-te-gzip", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "te: gzip"], Nothing),
    get("h2-name-in-capitals", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "Foo: b"], Nothing),
    get("h2-name-space", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a b: c"], Nothing),
    get("h2-name-line", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a\r\ntransfer-encoding: chunked"], Nothing),
    get("h2-name-nul", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a\0: c"], Nothing),
    get("h2-name-empty", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", ": c"], Nothing),
    get("h2-name-colon", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a:b: c"], Nothing),
    get("h2-value-line", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a: b\r\ntransfer-encoding: chunked"], Nothing),
    get("h2-value-lf", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a: b\nc: d"], Nothing),
    get("h2-value-cr", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a: b\rc: d"], Nothing),
    get("h2-value-request", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a: b\r\n\r\nGET ~/b HTTP/1.1\r\nHost: h"], Nothing),
    get("h2-value-nul", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "a: b\0c"], Nothing),
    get("h2-path-empty", &[":method: GET", ":scheme: http", ":path: ", ":authority: h", "x-case: ~/"], Nothing),
    get("h2-path-no-slash", &[":method: GET", ":scheme: http", ":path: a", ":authority: h", "x-case: ~/"], Nothing),
    get("h2-path-space", &[":method: GET", ":scheme: http", ":path: ~/a b", ":authority: h"], Nothing),
    get("h2-path-version", &[":method: GET", ":scheme: http", ":path: ~/a HTTP/1.1\r\nx: y\r\n\r\nGET ~/b", ":authority: h"], Nothing),
    get("h2-path-lf", &[":method: GET", ":scheme: http", ":path: ~/a\nx", ":authority: h"], Nothing),
    get("h2-path-nul", &[":method: GET", ":scheme: http", ":path: ~/a\0x", ":authority: h"], Nothing),
    get("h2-path-fragment", &[":method: GET", ":scheme: http", ":path: ~/a#b", ":authority: h"], AtMost(&["GET a"])),
    get("h2-path-whole", &[":method: GET", ":scheme: http", ":path: http://evil~/a", ":authority: h"], Nothing),
    get("h2-path-asterisk", &[":method: GET", ":scheme: http", ":path: *", ":authority: h", "x-case: ~/"], Nothing),
    get("h2-path-missing", &[":method: GET", ":scheme: http", ":authority: h", "x-case: ~/"], Nothing),
    get("h2-path-twice", &[":method: GET", ":scheme: http", ":path: ~/a", ":path: ~/b", ":authority: h"], Nothing),
    get("h2-method-space", &[":method: GET ~/b HTTP/1.1\r\nx: y", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-method-two-words", &[":method: GET ~/b", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-method-empty", &[":method: ", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-method-missing", &[":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-method-twice", &[":method: GET", ":method: POST", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-method-connect", &[":method: CONNECT", ":authority: h:80", "x-case: ~/"], Nothing),
    get("h2-method-connect-path", &[":method: CONNECT", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-websocket", &[":method: CONNECT", ":protocol: websocket", ":scheme: http", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-scheme-missing", &[":method: GET", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-scheme-empty", &[":method: GET", ":scheme: ", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-scheme-target", &[":method: GET", ":scheme: http://evil~/b?", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-scheme-twice", &[":method: GET", ":scheme: http", ":scheme: https", ":path: ~/a", ":authority: h"], Nothing),
    get("h2-no-host", &[":method: GET", ":scheme: http", ":path: ~/a"], Nothing),
    get("h2-two-hosts", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", "host: evil"], Nothing),
    get("h2-host-twice", &[":method: GET", ":scheme: http", ":path: ~/a", "host: h", "host: evil"], Nothing),
    get("h2-authority-twice", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", ":authority: evil"], Nothing),
    get("h2-authority-user", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: u@h"], Nothing),
    get("h2-authority-path", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h/x"], Nothing),
    get("h2-authority-space", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h x"], Nothing),
    get("h2-authority-line", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h\r\nx: y"], Nothing),
    get("h2-authority-empty", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: "], AtMost(&["GET a"])),
    get("h2-unknown-pseudo", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", ":what: x"], Nothing),
    get("h2-status", &[":method: GET", ":scheme: http", ":path: ~/a", ":authority: h", ":status: 200"], Nothing),
    get("h2-pseudo-late", &[":method: GET", ":scheme: http", ":authority: h", "x: y", ":path: ~/a"], Nothing),
    Case { name: "h2-trailer-path", fields: &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h"], body: Some("hello"),
        trailers: &[":path: ~/b"], expect: AtMost(&["POST a hello"]) },
    Case { name: "h2-trailer-length", fields: &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "trailer: content-length"],
        body: Some("hello"), trailers: &["content-length: 50"], expect: AtMost(&["POST a hello"]) },
    Case { name: "h2-trailer-coding", fields: &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "trailer: transfer-encoding"],
        body: Some("hello"), trailers: &["transfer-encoding: chunked"], expect: AtMost(&["POST a hello"]) },
    Case { name: "h2-trailer-line", fields: &[":method: POST", ":scheme: http", ":path: ~/a", ":authority: h", "trailer: x"],
        body: Some("hello"), trailers: &["x: y\r\n\r\nGET ~/b HTTP/1.1\r\nHost: h\r\n\r\n"], expect: Nothing },
];

/// Sends a case; answers whether the proxy came to an end with it.
pub fn send(proxy: &Proxy, case: &Case) -> bool {
    let mut stream = proxy.http2.connect().expect("the proxy listens");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    if stream.write_all(&[START, &frame(SETTINGS, 0, 0, &[]), &case.frames()].concat()).is_err() {
        return true;
    }
    let mut writer = stream.try_clone().expect("a socket can be cloned");
    let mut come = Vec::new();
    let mut over = false;
    let ended = read_on(&mut stream, Instant::now() + PATIENCE, |bytes| {
        come.extend_from_slice(bytes);
        while let Some((kind, flags, taken)) = next_frame(&come) {
            come.drain(..taken);
            // A proxy that is gone meanwhile is seen by the next read.
            if kind == SETTINGS && flags & ACK == 0 {
                let _gone = writer.write_all(&frame(SETTINGS, ACK, 0, &[]));
            }
            let last = matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0;
            over |= last || matches!(kind, RESET | GO_AWAY);
        }
        !over
    });
    ended || over
}

fn next_frame(bytes: &[u8]) -> Option<(u8, u8, usize)> {
    let [high, middle, low, kind, flags] = *bytes.first_chunk::<5>()?;
    let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    (bytes.len() >= 9 + length).then_some((kind, flags, 9 + length))
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame is short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

impl Case {
    fn text(&self, text: &str) -> String {
        text.replace('~', &format!("/{}", self.name))
    }

    fn frames(&self) -> Vec<u8> {
        let end = |last: bool| if last { END_STREAM } else { 0 };
        let fields = self.block(self.fields);
        let mut frames = frame(HEADERS, END_HEADERS | end(self.body.is_none()), 1, &fields);
        if let Some(body) = self.body {
            frames.extend(frame(DATA, end(self.trailers.is_empty()), 1, self.text(body).as_bytes()));
        }
        if !self.trailers.is_empty() {
            frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &self.block(self.trailers)));
        }
        frames
    }

    /// Fields as HPACK has them when nothing is compressed (RFC 7541 section 6.2.2).
    fn block(&self, fields: &[&str]) -> Vec<u8> {
        let mut block = Vec::new();
        for field in fields {
            let field = self.text(field);
            // The name may start with a colon, and may hold one.
            let (name, value) = field.rsplit_once(": ").expect("a field has a value");
            block.push(0);
            for text in [name, value] {
                block.extend(length(text.len()));
                block.extend(text.bytes());
            }
        }
        block
    }
}

/// A length in HPACK's way, in a prefix of seven bits.
fn length(length: usize) -> Vec<u8> {
    if length < 127 {
        return vec![u8::try_from(length).expect("it is below 127")];
    }
    let mut rest = length - 127;
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).expect("it is below 128") | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("it is below 128"));
    bytes
}
