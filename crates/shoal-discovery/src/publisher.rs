//! The publisher's side as a pure state machine: who holds which generation, and whom a drain still waits for.
//!
//! It says what to tell a holder next ([`Publisher::next_line`]), computed from what that connection was told last, so
//! that a slow holder costs no queue. No socket, no clock: `now` is an argument.

use crate::fault_ledger::{FaultLedger, FaultsTold};
use crate::messages::{
    CRASH_POINT_LENGTH_MAX, CRASH_POINTS_MAX, Caller, EDGES_PER_REPORT_MAX, EdgeReport, FAULTS_MAX, FromHolder,
    FromPublisher, HolderName, RoutingTable, VERSION, WATCHES_MAX, Watches, accepts,
};
use crate::published::Published;
use crate::reports::Reports;
use crate::watchers::Watchers;
use shoal_model::{Endpoint, Generation, Millis, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

mod faults;
mod told;

pub use faults::CrashAnswer;

/// So much later than its time a look comes on any busy machine: that is not standing still.
const LATE: Duration = Duration::from_millis(50);

/// Numbers a connection of a holder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(u64);

#[cfg(test)]
impl ConnectionId {
    /// For tests: a connection with this number.
    pub(crate) fn numbered(number: u64) -> Self {
        Self(number)
    }
}

/// The publisher's limits and times.
#[derive(Clone, Debug)]
pub struct PublisherSettings {
    /// How long a holder that says nothing is waited for.
    pub lease: Duration,
    /// How often each side says that it lives, and how often the publisher is looked at; well below the lease.
    pub heartbeat: Duration,
    /// The most connections, with those whose lease has not run out yet.
    pub holders_max: usize,
    /// Whether holders of an earlier publisher may exist: they count as one unknown holder of everything for a lease.
    pub holders_before: bool,
    /// Whether somebody keeps how often faults with a bound have happened, and says so: a process may die at a crash point
    /// only once that is counted for good.
    pub keeps_counts: bool,
}

impl Default for PublisherSettings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(3),
            heartbeat: Duration::from_secs(1),
            holders_max: 4096,
            holders_before: true,
            keeps_counts: false,
        }
    }
}

/// Who holds which generation of which service's endpoints.
#[derive(Debug)]
pub struct Publisher {
    settings: PublisherSettings,
    /// When it was last looked at; nobody was heard since.
    attended: Millis,
    /// Until then, an earlier publisher's holders may go on unseen.
    unseen_until: Millis,
    services: BTreeMap<ServiceName, Published>,
    routing: Option<Arc<RoutingTable>>,
    callers: Option<Arc<BTreeMap<ReplicaName, Caller>>>,
    holders: BTreeMap<ConnectionId, Held>,
    watchers: Watchers,
    connections_made: u64,
    /// Services of which somebody may not have acknowledged the last generation yet.
    unacknowledged: BTreeSet<ServiceName>,
    /// Of those, the ones whose acknowledged generation may have risen.
    touched: Touched,
    /// No lease runs out before this.
    lapses_from: Millis,
    /// Holders that said they end, and that nobody was told of yet.
    leaving: Vec<HolderName>,
    reports: Reports,
    faults: FaultLedger,
}

/// Services that are to be looked at again.
#[derive(Debug)]
enum Touched {
    All,
    Only(BTreeSet<ServiceName>),
}

impl Touched {
    fn add(&mut self, service: &ServiceName) {
        if let Self::Only(services) = self {
            services.insert(service.clone());
        }
    }
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
    /// Of which table it was told who takes how much.
    concurrency: Option<Arc<RoutingTable>>,
    callers: Option<Arc<BTreeMap<ReplicaName, Caller>>>,
    /// Whether it was told that more lines belong to the change of callers it heard of last.
    callers_continue: bool,
    told: BTreeMap<ServiceName, (Generation, Arc<[Endpoint]>)>,
    /// Services that it watches and was not told the last of.
    untold: BTreeSet<ServiceName>,
    acknowledged: BTreeMap<ServiceName, Generation>,
    faults: FaultsTold,
}

impl Held {
    /// Whether it is waited for: its lease has not run out.
    fn counts(&self, lease: Duration, now: Millis) -> bool {
        now < self.heard.after(lease)
    }
}

impl Publisher {
    /// Nothing published, nobody known. If holders of a publisher before this one may exist, they count as one unknown
    /// holder of everything until a lease has passed since `now`.
    #[must_use]
    pub fn new(settings: PublisherSettings, now: Millis) -> Self {
        let unseen_until = if settings.holders_before { now.after(settings.lease) } else { now };
        Self {
            settings,
            attended: now,
            unseen_until,
            services: BTreeMap::new(),
            routing: None,
            callers: None,
            holders: BTreeMap::new(),
            watchers: Watchers::default(),
            connections_made: 0,
            unacknowledged: BTreeSet::new(),
            touched: Touched::All,
            lapses_from: now,
            leaving: Vec::new(),
            reports: Reports::default(),
            faults: FaultLedger::default(),
        }
    }

