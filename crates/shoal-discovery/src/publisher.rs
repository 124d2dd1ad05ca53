//! The publisher's side as a pure state machine: who holds which generation, and whom a drain still waits for.
//!
//! It says what to tell a holder next ([`Publisher::next_line`]), computed from what that connection was told last, so
//! that a slow holder costs no queue. No socket, no clock: `now` is an argument.

use crate::messages::{
    EDGES_PER_REPORT_MAX, EdgeReport, FromHolder, FromPublisher, HolderName, RoutingTable, VERSION, WATCHES_MAX,
    Watches, accepts,
};
use shoal_model::{Endpoint, Generation, Millis, ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Numbers a connection of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// The publisher's limits and times.
#[derive(Clone, Debug)]
pub struct PublisherSettings {
    /// How long a holder that says nothing is waited for.
    pub lease: Duration,
    /// How often each side says that it lives; well below the lease.
    pub heartbeat: Duration,
    /// The most connections, with those whose lease has not run out yet.
    pub holders_max: usize,
    /// Whether holders of an earlier publisher may exist: they count as one unknown holder of everything for a lease.
    pub holders_before: bool,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_secs(1),
            holders_max: 4096,
            holders_before: true,
        }
    }
}

/// The most edges that are kept of one holder.
const EDGES_PER_HOLDER_MAX: usize = 1000;

type EdgeKey = (String, ServiceName);

/// Who holds which generation of which service's endpoints.
#[derive(Debug)]
pub struct Publisher {
    settings: PublisherSettings,
    /// Until then, an earlier publisher's holders may go on unseen.
    unseen_until: Millis,
    services: BTreeMap<ServiceName, Published>,
    routing: Option<Arc<RoutingTable>>,
    holders: BTreeMap<ConnectionId, Held>,
    connections_made: u64,
    reports: BTreeMap<HolderName, BTreeMap<EdgeKey, EdgeReport>>,
    reports_of_the_gone: BTreeMap<EdgeKey, EdgeReport>,
}

#[derive(Debug)]
struct Published {
    generation: Generation,
    endpoints: Arc<[Endpoint]>,
    /// The generation last returned by `newly_acknowledged`.
    acknowledged: Option<Generation>,
}

#[derive(Debug)]
struct Held {
    name: HolderName,
    version: u32,
    watches: Watches,
    heard: Millis,
    connected: bool,
    welcomed: bool,
    routing: Option<Arc<RoutingTable>>,
    told: BTreeMap<ServiceName, (Generation, Arc<[Endpoint]>)>,
    acknowledged: BTreeMap<ServiceName, Generation>,
}

impl Publisher {
    /// Nothing published, nobody known. If holders of a publisher before this one may exist, they count as one unknown
    /// holder of everything until a lease has passed since `now`.
    #[must_use]
    pub fn new(settings: PublisherSettings, now: Millis) -> Self {
        let unseen_until = if settings.holders_before { now.after(settings.lease) } else { now };
        Self {
            settings,
            unseen_until,
            services: BTreeMap::new(),
            routing: None,
            holders: BTreeMap::new(),
            connections_made: 0,
            reports: BTreeMap::new(),
            reports_of_the_gone: BTreeMap::new(),
        }
    }

    /// What callers of a service shall see from now on. One endpoint a replica (the last given counts). A generation
    /// lower than the published one is stale and ignored.
    pub fn publish(&mut self, service: ServiceName, generation: Generation, endpoints: Vec<Endpoint>) {
        let by_replica: BTreeMap<ReplicaName, Endpoint> =
            endpoints.into_iter().map(|endpoint| (endpoint.replica.clone(), endpoint)).collect();
        let endpoints: Arc<[Endpoint]> = by_replica.into_values().collect();
        let mut acknowledged = None;
        if let Some(current) = self.services.get(&service) {
            let same = current.endpoints == endpoints;
            if current.generation > generation || (current.generation == generation && same) {
                return;
            }
            if current.generation == generation {
                // The same number for something else: whoever acknowledged it meant the other.
                for holder in self.holders.values_mut() {
                    holder.told.remove(&service);
                    holder.acknowledged.remove(&service);
                }
            } else {
                acknowledged = current.acknowledged;
            }
        }
        self.services.insert(service, Published { generation, endpoints, acknowledged });
    }

    /// The gateway's routes from now on.
    pub fn set_routing(&mut self, table: RoutingTable) {
        if self.routing.as_deref() != Some(&table) {
            self.routing = Some(Arc::new(table));
        }
    }

