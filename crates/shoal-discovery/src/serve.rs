//! The publisher's IO: accepts holders on the discovery socket and tells each what it watches.
//!
//! Never: decides what is published, waits for a slow holder, or trusts a holder's numbers.

use crate::fault_ledger::PublishedFault;
use crate::lines::{read_line, write_line};
use crate::messages::{Caller, EdgeReport, FAULTS_MAX, FromHolder, FromPublisher, HolderName, LINE_MAX, RoutingTable};
use crate::publisher::{ConnectionId, CrashAnswer, Publisher, PublisherSettings, refuse_version};
use serde::Deserialize;
use shoal_model::{Endpoint, FaultId, Generation, Millis, Observation, ReplicaName, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::BufReader;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// The publisher's limits and times.
pub type DiscoverySettings = PublisherSettings;

/// How long a new connection may take to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a holder may take to read one line before its connection is closed.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a process at a crash point waits until it is kept that it dies; it waits a little longer for its answer.
const KEEP_TIMEOUT: Duration = Duration::from_millis(1_500);
/// The most faults of which it is remembered how often they have happened for good.
const KEPT_MAX: usize = 2 * FAULTS_MAX;
/// How often it is looked whether faults are applied. Not every holder that is waited for has anything to say.
const APPLIED_LOOK: Duration = Duration::from_millis(5);
/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Publishes endpoints and routes on a Unix socket for as long as it is kept; dropping it closes every connection.
#[derive(Debug)]
pub struct DiscoveryServer {
    shared: Arc<Shared>,
    tasks: [JoinHandle<()>; 2],
}

#[derive(Debug)]
struct Shared {
    publisher: Mutex<Publisher>,
    /// Sent to whenever the publisher's state changed: connections look for lines, the observer for acknowledgements.
    changed: watch::Sender<()>,
    /// How often faults have happened, as far as that is kept.
    kept: watch::Sender<BTreeMap<FaultId, u64>>,
    clock: Clock,
}

/// Milliseconds since the epoch that only move forward, whatever is done to the machine's clock.
#[derive(Debug)]
struct Clock {
    started: Instant,
    started_at: Millis,
}

impl DiscoveryServer {
    /// Serves holders with the usual lease (3 s) and limits. Observations of acknowledged routes, and of holders that end,
    /// go to `observations`.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    #[must_use]
    pub fn start(listener: UnixListener, observations: mpsc::Sender<Observation>) -> Self {
        Self::start_with(DiscoverySettings::default(), listener, observations)
    }

    /// As [`DiscoveryServer::start`], with other times and limits.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    #[must_use]
    pub fn start_with(
        settings: DiscoverySettings,
        listener: UnixListener,
        observations: mpsc::Sender<Observation>,
    ) -> Self {
        let clock = Clock::start();
        let heartbeat = settings.heartbeat.max(Duration::from_millis(10));
        let publisher = Mutex::new(Publisher::new(settings, clock.now()));
        let shared =
            Arc::new(Shared { publisher, changed: watch::Sender::default(), kept: watch::Sender::default(), clock });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), heartbeat));
        let observing = tokio::spawn(observe(Arc::clone(&shared), observations));
        Self { shared, tasks: [accepting, observing] }
    }

    /// What callers of a service shall see. A generation lower than the one published is ignored.
    pub fn publish(&self, service: ServiceName, generation: Generation, endpoints: Vec<Endpoint>) {
        self.shared.publisher().publish(service, generation, endpoints);
        self.shared.changed.send_replace(());
    }

    /// The gateway's routes.
    pub fn set_routing(&self, table: RoutingTable) {
        self.shared.publisher().set_routing(table);
        self.shared.changed.send_replace(());
    }

    /// The replicas whose calls the gateway serves.
    pub fn set_callers(&self, callers: Arc<BTreeMap<ReplicaName, Caller>>) {
        self.shared.publisher().set_callers(callers);
        self.shared.changed.send_replace(());
    }

    /// What is to go wrong on purpose: all of it, at each change, and once at the start even if it is nothing. Whom each
    /// concerns is known here.
    pub fn set_faults(&self, faults: Vec<PublishedFault>) {
        self.shared.publisher().set_faults(faults);
        self.shared.changed.send_replace(());
    }

    /// Returns once every live holder makes the faults happen that were last set (`true`), or after `within`; later than
    /// that while an earlier server's holders may still come back.
    pub async fn faults_applied(&self, within: Duration) -> bool {
        let within = within.max(self.shared.publisher().unseen_for(self.shared.clock.now()) + APPLIED_LOOK);
        let applied = async {
            while !self.shared.publisher().faults_applied(self.shared.clock.now()) {
                tokio::time::sleep(APPLIED_LOOK).await;
            }
        };
        tokio::time::timeout(within, applied).await.is_ok()
    }

    /// The holders that may go on as they were told before the faults were last set.
    #[must_use]
    pub fn faults_unheard(&self) -> BTreeSet<HolderName> {
        self.shared.publisher().faults_unheard()
    }

    /// It is kept that faults have happened so often: who waits to die by one of them may do so.
    pub fn faults_kept(&self, totals: &[(FaultId, u64)]) {
        if totals.is_empty() {
            return;
        }
        self.shared.kept.send_modify(|kept| {
            kept.extend(totals.iter().copied());
            while kept.len() > KEPT_MAX {
                kept.pop_first();
            }
        });
    }

    /// How often a fault has happened, also one that was taken away lately: all of it, once that is applied.
    #[must_use]
    pub fn fault_total(&self, id: FaultId) -> Option<u64> {
        self.shared.publisher().fault_total(id)
    }

    /// Where processes of this service can be made to die; `None` when none of them has said anything to this server.
    #[must_use]
    pub fn crash_points(&self, service: &ServiceName) -> Option<BTreeSet<String>> {
        self.shared.publisher().crash_points(service).cloned()
    }

    /// Counters per edge, summed over holders; those of holders that are gone included, so totals only grow while this
    /// server lives. A new server knows what its holders report: totals since each of them started.
    #[must_use]
    pub fn edges(&self) -> Vec<EdgeReport> {
        self.shared.publisher().edges()
    }

    /// A holder's process is gone: nobody waits for its lease.
    pub fn forget_holder(&self, holder: &HolderName) {
        self.shared.publisher().forget(holder);
        self.shared.changed.send_replace(());
    }

    /// How many holders are connected now.
    #[must_use]
    pub fn connected(&self) -> usize {
        self.shared.publisher().connected()
    }
}

