//! The head of an HTTP/1.1 answer: read from a replica, and written as the client gets it. Pure.
//!
//! How an answer's body ends: RFC 9112 section 6.3. An answer that says it in two ways is no answer.

use super::request::Framing;
use crate::tracked::grpc_outcome;
use httparse::{Header, Status};
use shoal_balance::Outcome;
use std::mem::MaybeUninit;

/// The most headers of an answer, and the largest head, in bytes.
const HEADERS_MAX: usize = 128;
const BYTES_MAX: usize = 256 * 1024;

/// An answer's head, as far as the gateway needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Whether the replica's connection can be used again.
    pub(super) keeps_alive: bool,
    pub(super) outcome: Outcome,
    /// The size of the head, in bytes.
    pub(super) bytes: usize,
}

/// How the client gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing<'a> {
    pub(super) request_id: &'a str,
    /// Now, as `Date` says it.
    pub(super) date: &'a [u8],
    pub(super) is_http10: bool,
    pub(super) is_head: bool,
    /// Whether the client's connection ends after it.
    pub(super) closes: bool,
    /// Whether the client asked to switch protocols.
    pub(super) upgrades: bool,
}

/// What has come so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// Not a whole head.
    Part,
    /// An answer, of which the head as the client gets it was written.
    Whole(Answer),
    /// An answer before the answer, of so many bytes; nobody waits for it.
    Interim(usize),
}

/// It is not HTTP, or could be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoAnswer;

/// Reads an answer's head, and writes it as the client gets it.
pub(super) fn read(input: &[u8], passing: Passing<'_>, out: &mut Vec<u8>) -> Result<Read, NoAnswer> {
    let mut headers = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let bytes = match config.parse_response_with_uninit_headers(&mut parsed, input, &mut headers) {
        Ok(Status::Complete(bytes)) => bytes,
        Ok(Status::Partial) if input.len() <= BYTES_MAX => return Ok(Read::Part),
        Ok(Status::Partial) | Err(_) => return Err(NoAnswer),
    };
    let (Some(status), Some(version)) = (parsed.code, parsed.version) else { return Err(NoAnswer) };
    let switches = status == 101 && passing.upgrades;
    if status < 200 && !switches {
        return if status == 101 || status < 100 { Err(NoAnswer) } else { Ok(Read::Interim(bytes)) };
    }
    let facts = Facts::of(parsed.headers)?;
    let framing = facts.framing(status, passing.is_head)?;
    let is_http10 = version == 0;
    let keeps_alive = if is_http10 { facts.keeps_alive && !facts.closes } else { !facts.closes };
    let outcome = match status {
        500.. => Outcome::Failed,
        _ => facts.grpc_status.and_then(grpc_outcome).unwrap_or(Outcome::Succeeded),
    };
    write(status, parsed.reason.unwrap_or_default(), parsed.headers, &facts, framing, passing, out);
    let keeps_alive = keeps_alive && framing != Framing::Closing && !switches;
    Ok(Read::Whole(Answer { status, framing, keeps_alive, outcome, bytes }))
}

/// Whether the client's connection must end after an answer with this framing for the client to know its end.
pub(super) fn must_close(framing: Framing, is_http10: bool) -> bool {
    is_http10 && matches!(framing, Framing::Chunked | Framing::Closing)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    Coding,
    Connection,
    Date,
    GrpcStatus,
    /// It ends here.
    Hop,
    Length,
    RequestId,
    Upgrade,
}

fn kind(name: &str) -> Kind {
    let named = |known: &str, kind| if name.eq_ignore_ascii_case(known) { kind } else { Kind::Plain };
    match name.len() {
        2 => named("te", Kind::Hop),
        4 => named("date", Kind::Date),
        7 => named("upgrade", Kind::Upgrade),
        10 if name.eq_ignore_ascii_case("keep-alive") => Kind::Hop,
        10 => named("connection", Kind::Connection),
        11 => named("grpc-status", Kind::GrpcStatus),
        12 if name.eq_ignore_ascii_case("shoal-frames") => Kind::Hop,
        12 => named("x-request-id", Kind::RequestId),
        14 if name.eq_ignore_ascii_case("http2-settings") => Kind::Hop,
        14 => named("content-length", Kind::Length),
        16 => named("proxy-connection", Kind::Hop),
        17 => named("transfer-encoding", Kind::Coding),
        18 => named("proxy-authenticate", Kind::Hop),
        19 => named("proxy-authorization", Kind::Hop),
        _ => Kind::Plain,
    }
}