    /// A holder said hello on a new connection; `Err` is the sentence to refuse it with.
    pub fn join(&mut self, hello: FromHolder, now: Millis) -> Result<ConnectionId, String> {
        let FromHolder::Hello { version, holder, watches } = hello else {
            return Err("The first line must be a hello.".to_owned());
        };
        refuse_version(version)?;
        if holder.0.is_empty() || holder.0.len() > HolderName::LENGTH_MAX {
            return Err(format!("A holder's name has 1 to {} bytes.", HolderName::LENGTH_MAX));
        }
        if let Watches::Only(services) = &watches
            && services.len() > WATCHES_MAX
        {
            return Err(format!("One holder may watch at most {WATCHES_MAX} services, not {}.", services.len()));
        }
        // A connection of this holder that has ended is replaced; what it acknowledged is told anew.
        self.holders.retain(|_, held| held.connected || held.name != holder);
        if self.holders.len() >= self.settings.holders_max {
            return Err(format!("Already {} holders are connected, which is the most.", self.holders.len()));
        }
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made);
        let held = Held {
            name: holder,
            version: version.min(VERSION),
            watches,
            heard: now,
            connected: true,
            welcomed: false,
            routing: None,
            told: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
        };
        self.holders.insert(id, held);
        Ok(id)
    }

    /// A holder said something after its hello; `Err` says why the connection must end.
    pub fn receive(&mut self, id: ConnectionId, line: FromHolder, now: Millis) -> Result<(), String> {
        let Some(holder) = self.holders.get_mut(&id) else {
            return Err("This holder was forgotten, because its process had ended.".to_owned());
        };
        holder.heard = now;
        match line {
            FromHolder::Alive => Ok(()),
            FromHolder::Hello { .. } => Err("A holder says hello once on a connection.".to_owned()),
            FromHolder::Acknowledge { service, generation } => {
                // What this connection was never told cannot have been applied.
                if let Some((told, _)) = holder.told.get(&service) {
                    let generation = generation.min(*told);
                    let held = holder.acknowledged.entry(service).or_insert(generation);
                    *held = generation.max(*held);
                }
                Ok(())
            }
            FromHolder::Report { edges } if edges.len() > EDGES_PER_REPORT_MAX => {
                Err(format!("One report may name at most {EDGES_PER_REPORT_MAX} edges."))
            }
            FromHolder::Report { edges } => {
                let kept = self.reports.entry(holder.name.clone()).or_default();
                for edge in edges {
                    let key = (edge.caller.clone(), edge.callee.clone());
                    if kept.contains_key(&key) || kept.len() < EDGES_PER_HOLDER_MAX {
                        kept.insert(key, edge);
                    }
                }
                Ok(())
            }
        }
    }

    /// A holder's connection ended. Its process may live on with what it holds, so it is waited for until its lease ends.
    pub fn leave(&mut self, id: ConnectionId) {
        let Some(holder) = self.holders.get_mut(&id) else { return };
        holder.connected = false;
        let name = holder.name.clone();
        if self.holders.values().any(|held| held.connected && held.name == name) {
            self.holders.remove(&id); // It is back already, on another connection.
        } else if let Some(reports) = self.reports.get_mut(&name) {
            reports.values_mut().for_each(|edge| edge.in_flight = 0);
        }
    }

    /// A holder's process is gone: nobody waits for it any more. Its counters stay in the sums.
    pub fn forget(&mut self, name: &HolderName) {
        self.holders.retain(|_, held| held.name != *name);
        for (key, mut edge) in self.reports.remove(name).unwrap_or_default() {
            edge.in_flight = 0;
            add_edge(&mut self.reports_of_the_gone, key, &edge);
        }
    }

    /// The next line that a connection has not been told; call until `None`. What is returned counts as told.
    pub fn next_line(&mut self, id: ConnectionId) -> Option<FromPublisher> {
        let holder = self.holders.get_mut(&id)?;
        if !holder.welcomed {
            holder.welcomed = true;
            return Some(FromPublisher::Welcome {
                version: holder.version,
                lease: self.settings.lease,
                heartbeat: self.settings.heartbeat,
            });
        }
        if holder.watches == Watches::All && holder.routing != self.routing {
            holder.routing.clone_from(&self.routing);
            return self.routing.as_deref().cloned().map(FromPublisher::Routing);
        }
        let (service, published) = self.services.iter().find(|(service, published)| {
            holder.watches.includes(service)
                && holder.told.get(*service).is_none_or(|(told, _)| *told != published.generation)
        })?;
        let now_told = (published.generation, Arc::clone(&published.endpoints));
        let line = match holder.told.insert(service.clone(), now_told) {
            None => snapshot(service, published),
            Some((from, before)) => delta(service, from, &before, published),
        };
        Some(line)
    }

    /// Services whose acknowledged generation rose: every holder that watches the service has acknowledged it, or its
    /// lease has run out. Each rise is returned once.
    pub fn newly_acknowledged(&mut self, now: Millis) -> Vec<(ServiceName, Generation)> {
        self.drop_lapsed(now);
        if now < self.unseen_until {
            return Vec::new();
        }
        let mut risen = Vec::new();
        for (service, published) in &mut self.services {
            let lowest = self
                .holders
                .values()
                .filter(|holder| holder.watches.includes(service))
                .filter(|holder| now < holder.heard.after(self.settings.lease))
                .map(|holder| holder.acknowledged.get(service).copied())
                .min();
            // `None` inside means a holder that has acknowledged nothing yet.
            let generation = lowest.unwrap_or(Some(published.generation));
            if generation > published.acknowledged {
                published.acknowledged = generation;
                risen.extend(generation.map(|generation| (service.clone(), generation)));
            }
        }
        risen
    }

    /// When [`Publisher::newly_acknowledged`] may have news without anything else happening; `None` when it cannot.
    #[must_use]
    pub fn wake_at(&self, now: Millis) -> Option<Millis> {
        let waiting = self.services.values().any(|published| published.acknowledged != Some(published.generation));
        let leases = self.holders.values().map(|holder| holder.heard.after(self.settings.lease));
        let ends = leases.chain([self.unseen_until]).filter(|end| *end > now);
        if waiting { ends.min() } else { None }
    }

    /// The sums of what holders reported, by caller and callee; those of holders that are gone included.
    #[must_use]
    pub fn edges(&self) -> Vec<EdgeReport> {
        let mut sums = self.reports_of_the_gone.clone();
        for (key, edge) in self.reports.values().flatten() {
            add_edge(&mut sums, key.clone(), edge);
        }
        sums.into_values().collect()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.holders.values().filter(|holder| holder.connected).count()
    }

    /// Lets go of holders that are disconnected and past their lease. A connected one past its lease stays: it is not
    /// waited for, until it speaks again.
    fn drop_lapsed(&mut self, now: Millis) {
        let lease = self.settings.lease;
        self.holders.retain(|_, holder| holder.connected || now < holder.heard.after(lease));
        // A name that has been away this long does not come back with the same totals; its counters stay as they are.
        let live: std::collections::BTreeSet<&HolderName> = self.holders.values().map(|held| &held.name).collect();
        if self.reports.len() > self.settings.holders_max {
            let gone: Vec<_> = self.reports.keys().filter(|name| !live.contains(name)).cloned().collect();
            gone.iter().for_each(|name| self.forget(name));
        }
    }
}

