//! An endpoint with all that is known of it. Picks read it without a lock; the end of a request takes one for a moment.
//! Never: compares itself with others.

use crate::breaker::{Breaker, Turn};
use crate::ejection::{Ejections, is_suspect};
use crate::estimate::{Estimate, Record};
use crate::load::Load;
use crate::moment::nanoseconds;
use crate::outcome::Outcome;
use crate::settings::BalanceSettings;
use shoal_model::Endpoint;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What all endpoints of a balancer share.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) settings: BalanceSettings,
    pub(crate) estimate_half_life: u64,
    pub(crate) failure_half_life: u64,
    pub(crate) penalty: f64,
    pub(crate) slow_start: u64,
    // Counts the moments at which an endpoint began to need a closer look: its breaker opened, or it looks like an outlier.
    alarms: AtomicU64,
}

impl Rules {
    pub(crate) fn new(settings: BalanceSettings) -> Self {
        Self {
            estimate_half_life: nanoseconds(settings.estimate_half_life),
            failure_half_life: nanoseconds(settings.failure_half_life),
            penalty: nanoseconds(settings.penalty) as f64,
            slow_start: nanoseconds(settings.slow_start),
            alarms: AtomicU64::new(0),
            settings,
        }
    }

    /// What [`Candidates`](crate::candidates::Candidates) compares to see whether all is still well. Acquire and release:
    /// who sees an alarm sees what it was raised for.
    pub(crate) fn alarms(&self) -> u64 {
        self.alarms.load(Ordering::Acquire)
    }

    fn alarm(&self) {
        self.alarms.fetch_add(1, Ordering::Release);
    }
}

/// An endpoint, its requests in flight, and how it does.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Endpoint,
    // Shared with the candidate that this one took over from, whose picks may still be running.
    in_flight: Arc<AtomicU64>,
    vitals: Arc<Vitals>,
    rules: Arc<Rules>,
}

// Moments in here are nanoseconds, and 0 says "not at all". Relaxed throughout but for the alarm: each figure steers a
// choice by itself and guards no other memory.
#[derive(Debug, Default)]
struct Vitals {
    estimate: AtomicU64,
    record: AtomicU64,
    recorded_at: AtomicU64,
    /// Until when the breaker is open; past it, who moves it on may try.
    open_until: AtomicU64,
    ejected_until: AtomicU64,
    /// From when on it gets its full share.
    warm_at: AtomicU64,
    health: Mutex<Health>,
}

#[derive(Debug, Default)]
struct Health {
    estimate: Estimate,
    record: Record,
    recorded_at: u64,
    breaker: Breaker,
    ejections: Ejections,
}

/// The bit of the moment until which a breaker is open that says that a trial is under way; a nanosecond is no matter.
const TRIED: u64 = 1;
/// How soon to look what became of a trial.
const TRIED_LOOK: u64 = 10_000_000;

/// Whether an endpoint may be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Sound,
    Ejected,
    /// Its breaker is open, and has been for long enough: one request may try.
    Due,
    Open,
}

impl Candidate {
    /// One that is new, or back: what was known of it is void, but for its requests in flight.
    pub(crate) fn fresh(endpoint: Endpoint, before: Option<&Self>, warm_at: u64, rules: &Arc<Rules>) -> Self {
        let vitals = Vitals { warm_at: AtomicU64::new(warm_at), ..Vitals::default() };
        let in_flight = before.map_or_else(Arc::default, |before| Arc::clone(&before.in_flight));
        Self { endpoint, in_flight, vitals: Arc::new(vitals), rules: Arc::clone(rules) }
    }

