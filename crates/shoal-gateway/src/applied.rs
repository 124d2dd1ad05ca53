//! A view from discovery, made ready to serve: routes to search, balancers to pick from. Built once for all cores.

use crate::route::RouteTable;
use crate::tls;
use shoal_balance::Balancer;
use shoal_discovery::{Edge, Edges, View};
use shoal_model::{Address, ServiceName, Tls};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// What every core serves by, until the next one.
#[derive(Default)]
pub(crate) struct Applied {
    /// Counts the views.
    pub(crate) serial: u64,
    /// Listeners that may accept, by name.
    pub(crate) listeners: BTreeMap<String, Listening>,
    /// Where each service's requests go.
    pub(crate) services: BTreeMap<ServiceName, Target>,
    /// Every address that takes new requests.
    pub(crate) addresses: BTreeSet<Address>,
    /// What keeps the gateway from being ready, in sentences; empty when it is.
    pub(crate) problems: Vec<String>,
}

/// What one listener does with its requests.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) routes: RouteTable,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// One service: its replicas, shared by all cores so that each sees what the others have in flight, and its counters.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) balancer: Arc<Balancer>,
    pub(crate) edge: Edge,
}

/// Builds one [`Applied`] after the other; keeps what lives across them.
pub(crate) struct Builder {
    edges: Edges,
    /// The listeners this process has sockets for.
    sockets: BTreeSet<String>,
    targets: BTreeMap<ServiceName, Target>,
    acceptors: BTreeMap<(std::path::PathBuf, std::path::PathBuf), TlsAcceptor>,
    serial: u64,
}

impl Builder {
    /// Nothing applied yet.
    pub(crate) fn new(edges: Edges, sockets: BTreeSet<String>) -> Self {
        Self { edges, sockets, targets: BTreeMap::new(), acceptors: BTreeMap::new(), serial: 0 }
    }

    /// What to serve by for this view. The balancers pick from its endpoints from now on.
    pub(crate) fn build(&mut self, view: &View) -> Applied {
        self.serial += 1;
        let mut applied = Applied { serial: self.serial, ..Applied::default() };
        for (service, (_, endpoints)) in &view.endpoints {
            let target = self
                .targets
                .entry(service.clone())
                .or_insert_with(|| Target { balancer: Arc::new(Balancer::new()), edge: self.edges.to(service) });
            target.balancer.replace(endpoints);
            applied.addresses.extend(endpoints.iter().map(|endpoint| endpoint.address.clone()));
        }
        // Routed services that nobody has published yet have counters too.
        let routes =
            view.routing.iter().flat_map(|table| table.listeners.values()).flat_map(|listener| &listener.routes);
        for route in routes {
            self.targets
                .entry(route.service.clone())
                .or_insert_with(|| Target { balancer: Arc::new(Balancer::new()), edge: self.edges.to(&route.service) });
        }
        applied.services = self.targets.clone();
        self.listeners(view, &mut applied);
        applied
    }

    /// Requests in flight at endpoints that have left.
    pub(crate) fn leaving(&self) -> u64 {
        self.targets.values().map(|target| target.balancer.leaving()).fold(0, u64::saturating_add)
    }

    fn listeners(&mut self, view: &View, applied: &mut Applied) {
        let Some(table) = &view.routing else {
            applied.problems.push("the supervisor has not told the routes yet".to_owned());
            return;
        };
        for name in &self.sockets {
            let Some(listener) = table.listeners.get(name) else {
                applied.problems.push(format!("no routes are known for the listener `{name}`"));
                continue;
            };
            let tls = listener.tls.as_ref().map(|tls| acceptor(&mut self.acceptors, tls)).transpose();
            match tls {
                Ok(tls) => {
                    let routes = RouteTable::new(&listener.routes);
                    applied.listeners.insert(name.clone(), Listening { routes, tls });
                }
                Err(why) => applied.problems.push(format!("the listener `{name}` cannot serve: {why}")),
            }
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
