//! One request's tries at a service: which replica next, when to wait for one, and when to give up. Knows no protocol.
//!
//! A request that reached no replica is tried again at once, elsewhere, at no cost; one that may have been served only
//! when doing it twice does no harm, within the service's budget, and twice at most, since a request that kills whoever
//! serves it must not reach them all. When no replica is left, the request is held until the endpoints change, a
//! breaker lets one through, or a short pause has passed; at most for the route's `hold_timeout`.
//!
//! While it is held it has no place at the service: a crowd that waits for a replica is no load, and goes to the first that
//! comes only as far as that can take it.

use crate::clock;
use crate::core_loop::Core;
use crate::destination::{Admission, Destination};
use crate::random;
use crate::refusal::Refusal;
use shoal_balance::{Attempt, Outcome, Pick, Place, may_retry};
use shoal_model::ReplicaName;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The first pause while there are endpoints, but none that took the request; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// How often a request is sent on new connections at most, counting only times when it may have been served. Two replicas may
/// die at once, and take it along one after the other; a third time is likelier the request's doing than the replicas'.
const SENT_MAX: u32 = 3;
/// A try that was broken off only after this counts for two: what hangs its replica until that is ended must not do so to
/// one after the other.
const LONG: Duration = Duration::from_secs(1);

/// How far a try came that was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    /// No replica saw any of it.
    Nobody,
    /// It may have been served.
    Replica,
}

/// The tries of one request.
pub(crate) struct Tries<'a> {
    pub(crate) core: &'a Core,
    pub(crate) destination: &'a Destination,
    /// When the answer must have begun.
    until: Instant,
    /// What holding it keeps in memory.
    bytes: u64,
    avoided: Vec<ReplicaName>,
    sent: u32,
    /// Whether connections that were idle may be used: not once one of them broke, when the others are likely to.
    uses_idle: bool,
    /// When the present try began.
    picked: Instant,
    /// How long to wait before the same replicas are tried again.
    pause: Duration,
    failure: Option<Refusal>,
    hold: Option<Hold>,
    admission: Admission,
    /// Whether there was no place at the service when it last looked.
    is_saturated: bool,
}

/// What a request needs only once it was held.
struct Hold {
    until: Instant,
    changes: watch::Receiver<()>,
    place: Option<Place>,
}

impl<'a> Tries<'a> {
    /// No try yet. `bytes`: the size of its head.
    pub(crate) fn new(
        core: &'a Core,
        destination: &'a Destination,
        admission: Admission,
        until: Instant,
        bytes: u64,
    ) -> Self {
        let picked = Instant::now();
        destination.target.budget.deposit(clock::moment_of(picked));
        Self {
            core,
            destination,
            until,
            bytes,
            avoided: Vec::new(),
            sent: 0,
            uses_idle: true,
            picked,
            pause: PAUSE_MIN,
            failure: None,
            hold: None,
            admission,
            is_saturated: false,
        }
    }

