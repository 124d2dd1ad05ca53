//! One endpoint's breaker: closed, requests flow; open, none do; half-open, one tries. Never: draws, or reads a clock.

use crate::moment::nanoseconds;
use crate::settings::BalanceSettings;

/// What an endpoint's breaker remembers. Until when it is open is kept beside it, where picks read it without a lock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Breaker {
    // Requests in a row that did not reach the endpoint.
    failures: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: u64,
    span: u64,
}

/// What became of a breaker by one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Unchanged,
    /// It opened, or a trial failed: nobody gets through until then.
    OpenUntil(u64),
    Closed,
}

impl Breaker {
    /// A request that began then has reached the endpoint. One that began before the breaker opened does not close it:
    /// old connections may live on where no new one is taken.
    pub(crate) fn reached(&mut self, begun: u64) -> Turn {
        self.failures = 0;
        match self.open {
            Some(open) if begun >= open.since => {
                self.open = None;
                Turn::Closed
            }
            _ => Turn::Unchanged,
        }
    }

    /// A request has not reached it. While the breaker is open only a trial counts; the others began before.
    pub(crate) fn missed(&mut self, now: u64, trial: bool, settings: &BalanceSettings) -> Turn {
        let first = nanoseconds(settings.breaker_open_min).max(1);
        let span = match self.open {
            Some(_) if !trial => return Turn::Unchanged,
            Some(open) => open.span.saturating_mul(2).min(nanoseconds(settings.breaker_open_max)).max(first),
            None => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < settings.breaker_failures.max(1) {
                    return Turn::Unchanged;
                }
                first
            }
        };
        let since = self.open.map_or(now, |open| open.since);
        self.open = Some(Open { since, span });
        Turn::OpenUntil(now.saturating_add(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BalanceSettings {
        BalanceSettings { breaker_failures: 3, ..BalanceSettings::default() }
    }

    fn opened(breaker: &mut Breaker, now: u64) {
        let turns: Vec<Turn> = (0..3).map(|_| breaker.missed(now, false, &settings())).collect();
        assert!(matches!(turns[..], [Turn::Unchanged, Turn::Unchanged, Turn::OpenUntil(_)]));
    }

    #[test]
    fn it_opens_after_failures_in_a_row_only() {
        let (mut breaker, settings) = (Breaker::default(), settings());
        for now in 0..10 {
            assert_eq!(breaker.missed(now, false, &settings), Turn::Unchanged);
            assert_eq!(breaker.missed(now, false, &settings), Turn::Unchanged);
            assert_eq!(breaker.reached(now), Turn::Unchanged);
        }
        assert_eq!(breaker.missed(10, false, &settings), Turn::Unchanged);
        assert_eq!(breaker.missed(10, false, &settings), Turn::Unchanged);
        assert_eq!(breaker.missed(10, false, &settings), Turn::OpenUntil(10 + 100_000_000));
    }

    #[test]
    fn failed_trials_double_the_time_up_to_the_most_and_stragglers_do_not() {
        let (mut breaker, settings) = (Breaker::default(), settings());
        opened(&mut breaker, 0);
        assert_eq!(breaker.missed(1, false, &settings), Turn::Unchanged);
        let mut now = 0;
        for milliseconds in [200, 400, 800, 1600, 2000, 2000] {
            now += 1_000_000_000;
            assert_eq!(breaker.missed(now, true, &settings), Turn::OpenUntil(now + milliseconds * 1_000_000));
        }
    }

    #[test]
    fn what_began_before_it_opened_does_not_close_it() {
        let (mut breaker, settings) = (Breaker::default(), settings());
        opened(&mut breaker, 50);
        assert_eq!(breaker.reached(49), Turn::Unchanged);
        assert_eq!(breaker.reached(60), Turn::Closed);
        assert_eq!(breaker.missed(70, false, &settings), Turn::Unchanged, "it counts anew");
    }
}
