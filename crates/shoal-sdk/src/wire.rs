//! Between this crate's types and the wire's: routes of methods, and errors in both directions. The only module, with
//! `serve`, that knows the RPC library. Never: decides what a method answers.

use crate::frames::{Methods, Reply};
use crate::{Call, Code, Detail, Error};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use buffa::Message;
use connectrpc::{ConnectError, ErrorCode, ErrorDetail, RequestContext};
use futures::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tracing::{Instrument as _, Span};

/// The most details of an error that are read from the wire.
const DETAILS_MAX: usize = 32;

/// The routes of a server. For generated code.
#[doc(hidden)]
pub struct Routes {
    pub(crate) router: connectrpc::Router,
    /// The same methods, for callers over frames.
    pub(crate) methods: Methods,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self { router: connectrpc::Router::new(), methods: Methods::new() }
    }

    /// Adds a method with one request and one response.
    #[must_use]
    pub fn unary<Request, Response, F, Answer>(
        mut self,
        service: &'static str,
        method: &'static str,
        no_side_effects: bool,
        answer: F,
    ) -> Self
    where
        Request: Message + DeserializeOwned + Send + 'static,
        Response: Message + Serialize + Send + 'static,
        F: Fn(Call, Request) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<Response, Error>> + Send + 'static,
    {
        let answer = Arc::new(answer);
        let framed = framed(service, method, Arc::clone(&answer));
        self.methods.insert(format!("/{service}/{method}"), framed);
        let handler = connectrpc::handler_fn(move |context: RequestContext, request: Request| {
            let call = Call::received(context.headers(), context.deadline());
            let span = span(service, method, &call);
            let answer = answer(call, request);
            async move {
                match unpanicked(answer).await {
                    Ok(response) => connectrpc::Response::ok(response),
                    Err(error) => Err(to_wire(error)),
                }
            }
            .instrument(span)
        });
        self.router = if no_side_effects {
            self.router.route_idempotent::<_, Request, Response>(service, method, handler)
        } else {
            self.router.route::<_, Request, Response>(service, method, handler)
        };
        self
    }
}

fn span(service: &'static str, method: &'static str, call: &Call) -> Span {
    tracing::info_span!("rpc", service, method, request_id = call.request_id())
}

/// A method as frames call it.
fn framed<Request, Response, F, Answer>(
    service: &'static str,
    method: &'static str,
    answer: Arc<F>,
) -> crate::frames::Method
where
    Request: Message,
    Response: Message + 'static,
    F: Fn(Call, Request) -> Answer + Send + Sync + 'static,
    Answer: Future<Output = Result<Response, Error>> + Send + 'static,
{
    Box::new(move |call: Call, message: &[u8], reply: Reply| {
        let request = match Request::decode_from_slice(message) {
            Ok(request) => request,
            Err(error) => {
                reply.fail(&Error::invalid_argument(format!("the request does not decode: {error}")));
                return None;
            }
        };
        let span = span(service, method, &call);
        let answer = answer(call, request);
        Some(Box::pin(async move { reply.send(unpanicked(answer).await) }.instrument(span)))
    })
}

/// Turns a panic of an implementation into `internal`, so that it takes no other request on the connection with it, and
/// looks the same in process.
pub(crate) async fn unpanicked<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|panic| {
        tracing::error!(panic = panic_text(panic.as_ref()), "a method panicked");
        Err(Error::internal("the method failed unexpectedly"))
    })
}

pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a text")
}

fn to_wire(error: Error) -> ConnectError {
    let mut wire = ConnectError::new(code_to_wire(error.code), error.message);
    wire.details = error
        .details
        .into_iter()
        .map(|detail| ErrorDetail {
            type_url: detail.name,
            value: Some(STANDARD_NO_PAD.encode(&detail.value)),
            debug: None,
        })
        .collect();
    wire
}

pub(crate) fn from_wire(wire: ConnectError) -> Error {
    let details = wire.details.into_iter().take(DETAILS_MAX);
    Error {
        code: code_from_wire(wire.code),
        message: wire.message.unwrap_or_default(),
        details: details.filter_map(detail_from_wire).collect(),
    }
}

fn detail_from_wire(wire: ErrorDetail) -> Option<Detail> {
    let encoded = wire.value.unwrap_or_default();
    let value = STANDARD_NO_PAD.decode(&encoded).or_else(|_| STANDARD.decode(&encoded)).ok()?;
    // gRPC writes the name as a URL, whose last part is the name.
    let name = wire.type_url.rsplit('/').next().unwrap_or_default();
    Some(Detail { name: name.to_owned(), value: value.into() })
}

fn code_to_wire(code: Code) -> ErrorCode {
    match code {
        Code::Canceled => ErrorCode::Canceled,
        Code::Unknown => ErrorCode::Unknown,
        Code::InvalidArgument => ErrorCode::InvalidArgument,
        Code::DeadlineExceeded => ErrorCode::DeadlineExceeded,
        Code::NotFound => ErrorCode::NotFound,
        Code::AlreadyExists => ErrorCode::AlreadyExists,
        Code::PermissionDenied => ErrorCode::PermissionDenied,
        Code::ResourceExhausted => ErrorCode::ResourceExhausted,
        Code::FailedPrecondition => ErrorCode::FailedPrecondition,
        Code::Aborted => ErrorCode::Aborted,
        Code::OutOfRange => ErrorCode::OutOfRange,
        Code::Unimplemented => ErrorCode::Unimplemented,
        Code::Internal => ErrorCode::Internal,
        Code::Unavailable => ErrorCode::Unavailable,
        Code::DataLoss => ErrorCode::DataLoss,
        Code::Unauthenticated => ErrorCode::Unauthenticated,
    }
}

fn code_from_wire(code: ErrorCode) -> Code {
    match code {
        ErrorCode::Canceled => Code::Canceled,
        ErrorCode::InvalidArgument => Code::InvalidArgument,
        ErrorCode::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::AlreadyExists => Code::AlreadyExists,
        ErrorCode::PermissionDenied => Code::PermissionDenied,
        ErrorCode::ResourceExhausted => Code::ResourceExhausted,
        ErrorCode::FailedPrecondition => Code::FailedPrecondition,
        ErrorCode::Aborted => Code::Aborted,
        ErrorCode::OutOfRange => Code::OutOfRange,
        ErrorCode::Unimplemented => Code::Unimplemented,
        ErrorCode::Internal => Code::Internal,
        ErrorCode::Unavailable => Code::Unavailable,
        ErrorCode::DataLoss => Code::DataLoss,
        ErrorCode::Unauthenticated => Code::Unauthenticated,
        // The library may learn codes that this crate does not know.
        _ => Code::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_wire_whole() {
        let codes = (1..=16).filter_map(ErrorCode::from_grpc_code);
        for code in codes.map(code_from_wire) {
            let mut error = Error::new(code, "a message");
            error.details.push(Detail { name: "store.v1.Thing".to_owned(), value: vec![0, 1, 255].into() });
            assert_eq!(code_to_wire(code).as_str(), code.as_str());
            assert_eq!(from_wire(to_wire(error.clone())), error);
        }
    }

    #[test]
    fn a_detail_that_does_not_decode_is_left_out() {
        let mut wire = to_wire(Error::not_found("x"));
        for value in ["!!", "AAA="] {
            wire.details.push(ErrorDetail {
                type_url: "type.googleapis.com/a.B".to_owned(),
                value: Some(value.to_owned()),
                debug: None,
            });
        }
        let error = from_wire(wire);
        assert_eq!(error.details.len(), 1);
        assert_eq!(error.details[0].name, "a.B");
    }
}
