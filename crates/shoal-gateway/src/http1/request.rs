//! The head of an HTTP/1.1 request: read from a client, and written as its replica gets it. Pure.
//!
//! What is plain is read in one pass; whatever is not (a host that was not seen before, an absolute target, chunks, …)
//! goes through the same checks as a request over HTTP/2: [`crate::reading`] and [`crate::headers`].

use super::facts::{Facts, Kind, kind};
use super::wire::{PIECE, Wire};
use crate::deadline::Asked;
use crate::headers::{self, Host, Origin};
use crate::identify;
use crate::reading;
use crate::refusal::{Form, Refusal};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Uri, Version};
use httparse::{EMPTY_HEADER, Error, Header, Status};
use std::mem::MaybeUninit;
use std::ops::Range;
use tokio::io::{AsyncRead, AsyncWrite};

/// How many headers are read without memory of their own.
const HEADERS_USUAL: usize = 100;

/// How many blank lines there may be before a request.
const BLANK_LINES_MAX: u32 = 2;

/// How a message's body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Empty,
    /// After so many bytes.
    Sized(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection; for answers only.
    Closing,
}

/// A request's head as its replica gets it, but for the client's deadline and the empty line at its end; and what the
/// gateway needs to know of it.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Vec<u8>,
    method: Range<usize>,
    target: Range<usize>,
    host: Range<usize>,
    request_id: Range<usize>,
    accept: Option<Range<usize>>,
    content_type: Option<Range<usize>>,
    is_connect: bool,
    pub(super) framing: Framing,
    pub(super) is_http10: bool,
    pub(super) keeps_alive: bool,
    pub(super) expects_continue: bool,
    /// The protocol that it asks to switch to.
    pub(super) upgrade: Option<Vec<u8>>,
    pub(super) asked: Option<Asked>,
    /// How large the client's head was, in bytes and in headers.
    pub(super) bytes: usize,
    pub(super) headers: usize,
}

/// What has come so far.
#[derive(Debug)]
pub(super) enum Read {
    /// Not a whole head.
    Part,
    /// A head of so many bytes.
    Whole(Box<Request>, usize),
    /// What no replica is to see.
    Refused(Refusal, Form),
}

/// What is known on one connection from one request to the next.
#[derive(Debug)]
pub(super) struct Known {
    origin: Origin,
    /// The last host that passed all checks.
    host: Vec<u8>,
    /// The forwarding headers for that host, of a client that sent none.
    forwarding: Vec<u8>,
}

impl Known {
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, host: Vec::new(), forwarding: Vec::new() }
    }
}

/// The largest head that is looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLimits {
    pub(super) bytes: usize,
    pub(super) headers: usize,
}

/// Finds one request's head in what comes, without looking at the same bytes again and again.
#[derive(Debug, Default)]
pub(super) struct Heads {
    looked_at: usize,
    blank_lines: u32,
}

impl Heads {
    /// The head, once all of it has come; then its bytes are used.
    pub(super) fn next<S>(
        &mut self,
        wire: &mut Wire<S>,
        memory: &mut Vec<u8>,
        known: &mut Known,
        limits: HeadLimits,
    ) -> Read
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        // A line's end that follows a request is no part of the next (RFC 9112 section 2.2).
        while let [b'\n', ..] | [b'\r', b'\n', ..] = wire.data() {
            self.blank_lines += 1;
            if self.blank_lines > BLANK_LINES_MAX {
                let why = "The request begins with blank lines.".to_owned();
                return Read::Refused(Refusal::BadRequest { why }, Form::default());
            }
            wire.consume(if wire.data().first() == Some(&b'\n') { 1 } else { 2 });
            self.looked_at = 0;
        }
        let data = wire.data();
        if data.is_empty() || !(self.looked_at == 0 || ends_head(data, self.looked_at) || data.len() > limits.bytes) {
            self.looked_at = data.len();
            return Read::Part;
        }
        self.looked_at = data.len();
        let read = read(data, std::mem::take(memory), known, limits);
        if let Read::Whole(_, bytes) = &read {
            wire.consume(*bytes);
        }
        read
    }
}