impl Drop for DiscoveryServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Shared {
    fn publisher(&self) -> MutexGuard<'_, Publisher> {
        self.publisher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: Millis::default().after(since_epoch) }
    }

    fn now(&self) -> Millis {
        self.started_at.after(self.started.elapsed())
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>, heartbeat: Duration) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => drop(connections.spawn(connection(stream, Arc::clone(&shared), heartbeat))),
                Err(error) => {
                    tracing::warn!("discovery: cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("discovery: a connection's task failed: {error}");
                }
            }
        }
    }
}

/// Sends an observation for each generation that nobody lags behind any more, each holder that ends, and each fault that
/// has happened.
async fn observe(shared: Arc<Shared>, observations: mpsc::Sender<Observation>) {
    let mut changed = shared.changed.subscribe();
    loop {
        changed.mark_unchanged();
        let (risen, leaving, happened, wake_at) = {
            let now = shared.clock.now();
            let mut publisher = shared.publisher();
            let (risen, leaving) = (publisher.newly_acknowledged(now), publisher.newly_leaving());
            (risen, leaving, publisher.newly_happened(now), publisher.wake_at(now))
        };
        // A holder that is not a replica is nobody's to replace.
        let leaving = leaving.into_iter().filter_map(|holder| holder.0.parse().ok());
        let leaving = leaving.map(|replica| Observation::ReplicaLeaving { replica });
        let risen = risen.into_iter();
        let risen = risen.map(|(service, generation)| Observation::RoutesAcknowledged { service, generation });
        let happened = happened.into_iter().map(|(fault, total)| Observation::FaultHappened { fault, total });
        for observation in leaving.chain(risen).chain(happened) {
            if observations.send(observation).await.is_err() {
                return; // Nobody observes any more: the supervisor is ending.
            }
        }
        let pause = wake_at.since(shared.clock.now());
        tokio::select! {
            result = changed.changed() => if result.is_err() { return },
            () = tokio::time::sleep(pause + Duration::from_millis(1)) => {}
        }
    }
}

/// One holder's connection, from its hello to its end.
async fn connection(stream: UnixStream, shared: Arc<Shared>, heartbeat: Duration) {
    let (read, mut write) = stream.into_split();
    let mut reader = BufReader::new(read);
    let joined = match join(&mut reader, &shared).await {
        Ok(Joined::Holder(id)) => Ok(id),
        Ok(Joined::AtCrashPoint(answer)) => return answer_crash(&mut write, &shared, answer).await,
        Err(why) => Err(why),
    };
    let id = match joined {
        Ok(id) => id,
        Err(why) => {
            tracing::warn!("discovery: refused a holder: {why}");
            if let Err(error) = write_in_time(&mut write, &FromPublisher::Refused { why }).await {
                tracing::debug!("discovery: the refused holder did not read why: {error}");
            }
            return;
        }
    };
    let _leave = Leave { shared: &shared, id };
    let why = tokio::select! {
        why = hear(&mut reader, &shared, id) => why,
        why = tell(&mut write, &shared, id, heartbeat) => why,
    };
    tracing::debug!("discovery: a holder's connection ended: {why}");
}

