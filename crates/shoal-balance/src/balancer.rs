//! The balancer and its picks: what a gateway or a client holds. Never chooses; see `candidates.rs` for that.

use crate::candidate::{Candidate, Rules};
use crate::candidates::{Candidates, Choice};
use crate::moment::Moment;
use crate::outcome::Outcome;
use crate::settings::BalanceSettings;
use shoal_model::{Endpoint, ReplicaName};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The ready endpoints of one service, shared by all who call it.
///
/// `Send` and `Sync`; keep one per service and process (or per core) and put it in an `Arc`.
#[derive(Debug)]
pub struct Balancer {
    candidates: RwLock<Candidates>,
}

impl Default for Balancer {
    fn default() -> Self {
        Self::new(BalanceSettings::default())
    }
}

impl Balancer {
    /// A balancer without endpoints: every pick is `None` until [`replace`](Self::replace).
    #[must_use]
    pub fn new(settings: BalanceSettings) -> Self {
        Self { candidates: RwLock::new(Candidates::none(Arc::new(Rules::new(settings)))) }
    }

    /// Makes these the endpoints. One that stays, by its replica's name, keeps its count of requests in flight and all
    /// that was learnt of it, also when its weight changes. One that comes back while requests to it are still running,
    /// or at another address, keeps only that count. A new one starts slowly, unless there was none before. Of two
    /// endpoints of the same replica the last counts.
    pub fn replace(&self, endpoints: &[Endpoint], now: Moment) {
        let mut candidates = self.candidates.write().unwrap_or_else(PoisonError::into_inner);
        *candidates = candidates.replaced(endpoints, now.0);
    }

    /// The endpoint for the next request. `None` when there is none, or every breaker is open:
    /// [`next_at`](Self::next_at) says when to ask again.
    ///
    /// `random` is any number from the caller's random source; a fresh one per call. Endpoints of weight 0 are chosen
    /// only when all that can be have weight 0, and then evenly.
    #[must_use]
    pub fn pick(&self, now: Moment, random: u64) -> Option<Pick> {
        self.pick_except(now, random, &[])
    }

    /// As [`pick`](Self::pick), but not one of `avoided`, which just failed this caller. `None` when no other is left.
    /// Costs time in proportion to the number of endpoints, which a second attempt can afford.
    #[must_use]
    pub fn pick_except(&self, now: Moment, random: u64, avoided: &[ReplicaName]) -> Option<Pick> {
        self.read().choose(now.0, random, avoided).map(|choice| Pick::of(&choice, now))
    }

    /// When the first open breaker lets a request through: now, where one is closed; in 10 ms, where a trial is under way that
    /// may close it. `None` when no endpoint is listed.
    #[must_use]
    pub fn next_at(&self, now: Moment) -> Option<Moment> {
        self.read().next_at(now.0).map(Moment)
    }

    /// Whether there is no endpoint to pick.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// How many endpoints there are to pick from.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Requests in flight at the present endpoints, each with its count, in the order of their names.
    #[must_use]
    pub fn pending(&self) -> Vec<(ReplicaName, u64)> {
        self.read().iter().map(|candidate| (candidate.endpoint.replica.clone(), candidate.pending())).collect()
    }

    /// Requests in flight at endpoints that have left: once it is 0, those have nothing more to finish for this caller.
    #[must_use]
    pub fn leaving(&self) -> u64 {
        self.read().leaving()
    }

    // The critical sections cannot leave a half-made set behind, so a poisoned lock is as good as a sound one.
    fn read(&self) -> RwLockReadGuard<'_, Candidates> {
        self.candidates.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request's place at an endpoint: counted as in flight until finished or dropped, by whichever thread, also after
/// the endpoint left the balancer. Hold it until the end of the response's body.
#[must_use = "a pick that is dropped at once counts for nothing"]
pub struct Pick {
    candidate: Arc<Candidate>,
    begun: Moment,
    trial: Option<u64>,
}

impl Pick {
    fn of(choice: &Choice<'_>, now: Moment) -> Self {
        choice.candidate.begin();
        Self { candidate: Arc::clone(choice.candidate), begun: now, trial: choice.trial }
    }

    /// Where the request goes.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.candidate.endpoint
    }

    /// Says that the head of an answer of the replica's own has come: it can be reached, however long the body takes, so an
    /// open breaker closes. `true` when this closed it, so that whoever waits for an endpoint may pick again.
    pub fn answered(&self, now: Moment) -> bool {
        self.candidate.reached(self.begun.0, now.0)
    }

    /// Says that the request is over, at the end of the answer's body, and how it went. A pick that is dropped instead
    /// was cancelled, and says nothing about its endpoint. `true` when this closed the endpoint's breaker, so that whoever
    /// waits for one may pick again.
    pub fn finish(mut self, now: Moment, outcome: Outcome) -> bool {
        let trial = self.trial.take().is_some();
        self.candidate.learn(self.begun.0, now.0, outcome, trial)
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        if let Some(trial) = self.trial {
            self.candidate.return_trial(trial, self.begun.0);
        }
        self.candidate.end();
    }
}

impl fmt::Debug for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick").field("endpoint", &self.candidate.endpoint).finish_non_exhaustive()
    }
}
