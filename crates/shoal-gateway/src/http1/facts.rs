//! What the headers of an HTTP/1.1 request say, all together: read in one pass. Pure, and judges nothing.

use httparse::Header;

/// What a header means to the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing: it is passed on.
    Plain,
    Accept,
    Connect,
    ConnectTimeout,
    Connection,
    ContentType,
    Coding,
    Expect,
    Forwarding,
    GrpcTimeout,
    /// It ends here.
    Hop,
    Host,
    Length,
    RequestId,
    Traceparent,
    Tracestate,
    Upgrade,
}

/// What a name means.
pub(super) fn kind(name: &str) -> Kind {
    let named = |known: &str, kind| if name.eq_ignore_ascii_case(known) { kind } else { Kind::Plain };
    let either = |one: Kind, other: Kind| if one == Kind::Plain { other } else { one };
    match name.len() {
        2 => named("te", Kind::Hop),
        4 => named("host", Kind::Host),
        6 => either(named("accept", Kind::Accept), named("expect", Kind::Expect)),
        7 => named("upgrade", Kind::Upgrade),
        9 => named("forwarded", Kind::Forwarding),
        10 => either(
            named("connection", Kind::Connection),
            either(named("keep-alive", Kind::Hop), named("tracestate", Kind::Tracestate)),
        ),
        11 => named("traceparent", Kind::Traceparent),
        12 => either(
            either(named("content-type", Kind::ContentType), named("x-request-id", Kind::RequestId)),
            either(named("grpc-timeout", Kind::GrpcTimeout), named("shoal-frames", Kind::Hop)),
        ),
        14 => either(named("content-length", Kind::Length), named("http2-settings", Kind::Hop)),
        15 => named("x-forwarded-for", Kind::Forwarding),
        16 => either(named("x-forwarded-host", Kind::Forwarding), named("proxy-connection", Kind::Hop)),
        17 => either(named("x-forwarded-proto", Kind::Forwarding), named("transfer-encoding", Kind::Coding)),
        18 => either(named("connect-timeout-ms", Kind::ConnectTimeout), named("proxy-authenticate", Kind::Hop)),
        19 => named("proxy-authorization", Kind::Hop),
        24 => named("connect-protocol-version", Kind::Connect),
        _ => Kind::Plain,
    }
}

/// What the headers of one request say, all together.
#[derive(Debug, Default)]
pub(super) struct Facts<'a> {
    pub(super) accept: Option<&'a [u8]>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) is_connect: bool,
    pub(super) host: Option<&'a [u8]>,
    pub(super) length: Option<&'a [u8]>,
    pub(super) request_id: Option<&'a [u8]>,
    pub(super) traceparent: Option<&'a [u8]>,
    pub(super) upgrade: Option<&'a [u8]>,
    pub(super) grpc_timeout: Option<&'a [u8]>,
    pub(super) connect_timeout: Option<&'a [u8]>,
    /// Whether a body comes in a coding.
    pub(super) is_coded: bool,
    /// Whether a header that there may be one of came more than once.
    pub(super) is_doubled: bool,
    pub(super) is_forwarded: bool,
    pub(super) expects_continue: bool,
    pub(super) closes: bool,
    pub(super) keeps_alive: bool,
    pub(super) asks_upgrade: bool,
    /// The headers that `Connection` names.
    pub(super) named: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(headers: &[Header<'a>]) -> Self {
        let mut facts = Self::default();
        for header in headers {
            let value = header.value;
            match kind(header.name) {
                Kind::Plain | Kind::Hop | Kind::Tracestate => {}
                Kind::Accept => facts.accept = facts.accept.or(Some(value)),
                Kind::ContentType => facts.content_type = facts.content_type.or(Some(value)),
                Kind::Connect => facts.is_connect = true,
                Kind::GrpcTimeout => facts.grpc_timeout = facts.grpc_timeout.or(Some(value)),
                Kind::ConnectTimeout => facts.connect_timeout = facts.connect_timeout.or(Some(value)),
                Kind::Connection => facts.connection(value),
                Kind::Coding => facts.is_coded = true,
                Kind::Expect => facts.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
                Kind::Forwarding => facts.is_forwarded = true,
                Kind::Host => facts.is_doubled |= facts.host.replace(value).is_some(),
                Kind::Length => facts.is_doubled |= facts.length.replace(value).is_some(),
                // Of two names neither is believed.
                Kind::RequestId => facts.request_id = if facts.request_id.is_some() { Some(b"") } else { Some(value) },
                Kind::Traceparent => {
                    facts.traceparent = if facts.traceparent.is_some() { Some(b"") } else { Some(value) };
                }
                Kind::Upgrade => facts.upgrade = facts.upgrade.or(Some(value)),
            }
        }
        facts
    }

    fn connection(&mut self, value: &'a [u8]) {
        let Ok(value) = std::str::from_utf8(value) else { return };
        for token in value.split(',').map(str::trim) {
            if token.eq_ignore_ascii_case("close") {
                self.closes = true;
            } else if token.eq_ignore_ascii_case("keep-alive") {
                self.keeps_alive = true;
            } else if token.eq_ignore_ascii_case("upgrade") {
                self.asks_upgrade = true;
            } else if !token.is_empty() {
                self.named.push(token);
            }
        }
    }

    /// The protocol to switch to. HTTP/2 over cleartext is none: a client that wants it just starts with it (RFC 9113 section
    /// 3.1), and passed through it would be a way around the routes.
    pub(super) fn upgrade(&self, is_http10: bool) -> Option<Vec<u8>> {
        let asked = self.upgrade.filter(|_| self.asks_upgrade && !is_http10)?;
        let token = std::str::from_utf8(asked).ok()?;
        let is_h2c = token.split(',').any(|name| name.trim().eq_ignore_ascii_case("h2c"));
        (!is_h2c).then(|| asked.to_vec())
    }
}