    /// It is looked at, and hears whoever spoke. That is to happen each heartbeat: when it comes later, the publisher itself
    /// stood still, and could hear nobody however much they said. Such a time is nobody's silence.
    pub fn attend(&mut self, now: Millis) {
        let late = now.since(self.attended.after(self.settings.heartbeat));
        if late > LATE {
            for holder in self.holders.values_mut() {
                holder.heard = holder.heard.after(late);
            }
            if self.unseen_until > self.attended {
                self.unseen_until = self.unseen_until.after(late);
            }
        }
        self.attended = self.attended.max(now);
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
        for id in self.watchers.of(&service) {
            if let Some(holder) = self.holders.get_mut(id) {
                holder.untold.insert(service.clone());
            }
        }
        self.unacknowledged.insert(service.clone());
        self.touched.add(&service);
        self.services.insert(service, Published::new(generation, endpoints, acknowledged));
    }

    /// The gateway's routes from now on.
    pub fn set_routing(&mut self, table: RoutingTable) {
        if self.routing.as_deref() != Some(&table) {
            self.routing = Some(Arc::new(table));
        }
    }

    /// The replicas whose calls a holder of everything serves, from now on.
    pub fn set_callers(&mut self, callers: Arc<BTreeMap<ReplicaName, Caller>>) {
        if self.callers.as_ref() != Some(&callers) {
            self.callers = Some(callers);
        }
    }

