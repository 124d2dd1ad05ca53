//! Holds a call while no endpoint can take it: until one may, for as long as the call has time, and within bounds. Never:
//! picks an endpoint.

use super::channel::Shared;
use crate::{Call, Error};
use shoal_balance::Place;
use std::time::{Duration, Instant};

/// How long a call is held at most.
pub(crate) const HOLD_MAX: Duration = Duration::from_secs(10);
/// How many calls of one callee may be held, and how many bytes of requests they may keep.
pub(super) const HELD_MAX: u64 = 1_000;
pub(super) const HELD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// The first pause before endpoints that failed are tried again; doubles up to [`PAUSE_MAX`].
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// What is known of one call that may have to be held.
pub(super) struct Hold<'a> {
    shared: &'a Shared,
    call: &'a Call,
    /// Its place, while it is held.
    place: Option<Place>,
    /// How long it may be held in all, once it was.
    until: Option<Instant>,
    pause: Duration,
}

impl<'a> Hold<'a> {
    pub fn new(shared: &'a Shared, call: &'a Call) -> Self {
        Self { shared, call, place: None, until: None, pause: PAUSE_MIN }
    }

    /// Whether it had to be held at all.
    pub fn is_held(&self) -> bool {
        self.until.is_some()
    }

    /// It goes on, and leaves its place to others.
    pub fn end(&mut self) {
        self.place = None;
    }

    /// Waits until it is worth looking again: the endpoints have changed from what was `seen`, a breaker lets one
    /// through, or some time has passed. `size` is what the request keeps in memory, in bytes; `why` is what the last
    /// attempt failed with, or empty.
    ///
    /// # Errors
    /// `unavailable`, with a sentence, when the call has waited for as long as it may, or too many wait.
    pub async fn wait(&mut self, seen: u64, size: impl FnOnce() -> u64, why: &str) -> Result<(), Error> {
        let shared = self.shared;
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| self.call.deadline().min(now + shared.hold_max));
        if now >= until {
            return Err(shared.nobody(why));
        }
        if self.place.is_none() {
            self.place = shared.waiting.enter(size());
        }
        if self.place.is_none() {
            return Err(Error::unavailable(format!("too many calls wait for a replica of `{}`", shared.callee)));
        }
        let mut changes = shared.changes.subscribe();
        let wake = self.look_again(now).min(until);
        let changed = changes.wait_for(|changes| *changes != seen);
        if tokio::time::timeout_at(wake.into(), changed).await.is_ok() {
            self.pause = PAUSE_MIN;
        }
        Ok(())
    }

    /// When to look again if nothing changes.
    fn look_again(&mut self, now: Instant) -> Instant {
        let Some(open_at) = self.shared.balancer.next_at(self.shared.moment(now)) else {
            // Nobody is listed, so only a change can help.
            return now + HOLD_MAX;
        };
        let pause = self.pause;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        now + open_at.since(self.shared.moment(now)).max(pause)
    }
}