#[derive(Debug, Default)]
struct Facts<'a> {
    length: Option<u64>,
    is_chunked: bool,
    closes: bool,
    keeps_alive: bool,
    has_date: bool,
    has_request_id: bool,
    grpc_status: Option<&'a [u8]>,
    upgrade: Option<&'a [u8]>,
    named: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    fn of(headers: &[Header<'a>]) -> Result<Self, NoAnswer> {
        let mut facts = Self::default();
        for header in headers {
            match kind(header.name) {
                Kind::Plain | Kind::Hop => {}
                Kind::Coding if facts.is_chunked || !header.value.eq_ignore_ascii_case(b"chunked") => {
                    return Err(NoAnswer);
                }
                Kind::Coding => facts.is_chunked = true,
                Kind::Connection => facts.connection(header.value),
                Kind::Date => facts.has_date = true,
                Kind::GrpcStatus => facts.grpc_status = Some(header.value),
                Kind::Length => {
                    let length = number(header.value).ok_or(NoAnswer)?;
                    if facts.length.replace(length).is_some_and(|before| before != length) {
                        return Err(NoAnswer);
                    }
                }
                Kind::RequestId => facts.has_request_id = true,
                Kind::Upgrade => facts.upgrade = Some(header.value),
            }
        }
        Ok(facts)
    }

    fn connection(&mut self, value: &'a [u8]) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        for token in value.split(',').map(str::trim) {
            if token.eq_ignore_ascii_case("close") {
                self.closes = true;
            } else if token.eq_ignore_ascii_case("keep-alive") {
                self.keeps_alive = true;
            } else if !token.is_empty() && !token.eq_ignore_ascii_case("upgrade") {
                self.named.push(token);
            }
        }
    }

    fn framing(&self, status: u16, is_head: bool) -> Result<Framing, NoAnswer> {
        if self.is_chunked && self.length.is_some() {
            return Err(NoAnswer);
        }
        Ok(match (self.length, self.is_chunked) {
            _ if is_head || status < 200 || status == 204 || status == 304 => Framing::Empty,
            (Some(0), _) => Framing::Empty,
            (Some(length), _) => Framing::Sized(length),
            (None, true) => Framing::Chunked,
            (None, false) => Framing::Closing,
        })
    }
}

