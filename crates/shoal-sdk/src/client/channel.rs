//! The way to one callee: its endpoints, balanced, and what happens when one of them fails. Never: sends a request a
//! second time that an endpoint may have seen, unless the contract says that this does no harm.

use super::directory::Following;
use super::disturbance::Disturbance;
use super::hold::{HELD_BYTES_MAX, HELD_MAX, Hold};
use super::peer::{Attempt, Peer};
use crate::frames::Unanswered;
use crate::{Call, Code, Error};
use buffa::Message;
use bytes::Bytes;
use http::uri::Authority;
use shoal_balance::{
    self as balance, BalanceSettings, Balancer, Moment, Outcome, Pick, RetryBudget, RetrySettings, Saturation, Waiting,
    may_retry,
};
use shoal_discovery::Edge;
use shoal_model::{Address, Endpoint, Priority, ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How long a call must have waited in vain at a replica for that to speak against the replica, and not against the
/// caller's patience.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// How many replicas may see one call: what brings each of them down shall not go through them all.
const SENT_MAX: usize = 3;

/// The least time that is worth asking for; the wire counts whole milliseconds.
pub(super) const TIME_MIN: Duration = Duration::from_millis(1);

/// The way to one callee. Cheap to clone.
#[derive(Clone)]
#[doc(hidden)]
pub struct Channel {
    shared: Arc<Shared>,
    /// What keeps the endpoints up to date; `None` in the directory's own copy, which that holds.
    following: Option<Arc<Following>>,
}

/// How a channel behaves.
#[derive(Clone, Debug)]
pub(super) struct ChannelSettings {
    /// How long a call is held while no endpoint can take it.
    pub hold_max: Duration,
    /// Whether frames are used where the callee has them; asked when an endpoint is first called.
    pub frames: Arc<AtomicBool>,
    /// What goes wrong on purpose.
    pub disturbance: Option<Disturbance>,
}

pub(super) struct Shared {
    pub callee: ServiceName,
    authority: Authority,
    frames: Arc<AtomicBool>,
    disturbance: Option<Disturbance>,
    pub hold_max: Duration,
    pub balancer: Balancer,
    peers: Mutex<BTreeMap<Address, Arc<Peer>>>,
    /// Counts the changes of the endpoints; 0 until they are known.
    pub changes: watch::Sender<u64>,
    budget: RetryBudget,
    pub waiting: Waiting,
    saturation: Saturation,
    /// How many calls may be under way; 0 for any number.
    capacity: AtomicU64,
    /// Whether somebody waits for calls at endpoints that have left.
    draining: AtomicBool,
    /// Told when a call ends while somebody waits.
    settled: Arc<Notify>,
    edge: Edge,
    origin: Instant,
}

/// A call's place at an endpoint. Its parts are dropped in this order: the place is given up, then whoever waits is told.
struct Placed<'a> {
    pick: Pick,
    ended: Ended<'a>,
}

/// Tells whoever waits for calls at endpoints that have left that one has ended.
struct Ended<'a>(&'a Shared);

/// An attempt that was made.
struct Tried {
    began: Instant,
    ended: Instant,
    repeatable: bool,
    /// How many replicas have seen the call before.
    seen_by: usize,
}

impl Channel {
    pub(super) fn new(callee: &ServiceName, edge: Edge, settings: &ChannelSettings, settled: Arc<Notify>) -> Self {
        // A service's name is a valid host name.
        let authority = Authority::try_from(callee.as_str()).unwrap_or_else(|_| Authority::from_static("callee"));
        Self {
            shared: Arc::new(Shared {
                callee: callee.clone(),
                authority,
                frames: Arc::clone(&settings.frames),
                disturbance: settings.disturbance.clone(),
                hold_max: settings.hold_max,
                balancer: Balancer::new(BalanceSettings::default()),
                peers: Mutex::new(BTreeMap::new()),
                changes: watch::Sender::new(0),
                budget: RetryBudget::new(RetrySettings::default()),
                waiting: Waiting::new(HELD_MAX, HELD_BYTES_MAX),
                saturation: Saturation::new(),
                capacity: AtomicU64::new(0),
                draining: AtomicBool::new(false),
                settled,
                edge,
                origin: Instant::now(),
            }),
            following: None,
        }
    }

    /// The same channel, for somebody who calls: the endpoints are followed for as long as it is kept.
    pub(super) fn kept_by(mut self, following: Option<Arc<Following>>) -> Self {
        self.following = following;
        self
    }