/// The sentence for a version that this release does not speak.
pub(crate) fn refuse_version(version: u32) -> Result<(), String> {
    if accepts(version) {
        return Ok(());
    }
    let mend = if version > VERSION {
        "start the application's supervisor with the newer `shoal`"
    } else {
        "rebuild this program against the current SDK"
    };
    Err(format!("This supervisor speaks version {VERSION} of the discovery protocol, not {version}: {mend}."))
}

fn snapshot(service: &ServiceName, published: &Published) -> FromPublisher {
    FromPublisher::Snapshot {
        service: service.clone(),
        generation: published.generation,
        endpoints: published.endpoints.to_vec(),
    }
}

fn delta(service: &ServiceName, from: Generation, before: &[Endpoint], published: &Published) -> FromPublisher {
    let old: BTreeMap<&ReplicaName, &Endpoint> = before.iter().map(|endpoint| (&endpoint.replica, endpoint)).collect();
    let new: BTreeMap<&ReplicaName, &Endpoint> =
        published.endpoints.iter().map(|endpoint| (&endpoint.replica, endpoint)).collect();
    let added = new.iter().filter(|(replica, endpoint)| old.get(*replica) != Some(endpoint));
    FromPublisher::Delta {
        service: service.clone(),
        from,
        generation: published.generation,
        added: added.map(|(_, endpoint)| (*endpoint).clone()).collect(),
        removed: old.keys().filter(|replica| !new.contains_key(*replica)).map(|replica| (*replica).clone()).collect(),
    }
}

fn add_edge(sums: &mut BTreeMap<EdgeKey, EdgeReport>, key: EdgeKey, edge: &EdgeReport) {
    match sums.get_mut(&key) {
        None => drop(sums.insert(key, edge.clone())),
        Some(sum) => {
            sum.calls = sum.calls.saturating_add(edge.calls);
            sum.errors = sum.errors.saturating_add(edge.errors);
            sum.in_flight = sum.in_flight.saturating_add(edge.in_flight);
            sum.durations.merge(&edge.durations);
        }
    }
}
