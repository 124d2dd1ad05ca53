//! From an application to what shall run: each service's launch settings, the gateway's, and its routing table. Pure.

use crate::folders::Folders;
use shoal_discovery::{ListenerRoutes, RoutingTable};
use shoal_model::{
    Application, Database, LaunchSettings, Listen, ProbeCheck, ProbeSettings, Probes, Replacement, Route, Run, Service,
    ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// The name of the gateway's public socket.
const PUBLIC: &str = "public";

/// Ports of the gateway's inner listeners, one per service that somebody calls.
pub type InnerPorts = BTreeMap<ServiceName, u16>;

/// The services that somebody calls, and that therefore need an inner listener.
#[must_use]
pub fn called(application: &Application) -> BTreeSet<ServiceName> {
    application.services.values().flat_map(|service| service.calls.iter().cloned()).collect()
}

/// The name of the gateway's socket that leads to `service` and nowhere else.
#[must_use]
pub fn inner_listener(service: &ServiceName) -> String {
    format!("to-{service}")
}

/// What a replica of `service` is started with. The command of a Cargo package is still its package's name.
#[must_use]
pub fn launch(
    application: &Application,
    name: &ServiceName,
    service: &Service,
    folders: &Folders,
    ports: &InnerPorts,
) -> LaunchSettings {
    let command = match &service.run {
        Run::Cargo(package) => vec![package.clone()],
        Run::Command(command) => command.clone(),
    };
    LaunchSettings {
        command,
        folder: service.source.path.clone(),
        env: environment(application, name, service, folders, ports),
        listen: service.listen,
        sockets: BTreeMap::new(),
        calls: service.calls.clone(),
        database: service.database,
        probes: service.probes.clone(),
        drain_timeout: service.drain_timeout,
        replacement: Replacement::StartFirst,
    }
}

fn environment(
    application: &Application,
    name: &ServiceName,
    service: &Service,
    folders: &Folders,
    ports: &InnerPorts,
) -> BTreeMap<String, String> {
    let mut env = service.env.clone();
    let data = folders.data(name.as_str());
    env.insert("SHOAL_DATA".to_owned(), data.display().to_string());
    env.insert("SHOAL_DISCOVERY".to_owned(), folders.discovery_socket().display().to_string());
    let calls: Vec<&str> = service.calls.iter().map(ServiceName::as_str).collect();
    env.insert("SHOAL_CALLS".to_owned(), calls.join(","));
    if let Some(settings) = &service.settings {
        env.insert("SHOAL_SETTINGS".to_owned(), settings.clone());
    }
    if service.database == Some(Database::Sqlite) {
        env.insert("DATABASE_URL".to_owned(), format!("sqlite://{}", data.join(format!("{name}.db")).display()));
    }
    for callee in &service.calls {
        if let Some(port) = ports.get(callee) {
            env.insert(callee.url_variable(), format!("http://127.0.0.1:{port}"));
        }
    }
    env.entry("OTEL_SERVICE_NAME".to_owned()).or_insert_with(|| name.to_string());
    env.entry("OTEL_RESOURCE_ATTRIBUTES".to_owned())
        .or_insert_with(|| format!("service.namespace={}", application.name));
    env
}

/// What the gateway is started with; `None` when the application needs none.
#[must_use]
pub fn gateway_launch(
    application: &Application,
    shoal: &Path,
    folders: &Folders,
    public: Option<SocketAddr>,
    ports: &InnerPorts,
) -> Option<LaunchSettings> {
    let mut sockets: BTreeMap<String, SocketAddr> =
        ports.iter().map(|(service, port)| (inner_listener(service), (Ipv4Addr::LOCALHOST, *port).into())).collect();
    sockets.extend(public.map(|address| (PUBLIC.to_owned(), address)));
    if sockets.is_empty() {
        return None;
    }
    let env = [("SHOAL_DISCOVERY", folders.discovery_socket()), ("SHOAL_DATA", folders.data("gateway"))];
    Some(LaunchSettings {
        command: vec![shoal.display().to_string(), "__gateway".to_owned()],
        folder: folders.application.clone(),
        env: env.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())).collect(),
        listen: Listen::Fd,
        sockets,
        calls: called(application),
        database: None,
        probes: gateway_probes(),
        drain_timeout: Duration::from_secs(30),
        replacement: Replacement::StopFirst,
    })
}

fn gateway_probes() -> Probes {
    let probe = |period, failures_max| ProbeSettings {
        check: ProbeCheck::Sdk { hang_after: Duration::from_secs(10) },
        period,
        timeout: Duration::from_secs(2),
        failures_max,
    };
    Probes {
        startup: probe(Duration::from_millis(500), 60),
        readiness: probe(Duration::from_secs(2), 2),
        liveness: probe(Duration::from_secs(5), 3),
    }
}

/// Which requests the gateway's listeners take, and where they go.
#[must_use]
pub fn routing(application: &Application, ports: &InnerPorts) -> RoutingTable {
    let mut listeners: BTreeMap<String, ListenerRoutes> = ports
        .keys()
        .map(|service| {
            let route = Route { host: None, path: "/".to_owned(), service: service.clone() };
            (inner_listener(service), ListenerRoutes { tls: None, routes: vec![route] })
        })
        .collect();
    if let Some(gateway) = &application.gateway {
        let routes = ListenerRoutes { tls: gateway.tls.clone(), routes: gateway.routes.clone() };
        listeners.insert(PUBLIC.to_owned(), routes);
    }
    RoutingTable { listeners }
}

/// The address a person types, such as `http://127.0.0.1:8080`.
#[must_use]
pub fn public_url(application: &Application, public: Option<SocketAddr>) -> String {
    let scheme =
        if application.gateway.as_ref().is_some_and(|gateway| gateway.tls.is_some()) { "https" } else { "http" };
    public.map(|address| format!("{scheme}://{address}")).unwrap_or_default()
}
