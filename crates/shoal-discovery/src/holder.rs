//! The holder's side as a pure state machine: applies what the publisher says and yields acknowledgements.
//!
//! It keeps its endpoints over any number of connections; only a line about a service replaces that service's. No
//! socket, no clock.

use crate::messages::{
    Caller, FAULTS_MAX, FromHolder, FromPublisher, HolderName, RoutingTable, VERSION, VERSION_WITH_FAULTS, Watches,
    accepts,
};
use shoal_model::{Endpoint, Fault, FaultId, Generation, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What a holder knows: the endpoints of each service it was told of, and for a holder of everything the routes and
/// callers. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// By service; sorted by replica. A service that is missing was never published; one without endpoints has no
    /// ready replica.
    pub endpoints: BTreeMap<ServiceName, (Generation, Arc<[Endpoint]>)>,
    /// How many requests may be under way at one replica of a service, where somebody said so.
    pub concurrency_max: Arc<BTreeMap<ServiceName, u32>>,
    /// The routes; `None` until they came, and always for a holder that does not watch everything.
    pub routing: Option<Arc<RoutingTable>>,
    /// The replicas whose calls a holder of everything serves.
    pub callers: Arc<BTreeMap<ReplicaName, Caller>>,
}

/// What a line did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing that a user of the view would see.
    Nothing,
    /// The publisher accepted the hello.
    Welcomed,
    /// The view changed.
    Changed,
    /// The two sides disagree about what was said: connect anew, and say hello.
    Reconnect {
        /// One sentence for the log.
        why: String,
    },
    /// The publisher will not serve this holder.
    Refused {
        /// The publisher's sentence.
        why: String,
    },
}

/// Applies what the publisher says, and knows what is still to be acknowledged.
#[derive(Debug)]
pub struct Holder {
    name: HolderName,
    watches: Watches,
    view: View,
    /// What the user of the view has applied, of what the view holds.
    applied: BTreeMap<ServiceName, Generation>,
    /// What this connection's publisher has told, and the generation it was last sent an acknowledgement of.
    told: BTreeMap<ServiceName, Option<Generation>>,
    /// The callers as far as they were told, while more lines belong to the change.
    callers_begun: Option<BTreeMap<ReplicaName, Caller>>,
    /// Whether the process ends, and whether this connection's publisher knows.
    leaving: bool,
    leaving_told: bool,
    crash_points: BTreeSet<String>,
    crash_points_told: bool,
    faults: FaultsHeard,
    /// The version this connection's publisher speaks; 0 before it spoke.
    version: u32,
    times: Times,
}

/// What this connection's publisher said of faults.
#[derive(Debug, Default)]
struct FaultsHeard {
    /// Those that are to be applied.
    untaken: Option<(u64, Vec<(FaultId, Fault)>)>,
    /// The change that was applied, and is to be acknowledged.
    unacknowledged: Option<u64>,
}

/// What the publisher said about time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// How long the publisher waits for a silent holder.
    pub lease: Duration,
    /// How often to say that one lives.
    pub heartbeat: Duration,
}

impl Holder {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(name: HolderName, watches: Watches) -> Self {
        Self {
            name,
            watches,
            view: View::default(),
            applied: BTreeMap::new(),
            told: BTreeMap::new(),
            callers_begun: None,
            leaving: false,
            leaving_told: false,
            crash_points: BTreeSet::new(),
            crash_points_told: false,
            faults: FaultsHeard::default(),
            version: 0,
            times: Times { lease: Duration::from_secs(3), heartbeat: Duration::from_secs(1) },
        }
    }

    /// The first line of a new connection. What is held is kept; what was acknowledged will be said again once the
    /// publisher has spoken of it.
    pub fn hello(&mut self) -> FromHolder {
        self.told.clear();
        self.callers_begun = None;
        self.leaving_told = false;
        self.crash_points_told = false;
        self.faults = FaultsHeard::default();
        self.version = 0;
        FromHolder::Hello { version: VERSION, holder: self.name.clone(), watches: self.watches.clone() }
    }

    /// Applies a line.
    pub fn receive(&mut self, line: FromPublisher) -> Effect {
        match line {
            FromPublisher::Welcome { version, .. } if !accepts(version) => Effect::Refused {
                why: format!(
                    "the supervisor speaks version {version} of the discovery protocol, this program {VERSION}"
                ),
            },
            FromPublisher::Welcome { version, lease, heartbeat } => {
                self.version = version;
                // A heartbeat of nothing would spin.
                let heartbeat = heartbeat.clamp(Duration::from_millis(10), Duration::from_secs(60));
                self.times = Times { lease: lease.max(heartbeat), heartbeat };
                Effect::Welcomed
            }
            FromPublisher::Routing(table) => {
                let changed = self.view.routing.as_deref() != Some(&table);
                self.view.routing = Some(Arc::new(table));
                changed_if(changed)
            }
            FromPublisher::Concurrency { max } => {
                let changed = *self.view.concurrency_max != max;
                self.view.concurrency_max = Arc::new(max);
                changed_if(changed)
            }
            FromPublisher::Callers { is_snapshot, added, removed, continues } => {
                let begun = self.callers_begun.take().unwrap_or_else(|| (*self.view.callers).clone());
                let mut callers = if is_snapshot { BTreeMap::new() } else { begun };
                callers.retain(|replica, _| !removed.contains(replica));
                callers.extend(added.into_iter().map(|caller| (caller.replica.clone(), caller)));
                if continues {
                    self.callers_begun = Some(callers);
                    return Effect::Nothing;
                }
                let changed = *self.view.callers != callers;
                self.view.callers = Arc::new(callers);
                changed_if(changed)
            }
            FromPublisher::Snapshot { service, generation, endpoints } => {
                if !self.watches.includes(&service) {
                    return Effect::Nothing;
                }
                let endpoints = endpoints.into_iter().map(|endpoint| (endpoint.replica.clone(), endpoint));
                let by_replica: BTreeMap<ReplicaName, Endpoint> = endpoints.collect();
                self.told.insert(service.clone(), None);
                self.replace(service, generation, by_replica.into_values().collect())
            }
            FromPublisher::Delta { service, from, generation, added, removed } => {
                self.change(service, (from, generation), added, removed)
            }
            FromPublisher::Faults { faults, .. } if faults.len() > FAULTS_MAX => {
                Effect::Reconnect { why: format!("one line names more than {FAULTS_MAX} faults") }
            }
            FromPublisher::Faults { change, faults } => {
                self.faults.untaken = Some((change, faults));
                Effect::Nothing
            }
            // A grant answers another connection.
            FromPublisher::Heartbeat | FromPublisher::Granted => Effect::Nothing,
            FromPublisher::Refused { why } => Effect::Refused { why },
        }
    }

