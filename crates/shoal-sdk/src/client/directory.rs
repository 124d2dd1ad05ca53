//! Where the callees of a process are: followed from the supervisor, or fixed. Never: forgets endpoints because the
//! supervisor is gone.

use super::channel::Channel;
use crate::StartError;
use crate::environment::fixed_endpoint;
use crate::variables::Variables;
use shoal_discovery::{Edge, Edges, Follower, HolderName, Watches};
use shoal_model::{Address, Endpoint, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// How often requests at endpoints that left are looked at, while there are some.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A channel for each callee, kept up to date.
pub(crate) struct Directory {
    channels: Arc<Channels>,
    /// Fixed addresses, for a process that nobody tells of endpoints.
    variables: Variables,
    following: Option<Arc<Following>>,
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
    by_callee: Mutex<BTreeMap<ServiceName, Channel>>,
}

impl Directory {
    /// Starts to follow the declared calls, where `SHOAL_DISCOVERY` says from whom. Needs a tokio runtime.
    pub fn start(variables: &Variables, service: &ServiceName) -> Result<Arc<Self>, StartError> {
        let channels =
            Arc::new(Channels { edges: Edges::new(service.as_str()), by_callee: Mutex::new(BTreeMap::new()) });
        let calls = variables.calls()?;
        let mut following = None;
        if let Some(socket) = variables.path("SHOAL_DISCOVERY")
            && !calls.is_empty()
        {
            for callee in &calls {
                channels.declare(callee);
            }
            let holder = variables.get("SHOAL_REPLICA").unwrap_or(service.as_str());
            let holder = HolderName(holder.to_owned());
            let follower = Follower::start(socket, holder, Watches::Only(calls.clone()), channels.edges.clone());
            let task = tokio::spawn(follow(follower, calls, Arc::clone(&channels)));
            following = Some(Arc::new(Following(task.abort_handle())));
        }
        Ok(Arc::new(Self { channels, variables: variables.clone(), following }))
    }

    pub fn of_tests() -> Self {
        Self {
            channels: Arc::new(Channels { edges: Edges::new("tests"), by_callee: Mutex::new(BTreeMap::new()) }),
            variables: Variables::default(),
            following: None,
        }
    }

    pub fn declare(&self, callee: &ServiceName) {
        self.channels.declare(callee);
    }

    pub fn apply(&self, callee: &ServiceName, endpoints: &[Endpoint]) {
        if let Some(channel) = self.channels.get(callee) {
            channel.apply(endpoints);
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
        channel.apply(&[fixed_endpoint(callee, Address::Tcp(address))]);
        Some(channel)
    }
}

impl Channels {
    fn by_callee(&self) -> MutexGuard<'_, BTreeMap<ServiceName, Channel>> {
        self.by_callee.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn declare(&self, callee: &ServiceName) -> Channel {
        let mut by_callee = self.by_callee();
        let channel = by_callee.entry(callee.clone());
        channel.or_insert_with(|| Channel::new(callee, self.edges.to(callee))).clone()
    }

    /// Waits until no request is in flight at an endpoint that has left.
    async fn nothing_leaving(&self) {
        while self.by_callee().values().any(|channel| channel.leaving() > 0) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn get(&self, callee: &ServiceName) -> Option<Channel> {
        self.by_callee().get(callee).cloned()
    }
}

/// Applies each view, and says so once what was sent to endpoints that left is answered.
async fn follow(follower: Follower, calls: BTreeSet<ServiceName>, channels: Arc<Channels>) {
    let mut views = follower.watch();
    let mut applied = BTreeMap::new();
    loop {
        let view = Arc::clone(&views.borrow_and_update());
        for callee in &calls {
            let Some((generation, endpoints)) = view.endpoints.get(callee) else {
                continue;
            };
            // A supervisor that starts anew may count from a lower generation, so the endpoints are compared as well.
            let now = (*generation, endpoints.clone());
            if applied.get(callee) != Some(&now) {
                if let Some(channel) = channels.get(callee) {
                    channel.apply(endpoints);
                }
                applied.insert(callee.clone(), now);
            }
        }
        let news = tokio::select! {
            news = views.changed() => news,
            () = channels.nothing_leaving() => {
                follower.applied(&view);
                views.changed().await
            }
        };
        if news.is_err() {
            return;
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