/// Tells a process at a crash point whether it may die there.
async fn answer_crash(write: &mut OwnedWriteHalf, shared: &Shared, answer: CrashAnswer) {
    shared.changed.send_replace(());
    let may = match answer {
        CrashAnswer::No => Err("This fault is over, or is not for this process."),
        CrashAnswer::Now => Ok(()),
        CrashAnswer::OnceKept(fault, total) => {
            let mut kept = shared.kept.subscribe();
            let is_kept = kept.wait_for(|kept| kept.get(&fault).is_some_and(|kept| *kept >= total));
            let in_time = tokio::time::timeout(KEEP_TIMEOUT, is_kept).await;
            if matches!(in_time, Ok(Ok(_))) {
                Ok(())
            } else {
                Err("That it happens could not be written down in time.")
            }
        }
    };
    let line = may.map_or_else(|why| FromPublisher::Refused { why: why.to_owned() }, |()| FromPublisher::Granted);
    if let Err(error) = write_in_time(write, &line).await {
        tracing::debug!("discovery: a process at a crash point did not read whether it may die: {error}");
    }
}

/// Marks a holder as disconnected however its connection's task ends.
struct Leave<'a> {
    shared: &'a Shared,
    id: ConnectionId,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.shared.publisher().leave(self.id);
        self.shared.changed.send_replace(());
    }
}

/// Only the version of a hello: readable even when the rest is of a release to come.
#[derive(Deserialize)]
struct Greeting {
    hello: GreetingVersion,
}

#[derive(Deserialize)]
struct GreetingVersion {
    version: u32,
}

/// What the first line of a connection made of it.
enum Joined {
    Holder(ConnectionId),
    /// A process that asked whether it may die.
    AtCrashPoint(CrashAnswer),
}

async fn join(reader: &mut BufReader<OwnedReadHalf>, shared: &Shared) -> Result<Joined, String> {
    let mut line = Vec::new();
    match tokio::time::timeout(HELLO_TIMEOUT, read_line(reader, &mut line, LINE_MAX)).await {
        Err(_) => return Err(format!("No hello came within {} s.", HELLO_TIMEOUT.as_secs())),
        Ok(Err(error)) => return Err(format!("The hello cannot be read: {error}.")),
        Ok(Ok(false)) => return Err("The connection ended before its hello.".to_owned()),
        Ok(Ok(true)) => {}
    }
    if let Ok(greeting) = serde_json::from_slice::<Greeting>(&line) {
        refuse_version(greeting.hello.version)?;
    }
    let hello: FromHolder =
        serde_json::from_slice(&line).map_err(|error| format!("The first line is not a hello: {error}."))?;
    let now = shared.clock.now();
    if matches!(hello, FromHolder::CrashAt { .. }) {
        return shared.publisher().crash_at(hello, now).map(Joined::AtCrashPoint);
    }
    shared.publisher().join(hello, now).map(Joined::Holder)
}

/// Reads a holder's lines; returns why it stopped.
async fn hear(reader: &mut BufReader<OwnedReadHalf>, shared: &Shared, id: ConnectionId) -> String {
    let mut line = Vec::new();
    loop {
        match read_line(reader, &mut line, LINE_MAX).await {
            Err(error) => return format!("cannot read: {error}"),
            Ok(false) => return "the holder closed it".to_owned(),
            Ok(true) => {}
        }
        let parsed = match serde_json::from_slice::<FromHolder>(&line) {
            Ok(parsed) => parsed,
            Err(error) => return format!("a line is not understood: {error}"),
        };
        let is_news = !matches!(parsed, FromHolder::Alive | FromHolder::Report { .. });
        if let Err(why) = shared.publisher().receive(id, parsed, shared.clock.now()) {
            return why;
        }
        if is_news {
            shared.changed.send_replace(());
        }
    }
}

/// Tells a holder what is new, and that the publisher lives; returns why it stopped.
async fn tell(write: &mut OwnedWriteHalf, shared: &Shared, id: ConnectionId, heartbeat: Duration) -> String {
    let mut changed = shared.changed.subscribe();
    let mut beat = tokio::time::interval(heartbeat);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        changed.mark_unchanged();
        loop {
            let Some(line) = shared.publisher().next_line(id) else { break };
            if let Err(why) = write_in_time(write, &line).await {
                return why;
            }
        }
        tokio::select! {
            result = changed.changed() => if result.is_err() { return "the publisher ends".to_owned() },
            _ = beat.tick() => {
                if let Err(why) = write_in_time(write, &FromPublisher::Heartbeat).await {
                    return why;
                }
            }
        }
    }
}

async fn write_in_time(write: &mut OwnedWriteHalf, line: &FromPublisher) -> Result<(), String> {
    match tokio::time::timeout(WRITE_TIMEOUT, write_line(write, line)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("cannot write: {error}")),
        Err(_) => Err(format!("the holder read nothing for {} s", WRITE_TIMEOUT.as_secs())),
    }
}