/// Whether a head may end in what came since `looked_at` bytes were looked at: an empty line, however its lines end.
fn ends_head(data: &[u8], looked_at: usize) -> bool {
    let new = data.get(looked_at.saturating_sub(3)..).unwrap_or_default();
    new.windows(2).any(|pair| pair == b"\n\n") || new.windows(3).any(|three| three == b"\n\r\n")
}

/// Reads a request's head. `head` is memory to write the outgoing one to.
pub(super) fn read(input: &[u8], head: Vec<u8>, known: &mut Known, limits: HeadLimits) -> Read {
    let many = limits.headers > HEADERS_USUAL;
    let mut usual = [const { MaybeUninit::uninit() }; HEADERS_USUAL];
    let mut more = if many { vec![EMPTY_HEADER; limits.headers] } else { Vec::new() };
    let mut parsed = httparse::Request::new(&mut []);
    let status = if many {
        parsed = httparse::Request::new(&mut more);
        parsed.parse(input)
    } else {
        parsed.parse_with_uninit_headers(input, &mut usual)
    };
    let refused = |refusal| Read::Refused(refusal, Form::default());
    let bytes = match status {
        Ok(Status::Complete(bytes)) if bytes <= limits.bytes => bytes,
        Ok(Status::Partial) if input.len() <= limits.bytes => return Read::Part,
        Ok(_) => return refused(Refusal::HeadTooLarge { most: limits.bytes }),
        Err(Error::TooManyHeaders) => {
            return refused(Refusal::TooManyHeaders { count: limits.headers + 1, most: limits.headers });
        }
        Err(error) => {
            return refused(Refusal::BadRequest { why: format!("The request is not proper HTTP/1.1: {error}.") });
        }
    };
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Read::Part;
    };
    if parsed.headers.len() > limits.headers {
        return refused(Refusal::TooManyHeaders { count: parsed.headers.len(), most: limits.headers });
    }
    let line = Line { method, target, is_http10: version == 0 };
    let facts = Facts::of(parsed.headers);
    match written(line, parsed.headers, &facts, head, known) {
        Ok(request) => Read::Whole(Box::new(Request { bytes, headers: parsed.headers.len(), ..request }), bytes),
        Err(refusal) => {
            let form = Form::of(facts.accept, facts.content_type.unwrap_or_default(), facts.is_connect);
            Read::Refused(refusal, form)
        }
    }
}

struct Line<'a> {
    method: &'a str,
    target: &'a str,
    is_http10: bool,
}

