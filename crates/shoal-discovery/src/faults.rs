//! The faults that a process is to make happen, as it holds them: which hit the next try of a call, and how often each has
//! happened. Without faults it costs one relaxed load to find that out.
//!
//! Never: delays, breaks or kills anything itself; whoever makes the try does.

use crate::messages::FAULTS_MAX;
use shoal_model::{Fault, FaultError, FaultId, FaultKind, FaultTarget, Millis, ReplicaName, ServiceName};
use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed},
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// The faults of one process; a cheap handle, clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    is_any: AtomicBool,
    held: Mutex<Arc<[Arc<Held>]>>,
    /// What happened of faults that were taken away, and was not reported.
    gone: Mutex<Vec<(FaultId, u64)>>,
    /// Told when something happened that is to be reported at once.
    news: Notify,
}

#[derive(Debug)]
struct Held {
    id: FaultId,
    fault: Fault,
    /// How often it may happen here, ever; without a bound `u64::MAX`.
    limit: AtomicU64,
    /// How often it was drawn here, without those that were given back.
    drawn: AtomicU64,
    /// How often it has happened here, and how often that was reported.
    happened: AtomicU64,
    reported: AtomicU64,
}

/// One try of a call, as far as faults tell tries apart.
#[derive(Clone, Copy, Debug)]
pub struct Try<'a> {
    /// Who calls: a service, or the gateway for what comes from outside.
    pub caller: &'a ServiceName,
    /// Who is called.
    pub callee: &'a ServiceName,
    /// Which replica of it.
    pub replica: &'a ReplicaName,
    /// The last part of the path, such as `Capture`.
    pub method: &'a str,
}

/// What is to go wrong with one try. Each hit counts only once its [`Hit::happened`] is called.
#[derive(Debug, Default)]
pub struct Strike {
    /// To be waited for, all of them, before anything is sent.
    pub delays: Vec<(Duration, Hit)>,
    /// To be answered in place of the callee. When there is one, none of the following is.
    pub error: Option<(FaultError, Hit)>,
    /// To be thrown away once it is there: the answer.
    pub lost: Option<Hit>,
    /// To be sent twice: the request.
    pub twice: Option<Hit>,
}

/// A fault that was drawn. Dropped without [`Hit::happened`], it was not, and leaves its place to another.
#[derive(Debug)]
#[must_use = "a hit that is dropped has not happened"]
pub struct Hit {
    held: Arc<Held>,
    shared: Arc<Shared>,
    is_over: bool,
}

impl Hit {
    /// Which fault it is.
    #[must_use]
    pub fn id(&self) -> FaultId {
        self.held.id
    }

    /// It did what it names.
    pub fn happened(mut self) {
        self.is_over = true;
        self.held.happened.fetch_add(1, AcqRel);
        if self.held.is_limited() {
            self.shared.news.notify_one();
        }
    }

    /// It will do what it names, and somebody else counts it.
    pub fn counted_elsewhere(mut self) {
        self.is_over = true;
    }
}

impl Drop for Hit {
    fn drop(&mut self) {
        if !self.is_over {
            self.held.drawn.fetch_sub(1, AcqRel);
        }
    }
}

impl Held {
    fn is_limited(&self) -> bool {
        self.limit.load(Acquire) != u64::MAX
    }

    /// How often it has happened since this was asked last.
    fn report(&self) -> u64 {
        let happened = self.happened.load(Acquire);
        happened.saturating_sub(self.reported.swap(happened, AcqRel))
    }

    /// Whether it hits: the time, its rate and what is left of it say so. A place among what is left is taken.
    fn draw(self: &Arc<Self>, shared: &Arc<Shared>, now: Millis, random: u64) -> Option<Hit> {
        if self.fault.until.is_some_and(|until| now >= until) || !self.fault.rate.hits(random) {
            return None;
        }
        let limit = self.limit.load(Acquire);
        self.drawn.fetch_update(AcqRel, Acquire, |drawn| (drawn < limit).then_some(drawn + 1)).ok()?;
        Some(Hit { held: Arc::clone(self), shared: Arc::clone(shared), is_over: false })
    }

    fn concerns(&self, it: &Try<'_>) -> bool {
        let target = match &self.fault.target {
            FaultTarget::Call { caller, callee } => caller == it.caller && callee == it.callee,
            FaultTarget::Service(service) => service == it.callee,
            FaultTarget::Replica(replica) => replica == it.replica,
        };
        target && self.fault.method.as_deref().is_none_or(|method| method == it.method)
    }
}