    /// A holder said hello on a new connection; `Err` is the sentence to refuse it with.
    pub fn join(&mut self, hello: FromHolder, now: Millis) -> Result<ConnectionId, String> {
        let FromHolder::Hello { version, holder, watches } = hello else {
            return Err("The first line must be a hello.".to_owned());
        };
        refuse_version(version)?;
        self.attend(now);
        if holder.0.is_empty() || holder.0.len() > HolderName::LENGTH_MAX {
            return Err(format!("A holder's name has 1 to {} bytes.", HolderName::LENGTH_MAX));
        }
        if let Watches::Only(services) = &watches
            && services.len() > WATCHES_MAX
        {
            return Err(format!("One holder may watch at most {WATCHES_MAX} services, not {}.", services.len()));
        }
        // A connection of this holder that has ended is replaced; what it acknowledged is told anew.
        self.drop_if(|held| !held.connected && held.name == holder);
        if self.holders.len() >= self.settings.holders_max {
            return Err(format!("Already {} holders are connected, which is the most.", self.holders.len()));
        }
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made);
        let held = Held {
            name: holder,
            version: version.min(VERSION),
            untold: self.services.keys().filter(|service| watches.includes(service)).cloned().collect(),
            watches,
            heard: now,
            connected: true,
            welcomed: false,
            routing: None,
            concurrency: None,
            callers: None,
            callers_continue: false,
            told: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            faults: FaultsTold::default(),
        };
        self.watchers.join(id, &held.watches);
        self.holders.insert(id, held);
        Ok(id)
    }

    /// A holder said something after its hello; `Err` says why the connection must end.
    pub fn receive(&mut self, id: ConnectionId, line: FromHolder, now: Millis) -> Result<(), String> {
        self.attend(now);
        let Some(holder) = self.holders.get_mut(&id) else {
            return Err("This holder was forgotten, because its process had ended.".to_owned());
        };
        if now >= holder.heard.after(self.settings.lease) {
            // It was not waited for any more, and is again.
            self.services.values_mut().for_each(|published| published.laggard = ConnectionId::default());
            self.touched = Touched::All;
        }
        holder.heard = now;
        match line {
            FromHolder::Alive => Ok(()),
            FromHolder::Leaving => {
                if !self.leaving.contains(&holder.name) {
                    self.leaving.push(holder.name.clone());
                }
                Ok(())
            }
            FromHolder::Hello { .. } | FromHolder::CrashAt { .. } => {
                Err("A holder says hello once on a connection, and asks about crash points on another.".to_owned())
            }
            FromHolder::CrashPoints { names }
                if names.len() > CRASH_POINTS_MAX || names.iter().any(|name| name.len() > CRASH_POINT_LENGTH_MAX) =>
            {
                Err(format!("A process has at most {CRASH_POINTS_MAX} crash points of {CRASH_POINT_LENGTH_MAX} bytes."))
            }
            FromHolder::CrashPoints { names } => {
                self.faults.declare_crash_points(&holder.name, names);
                Ok(())
            }
            FromHolder::FaultsApplied { change } => {
                holder.faults.acknowledge(change);
                Ok(())
            }
            FromHolder::FaultsHappened { counts } if counts.len() > FAULTS_MAX => {
                Err(format!("One line may count at most {FAULTS_MAX} faults."))
            }
            FromHolder::FaultsHappened { counts } => {
                self.faults.happened(&counts);
                Ok(())
            }
            FromHolder::Acknowledge { service, generation } => {
                // What this connection was never told cannot have been applied.
                if let Some((told, _)) = holder.told.get(&service) {
                    let generation = generation.min(*told);
                    let laggard = self.services.get(&service).map(|published| published.laggard);
                    if laggard.is_some_and(|laggard| laggard == id || laggard == ConnectionId::default()) {
                        self.touched.add(&service);
                    }
                    let held = holder.acknowledged.entry(service).or_insert(generation);
                    *held = generation.max(*held);
                }
                Ok(())
            }
            FromHolder::Report { edges } if edges.len() > EDGES_PER_REPORT_MAX => {
                Err(format!("One report may name at most {EDGES_PER_REPORT_MAX} edges."))
            }
            FromHolder::Report { edges } => {
                self.reports.add(&holder.name, edges);
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
            // It is back already, on another connection.
            self.drop_if(|held| !held.connected && held.name == name);
        } else {
            self.reports.silence(&name);
        }
    }

    /// A holder's process is gone: nobody waits for it any more. Its counters stay in the sums.
    pub fn forget(&mut self, name: &HolderName) {
        self.drop_if(|held| held.name == *name);
        self.reports.forget(name);
    }

    /// Holders that said since the last call that they end.
    pub fn newly_leaving(&mut self) -> Vec<HolderName> {
        std::mem::take(&mut self.leaving)
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
        let Held { faults, name, watches, version, .. } = holder;
        if let Some(line) = self.faults.next_line(faults, name, watches, *version) {
            return Some(line);
        }
        if holder.watches == Watches::All && holder.routing != self.routing {
            holder.routing.clone_from(&self.routing);
            return self.routing.as_deref().cloned().map(FromPublisher::Routing);
        }
        if let Some(line) = told::concurrency(holder, self.routing.as_ref()) {
            return Some(line);
        }
        let Some((service, published)) = holder.untold.pop_first().and_then(|it| self.services.get_key_value(&it))
        else {
            // Last, so that whoever serves a caller knows where its callees are.
            return told::callers(holder, self.callers.as_ref());
        };
        let now_told = (published.generation, Arc::clone(&published.endpoints));
        let line = match holder.told.insert(service.clone(), now_told) {
            None => published.snapshot(service),
            Some((from, before)) => published.delta(service, from, &before),
        };
        Some(line)
    }

    /// Services whose acknowledged generation rose: every holder that watches the service has acknowledged it, or its
    /// lease has run out. Each rise is returned once.
    pub fn newly_acknowledged(&mut self, now: Millis) -> Vec<(ServiceName, Generation)> {
        self.attend(now);
        self.drop_lapsed(now);
        if now < self.unseen_until {
            return Vec::new();
        }
        let touched = match std::mem::replace(&mut self.touched, Touched::Only(BTreeSet::new())) {
            Touched::All => self.unacknowledged.clone(),
            Touched::Only(services) => services,
        };
        let mut risen = Vec::new();
        for service in touched {
            let Some(published) = self.services.get_mut(&service) else { continue };
            let acknowledged = |id: ConnectionId| {
                let holder = self.holders.get(&id).filter(|holder| holder.counts(self.settings.lease, now))?;
                Some(holder.acknowledged.get(&service).copied())
            };
            if let Some(generation) = published.rise(self.watchers.of(&service), acknowledged) {
                risen.push((service.clone(), generation));
            }
            if published.acknowledged == Some(published.generation) {
                self.unacknowledged.remove(&service);
            }
        }
        risen
    }

    /// When it is to be looked at again, if nothing else happens: after a heartbeat, or sooner when
    /// [`Publisher::newly_acknowledged`] or [`Publisher::newly_happened`] may have news then.
    #[must_use]
    pub fn wake_at(&self, now: Millis) -> Millis {
        let next = now.after(self.settings.heartbeat);
        let next = self.faults.wake_at().map_or(next, |at| at.min(next));
        if self.unacknowledged.is_empty() {
            return next;
        }
        // A little too soon at times, which spares looking at each lease.
        let soon = self.lapses_from.max(now.after(Duration::from_millis(1)));
        let soon = if self.unseen_until > now { soon.min(self.unseen_until) } else { soon };
        soon.min(next)
    }

    /// The sums of what holders reported, by caller and callee; those of holders that are gone included.
    #[must_use]
    pub fn edges(&self) -> Vec<EdgeReport> {
        self.reports.sums()
    }

    /// How many connections are open.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.holders.values().filter(|holder| holder.connected).count()
    }

    fn drop_if(&mut self, is_gone: impl Fn(&Held) -> bool) {
        for (id, gone) in self.holders.extract_if(.., |_, holder| is_gone(holder)) {
            self.watchers.leave(id, &gone.watches);
            self.touched = Touched::All;
        }
    }

    /// Lets go of holders that are disconnected and past their lease. A connected one past its lease stays: it is not
    /// waited for, until it speaks again.
    fn drop_lapsed(&mut self, now: Millis) {
        if now < self.lapses_from {
            return;
        }
        self.touched = Touched::All;
        let lease = self.settings.lease;
        self.drop_if(|holder| !holder.connected && !holder.counts(lease, now));
        let ends = self.holders.values().map(|holder| holder.heard.after(lease)).filter(|end| *end > now);
        self.lapses_from = ends.min().unwrap_or_else(|| now.after(lease));
        let live = self.holders.values().map(|held| &held.name).collect();
        self.reports.keep(&live, self.settings.holders_max);
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