    /// Makes these the endpoints, each of which takes `concurrency_max` calls at once, where anybody said so. When this
    /// returns, no new request goes to any other.
    pub(super) fn apply(&self, endpoints: &[Endpoint], concurrency_max: Option<u32>) {
        let shared = &self.shared;
        let capacity = u64::from(concurrency_max.unwrap_or(0)).saturating_mul(endpoints.len() as u64);
        shared.capacity.store(capacity, Ordering::Relaxed);
        shared.balancer.replace(endpoints, shared.moment(Instant::now()));
        // Connections that are let go of close once their requests in flight are finished.
        shared.peers().retain(|address, _| endpoints.iter().any(|endpoint| endpoint.address == *address));
        shared.changes.send_modify(|changes| *changes += 1);
    }

    /// Whether all calls at endpoints that have left are over. When not, `settled` is told as they end.
    pub(super) fn is_settled(&self) -> bool {
        // In this order, so that none can end unnoticed in between; the count itself keeps to none.
        self.shared.draining.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let settled = self.shared.balancer.leaving() == 0;
        if settled {
            self.shared.draining.store(false, Ordering::SeqCst);
        }
        settled
    }

    /// How many endpoints there are, and to how many calls go over frames.
    pub(super) fn framed(&self) -> (usize, usize) {
        let peers = self.shared.peers();
        (self.shared.balancer.len(), peers.values().filter(|peer| peer.is_framed()).count())
    }

    /// Calls a method. `path` is `/package.Service/Method`; `repeatable` says whether it may be sent twice, by its contract.
    ///
    /// # Errors
    /// What the callee answers; `unavailable` when no replica of it is ready or reachable; `deadline_exceeded`.
    pub async fn unary<Req, Res>(
        &self,
        path: &'static str,
        repeatable: bool,
        call: &Call,
        request: Req,
    ) -> Result<Res, Error>
    where
        Req: Message,
        Res: Message,
    {
        let started = Instant::now();
        let counted = self.shared.edge.begin();
        let answer = self.shared.answer(path, repeatable, &call.child(), &request, started).await;
        let result = answer.and_then(|message| {
            let failed =
                |error| Error::internal(format!("the answer of `{}` does not decode: {error}", self.shared.callee));
            Res::decode_from_slice(&message).map_err(failed)
        });
        let is_error = result.as_ref().is_err_and(|error: &Error| error.code.is_failure());
        counted.finish(started.elapsed(), is_error);
        result
    }
}

impl Shared {
    async fn answer(
        &self,
        path: &'static str,
        repeatable: bool,
        call: &Call,
        request: &impl Message,
        started: Instant,
    ) -> Result<Bytes, Error> {
        // What is called from here was let in further up, so it is the last to be turned away.
        let Some(_admitted) = self.saturation.admit(self.capacity.load(Ordering::Relaxed), Priority::High) else {
            return Err(Error::unavailable(format!("`{}` has as many calls under way as it takes", self.callee)));
        };
        self.budget.deposit(self.moment(started));
        let mut hold = Hold::new(self, call);
        let mut avoided: Vec<ReplicaName> = Vec::new();
        let (mut why, mut seen_by) = (String::new(), 0);
        let mut now = started;
        loop {
            let seen = *self.changes.borrow();
            if call.time_left_at(now) < TIME_MIN {
                return Err(if hold.is_held() { self.nobody(&why) } else { too_late(&self.callee) });
            }
            let pick = self.balancer.pick_except(self.moment(now), crate::random::number(), &avoided);
            let Some(pick) = pick else {
                hold.wait(seen, || u64::from(request.compute_size(&mut buffa::SizeCache::new())), &why).await?;
                avoided.clear();
                now = Instant::now();
                continue;
            };
            hold.end();
            let placed = Placed { pick, ended: Ended(self) };
            let attempt = Attempt { authority: &self.authority, path, call };
            let answer = self.attempt(&placed, &attempt, request).await;
            let ended = Instant::now();
            let failed = match answer {
                Ok(message) => {
                    placed.finish(ended, Outcome::Succeeded);
                    return Ok(message);
                }
                Err(failed) => failed,
            };
            let tried = Tried { began: now, ended, repeatable, seen_by };
            seen_by += usize::from(matches!(failed, Unanswered::Broken(_)));
            let replica;
            (replica, why) = self.failed(placed, failed, &tried).map_err(|error| self.told(error, call, ended))?;
            tracing::debug!(callee = %self.callee, why, "a call is tried again");
            avoided.push(replica);
            now = ended;
        }
    }

