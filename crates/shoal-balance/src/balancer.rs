//! The balancer and its picks: what a gateway or a client holds. Never chooses; see `candidates.rs` for that.

use crate::candidates::{Candidate, Candidates};
use shoal_model::{Endpoint, ReplicaName};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// The ready endpoints of one service, shared by all who call it.
///
/// `Send` and `Sync`; keep one per service and process (or per core) and put it in an `Arc`.
#[derive(Debug, Default)]
pub struct Balancer {
    candidates: RwLock<Candidates>,
}

impl Balancer {
    /// A balancer without endpoints: every pick is `None` until [`replace`](Self::replace).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes these the endpoints. One that stays, by its replica's name, keeps its count of requests in flight, also
    /// when its weight or address changes, and also when it had left and requests to it are still running. Of two
    /// endpoints of the same replica the last counts.
    pub fn replace(&self, endpoints: &[Endpoint]) {
        let mut candidates = self.candidates.write().unwrap_or_else(PoisonError::into_inner);
        *candidates = candidates.replaced(endpoints);
    }

    /// The endpoint for the next request, or `None` when there is none.
    ///
    /// `random` is any number from the caller's random source; a fresh one per call. Endpoints of weight 0 are chosen
    /// only when all have weight 0, and then evenly.
    #[must_use]
    pub fn pick(&self, random: u64) -> Option<Pick> {
        self.read().choose(random).map(Pick::of)
    }

    /// As [`pick`](Self::pick), but not one of `avoided`, which just failed this caller. `None` when no other is left.
    /// Costs time in proportion to the number of endpoints, which a second attempt can afford.
    #[must_use]
    pub fn pick_except(&self, random: u64, avoided: &[ReplicaName]) -> Option<Pick> {
        self.read().without(avoided).choose(random).map(Pick::of)
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

/// One request's place at an endpoint: counted as in flight until dropped, by whichever thread, also after the
/// endpoint left the balancer. Hold it until the end of the response's body.
#[must_use = "a pick that is dropped at once counts for nothing"]
pub struct Pick {
    candidate: Arc<Candidate>,
}

impl Pick {
    fn of(candidate: &Arc<Candidate>) -> Self {
        candidate.begin();
        Self { candidate: Arc::clone(candidate) }
    }

    /// Where the request goes.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.candidate.endpoint
    }
}

impl Drop for Pick {
    fn drop(&mut self) {
        self.candidate.end();
    }
}

impl fmt::Debug for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pick").field("endpoint", &self.candidate.endpoint).finish_non_exhaustive()
    }
}
