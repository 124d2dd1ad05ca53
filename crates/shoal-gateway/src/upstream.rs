//! Sends one request to one replica and waits for the head of its answer.
//!
//! A pooled connection may have been closed by the replica just before: a request that was not sent at all goes out
//! again on a new connection, and so does one without a body whose method may be repeated (RFC 9110 section 9.2.2).
//! Nothing else is sent twice.

use crate::pool::{IDLE_MAX, IDLE_MAX_ONCE, Pool, Sender1, UpstreamBody, connect_http1, connect_http2};
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::{Body, Incoming};
use shoal_model::Address;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: the request was not sent. Says what the replica did.
    NotConnected(String),
    /// The connection ended before the answer began. Says what the replica did.
    Lost(String),
    /// The client did not send its request to the end.
    Downstream,
}

/// An answer's head, with the connection its body comes on if that can be used again afterwards.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Option<Sender1>,
}

/// Over HTTP/1.1, on a pooled connection where there is one.
pub(crate) async fn send_http1(
    pool: &Pool,
    address: &Address,
    request: Request<UpstreamBody>,
    connect_timeout: Duration,
) -> Result<Answer, Failure> {
    let repeatable = request.method().is_idempotent() && request.body().is_end_stream();
    let idle_max = if repeatable { IDLE_MAX } else { IDLE_MAX_ONCE };
    let mut request = request;
    if let Some(mut sender) = pool.take(address, idle_max) {
        let spare = repeatable.then(|| copy_of(&request));
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(Answer { response, connection: Some(sender) }),
            Err(mut error) => match (error.take_message(), spare) {
                (Some(unsent), _) => request = unsent,
                (None, Some(spare)) if !error.error().is_parse() => request = spare,
                _ => return Err(lost(&error.into_error())),
            },
        }
    }
    let mut sender = connect_http1(address, connect_timeout, false).await.map_err(Failure::NotConnected)?;
    let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
    Ok(Answer { response, connection: Some(sender) })
}

/// Over an HTTP/1.1 connection of its own, which may turn into a tunnel.
pub(crate) async fn send_upgrade(
    address: &Address,
    request: Request<UpstreamBody>,
    connect_timeout: Duration,
) -> Result<Answer, Failure> {
    let mut sender = connect_http1(address, connect_timeout, true).await.map_err(Failure::NotConnected)?;
    let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
    Ok(Answer { response, connection: None })
}

/// Over the replica's shared HTTP/2 connection.
pub(crate) async fn send_http2(
    pool: &Pool,
    address: &Address,
    request: Request<UpstreamBody>,
    connect_timeout: Duration,
) -> Result<Answer, Failure> {
    let mut request = request;
    if let Some(mut sender) = pool.shared(address) {
        match sender.try_send_request(request).await {
            Ok(response) => return Ok(Answer { response, connection: None }),
            Err(mut error) => match error.take_message() {
                Some(unsent) => request = unsent,
                None => return Err(lost(&error.into_error())),
            },
        }
    }
    let mut sender = connect_http2(address, connect_timeout).await.map_err(Failure::NotConnected)?;
    pool.share(address, sender.clone());
    let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
    Ok(Answer { response, connection: None })
}

/// A request without a body, once more.
fn copy_of(request: &Request<UpstreamBody>) -> Request<UpstreamBody> {
    let mut copy = Request::new(Either::Right(Empty::new()));
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    *copy.version_mut() = request.version();
    copy
}

fn lost(error: &hyper::Error) -> Failure {
    if error.is_user() {
        return Failure::Downstream;
    }
    Failure::Lost(if error.is_parse() {
        "gave an answer that is not HTTP".to_owned()
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "closed the connection before its answer".to_owned()
    } else {
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("broke the connection before its answer ({error}{cause})")
    })
}
