//! A view from discovery, made ready to serve: routes to search, balancers to pick from. Built once for all cores.

use crate::destination::{Destination, Target};
use crate::disturbance::Disturbance;
use crate::route::RouteTable;
use crate::tls;
use shoal_discovery::{Edges, Faults, View};
use shoal_model::{Address, Endpoint, Generation, Limits, Route, ServiceName, Tls};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// What every core serves by, until the next one.
#[derive(Default)]
pub(crate) struct Applied {
    /// Listeners that may accept, by name.
    pub(crate) listeners: BTreeMap<String, Listening>,
    /// Every address that takes new requests.
    pub(crate) addresses: BTreeSet<Address>,
    /// What keeps the gateway from being ready, in sentences; empty when it is.
    pub(crate) problems: Vec<String>,
}

/// What one listener does with its requests.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) routes: RouteTable<Arc<Destination>>,
    pub(crate) tls: Option<TlsAcceptor>,
    /// The most headers, and the largest head in bytes, that any of its routes takes.
    pub(crate) headers_max: usize,
    pub(crate) header_bytes_max: usize,
    /// The shortest time that any of its routes lets an answer be left untaken.
    pub(crate) idle_min: Duration,
}

/// A listener's name, and a route's host and path.
type RouteKey = (String, Option<String>, String);

/// Builds one [`Applied`] after the other; keeps what lives across them.
pub(crate) struct Builder {
    edges: Edges,
    faults: Faults,
    /// The listeners this process has sockets for.
    sockets: BTreeSet<String>,
    targets: BTreeMap<ServiceName, Arc<Target>>,
    destinations: BTreeMap<RouteKey, Arc<Destination>>,
    /// By caller and callee.
    calls: BTreeMap<(ServiceName, ServiceName), Arc<Destination>>,
    /// What the balancers were last given.
    given: BTreeMap<ServiceName, (Generation, Arc<[Endpoint]>)>,
    acceptors: BTreeMap<(std::path::PathBuf, std::path::PathBuf), TlsAcceptor>,
}

impl Builder {
    /// Nothing applied yet.
    pub(crate) fn new(edges: Edges, faults: Faults, sockets: BTreeSet<String>) -> Self {
        Self {
            edges,
            faults,
            sockets,
            targets: BTreeMap::new(),
            destinations: BTreeMap::new(),
            calls: BTreeMap::new(),
            given: BTreeMap::new(),
            acceptors: BTreeMap::new(),
        }
    }

    /// What to serve by for this view. The balancers pick from its endpoints from now on.
    pub(crate) fn build(&mut self, view: &View) -> Applied {
        let mut applied = Applied::default();
        for (service, published) in &view.endpoints {
            let target = self.target(service);
            target.set_concurrency_max(view.concurrency_max.get(service).map(|most| u64::from(*most)));
            if self.given.get(service) != Some(published) {
                target.replace(&published.1);
                self.given.insert(service.clone(), published.clone());
            }
            applied.addresses.extend(published.1.iter().map(|endpoint| endpoint.address.clone()));
        }
        self.listeners(view, &mut applied);
        applied
    }

    fn target(&mut self, service: &ServiceName) -> Arc<Target> {
        let new = || Arc::new(Target::new(service.clone()));
        Arc::clone(self.targets.entry(service.clone()).or_insert_with(new))
    }

    /// Where a route leads; the same as in the view before, unless it changed.
    fn destination(&mut self, listener: &str, route: &Route) -> Arc<Destination> {
        let key = (listener.to_owned(), route.host.clone(), route.path.clone());
        let known = self.destinations.get(&key).filter(|known| known.target.service == route.service);
        let destination = match known {
            Some(known) if known.limits == route.limits => return Arc::clone(known),
            Some(changed) => changed.with_limits(route.limits.clone()),
            None => {
                let edge = self.edges.to(&route.service);
                let disturbance = Disturbance::new(ServiceName::gateway(), self.faults.clone());
                Destination::new(self.target(&route.service), edge, route.limits.clone(), disturbance)
            }
        };
        let destination = Arc::new(destination);
        self.destinations.insert(key, Arc::clone(&destination));
        destination
    }

    /// Where the calls of a service to another go, from each of its replicas.
    pub(crate) fn call(&mut self, caller: &ServiceName, callee: &ServiceName) -> Arc<Destination> {
        let key = (caller.clone(), callee.clone());
        if let Some(known) = self.calls.get(&key) {
            return Arc::clone(known);
        }
        let edge = self.edges.between(caller.as_str(), callee);
        let disturbance = Disturbance::new(caller.clone(), self.faults.clone());
        let destination = Arc::new(Destination::new(self.target(callee), edge, Limits::default(), disturbance));
        self.calls.insert(key, Arc::clone(&destination));
        destination
    }

    /// Requests in flight at endpoints of a service that have left.
    pub(crate) fn leaving(&self, service: &ServiceName) -> u64 {
        self.targets.get(service).map_or(0, |target| target.balancer.leaving())
    }

    fn listeners(&mut self, view: &View, applied: &mut Applied) {
        let Some(table) = &view.routing else {
            applied.problems.push("the supervisor has not told the routes yet".to_owned());
            return;
        };
        for name in &self.sockets.clone() {
            let Some(listener) = table.listeners.get(name) else {
                applied.problems.push(format!("no routes are known for the listener `{name}`"));
                continue;
            };
            let tls = listener.tls.as_ref().map(|tls| acceptor(&mut self.acceptors, tls)).transpose();
            match tls {
                Ok(tls) => {
                    let listening = self.listening(name, &listener.routes, tls);
                    applied.listeners.insert(name.clone(), listening);
                }
                Err(why) => applied.problems.push(format!("the listener `{name}` cannot serve: {why}")),
            }
        }
    }

    fn listening(&mut self, name: &str, routes: &[Route], tls: Option<TlsAcceptor>) -> Listening {
        let most = |of: fn(&Limits) -> usize| routes.iter().map(|route| of(&route.limits)).max();
        let usual = Limits::default();
        Listening {
            headers_max: most(|limits| limits.headers_max).unwrap_or(usual.headers_max),
            header_bytes_max: most(|limits| limits.header_bytes_max).unwrap_or(usual.header_bytes_max),
            idle_min: routes.iter().map(|route| route.limits.idle_timeout).min().unwrap_or(usual.idle_timeout),
            routes: RouteTable::new(routes.iter().map(|route| (route, self.destination(name, route)))),
            tls,
        }
    }
}

fn acceptor(
    known: &mut BTreeMap<(std::path::PathBuf, std::path::PathBuf), TlsAcceptor>,
    tls: &Tls,
) -> Result<TlsAcceptor, String> {
    let key = (tls.certificate.clone(), tls.key.clone());
    if let Some(acceptor) = known.get(&key) {
        return Ok(acceptor.clone());
    }
    let made = tls::acceptor(tls)?;
    known.insert(key, made.clone());
    Ok(made)
}