    /// The same one by another description.
    pub(crate) fn described(&self, endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            in_flight: Arc::clone(&self.in_flight),
            vitals: Arc::clone(&self.vitals),
            rules: Arc::clone(&self.rules),
        }
    }

    pub(crate) fn pending(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn load(&self, now: u64, weight: u64) -> Load {
        let estimate = self.vitals.estimate.load(Ordering::Relaxed);
        let record = Record::of_packed(self.vitals.record.load(Ordering::Relaxed));
        let pending = self.pending();
        Load {
            pending,
            weight,
            // What is under way will soon tell: a faded estimate is a reason to ask once, not for a crowd to come.
            rtt: Estimate::of_packed(
                estimate,
                now,
                if pending == 0 { self.rules.estimate_half_life } else { u64::MAX },
            ),
            // Where nothing failed, how much well-doing has faded is not worth the time.
            record: if record.failures > 0.0 { self.faded(record, now) } else { record },
        }
    }

    /// How many of its recent requests failed.
    pub(crate) fn record(&self, now: u64) -> Record {
        self.faded(Record::of_packed(self.vitals.record.load(Ordering::Relaxed)), now)
    }

    fn faded(&self, record: Record, now: u64) -> Record {
        let since = self.vitals.recorded_at.load(Ordering::Relaxed);
        record.faded(now.saturating_sub(since), self.rules.failure_half_life)
    }

    pub(crate) fn is_suspect(&self, now: u64) -> bool {
        is_suspect(self.record(now), &self.rules.settings)
    }

    pub(crate) fn standing(&self, now: u64) -> Standing {
        let open_until = self.vitals.open_until.load(Ordering::Relaxed);
        if open_until > 0 {
            return if open_until <= now { Standing::Due } else { Standing::Open };
        }
        let ejected_until = self.vitals.ejected_until.load(Ordering::Relaxed);
        if ejected_until > now {
            return Standing::Ejected;
        }
        if ejected_until > 0 {
            self.readmit(now, ejected_until);
        }
        Standing::Sound
    }

    /// When it is worth asking for a pick of it: now, or once its breaker lets one through; soon, while a trial is under
    /// way, since that may close it at any time.
    pub(crate) fn next_at(&self, now: u64) -> u64 {
        let open_until = self.vitals.open_until.load(Ordering::Relaxed);
        let is_tried = open_until & TRIED > 0;
        open_until.min(if is_tried { now.saturating_add(TRIED_LOOK) } else { u64::MAX }).max(now)
    }

    /// Its present part of its share, in thousandths.
    pub(crate) fn warmth(&self, now: u64) -> u64 {
        let missing = self.vitals.warm_at.load(Ordering::Relaxed).saturating_sub(now);
        if missing == 0 {
            return 1000;
        }
        let least = (self.rules.settings.slow_start_share.clamp(0.0, 1.0) * 1000.0) as u64;
        let grown =
            1000 - u128::from(missing.min(self.rules.slow_start)) * 1000 / u128::from(self.rules.slow_start.max(1));
        u64::try_from(grown).unwrap_or(1000).max(least).max(1)
    }

    /// Takes the one try that an open breaker allows; `None` when another was quicker. An unfinished one bars the next
    /// for no longer than the patience, since it may be a stream that never ends.
    pub(crate) fn take_trial(&self, now: u64) -> Option<u64> {
        let open_until = self.vitals.open_until.load(Ordering::Relaxed);
        if open_until == 0 || open_until > now {
            return None;
        }
        let patience = nanoseconds(self.rules.settings.breaker_patience);
        let next = now.saturating_add(patience).max(open_until.saturating_add(2)) | TRIED;
        let taken = self.vitals.open_until.compare_exchange(open_until, next, Ordering::Relaxed, Ordering::Relaxed);
        taken.ok().map(|_| next)
    }

    /// Gives back a trial that said nothing, so that the next request may try at once.
    pub(crate) fn return_trial(&self, trial: u64, begun: u64) {
        // Somebody else has decided meanwhile when this fails.
        let _decided =
            self.vitals.open_until.compare_exchange(trial, begun.max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Whether this closed its breaker. Costs next to nothing while it is closed.
    pub(crate) fn reached(&self, begun: u64, now: u64) -> bool {
        if self.vitals.open_until.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut health = self.health();
        let turn = health.breaker.reached(begun);
        self.turned(turn, now)
    }

    /// Learns from a request that is over; says whether that closed its breaker.
    pub(crate) fn learn(&self, begun: u64, now: u64, outcome: Outcome, trial: bool) -> bool {
        let rules = &self.rules;
        let mut health = self.health();
        health.estimate.correct(now, now.saturating_sub(begun), outcome, rules.estimate_half_life);
        let pause = now.saturating_sub(health.recorded_at);
        health.record.add(pause, outcome, rules.failure_half_life);
        health.recorded_at = health.recorded_at.max(now);
        let turn = match outcome {
            Outcome::Unreachable => health.breaker.missed(now, trial, &rules.settings),
            Outcome::Succeeded | Outcome::Failed => health.breaker.reached(begun),
        };
        self.vitals.estimate.store(health.estimate.packed(), Ordering::Relaxed);
        self.vitals.record.store(health.record.packed(), Ordering::Relaxed);
        self.vitals.recorded_at.store(health.recorded_at, Ordering::Relaxed);
        let suspect = outcome != Outcome::Succeeded && is_suspect(health.record, &rules.settings);
        if suspect {
            rules.alarm();
        }
        self.turned(turn, now)
    }

    // To be called while the lock is held, so that the last turn of the breaker is the one that stays.
    fn turned(&self, turn: Turn, now: u64) -> bool {
        match turn {
            Turn::Unchanged => {}
            Turn::OpenUntil(until) => {
                self.vitals.open_until.store((until & !TRIED).max(2), Ordering::Relaxed);
                self.rules.alarm();
            }
            Turn::Closed => {
                // As good as new, and as much in need of a gentle start.
                self.vitals.warm_at.store(now.saturating_add(self.rules.slow_start), Ordering::Relaxed);
                self.vitals.open_until.store(0, Ordering::Relaxed);
                self.rules.alarm();
            }
        }
        turn == Turn::Closed
    }

    /// Leaves it out for a while.
    pub(crate) fn eject(&self, now: u64) {
        let until = self.health().ejections.next(now, &self.rules.settings);
        self.vitals.ejected_until.store(until.max(1), Ordering::Relaxed);
        self.rules.alarm();
    }

    // What it failed before is paid for; it is judged anew.
    fn readmit(&self, now: u64, ejected_until: u64) {
        let mut health = self.health();
        let ejected = &self.vitals.ejected_until;
        if ejected.compare_exchange(ejected_until, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            health.record = Record::default();
            self.vitals.record.store(health.record.packed(), Ordering::Relaxed);
            self.vitals.warm_at.store(now.saturating_add(self.rules.slow_start), Ordering::Relaxed);
        }
    }

    // What is done under it cannot be left half-made, so a poisoned lock is as good as a sound one.
    fn health(&self) -> MutexGuard<'_, Health> {
        self.vitals.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