/// Checks a request and writes its head as the replica gets it.
fn written(
    line: Line<'_>,
    all: &[Header<'_>],
    facts: &Facts<'_>,
    mut head: Vec<u8>,
    known: &mut Known,
) -> Result<Request, Refusal> {
    let host = checked(&line, all, facts, known)?;
    head.clear();
    let method = push(&mut head, line.method.as_bytes());
    head.push(b' ');
    let target = push(&mut head, host.path.as_deref().unwrap_or(line.target).as_bytes());
    head.extend_from_slice(b" HTTP/1.1\r\nhost: ");
    let host = push(&mut head, &host.authority);
    head.extend_from_slice(b"\r\n");

    let asked = Asked::of(facts.grpc_timeout, facts.connect_timeout);
    let traceparent = facts.traceparent.filter(|value| identify::is_traceparent(value));
    let (mut accept, mut content_type) = (None, None);
    for header in all {
        let kind = kind(header.name);
        let is_plain = match kind {
            Kind::Plain => !(header.name.contains('_') && headers::is_alias(header.name)),
            Kind::Accept | Kind::Connect | Kind::ContentType => true,
            Kind::Tracestate => traceparent.is_some(),
            Kind::GrpcTimeout | Kind::ConnectTimeout => asked.is_none(),
            _ => false,
        };
        if is_plain && !facts.named.iter().any(|name| name.eq_ignore_ascii_case(header.name)) {
            field(&mut head, header.name.as_bytes(), header.value);
            let value = || head.len() - 2 - header.value.len()..head.len() - 2;
            match kind {
                Kind::Accept => accept = accept.or_else(|| Some(value())),
                Kind::ContentType => content_type = content_type.or_else(|| Some(value())),
                _ => {}
            }
        }
    }
    write_forwarding(all, facts, host.clone(), known, &mut head);
    let request_id = write_names(traceparent, facts.request_id, &mut head);
    let upgrade = facts.upgrade(line.is_http10);
    if let Some(protocol) = &upgrade {
        field(&mut head, b"connection", b"upgrade");
        field(&mut head, b"upgrade", protocol);
    }
    let framing = write_framing(facts, &mut head);
    Ok(Request {
        head,
        method,
        target,
        host,
        request_id,
        accept,
        content_type,
        is_connect: facts.is_connect,
        framing,
        is_http10: line.is_http10,
        keeps_alive: if line.is_http10 { facts.keeps_alive && !facts.closes } else { !facts.closes },
        expects_continue: facts.expects_continue && !line.is_http10,
        upgrade,
        asked,
        bytes: 0,
        headers: 0,
    })
}

/// Says who asked.
fn write_forwarding(all: &[Header<'_>], facts: &Facts<'_>, host: Range<usize>, known: &Known, head: &mut Vec<u8>) {
    if !facts.is_forwarded {
        return head.extend_from_slice(&known.forwarding);
    }
    let sent = all.iter().filter(|header| kind(header.name) == Kind::Forwarding);
    let kept = sent.filter(|header| !facts.named.iter().any(|name| name.eq_ignore_ascii_case(header.name)));
    let authority = String::from_utf8_lossy(head.get(host).unwrap_or_default()).into_owned();
    forwarding(map_of(kept), known.origin, authority, head);
}

/// Names the request, by its client's names where they are valid; returns where its id is.
fn write_names(traceparent: Option<&[u8]>, request_id: Option<&[u8]>, head: &mut Vec<u8>) -> Range<usize> {
    head.extend_from_slice(b"traceparent: ");
    match traceparent {
        Some(value) => head.extend_from_slice(value),
        None => identify::write_traceparent(head),
    }
    head.extend_from_slice(b"\r\nx-request-id: ");
    let start = head.len();
    match request_id.filter(|value| identify::is_request_id(value)) {
        Some(value) => head.extend_from_slice(value),
        None => identify::write_request_id(head),
    }
    let id = start..head.len();
    head.extend_from_slice(b"\r\n");
    id
}

/// Says how the body ends. Its length has been checked.
fn write_framing(facts: &Facts<'_>, head: &mut Vec<u8>) -> Framing {
    if facts.is_coded {
        field(head, b"transfer-encoding", b"chunked");
        return Framing::Chunked;
    }
    let Some(length) = facts.length else { return Framing::Empty };
    field(head, b"content-length", length);
    match length.iter().fold(0_u64, |sum, digit| sum.wrapping_mul(10).wrapping_add(u64::from(digit & 15))) {
        0 => Framing::Empty,
        length => Framing::Sized(length),
    }
}

/// A host that passed all checks, and the path where the target is more than that.
struct Checked {
    authority: Vec<u8>,
    path: Option<String>,
}

fn checked(line: &Line<'_>, all: &[Header<'_>], facts: &Facts<'_>, known: &mut Known) -> Result<Checked, Refusal> {
    if line.method == "CONNECT" {
        return Err(Refusal::Connect);
    }
    if !is_target(line.target) {
        return Err(Refusal::BadRequest { why: "The request's target has a character that no URI has.".to_owned() });
    }
    let is_plain = line.target.starts_with('/')
        && !facts.is_doubled
        && !facts.is_coded
        && facts.length.is_none_or(is_length)
        && facts.host.is_some_and(|host| host == known.host && !host.is_empty());
    if is_plain {
        return Ok(Checked { authority: known.host.clone(), path: None });
    }
    let bad = |why: &str| Refusal::BadRequest { why: why.to_owned() };
    if facts.is_coded && line.is_http10 {
        return Err(bad("The request has a `Transfer-Encoding`, which HTTP/1.0 has not."));
    }
    let method = Method::from_bytes(line.method.as_bytes()).map_err(|_| bad("The request's method is no token."))?;
    let version = if line.is_http10 { Version::HTTP_10 } else { Version::HTTP_11 };
    // The path itself is passed on as it came.
    let origin_form = line.target.starts_with('/');
    let uri = if origin_form { Uri::from_static("/") } else { line.target.parse().map_err(|_| bad(NO_TARGET))? };
    let map = map_of(all.iter().filter(|header| matches!(kind(header.name), Kind::Host | Kind::Length | Kind::Coding)));
    reading::check(&method, &uri, version, &map).map_err(bad)?;
    let host = headers::host(&uri, version, &map).map_err(bad)?;
    let path = (!origin_form).then(|| uri.path_and_query().map_or("/", |path| path.as_str()).to_owned());
    if path.as_ref().is_some_and(|path| !path.starts_with('/') && path != "*") {
        return Err(bad(NO_TARGET));
    }
    let authority = host.authority.clone().into_bytes();
    known.forwarding.clear();
    forwarding(HeaderMap::new(), known.origin, host.authority, &mut known.forwarding);
    known.host.clone_from(&authority);
    Ok(Checked { authority, path })
}

const NO_TARGET: &str = "The request's target is neither a path nor a URI.";

/// Whether there are only characters that the URI of a request over HTTP/2 may have: visible ASCII, but those that never
/// stand in a path or a query as they are. A fragment is never sent.
fn is_target(target: &str) -> bool {
    let mut in_query = false;
    target.bytes().all(|byte| {
        in_query |= byte == b'?';
        let never = if in_query { b'"' } else { b'`' };
        matches!(byte, b'!'..=b'~') && !matches!(byte, b'#' | b'<' | b'>') && byte != never
    })
}

fn is_length(value: &[u8]) -> bool {
    (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

fn map_of<'a>(headers: impl Iterator<Item = &'a Header<'a>>) -> HeaderMap {
    let valid = |header: &Header<'_>| {
        Some((HeaderName::from_bytes(header.name.as_bytes()).ok()?, HeaderValue::from_bytes(header.value).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in headers.filter_map(valid) {
        map.append(name, value);
    }
    map
}

/// Writes the forwarding headers for a request that came with these of its own.
fn forwarding(mut sent: HeaderMap, origin: Origin, authority: String, out: &mut Vec<u8>) {
    headers::forward(&mut sent, origin, &Host { authority });
    for (name, value) in &sent {
        field(out, name.as_str().as_bytes(), value.as_bytes());
    }
}

fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) -> Range<usize> {
    let start = out.len();
    out.extend_from_slice(bytes);
    start..out.len()
}

impl Request {
    fn text(&self, range: &Range<usize>) -> &str {
        self.head.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// As the client wrote it; empty when it named none.
    pub(super) fn authority(&self) -> &str {
        self.text(&self.host)
    }

    /// The path, without the query.
    pub(super) fn path(&self) -> &str {
        let target = self.text(&self.target);
        target.split_once('?').map_or(target, |(path, _)| path)
    }

    /// What an answer of the gateway's own is to be written in.
    pub(super) fn form(&self) -> Form {
        let value = |range: &Option<Range<usize>>| range.as_ref().and_then(|range| self.head.get(range.clone()));
        Form::of(value(&self.accept), value(&self.content_type).unwrap_or_default(), self.is_connect)
    }

    pub(super) fn request_id(&self) -> &str {
        self.text(&self.request_id)
    }

    /// How many bytes of the body are read before anybody takes them.
    pub(super) fn ahead(&self) -> usize {
        match self.framing {
            Framing::Empty | Framing::Closing => 0,
            Framing::Sized(length) => usize::try_from(length).unwrap_or(PIECE).min(PIECE),
            Framing::Chunked => PIECE,
        }
    }

    pub(super) fn is_head(&self) -> bool {
        self.text(&self.method) == "HEAD"
    }

    /// RFC 9110 section 9.2.2.
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(self.text(&self.method), "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }
}
