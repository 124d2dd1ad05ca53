//! From an application to what shall run: each service's launch settings, the gateway's, and its routing table. Pure.

use crate::folders::Folders;
use shoal_discovery::{ListenerRoutes, RoutingTable};
use shoal_model::{
    Application, Database, LaunchSettings, Limits, Listen, ProbeCheck, ProbeSettings, Probes, Replacement, Route, Run,
    Service, ServiceName,
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
            let route = Route { host: None, path: "/".to_owned(), service: service.clone(), limits: Limits::default() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const MANIFEST: &str = r#"
        [application]
        name = "shop"
        [gateway]
        listen = "127.0.0.1:8080"
        routes = [{ path = "/", service = "pages" }]
        [services.pages]
        run = { command = ["true"] }
        calls = ["stock-room"]
        settings = { greeting = "hello" }
        [services.pages.env]
        OTEL_SERVICE_NAME = "my-own"
        [services.stock-room]
        run = { command = ["true"] }
        database = "sqlite"
        [services.alone]
        run = { cargo = "alone" }
    "#;

    struct World {
        _folder: tempfile::TempDir,
        folders: Folders,
        application: Application,
        ports: InnerPorts,
    }

    fn world(manifest: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let application = shoal_manifest::parse(manifest, &folder.path().join("shoal.toml")).unwrap().application;
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        let ports = called(&application).into_iter().zip(20_001..).collect();
        World { _folder: folder, folders, application, ports }
    }

    impl World {
        fn launch(&self, name: &str) -> LaunchSettings {
            let name = name.parse().unwrap();
            launch(&self.application, &name, &self.application.services[&name], &self.folders, &self.ports)
        }

        fn gateway(&self, public: Option<&str>) -> Option<LaunchSettings> {
            let public = public.map(|address| address.parse().unwrap());
            gateway_launch(&self.application, Path::new("/bin/shoal"), &self.folders, public, &self.ports)
        }
    }

    #[test]
    fn a_service_is_told_of_what_it_calls_and_of_nothing_else() {
        let world = world(MANIFEST);
        let pages = world.launch("pages").env;
        assert_eq!(pages["STOCK_ROOM_URL"], "http://127.0.0.1:20001");
        assert_eq!(pages["SHOAL_CALLS"], "stock-room");
        assert_eq!(pages["SHOAL_SETTINGS"], r#"{"greeting":"hello"}"#);
        assert!(!pages.contains_key("DATABASE_URL"));
        let stock = world.launch("stock-room").env;
        assert!(!stock.keys().any(|name| name.ends_with("_URL") && name != "DATABASE_URL"), "{stock:?}");
        assert_eq!((stock["SHOAL_CALLS"].as_str(), stock.get("SHOAL_SETTINGS")), ("", None));
    }

    #[test]
    fn a_database_is_a_file_in_the_services_own_folder() {
        let world = world(MANIFEST);
        let env = world.launch("stock-room").env;
        let data = PathBuf::from(&env["SHOAL_DATA"]);
        assert!(data.is_absolute() && data.ends_with(".shoal/data/stock-room"));
        assert_eq!(env["DATABASE_URL"], format!("sqlite://{}/stock-room.db", data.display()));
        assert_eq!(env["SHOAL_DISCOVERY"], world.folders.discovery_socket().display().to_string());
    }

    #[test]
    fn telemetry_is_named_unless_the_manifest_did() {
        let world = world(MANIFEST);
        let (pages, stock) = (world.launch("pages").env, world.launch("stock-room").env);
        assert_eq!(pages["OTEL_SERVICE_NAME"], "my-own");
        assert_eq!(stock["OTEL_SERVICE_NAME"], "stock-room");
        assert_eq!(stock["OTEL_RESOURCE_ATTRIBUTES"], "service.namespace=shop");
    }

    #[test]
    fn the_gateway_has_one_socket_per_called_service_and_the_public_one() {
        let world = world(MANIFEST);
        let launch = world.gateway(Some("127.0.0.1:8080")).unwrap();
        let sockets: Vec<String> = launch.sockets.iter().map(|(name, address)| format!("{name} {address}")).collect();
        assert_eq!(sockets, ["public 127.0.0.1:8080", "to-stock-room 127.0.0.1:20001"]);
        assert_eq!((launch.listen, launch.replacement), (Listen::Fd, Replacement::StopFirst));
        assert_eq!(launch.command, ["/bin/shoal", "__gateway"]);
        assert_eq!(world.gateway(None).unwrap().sockets.len(), 1, "callers need it even without a public address");
    }

    #[test]
    fn an_application_that_nobody_calls_needs_no_gateway() {
        let world = world("[application]\nname = \"x\"\n[services.a]\nrun = { command = [\"true\"] }\n");
        assert_eq!(world.gateway(None), None);
        assert!(routing(&world.application, &world.ports).listeners.is_empty());
        assert_eq!(public_url(&world.application, None), "");
    }

    #[test]
    fn every_inner_listener_leads_to_its_own_service_alone() {
        let world = world(MANIFEST);
        let table = routing(&world.application, &world.ports);
        let names: Vec<&str> = table.listeners.keys().map(String::as_str).collect();
        assert_eq!(names, ["public", "to-stock-room"]);
        let inner = &table.listeners["to-stock-room"].routes;
        assert_eq!(
            inner.iter().map(|route| (route.path.as_str(), route.service.as_str())).collect::<Vec<_>>(),
            [("/", "stock-room")]
        );
        assert_eq!(table.listeners["public"].routes[0].service.as_str(), "pages");
        assert_eq!(public_url(&world.application, Some("127.0.0.1:8080".parse().unwrap())), "http://127.0.0.1:8080");
    }
}
