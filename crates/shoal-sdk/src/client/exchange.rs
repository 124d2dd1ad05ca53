//! One call over HTTP/2, as Connect's unary protocol writes it. Never: retries, or waits for longer than it is let.

use super::channel::TIME_MIN;
use super::connection::Connection;
use crate::frames::{self, Invitation, MESSAGE_MAX, Unanswered};
use crate::wire::from_wire;
use crate::{Call, Code, Error};
use bytes::Bytes;
use connectrpc::ConnectError;
use http::header::CONTENT_TYPE;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use std::error::Error as _;

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("connect-protocol-version");
const TIMEOUT: HeaderName = HeaderName::from_static("connect-timeout-ms");
const PROTO: HeaderValue = HeaderValue::from_static("application/proto");
/// The largest error, in bytes.
const ERROR_MAX: usize = 1024 * 1024;

/// A call's request, as it goes over HTTP/2.
pub(super) struct Exchange<'a> {
    /// The callee, as a host name.
    pub authority: &'a Authority,
    /// `/package.Service/Method`.
    pub path: &'static str,
    pub call: &'a Call,
    /// That frames are known here; see [`frames::offer`].
    pub offer: Option<&'a HeaderValue>,
}

impl Exchange<'_> {
    /// Calls; `invited` hears of the callee's frames.
    pub async fn send(
        &self,
        connection: &Connection,
        message: Bytes,
        invited: impl FnOnce(Invitation),
    ) -> Result<Bytes, Unanswered> {
        let mut sender = connection.sender().await.map_err(|error| Unanswered::Unsent(error.to_string()))?;
        let response = match sender.try_send_request(self.request(message)).await {
            Ok(response) => response,
            Err(mut failure) => {
                let unsent = failure.take_message().is_some();
                let error = failure.error();
                let why = error.to_string();
                return Err(match unsent {
                    true => Unanswered::Unsent(why),
                    false if is_unprocessed(error) => Unanswered::Refused(why),
                    false => Unanswered::Broken(why),
                });
            }
        };
        if let Some(invitation) = response.headers().get(frames::HEADER).and_then(Invitation::parse) {
            invited(invitation);
        }
        answer(response).await
    }

    fn request(&self, message: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(message));
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(Scheme::HTTP);
        uri.authority = Some(self.authority.clone());
        uri.path_and_query = Some(PathAndQuery::from_static(self.path));
        // Its parts are all there, so they are an address.
        *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, PROTO);
        headers.insert(PROTOCOL_VERSION, HeaderValue::from_static("1"));
        // Only now, since to connect may have taken a while. Rounded down, so that it does not grow on its way.
        let timeout = self.call.time_left().max(TIME_MIN).as_millis();
        headers.insert(TIMEOUT, u64::try_from(timeout).unwrap_or(u64::MAX).into());
        if let Some(offer) = self.offer {
            headers.insert(frames::HEADER, offer.clone());
        }
        self.call.write_headers(headers);
        request
    }
}

/// Whether the callee says that it did not look at the request: a refused stream, or one after the last that a GOAWAY
/// counts (RFC 9113 section 8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

async fn answer(response: Response<Incoming>) -> Result<Bytes, Unanswered> {
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return Err(Unanswered::Answered(error(head.status, &head.headers, body).await));
    }
    if head.headers.get(CONTENT_TYPE) != Some(&PROTO) {
        return Err(Unanswered::Answered(Error::unknown(
            "the callee answers with something that is no Protobuf message",
        )));
    }
    match Limited::new(body, MESSAGE_MAX).collect().await {
        Ok(message) => Ok(message.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let why = format!("the response has more than the {MESSAGE_MAX} bytes that are taken");
            Err(Unanswered::Answered(Error::resource_exhausted(why)))
        }
        Err(error) => Err(Unanswered::Broken(error.to_string())),
    }
}

/// What Connect writes for an error, or what the status says where something else answers.
async fn error(status: StatusCode, headers: &HeaderMap, body: Incoming) -> Error {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json
        && let Ok(text) = Limited::new(body, ERROR_MAX).collect().await
        && let Ok(error) = serde_json::from_slice::<ConnectError>(&text.to_bytes())
    {
        return from_wire(error);
    }
    let code = match status.as_u16() {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    };
    Error::new(code, format!("the callee answers with the HTTP status {status}"))
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
