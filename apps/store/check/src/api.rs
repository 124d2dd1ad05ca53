//! The services' own APIs, called as `shoal call` does: one JSON request to a ready replica.

use crate::page::agent;
use serde_json::Value;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a call has no good answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// The service refused, by this code: it had no effect.
    Refused(String),
    /// Nobody can tell.
    Unknown(String),
}

/// Codes that say that nothing happened.
const DEFINITE: [&str; 9] = [
    "invalid_argument",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unauthenticated",
];

/// Calls `method`, such as `payment.v1.Payment/Audit`, at a replica's address.
///
/// # Errors
/// When it is refused, or nobody can tell.
pub fn call(address: &str, method: &str, request: &Value) -> Result<Value, CallError> {
    let unknown = |error: &dyn std::fmt::Display| CallError::Unknown(error.to_string());
    let post =
        agent(PATIENCE).post(format!("http://{address}/store.{method}")).header("content-type", "application/json");
    let mut answer = post.send(request.to_string()).map_err(|error| unknown(&error))?;
    let is_good = answer.status().is_success();
    // The totals of a long run may be large.
    let body = answer.body_mut().with_config().limit(64 << 20).read_to_string().map_err(|error| unknown(&error))?;
    let body: Value = serde_json::from_str(&body).map_err(|error| unknown(&error))?;
    if is_good {
        return Ok(body);
    }
    let code = body["code"].as_str().unwrap_or_default();
    if DEFINITE.contains(&code) {
        return Err(CallError::Refused(code.to_owned()));
    }
    Err(CallError::Unknown(body.to_string()))
}

/// A whole number of an answer: 64 bits come as text, and 0 is left out.
#[must_use]
pub fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or(0)
}

/// A text of an answer; an empty one is left out.
#[must_use]
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list of an answer; an empty one is left out.
#[must_use]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
