//! Waiting for a state, with a bound.

use std::time::{Duration, Instant};

/// How long a state may take to come about on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until there is an answer; panics with `what` when there is none in time.
///
/// # Panics
/// When time is up: the test has failed.
#[track_caller]
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < until, "this did not come about within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(20)); // between two looks, not instead of one
    }
}