    /// What follows from an attempt that failed: whom to avoid and why, or what the caller is answered.
    fn failed(&self, placed: Placed<'_>, failed: Unanswered, tried: &Tried) -> Result<(ReplicaName, String), Error> {
        let replica = placed.pick.endpoint().replica.clone();
        let outcome = outcome(&failed, tried.ended.duration_since(tried.began));
        match outcome {
            Some(outcome) => placed.finish(tried.ended, outcome),
            // It is not to blame.
            None => drop(placed),
        }
        let (sent, why) = match failed {
            Unanswered::Answered(error) => return Err(error),
            Unanswered::Broken(why) => (true, why),
            Unanswered::Unsent(why) | Unanswered::Refused(why) => (false, why),
        };
        let outcome = outcome.unwrap_or(Outcome::Unreachable);
        let attempt = balance::Attempt { sent, idempotent: tried.repeatable, answer_begun: false, outcome };
        let may_be_seen = || tried.seen_by + 1 < SENT_MAX && self.budget.withdraw(self.moment(tried.ended));
        if may_retry(&attempt) && (!sent || may_be_seen()) {
            return Ok((replica.clone(), format!("{replica}: {why}")));
        }
        let callee = &self.callee;
        Err(Error::unavailable(format!("the connection to `{callee}` broke before {replica} answered")))
    }

    /// One attempt at the endpoint that was picked, within the call's time.
    async fn attempt(
        &self,
        placed: &Placed<'_>,
        attempt: &Attempt<'_>,
        request: &impl Message,
    ) -> Result<Bytes, Unanswered> {
        let endpoint = placed.pick.endpoint();
        let peer = self.peer(&endpoint.address);
        let deadline = tokio::time::Instant::from_std(attempt.call.deadline());
        let answer = match self.disturbance.as_ref().filter(|disturbance| disturbance.is_any()) {
            None => tokio::time::timeout_at(deadline, peer.call(attempt, request)).await,
            Some(disturbance) => {
                // On the heap, so that the calls of every other day keep a small future.
                let disturbed = disturbance.call(&peer, attempt, (&self.callee, &endpoint.replica), request);
                tokio::time::timeout_at(deadline, Box::pin(disturbed)).await
            }
        };
        answer.unwrap_or_else(|_| Err(Unanswered::Answered(too_late(&self.callee))))
    }

    /// Both ends watch the time; whichever noticed first, the caller reads the same.
    fn told(&self, error: Error, call: &Call, now: Instant) -> Error {
        let late = error.code == Code::DeadlineExceeded && call.time_left_at(now) < 2 * TIME_MIN;
        if late { too_late(&self.callee) } else { error }
    }

    pub fn nobody(&self, why: &str) -> Error {
        let callee = &self.callee;
        Error::unavailable(if why.is_empty() {
            format!("no replica of `{callee}` is ready")
        } else {
            format!("no replica of `{callee}` can be reached ({why})")
        })
    }

    pub fn moment(&self, now: Instant) -> Moment {
        Moment::default().after(now.saturating_duration_since(self.origin))
    }

    fn peers(&self) -> MutexGuard<'_, BTreeMap<Address, Arc<Peer>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn peer(&self, address: &Address) -> Arc<Peer> {
        let mut peers = self.peers();
        if let Some(peer) = peers.get(address) {
            return Arc::clone(peer);
        }
        let peer = Arc::new(Peer::new(address, self.frames.load(Ordering::Relaxed)));
        peers.insert(address.clone(), Arc::clone(&peer));
        peer
    }
}

impl Placed<'_> {
    fn finish(self, now: Instant, outcome: Outcome) {
        let Self { pick, ended } = self;
        let opened_the_way = pick.finish(ended.0.moment(now), outcome);
        if opened_the_way {
            // Calls that wait for the breaker need wait no longer.
            ended.0.changes.send_modify(|changes| *changes += 1);
        }
    }
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        fence(Ordering::SeqCst);
        if self.0.draining.load(Ordering::SeqCst) {
            self.0.settled.notify_one();
        }
    }
}

/// What a failed attempt says of its endpoint; `None` for nothing.
fn outcome(failed: &Unanswered, waited: Duration) -> Option<Outcome> {
    Some(match failed {
        Unanswered::Refused(_) => return None,
        Unanswered::Unsent(_) | Unanswered::Broken(_) => Outcome::Unreachable,
        Unanswered::Answered(error) => match error.code {
            Code::DeadlineExceeded if waited >= PATIENCE_MIN => Outcome::Unreachable,
            // Whoever answers `unavailable` can be reached, and passes on what ails another; were that held against it,
            // it would soon get no calls that need not the other.
            Code::Internal | Code::Unknown | Code::DataLoss | Code::Unavailable | Code::DeadlineExceeded => {
                Outcome::Failed
            }
            _ => Outcome::Succeeded,
        },
    })
}

pub(super) fn too_late(callee: &ServiceName) -> Error {
    Error::deadline_exceeded(format!("`{callee}` did not answer in time"))
}
