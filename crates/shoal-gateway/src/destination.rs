//! Where requests go: a service as the gateway knows it, shared by all cores, and a route's way there. Both outlive the
//! view that they were first seen in, so that counts, estimates and budgets do too.
//!
//! Never: decides by itself when something is tried; see [`crate::tries`].

use crate::clock;
use crate::disturbance::Disturbance;
use shoal_balance::{
    Admitted, BalanceSettings, Balancer, Moment, Outcome, Pick, RetryBudget, RetrySettings, Saturation,
};
use shoal_discovery::Edge;
use shoal_model::{Endpoint, Limits, ServiceName};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use tokio::sync::watch;

/// The most requests under way per replica before some are turned away, where the service does not say.
const CONCURRENCY_MAX: u64 = 1000;

/// A service: its ready replicas, and what bounds the requests to it.
pub(crate) struct Target {
    pub(crate) service: ServiceName,
    pub(crate) balancer: Balancer,
    pub(crate) budget: RetryBudget,
    saturation: Saturation,
    concurrency_max: AtomicU64,
    replicas: AtomicU64,
    /// Told whenever the endpoints, or who among them may be tried, may have changed.
    changed: watch::Sender<()>,
}

impl Target {
    /// A service of which no replica is known.
    pub(crate) fn new(service: ServiceName) -> Self {
        Self {
            service,
            balancer: Balancer::new(BalanceSettings::default()),
            budget: RetryBudget::new(RetrySettings::default()),
            saturation: Saturation::new(),
            concurrency_max: AtomicU64::new(CONCURRENCY_MAX),
            replicas: AtomicU64::new(0),
            changed: watch::Sender::new(()),
        }
    }

    /// Makes these the endpoints, and wakes whoever is held for one.
    pub(crate) fn replace(&self, endpoints: &[Endpoint]) {
        self.balancer.replace(endpoints, clock::now());
        self.replicas.store(endpoints.len() as u64, Relaxed);
        self.changed.send_replace(());
    }

    /// The most requests under way per replica before some are turned away.
    pub(crate) fn set_concurrency_max(&self, most: Option<u64>) {
        self.concurrency_max.store(most.unwrap_or(CONCURRENCY_MAX), Relaxed);
    }

    /// Notes how a try ended, and wakes whoever is held if that makes its replica one to try again.
    pub(crate) fn finish(&self, pick: Pick, now: Moment, outcome: Outcome) {
        if pick.finish(now, outcome) {
            self.changed.send_replace(());
        }
    }

    /// Notes that a replica has begun to answer; likewise.
    pub(crate) fn answered(&self, pick: &Pick, now: Moment) {
        if pick.answered(now) {
            self.changed.send_replace(());
        }
    }

    /// Hears of changes of the endpoints, or of whom may be tried, from now on.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The most requests under way at the service; 0, which is no limit, while it has no replica and requests are held.
    fn capacity(&self) -> u64 {
        self.concurrency_max.load(Relaxed).saturating_mul(self.replicas.load(Relaxed))
    }
}

/// Where a route leads, and what it allows.
pub(crate) struct Destination {
    pub(crate) target: Arc<Target>,
    pub(crate) edge: Edge,
    pub(crate) limits: Limits,
    pub(crate) disturbance: Disturbance,
    under_way: Arc<AtomicUsize>,
}

/// Why a request is turned away before it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TurnedAway {
    /// The route has its most requests under way.
    Route,
    /// The service has as many as it takes of this priority.
    Service,
}

/// A request's place on its route and, but while it is held, at its service; until dropped.
pub(crate) struct Admission {
    service: Option<Admitted>,
    _route: UnderWay,
}

struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Admission {
    /// Gives back its place at the service, since it is held.
    pub(crate) fn hold(&mut self) {
        self.service = None;
    }
}

impl Destination {
    /// A way to a service, with nothing under way.
    pub(crate) fn new(target: Arc<Target>, edge: Edge, limits: Limits, disturbance: Disturbance) -> Self {
        Self { target, edge, limits, disturbance, under_way: Arc::default() }
    }

    /// The same way with other limits; what is under way goes on counting.
    pub(crate) fn with_limits(&self, limits: Limits) -> Self {
        let (target, edge, disturbance) = (Arc::clone(&self.target), self.edge.clone(), self.disturbance.clone());
        Self { target, edge, limits, disturbance, under_way: Arc::clone(&self.under_way) }
    }

    /// A place for one more request.
    pub(crate) fn admit(&self) -> Result<Admission, TurnedAway> {
        let before = self.under_way.fetch_add(1, Relaxed);
        let route = UnderWay(Arc::clone(&self.under_way));
        if before >= self.limits.requests_max {
            return Err(TurnedAway::Route);
        }
        let service = self.target.saturation.admit(self.target.capacity(), self.limits.priority);
        Ok(Admission { service: Some(service.ok_or(TurnedAway::Service)?), _route: route })
    }

    /// Gives a request back its place at the service, if there is one.
    pub(crate) fn admit_again(&self, admission: &mut Admission) -> bool {
        if admission.service.is_none() {
            admission.service = self.target.saturation.admit(self.target.capacity(), self.limits.priority);
        }
        admission.service.is_some()
    }
}
