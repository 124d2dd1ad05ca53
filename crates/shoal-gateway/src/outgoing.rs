//! A request over HTTP/2 as its replica gets it, ready to be sent, and to be sent once more where that is allowed. Pure.

use crate::connection::Client;
use crate::deadline::Deadline;
use crate::headers::{self, Host};
use crate::refusal::Refusal;
use crate::upload::{Upload, UpstreamBody};
use http::header::{CONTENT_TYPE, EXPECT, HOST, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use std::time::Instant;

/// How a request travels to the replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Http1,
    /// gRPC needs trailers both ways.
    Http2,
}

impl Way {
    /// The way for a request with this head.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
        if headers::is_grpc(content_type) { Self::Http2 } else { Self::Http1 }
    }
}

/// A request on its way out.
pub(crate) struct Outgoing {
    pub(crate) way: Way,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    upload: Option<Upload>,
    deadline: Deadline,
    /// Whether it may have to be sent twice, whatever its method.
    is_for_two: bool,
}

impl Outgoing {
    /// What is sent for a request with this head, of which hop-by-hop headers are removed, and body.
    pub(crate) fn new(
        client: &Client,
        head: Parts,
        upload: Option<Upload>,
        host: &Host,
        way: Way,
        deadline: Deadline,
    ) -> Result<Self, Refusal> {
        let mut headers = head.headers;
        // The gateway's own server has answered `100 Continue` by the time the body comes.
        headers.remove(EXPECT);
        headers::remove_aliases(&mut headers);
        headers::forward(&mut headers, client.origin, host);
        let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        let bad =
            |error: http::Error| Refusal::BadRequest { why: format!("The request's target is not valid: {error}.") };
        let uri = match &way {
            Way::Http2 => {
                headers.remove(HOST);
                let authority = if host.authority.is_empty() { "localhost" } else { &host.authority };
                Uri::builder().scheme("http").authority(authority).path_and_query(path).build().map_err(bad)?
            }
            Way::Http1 => {
                let value = HeaderValue::from_str(&host.authority).map_err(|error| bad(error.into()))?;
                headers.insert(HOST, value);
                headers::join_cookies(&mut headers);
                Uri::from(path)
            }
        };
        // A GET has a body only where its length, or that it comes in chunks, is said (RFC 9112 section 6.3).
        let is_chunked = upload.as_ref().is_some_and(|upload| !upload.is_sized());
        if is_chunked && way != Way::Http2 {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Ok(Self { way, method: head.method, uri, headers, upload, deadline, is_for_two: false })
    }

    /// Says that the client takes trailers, where the replica may send some.
    pub(crate) fn take_trailers(&mut self, takes: bool) {
        if takes && self.way == Way::Http2 {
            self.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }

    /// It may have to be sent twice, whatever its method.
    pub(crate) fn keep_for_two(&mut self) {
        self.is_for_two = true;
    }

    /// Whether it can be sent once more after it may have been served: doing so twice is as good as once, and its body
    /// can still be had.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.method.is_idempotent() && self.is_whole()
    }

    /// Whether all of it can still be had.
    pub(crate) fn is_whole(&self) -> bool {
        self.upload.as_ref().is_none_or(Upload::is_whole)
    }

    /// What is asked for.
    pub(crate) fn path(&self) -> &str {
        self.uri.path()
    }

    pub(crate) fn upload(&self) -> Option<&Upload> {
        self.upload.as_ref()
    }

    /// The request for one try. Its head is copied where it may be needed again; see [`give_back`](Self::give_back).
    pub(crate) fn request(&mut self) -> Request<UpstreamBody> {
        self.deadline.shrink(&mut self.headers, Instant::now());
        let body = self.upload.as_ref().map_or(UpstreamBody::Empty, Upload::body);
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = if self.is_kept() { self.headers.clone() } else { std::mem::take(&mut self.headers) };
        if self.way == Way::Http2 {
            *request.version_mut() = Version::HTTP_2;
        }
        request
    }

    /// A request that was not sent after all.
    pub(crate) fn give_back(&mut self, unsent: Request<UpstreamBody>) {
        if !self.is_kept() {
            self.headers = unsent.into_parts().0.headers;
        }
    }

    /// Whether its head outlives a try. An HTTP/2 replica may refuse what it was sent without having looked at it.
    pub(crate) fn is_kept(&self) -> bool {
        self.method.is_idempotent() || self.way == Way::Http2 || self.is_for_two
    }
}