fn number(value: &[u8]) -> Option<u64> {
    let is_number = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    is_number.then(|| value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}

fn write(
    status: u16,
    reason: &str,
    headers: &[Header<'_>],
    facts: &Facts<'_>,
    framing: Framing,
    passing: Passing<'_>,
    out: &mut Vec<u8>,
) {
    status_line(status, reason, passing.is_http10, out);
    let mut has_length = false;
    for header in headers {
        let is_plain = match kind(header.name) {
            Kind::Plain | Kind::Date | Kind::GrpcStatus | Kind::RequestId => {
                !facts.named.iter().any(|name| name.eq_ignore_ascii_case(header.name))
            }
            // One of several that say the same.
            Kind::Length => !std::mem::replace(&mut has_length, true) && status >= 200 && status != 204,
            _ => false,
        };
        if is_plain {
            field(out, header.name.as_bytes(), header.value);
        }
    }
    if !facts.has_request_id || facts.named.iter().any(|name| name.eq_ignore_ascii_case("x-request-id")) {
        field(out, b"x-request-id", passing.request_id.as_bytes());
    }
    if !facts.has_date {
        field(out, b"date", passing.date);
    }
    if status == 101 {
        field(out, b"connection", b"upgrade");
        field(out, b"upgrade", facts.upgrade.unwrap_or(b"websocket"));
    } else {
        if matches!(framing, Framing::Chunked | Framing::Closing) && !passing.is_http10 {
            field(out, b"transfer-encoding", b"chunked");
        }
        connection(passing.closes || must_close(framing, passing.is_http10), passing.is_http10, out);
    }
    out.extend_from_slice(b"\r\n");
}

/// Says whether the client's connection goes on, where its version does not take that for granted.
pub(super) fn connection(closes: bool, is_http10: bool, out: &mut Vec<u8>) {
    if closes {
        field(out, b"connection", b"close");
    } else if is_http10 {
        field(out, b"connection", b"keep-alive");
    }
}

pub(super) fn status_line(status: u16, reason: &str, is_http10: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if is_http10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " });
    for place in [100, 10, 1] {
        out.push(b'0' + (status / place % 10) as u8);
    }
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(super) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PASSING: Passing<'_> =
        Passing { request_id: "id", date: b"today", is_http10: false, is_head: false, closes: false, upgrades: false };

    fn passed(text: &str, passing: Passing<'_>) -> Result<(Answer, String), NoAnswer> {
        let mut out = Vec::new();
        match read(text.as_bytes(), passing, &mut out)? {
            Read::Whole(answer) => Ok((answer, String::from_utf8(out).unwrap())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_head_is_passed_on_without_what_ends_here() {
        let text = "HTTP/1.1 418 I'm a teapot\r\nX-Kept: 1\r\nX-Hop: 2\r\nConnection: x-hop\r\nKeep-Alive: timeout=5\r\n\
                    Content-Length: 3\r\n\r\ntea";
        let (answer, head) = passed(text, PASSING).unwrap();
        assert_eq!((answer.status, answer.framing, answer.keeps_alive), (418, Framing::Sized(3), true));
        assert_eq!(
            head,
            "HTTP/1.1 418 I'm a teapot\r\nX-Kept: 1\r\nContent-Length: 3\r\nx-request-id: id\r\ndate: today\r\n\r\n"
        );
    }

    #[test]
    fn the_end_of_a_body_has_one_reading() {
        let of = |status: &str, headers: &str, passing| {
            passed(&format!("HTTP/1.1 {status}\r\n{headers}\r\n"), passing).map(|(answer, _)| answer.framing)
        };
        assert_eq!(of("200 OK", "content-length: 5\r\n", PASSING), Ok(Framing::Sized(5)));
        assert_eq!(of("200 OK", "content-length: 5\r\ncontent-length: 5\r\n", PASSING), Ok(Framing::Sized(5)));
        assert_eq!(of("200 OK", "transfer-encoding: Chunked\r\n", PASSING), Ok(Framing::Chunked));
        assert_eq!(of("200 OK", "", PASSING), Ok(Framing::Closing));
        assert_eq!(of("204 No Content", "", PASSING), Ok(Framing::Empty));
        assert_eq!(of("304 Not Modified", "content-length: 5\r\n", PASSING), Ok(Framing::Empty));
        assert_eq!(of("200 OK", "content-length: 5\r\n", Passing { is_head: true, ..PASSING }), Ok(Framing::Empty));
        for bad in [
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        ] {
            assert_eq!(of("200 OK", bad, PASSING), Err(NoAnswer), "{bad}");
        }
        assert!(of("101 Switching Protocols", "", PASSING).is_err(), "nobody asked");
        assert!(of("000 Nothing", "", PASSING).is_err(), "no status");
    }

    #[test]
    fn old_clients_learn_the_end_by_the_connections() {
        let old = Passing { is_http10: true, ..PASSING };
        let (_, head) = passed("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", old).unwrap();
        assert!(head.starts_with("HTTP/1.0 200 OK\r\n") && head.contains("connection: close\r\n"), "{head}");
        assert!(!head.contains("chunked"), "{head}");
        let (_, head) = passed("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n", old).unwrap();
        assert!(head.contains("connection: keep-alive\r\n"), "{head}");
    }

    proptest! {
        #[test]
        fn nothing_panics(input in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
            head.extend_from_slice(&input);
            let _ = read(&head, PASSING, &mut Vec::new());
            let _ = read(&input, PASSING, &mut Vec::new());
        }
    }

    #[test]
    fn a_switch_that_was_asked_for_is_passed_on() {
        let text = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\n";
        let (answer, head) = passed(text, Passing { upgrades: true, ..PASSING }).unwrap();
        assert_eq!((answer.status, answer.keeps_alive), (101, false));
        assert!(head.contains("connection: upgrade\r\nupgrade: chat\r\n"), "{head}");
    }
}
