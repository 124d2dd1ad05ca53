//! What happens to headers on the way through: hop-by-hop ones end here, forwarding ones say who asked. Pure.
//!
//! Hop-by-hop: RFC 9110 section 7.6.1. Forwarding headers of a client are believed only when it connects from this
//! machine (another proxy, or a replica); everyone else's are replaced.

use http::header::{self, HeaderName};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri, Version};
use std::net::IpAddr;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED: HeaderName = header::FORWARDED;

/// The longest forwarding header that is added to, in bytes; a longer one is replaced.
const FORWARDED_MAX: usize = 4096;

const HOP_BY_HOP: [HeaderName; 10] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    // Between two peers of the SDK on one connection only.
    HeaderName::from_static("shoal-frames"),
];

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    /// The address it connected from.
    pub(crate) peer: IpAddr,
    /// Whether it came over TLS.
    pub(crate) secure: bool,
}

/// The host a request is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Host {
    /// As the client wrote it, with its port; empty when it named none (HTTP/1.0).
    pub(crate) authority: String,
}

/// Finds the host a request is for; `Err` is the sentence for a 400 answer. RFC 9112 section 3.2: an absolute target
/// wins over the header, and HTTP/1.1 has exactly one `Host`.
pub(crate) fn host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Host, &'static str> {
    let mut values = headers.get_all(header::HOST).iter();
    let (first, second) = (values.next(), values.next());
    if second.is_some() {
        return Err("The request has more than one `Host` header.");
    }
    let authority = match (uri.authority(), first) {
        (Some(authority), _) => authority.clone(),
        (None, Some(value)) if !value.is_empty() => {
            Authority::try_from(value.as_bytes()).map_err(|_| "The request's `Host` header is not a host.")?
        }
        (None, None) if version == Version::HTTP_11 => return Err("The request has no `Host` header."),
        (None, _) => return Ok(Host::default()),
    };
    if authority.as_str().contains('@') {
        return Err("The request's host names a user.");
    }
    Ok(Host { authority: authority.as_str().to_owned() })
}

fn connection_tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

/// Whether the sender takes trailers: `TE: trailers`, which gRPC insists on.
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|token| token.trim().eq_ignore_ascii_case("trailers"))
}

/// Removes the headers that end at this hop: the known ones, and those that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> =
            connection_tokens(headers).filter_map(|token| HeaderName::from_bytes(token.as_bytes()).ok()).collect();
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The names that a replica may take for granted, since the gateway sees to them.
const OURS: [HeaderName; 11] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::CONTENT_TYPE,
    header::AUTHORIZATION,
    FORWARDED_FOR,
    FORWARDED_PROTO,
    FORWARDED_HOST,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-real-ip"),
];

/// Removes what only differs from one of those names by an underscore: many languages give both to a program as one
/// variable (RFC 3875 section 4.1.18).
pub(crate) fn remove_aliases(headers: &mut HeaderMap) {
    if !headers.keys().any(|name| name.as_str().contains('_')) {
        return;
    }
    let aliases: Vec<HeaderName> = headers.keys().filter(|name| is_alias(name.as_str())).cloned().collect();
    for name in aliases {
        headers.remove(name);
    }
}

/// Whether a name only differs from one of those by an underscore.
pub(crate) fn is_alias(name: &str) -> bool {
    name.contains('_') && OURS.iter().any(|ours| name.replace('_', "-").eq_ignore_ascii_case(ours.as_str()))
}

/// Makes one `Cookie` of the crumbs that HTTP/2 may send (RFC 9113 section 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(header::COOKIE, cookie);
    }
}

/// Says who asked, in `x-forwarded-for`, `-proto`, `-host` and `forwarded` (RFC 7239).
pub(crate) fn forward(headers: &mut HeaderMap, origin: Origin, host: &Host) {
    let trusted = origin.peer.to_canonical().is_loopback();
    let peer = origin.peer.to_canonical();
    let protocol = if origin.secure { "https" } else { "http" };
    let node = if peer.is_ipv6() { format!("\"[{peer}]\"") } else { peer.to_string() };
    let mut element = format!("for={node};proto={protocol}");
    if !host.authority.is_empty() {
        element.push_str(&format!(";host=\"{}\"", host.authority));
    }
    append_or_replace(headers, FORWARDED_FOR, &peer.to_string(), trusted);
    append_or_replace(headers, FORWARDED, &element, trusted);
    let kept = trusted && headers.get(FORWARDED_PROTO).is_some_and(|value| value == "http" || value == "https");
    if !kept {
        set(headers, FORWARDED_PROTO, protocol);
    }
    if !(trusted && headers.contains_key(FORWARDED_HOST)) {
        headers.remove(FORWARDED_HOST);
        if !host.authority.is_empty() {
            set(headers, FORWARDED_HOST, &host.authority);
        }
    }
}

fn append_or_replace(headers: &mut HeaderMap, name: HeaderName, text: &str, trusted: bool) {
    let before: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    let before = before.join(", ");
    if trusted && !before.is_empty() && before.len() + text.len() < FORWARDED_MAX {
        set(headers, name, &format!("{before}, {text}"));
    } else {
        set(headers, name, text);
    }
}

/// Sets a header, unless the text has a character that no header may hold; then it is removed.
fn set(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    match HeaderValue::from_str(text) {
        Ok(value) => drop(headers.insert(name, value)),
        Err(_) => drop(headers.remove(name)),
    }
}

/// Whether this is the content type of gRPC, which answers in trailers and needs HTTP/2 to the replica. gRPC-Web is not.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    match content_type.split_at_checked("application/grpc".len()) {
        Some((start, rest)) => {
            start.eq_ignore_ascii_case(b"application/grpc") && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests;
