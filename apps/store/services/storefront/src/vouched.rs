//! Which sign-ins the customer service vouched for a moment ago, so that not every page asks it, and whether it was silent a
//! moment ago, so that not every page waits for it. Bounded, in memory, and of tokens only their sums; what it does not know is
//! merely asked again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

/// For so long a sign-in that has ended elsewhere may go on here, and a customer service that is back may go unasked.
pub const VOUCHED_FOR: Duration = Duration::from_secs(5);
/// Sign-ins remembered; beyond it all are asked for again.
const TOKENS_MAX: usize = 10_000;

/// The last answers about sign-ins. Shared by all requests of a replica.
pub struct Vouched {
    lasts: Duration,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tokens: HashMap<[u8; 32], Instant>,
    silent_at: Option<Instant>,
}

impl Vouched {
    /// Answers count for so long.
    #[must_use]
    pub fn new(lasts: Duration) -> Vouched {
        Vouched { lasts, kept: Mutex::default() }
    }

    /// Nobody holds this lock across anything that could panic halfway through a change.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counts(&self, at: Instant, now: Instant) -> bool {
        now.saturating_duration_since(at) < self.lasts
    }

    /// Whether there is nothing that still counts: the customer service has to be asked.
    pub fn must_ask(&self, token: &str, now: Instant) -> bool {
        let kept = self.kept();
        let vouched_at = kept.tokens.get(&sum(token)).copied();
        ![vouched_at, kept.silent_at].into_iter().flatten().any(|at| self.counts(at, now))
    }

    /// The customer service said that the sign-in holds.
    pub fn holds(&self, token: &str, now: Instant) {
        let mut kept = self.kept();
        kept.silent_at = None;
        if kept.tokens.len() >= TOKENS_MAX {
            kept.tokens.retain(|_, at| self.counts(*at, now));
        }
        if kept.tokens.len() >= TOKENS_MAX {
            kept.tokens.clear();
        }
        kept.tokens.insert(sum(token), now);
    }

    /// The customer service said nothing.
    pub fn is_silent(&self, now: Instant) {
        self.kept().silent_at = Some(now);
    }

    /// The sign-in is over.
    pub fn is_over(&self, token: &str) {
        self.kept().tokens.remove(&sum(token));
    }
}

fn sum(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_a_while() {
        let vouched = Vouched::new(Duration::from_secs(5));
        let start = Instant::now();
        let later = |seconds| start + Duration::from_secs(seconds);
        assert!(vouched.must_ask("a", start));
        vouched.holds("a", start);
        assert!(!vouched.must_ask("a", later(4)) && vouched.must_ask("a", later(5)) && vouched.must_ask("b", start));
        vouched.is_over("a");
        assert!(vouched.must_ask("a", start));
        vouched.is_silent(start);
        assert!(!vouched.must_ask("b", later(4)) && vouched.must_ask("b", later(5)));
        vouched.holds("a", later(1));
        assert!(vouched.must_ask("b", later(1)), "it is silent no more");
    }

    #[test]
    fn it_does_not_grow_without_end() {
        let vouched = Vouched::new(Duration::from_secs(5));
        let start = Instant::now();
        for token in 0..=TOKENS_MAX {
            vouched.holds(&token.to_string(), start);
        }
        assert_eq!(vouched.kept().tokens.len(), 1);
        assert!(!vouched.must_ask(&TOKENS_MAX.to_string(), start) && vouched.must_ask("0", start));
    }
}