    /// The user of the view has applied all of it: see [`Holder::applied_service`].
    pub fn applied(&mut self, view: &View) {
        view.endpoints.keys().for_each(|service| self.applied_service(view, service));
    }

    /// The user of the view has applied what it says of one service: no new request of its goes to an endpoint that the
    /// view does not list.
    pub fn applied_service(&mut self, view: &View, service: &ServiceName) {
        let Some((generation, endpoints)) = view.endpoints.get(service) else { return };
        let Some((current, held)) = self.view.endpoints.get(service) else { return };
        if generation < current || (generation == current && endpoints == held) {
            let applied = self.applied.entry(service.clone()).or_insert(*generation);
            *applied = (*applied).max(*generation);
        }
    }

    /// The process ends: the publisher is told, and so is each that follows it.
    pub fn leave(&mut self) {
        self.leaving = true;
    }

    /// The process can be made to die at these places.
    pub fn declare_crash_points(&mut self, names: BTreeSet<String>) {
        self.crash_points_told = false;
        self.crash_points = names;
    }

    /// The faults that were told since the last call. Whoever calls applies them at once, which is acknowledged.
    pub fn take_faults(&mut self) -> Option<Vec<(FaultId, Fault)>> {
        let (change, faults) = self.faults.untaken.take()?;
        self.faults.unacknowledged = Some(change);
        Some(faults)
    }

    /// What is to be said to this connection's publisher and was not yet: what was applied, and that the process ends.
    /// What is returned counts as said.
    pub fn due(&mut self) -> Vec<FromHolder> {
        let mut due = Vec::new();
        if self.leaving && !self.leaving_told && self.version > 0 {
            self.leaving_told = true;
            due.push(FromHolder::Leaving);
        }
        if self.version >= VERSION_WITH_FAULTS {
            let is_news = !self.crash_points.is_empty() && !self.crash_points_told;
            self.crash_points_told |= is_news;
            due.extend(is_news.then(|| FromHolder::CrashPoints { names: self.crash_points.clone() }));
            let applied = self.faults.unacknowledged.take();
            due.extend(applied.map(|change| FromHolder::FaultsApplied { change }));
        }
        for (service, acknowledged) in &mut self.told {
            let Some(applied) = self.applied.get(service) else { continue };
            if *acknowledged != Some(*applied) {
                *acknowledged = Some(*applied);
                due.push(FromHolder::Acknowledge { service: service.clone(), generation: *applied });
            }
        }
        due
    }

    /// What is held now.
    #[must_use]
    pub fn view(&self) -> &View {
        &self.view
    }

    /// The publisher's times; the usual ones before it spoke.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// Applies what changed in a service's endpoints between two generations.
    fn change(
        &mut self,
        service: ServiceName,
        (from, generation): (Generation, Generation),
        added: Vec<Endpoint>,
        removed: Vec<ReplicaName>,
    ) -> Effect {
        let Some((current, held)) = self.view.endpoints.get(&service).filter(|_| self.told.contains_key(&service))
        else {
            return Effect::Reconnect { why: format!("a change of {service} came before its snapshot") };
        };
        if *current != from {
            let why = format!("a change of {service} starts at generation {}, but {} is held", from.0, current.0);
            return Effect::Reconnect { why };
        }
        let removed = removed.into_iter().map(|replica| (replica, None));
        let added = added.into_iter().map(|endpoint| (endpoint.replica.clone(), Some(endpoint)));
        let changed: BTreeMap<ReplicaName, Option<Endpoint>> = removed.chain(added).collect();
        let kept = held.iter().filter(|endpoint| !changed.contains_key(&endpoint.replica)).cloned();
        let mut endpoints: Vec<Endpoint> = kept.collect();
        endpoints.extend(changed.into_values().flatten());
        endpoints.sort_unstable_by(|a, b| a.replica.cmp(&b.replica));
        self.replace(service, generation, endpoints)
    }

    /// Endpoints that say who must answer there are left out: nobody here can find that out yet, and whoever does answer may
    /// be somebody else.
    fn replace(&mut self, service: ServiceName, generation: Generation, endpoints: Vec<Endpoint>) -> Effect {
        let usable = endpoints.into_iter().filter(|endpoint| endpoint.identity.is_none());
        let new = (generation, usable.collect());
        let old = self.view.endpoints.get(&service);
        if old == Some(&new) {
            return Effect::Nothing;
        }
        // A publisher that lost its count starts a new one: what was applied of the old count says nothing of it.
        if old.is_some_and(|(old, _)| *old >= generation) {
            self.applied.remove(&service);
        }
        self.view.endpoints.insert(service, new);
        Effect::Changed
    }
}

fn changed_if(changed: bool) -> Effect {
    if changed { Effect::Changed } else { Effect::Nothing }
}
