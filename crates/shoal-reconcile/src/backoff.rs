//! Crashes of a slot, and how long the next start waits. Never decides whether there is a next start.

use crate::status::LastExit;
use serde::{Deserialize, Serialize};
use shoal_model::Millis;
use std::time::Duration;

/// Before the start after the second crash in a row; the first is made good at once.
const DELAY_FIRST: Duration = Duration::from_millis(100);
pub(crate) const DELAY_MOST: Duration = Duration::from_secs(30);
/// A replica that was ready for this long has earned a fresh start.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(60);
/// This many crashes in a row are a crash loop.
pub(crate) const LOOP_FROM: u32 = 3;

/// One of a service's places, whose replicas follow one another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slot {
    /// In a row, without having been ready for [`SETTLED_AFTER`].
    pub(crate) crashes: u32,
    /// In all.
    pub(crate) restarts: u32,
    /// When the next may start.
    pub(crate) not_before: Millis,
    pub(crate) last: Option<LastExit>,
    /// The replica whose end was counted last, if it had been ready and ended by itself: it may yet turn out that it had
    /// been told to.
    #[serde(default)]
    pub(crate) pardonable: Option<u64>,
}

impl Slot {
    /// Notes a crash of a replica that had been ready for `ready_for` without a break.
    pub(crate) fn crashed(&mut self, last: LastExit, ready_for: Duration, now: Millis) {
        self.crashes = if ready_for >= SETTLED_AFTER { 1 } else { self.crashes.saturating_add(1) };
        self.restarts = self.restarts.saturating_add(1);
        self.not_before = now.after(delay(self.crashes));
        self.last = Some(last);
        self.pardonable = None;
    }

    /// Takes back the crash that was counted last, if it is this replica's and may be taken back; whether it was.
    pub(crate) fn pardon(&mut self, serial: u64, now: Millis) -> bool {
        if self.pardonable != Some(serial) {
            return false;
        }
        self.pardonable = None;
        self.crashes = self.crashes.saturating_sub(1);
        self.restarts = self.restarts.saturating_sub(1);
        self.not_before = now;
        self.last = None;
        true
    }

    pub(crate) fn is_looping(&self) -> bool {
        self.crashes >= LOOP_FROM
    }
}

/// How long a start waits after this many crashes in a row.
fn delay(crashes: u32) -> Duration {
    match crashes.checked_sub(2) {
        None => Duration::ZERO,
        Some(doublings) => DELAY_FIRST.saturating_mul(1 << doublings.min(16)).min(DELAY_MOST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_waits_for_nothing_and_then_the_delay_doubles_up_to_half_a_minute() {
        let delays: Vec<u128> = (1..=12).map(|crashes| delay(crashes).as_millis()).collect();
        assert_eq!(delays, [0, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000]);
        assert_eq!(delay(u32::MAX), DELAY_MOST);
    }

    #[test]
    fn a_minute_of_readiness_forgives() {
        let exit = || LastExit { replica: 1, text: "exited with code 1".to_owned(), log: Vec::new(), at: Millis(0) };
        let mut slot = Slot::default();
        for _ in 0..5 {
            slot.crashed(exit(), Duration::from_secs(59), Millis(0));
        }
        assert!(slot.is_looping());
        slot.crashed(exit(), Duration::from_secs(60), Millis(1000));
        assert_eq!((slot.crashes, slot.restarts, slot.not_before), (1, 6, Millis(1000)));
    }
}
