//! One JSON call to a replica, as any HTTP client would make it: Connect over HTTP/1.1.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::time::Duration;
use tokio::net::TcpStream;

/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long the whole call may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why a call has no answer.
#[derive(Debug)]
pub struct CallError(String);

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CallError {}

/// Posts `request` to `procedure` at `address` and answers what came back.
///
/// # Errors
/// When nobody answers in time, the answer is an error, or it is not JSON.
pub async fn call(address: &str, procedure: &str, request: &Value) -> Result<Value, CallError> {
    tokio::time::timeout(PATIENCE, exchange(address, procedure, request))
        .await
        .map_err(|_| CallError(format!("no answer within {} s", PATIENCE.as_secs())))?
}

async fn exchange(address: &str, procedure: &str, request: &Value) -> Result<Value, CallError> {
    let failed = |error: &dyn std::error::Error| CallError(error.to_string());
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driving = tokio::spawn(connection);
    let request = hyper::Request::post(procedure)
        .header("host", address)
        .header("content-type", "application/json")
        .header("connect-protocol-version", "1")
        .body(Full::new(Bytes::from(request.to_string())))
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX)
        .collect()
        .await
        .map_err(|error| CallError(format!("the answer cannot be read: {error}")))?
        .to_bytes();
    driving.abort();
    if !status.is_success() {
        return Err(CallError(format!("{status}: {}", String::from_utf8_lossy(&body))));
    }
    serde_json::from_slice(&body).map_err(|error| CallError(format!("the answer is not JSON: {error}")))
}
