//! Notes the gateway's own answers in the log, at most one a second and core, so that an outage does not fill it.

use crate::refusal::Refusal;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(1);

/// What was left out since the last line.
#[derive(Default)]
pub(crate) struct Complaints {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Complaints {
    /// Notes a refusal. What a client did wrong is of interest only when one looks closely.
    pub(crate) fn note(&self, refusal: &Refusal, request_id: &str) {
        let status = refusal.status();
        if status.is_client_error() {
            tracing::debug!(request_id, "{} {}", status.as_u16(), refusal.sentence());
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < EVERY) {
            state.left_out += 1;
            return;
        }
        state.last = Some(Instant::now());
        let left_out = std::mem::take(&mut state.left_out);
        let more = if left_out > 0 { format!(" ({left_out} more like it before)") } else { String::new() };
        tracing::warn!(request_id, "{} {}{more}", status.as_u16(), refusal.sentence());
    }
}
