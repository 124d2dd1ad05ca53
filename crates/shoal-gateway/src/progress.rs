//! What a client's connection is waiting for, and since when; so that one look now and then finds a client that is too
//! slow, at the cost of a few stores per request instead of a timer. Pure: the caller brings the time.
//!
//! Three states: no request is under way (its next head, or the end of the connection, must come in time), an answer
//! waits for the client to take it, or the gateway itself is at work and the client has nothing to do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// One connection's progress. Written by one thread.
#[derive(Debug)]
pub(crate) struct Progress {
    /// When it last moved, in milliseconds of the caller's clock.
    moved: AtomicU64,
    requests: AtomicU64,
    /// Whether a request has ever come.
    was_asked: AtomicBool,
    /// Answers of which the client has been given a piece, and has not asked for the next.
    untaken: AtomicU64,
    /// How long the client may leave an answer untaken, in milliseconds.
    idle: AtomicU64,
}

impl Progress {
    /// A connection that was made at `now`.
    pub(crate) fn new(now: u64) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            moved: AtomicU64::new(now),
            requests: zero(),
            was_asked: AtomicBool::new(false),
            untaken: zero(),
            idle: AtomicU64::new(u64::MAX),
        }
    }

    /// A request has come, on a route where an answer may be left untaken for `idle`.
    pub(crate) fn began(&self, now: u64) {
        self.moved.store(now, Relaxed);
        self.requests.fetch_add(1, Relaxed);
        self.was_asked.store(true, Relaxed);
    }

    /// The route of the newest request lets an answer be left untaken for so long.
    pub(crate) fn allow(&self, idle: Duration) {
        self.idle.store(u64::try_from(idle.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    /// A request's answer has ended, or will never.
    pub(crate) fn ended(&self, now: u64) {
        self.moved.store(now, Relaxed);
        self.requests.fetch_sub(1, Relaxed);
    }

    /// The client has been given a piece of an answer.
    pub(crate) fn gave(&self, now: u64) {
        self.moved.store(now, Relaxed);
        self.untaken.fetch_add(1, Relaxed);
    }

    /// The client has taken that piece.
    pub(crate) fn took(&self) {
        self.untaken.fetch_sub(1, Relaxed);
    }

    /// Whether the client has taken too long. `patience`: for its next request to come.
    pub(crate) fn is_stalled(&self, now: u64, patience: Duration) -> bool {
        let still = now.saturating_sub(self.moved.load(Relaxed));
        if self.requests.load(Relaxed) == 0 {
            return u128::from(still) >= patience.as_millis();
        }
        self.untaken.load(Relaxed) > 0 && still >= self.idle.load(Relaxed)
    }

    /// Whether no request has come yet.
    pub(crate) fn is_new(&self) -> bool {
        !self.was_asked.load(Relaxed)
    }

    /// Whether a request is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.requests.load(Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(30);

    #[test]
    fn only_what_the_client_owes_is_held_against_it() {
        let progress = Progress::new(100);
        assert!(progress.is_new());
        assert!(!progress.is_stalled(129, PATIENCE) && progress.is_stalled(130, PATIENCE));
        progress.began(130);
        progress.allow(Duration::from_millis(10));
        assert!(!progress.is_stalled(1_000, PATIENCE), "the gateway is at work");
        progress.gave(1_000);
        assert!(!progress.is_stalled(1_009, PATIENCE) && progress.is_stalled(1_010, PATIENCE));
        progress.took();
        assert!(!progress.is_stalled(5_000, PATIENCE), "the replica is slow, not the client");
        progress.ended(5_000);
        assert!(!progress.is_new() && !progress.is_busy());
        assert!(!progress.is_stalled(5_029, PATIENCE) && progress.is_stalled(5_030, PATIENCE));
    }
}