    /// What holding it keeps in memory by now.
    pub(crate) fn keeps(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// The replica for the next try, once there is one.
    pub(crate) async fn pick(&mut self) -> Result<Pick, Refusal> {
        loop {
            self.is_saturated = !self.destination.admit_again(&mut self.admission);
            if !self.is_saturated
                && let Some(pick) = self.pick_now()
            {
                if let Some(hold) = &mut self.hold {
                    hold.place = None;
                    self.picked = Instant::now();
                }
                return Ok(pick);
            }
            self.wait().await?;
        }
    }

    /// What it was admitted to, for as long as its answer takes.
    pub(crate) fn into_admission(self) -> Admission {
        self.admission
    }

    /// A replica that was not tried yet, if one is to be had at once.
    pub(crate) fn pick_now(&self) -> Option<Pick> {
        let balancer = &self.destination.target.balancer;
        if self.avoided.is_empty() {
            return balancer.pick(clock::now(), random::next());
        }
        balancer.pick_except(clock::now(), random::next(), &self.avoided)
    }

    /// Notes that a try was not answered. `repeatable`: the whole request can be sent once more, and doing it twice is as
    /// good as once. Returns the refusal when it must not be tried again.
    pub(crate) fn failed(
        &mut self,
        pick: Pick,
        reached: Reached,
        repeatable: bool,
        failure: Refusal,
    ) -> Result<(), Refusal> {
        let replica = pick.endpoint().replica.clone();
        self.destination.target.finish(pick, clock::now(), Outcome::Unreachable);
        let attempt = Attempt {
            sent: reached == Reached::Replica,
            idempotent: repeatable,
            answer_begun: false,
            outcome: Outcome::Unreachable,
        };
        if !may_retry(&attempt) {
            return Err(failure);
        }
        if attempt.sent {
            self.sent += if self.picked.elapsed() < LONG { 1 } else { 2 };
            if self.sent >= SENT_MAX || !self.destination.target.budget.withdraw(clock::now()) {
                return Err(failure);
            }
            // Whoever broke it off is likely gone for good: news of that will come before this.
            self.pause = PAUSE_MAX;
        }
        self.picked = Instant::now();
        self.avoided.push(replica);
        self.failure = Some(failure);
        Ok(())
    }

    /// Whether a connection that had been idle may be used.
    pub(crate) fn uses_idle(&self) -> bool {
        self.uses_idle
    }

    /// Notes that one that had been idle broke off, and says whether the request may be sent once more, to the same replica: as
    /// likely as not, the replica closed that connection just then. It costs as much as any other, and happens once.
    pub(crate) fn repeats(&mut self) -> bool {
        self.uses_idle = false;
        self.picked.elapsed() < LONG && self.destination.target.budget.withdraw(clock::now())
    }

    /// Whether another replica could take what this one answered with 502, 503 or 504, and how: its pick.
    pub(crate) fn elsewhere(&mut self, tried: &Pick) -> Option<Pick> {
        self.avoided.push(tried.endpoint().replica.clone());
        let other = if self.sent + 1 < SENT_MAX { self.pick_now() } else { None };
        let other = other.filter(|_| self.destination.target.budget.withdraw(clock::now()));
        if other.is_some() {
            self.sent += 1;
        } else {
            self.avoided.pop();
        }
        other
    }

    /// Waits until it makes sense to pick again.
    async fn wait(&mut self) -> Result<(), Refusal> {
        let target = &self.destination.target;
        let now = Instant::now();
        let Some(hold) = &mut self.hold else {
            let until = (now + self.destination.limits.hold_timeout).min(self.until);
            self.hold = Some(Hold { until, changes: target.changes(), place: None });
            // The endpoints may have changed before their changes were heard.
            return Ok(());
        };
        if now >= hold.until {
            return Err(self.given_up(now));
        }
        if hold.place.is_none() {
            let place = self.core.held.enter(self.bytes);
            hold.place = Some(place.ok_or_else(|| Refusal::HeldFull { service: target.service.clone() })?);
        }
        self.admission.hold();
        let mut until = hold.until;
        if !target.balancer.is_empty() {
            let paused = now + self.pause;
            self.pause = (self.pause * 2).min(PAUSE_MAX);
            let lets_through = target.balancer.next_at(clock::moment_of(now)).map(clock::instant_of);
            until = until.min(lets_through.map_or(paused, |at| at.max(paused)));
        }
        // Woken by a change, by the time, or by the loss of the service: all lead to another look.
        let _woken = tokio::time::timeout_at(until.into(), hold.changes.changed()).await;
        self.avoided.clear();
        Ok(())
    }

    fn given_up(&mut self, now: Instant) -> Refusal {
        let service = self.destination.target.service.clone();
        if now >= self.until {
            return Refusal::TimedOut { service };
        }
        let otherwise = if self.is_saturated { Refusal::Saturated { service } } else { Refusal::NoReplica { service } };
        self.failure.take().unwrap_or(otherwise)
    }
}
