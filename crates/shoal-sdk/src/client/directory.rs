//! Where the callees of a process are: followed from the supervisor, or fixed. Never: forgets endpoints because the
//! supervisor is gone.

use super::channel::{Channel, ChannelSettings};
use super::disturbance::Disturbance;
use super::hold::HOLD_MAX;
use crate::StartError;
use crate::environment::fixed_endpoint;
use crate::faults::Supervisor;
use crate::variables::Variables;
use shoal_discovery::{Edge, Edges, Faults, Follower, HolderName, Watches};
use shoal_model::{Address, Endpoint, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

/// A channel for each callee, kept up to date.
pub(crate) struct Directory {
    channels: Arc<Channels>,
    /// Fixed addresses, for a process that nobody tells of endpoints.
    variables: Variables,
    following: Option<Arc<Following>>,
    follower: Option<Arc<Follower>>,
    supervisor: Option<Supervisor>,
}

/// The task that follows, kept for as long as somebody can call: a service may let go of its environment.
#[derive(Debug)]
pub(crate) struct Following(AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Channels {
    edges: Edges,
    faults: Faults,
    settings: ChannelSettings,
    by_callee: Mutex<BTreeMap<ServiceName, Channel>>,
    /// Told when a call ends while an acknowledgement waits for that.
    settled: Arc<Notify>,
}

impl Directory {
    /// Starts to follow the declared calls, where `SHOAL_DISCOVERY` says from whom. Needs a tokio runtime.
    pub fn start(variables: &Variables, service: &ServiceName) -> Result<Arc<Self>, StartError> {
        let channels = Arc::new(Channels::new(service.as_str(), HOLD_MAX));
        let calls = variables.calls()?;
        let (mut following, mut follower, mut supervisor) = (None, None, None);
        if let Some(socket) = variables.path("SHOAL_DISCOVERY") {
            for callee in &calls {
                channels.declare(callee);
            }
            let holder = variables.get("SHOAL_REPLICA").unwrap_or(service.as_str());
            let holder = HolderName(holder.to_owned());
            supervisor = Some(Supervisor { discovery: socket.clone(), holder: holder.clone() });
            let (edges, faults) = (channels.edges.clone(), channels.faults.clone());
            // Also for one that calls nobody: through it the supervisor hears that the process was told to stop, and tells it
            // of faults.
            let started = Arc::new(Follower::start(socket, holder, Watches::Only(calls.clone()), edges, faults));
            let task = tokio::spawn(follow(Arc::clone(&started), calls, Arc::clone(&channels)));
            following = Some(Arc::new(Following(task.abort_handle())));
            follower = Some(started);
        }
        Ok(Arc::new(Self { channels, variables: variables.clone(), following, follower, supervisor }))
    }

    /// One that follows nobody; calls are held for `hold_max`.
    pub fn fixed(name: &str, hold_max: Duration) -> Self {
        Self {
            channels: Arc::new(Channels::new(name, hold_max)),
            variables: Variables::default(),
            following: None,
            follower: None,
            supervisor: None,
        }
    }

    /// What is to go wrong on purpose, and who is asked about it.
    pub fn faults(&self) -> (Faults, Option<Supervisor>) {
        (self.channels.faults.clone(), self.supervisor.clone())
    }

    /// Tells the supervisor where this process can be made to die.
    pub fn declare_crash_points(&self, names: BTreeSet<String>) {
        if let Some(follower) = &self.follower {
            follower.declare_crash_points(names);
        }
    }

    /// Tells the supervisor that this process was told to stop; returns once it was told, or after `within`.
    pub async fn leave(&self, within: Duration) {
        if let Some(follower) = &self.follower {
            follower.leave(within).await;
        }
    }

    /// From now on, endpoints that were not called yet are called over HTTP/2 only.
    pub fn without_frames(&self) {
        self.channels.settings.frames.store(false, Ordering::Relaxed);
    }

    /// How many endpoints a callee has, and to how many of them calls go over frames.
    pub fn framed(&self, callee: &ServiceName) -> Option<(usize, usize)> {
        self.channels.get(callee).map(|channel| channel.framed())
    }

    pub fn declare(&self, callee: &ServiceName) {
        self.channels.declare(callee);
    }

    pub fn apply(&self, callee: &ServiceName, endpoints: &[Endpoint]) {
        if let Some(channel) = self.channels.get(callee) {
            channel.apply(endpoints, None);
        }
    }

    /// The counters towards a callee, and what reports them.
    pub fn edge(&self, callee: &ServiceName) -> (Edge, Option<Arc<Following>>) {
        (self.channels.edges.to(callee), self.following.clone())
    }

    /// The way to a callee; `None` when it is not declared, and no variable says where it is.
    pub fn channel(&self, callee: &ServiceName) -> Option<Channel> {
        if let Some(channel) = self.channels.get(callee) {
            return Some(channel.kept_by(self.following.clone()));
        }
        if self.following.is_some() {
            return None;
        }
        // Without discovery: the address that programs without this crate use.
        let address = self.variables.get(&callee.url_variable()).and_then(address_of)?;
        let channel = self.channels.declare(callee);
        channel.apply(&[fixed_endpoint(callee, Address::Tcp(address))], None);
        Some(channel)
    }
}

impl Channels {
    fn new(caller: &str, hold_max: Duration) -> Self {
        let (edges, settled, faults) = (Edges::new(caller), Arc::new(Notify::new()), Faults::new());
        let disturbance = caller.parse().ok().map(|caller| Disturbance::new(caller, faults.clone()));
        let settings = ChannelSettings { hold_max, frames: Arc::new(AtomicBool::new(true)), disturbance };
        Self { edges, faults, settings, by_callee: Mutex::new(BTreeMap::new()), settled }
    }

    fn by_callee(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Channel>> {
        self.by_callee.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declare(&self, callee: &ServiceName) -> Channel {
        let mut by_callee = self.by_callee();
        let channel = by_callee.entry(callee.clone());
        let settled = || Arc::clone(&self.settled);
        channel.or_insert_with(|| Channel::new(callee, self.edges.to(callee), &self.settings, settled())).clone()
    }

    fn get(&self, callee: &ServiceName) -> Option<Channel> {
        self.by_callee().get(callee).cloned()
    }
}

/// Applies each view, and acknowledges what it says of each callee once what was sent to endpoints that left is answered.
async fn follow(follower: Arc<Follower>, calls: BTreeSet<ServiceName>, channels: Arc<Channels>) {
    let mut views = follower.watch();
    let mut applied = BTreeMap::new();
    let mut due: BTreeSet<ServiceName> = BTreeSet::new();
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        for callee in &calls {
            let Some((generation, endpoints)) = view.endpoints.get(callee) else {
                continue;
            };
            let concurrency_max = view.concurrency_max.get(callee).copied();
            // A supervisor that starts anew may count from a lower generation, so the endpoints are compared as well.
            let now = (*generation, Arc::clone(endpoints), concurrency_max);
            if applied.get(callee) != Some(&now) {
                if let Some(channel) = channels.get(callee) {
                    channel.apply(endpoints, concurrency_max);
                }
                applied.insert(callee.clone(), now);
                due.insert(callee.clone());
            }
        }
        loop {
            due.retain(|callee| {
                let settled = channels.get(callee).is_none_or(|channel| channel.is_settled());
                if settled {
                    follower.applied_service(&view, callee);
                }
                !settled
            });
            tokio::select! {
                news = views.changed() => match news {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = channels.settled.notified(), if !due.is_empty() => {}
            }
        }
    }
}

/// `http://127.0.0.1:4711` → its address.
fn address_of(url: &str) -> Option<SocketAddr> {
    let rest = url.strip_prefix("http://")?;
    let authority = rest.split('/').next()?;
    if let Some(port) = authority.strip_prefix("localhost:") {
        return Some(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?)));
    }
    authority.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_callees_are_read() {
        let expected = Some("127.0.0.1:4711".parse().unwrap());
        for url in ["http://127.0.0.1:4711", "http://127.0.0.1:4711/", "http://localhost:4711"] {
            assert_eq!(address_of(url), expected, "{url}");
        }
        for url in ["", "https://127.0.0.1:1", "http://example.org:1", "127.0.0.1:1"] {
            assert_eq!(address_of(url), None, "{url}");
        }
    }
}