impl Faults {
    /// None.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there are any. Cheap enough to be asked at every call.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.shared.is_any.load(Relaxed)
    }

    /// Makes these the faults. One that was held before goes on counting, and never gets back what it has used up: its
    /// `times` says how often it may still happen.
    pub fn replace(&self, faults: Vec<(FaultId, Fault)>) {
        let mut held = self.held();
        let new: Vec<Arc<Held>> = faults
            .into_iter()
            .map(|(id, fault)| {
                let (mut limit, mut counts) = (fault.times.map_or(u64::MAX, u64::from), [0; 3]);
                if let Some(known) = held.iter().find(|known| known.id == id) {
                    if without_times(&known.fault) == without_times(&fault) {
                        // The same object, since tries that are under way count in it.
                        let happened = known.happened.load(Acquire);
                        known.limit.fetch_min(limit.saturating_add(happened), AcqRel);
                        return Arc::clone(known);
                    }
                    counts = [&known.drawn, &known.happened, &known.reported].map(|count| count.load(Acquire));
                    limit = limit.saturating_add(counts[1]).min(known.limit.load(Acquire));
                }
                let [drawn, happened, reported] = counts.map(AtomicU64::new);
                Arc::new(Held { id, fault, limit: AtomicU64::new(limit), drawn, happened, reported })
            })
            .collect();
        self.shared.is_any.store(!new.is_empty(), Relaxed);
        let old = std::mem::replace(&mut *held, new.into());
        let gone = old.iter().filter(|old| held.iter().all(|held| held.id != old.id));
        self.gone().extend(gone.map(|gone| (gone.id, gone.report())).filter(|(_, count)| *count > 0));
    }

    /// What is to go wrong with a try that is made now.
    pub fn strike(&self, it: &Try<'_>, now: Millis, random: &mut dyn FnMut() -> u64) -> Strike {
        let mut strike = Strike::default();
        if !self.is_any() {
            return strike;
        }
        let held = Arc::clone(&*self.held());
        let mut draw = |of: &Arc<Held>| of.draw(&self.shared, now, random());
        let concerned = || held.iter().filter(|held| held.concerns(it));
        for of in concerned() {
            match of.fault.kind {
                FaultKind::Delay(by) => strike.delays.extend(draw(of).map(|hit| (by, hit))),
                FaultKind::Error(error) if strike.error.is_none() => strike.error = draw(of).map(|hit| (error, hit)),
                _ => {}
            }
        }
        if strike.error.is_some() {
            return strike;
        }
        for of in concerned() {
            match of.fault.kind {
                FaultKind::LostAnswer if strike.lost.is_none() => strike.lost = draw(of),
                FaultKind::Duplicate if strike.twice.is_none() => strike.twice = draw(of),
                _ => {}
            }
        }
        strike
    }

    /// Whether the process is to die at this crash point, which it has reached. That discovery told it of the fault means
    /// that it is a replica which the fault is for.
    pub fn crash(&self, point: &str, now: Millis, random: &mut dyn FnMut() -> u64) -> Option<Hit> {
        let held = Arc::clone(&*self.held());
        held.iter()
            .filter(|held| matches!(&held.fault.kind, FaultKind::Kill { at: Some(at) } if at == point))
            .find_map(|held| held.draw(&self.shared, now, random()))
    }

    /// What has happened and was not reported: all of it, or only what is to be reported at once. Counts as reported.
    pub(crate) fn unreported(&self, all: bool) -> Vec<(FaultId, u64)> {
        let held = Arc::clone(&*self.held());
        let due = held.iter().filter(|held| all || held.is_limited()).map(|held| (held.id, held.report()));
        let gone = std::mem::take(&mut *self.gone());
        due.filter(|(_, count)| *count > 0).chain(gone).take(FAULTS_MAX).collect()
    }

    /// What was to be reported could not be.
    pub(crate) fn unsaid(&self, counts: &[(FaultId, u64)]) {
        let held = Arc::clone(&*self.held());
        for (id, count) in counts {
            match held.iter().find(|held| held.id == *id) {
                Some(held) => drop(held.reported.fetch_sub(*count, AcqRel)),
                None => self.gone().push((*id, *count)),
            }
        }
    }

    /// Returns when something happened that is to be reported at once.
    pub(crate) async fn news(&self) {
        self.shared.news.notified().await;
    }

    fn gone(&self) -> MutexGuard<'_, Vec<(FaultId, u64)>> {
        self.shared.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // What is behind the locks cannot be left half-made, so a poisoned one is as good as a sound one.
    fn held(&self) -> MutexGuard<'_, Arc<[Arc<Held>]>> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Strike {
    /// How long to wait before anything is sent; zero for not at all.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delays.iter().map(|(by, _)| *by).fold(Duration::ZERO, Duration::saturating_add)
    }

    /// The delays have begun.
    pub fn delayed(&mut self) {
        self.delays.drain(..).for_each(|(_, hit)| hit.happened());
    }
}

/// The time that faults end by.
#[must_use]
pub fn wall_clock() -> Millis {
    Millis::default().after(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn without_times(fault: &Fault) -> Fault {
    Fault { times: None, ..fault.clone() }
}
