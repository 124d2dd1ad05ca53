//! From an application to what shall run: each service's launch settings, the gateway's, and its routing table. Pure.

use crate::folders::Folders;
use shoal_discovery::{ListenerRoutes, RoutingTable};
use shoal_model::{Application, LaunchSettings, Listen, ProbeCheck, ProbeSettings, Probes, Run, Service, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The name of the gateway's public socket.
const PUBLIC: &str = "public";

/// The services that somebody calls.
fn called(application: &Application) -> BTreeSet<ServiceName> {
    application.services.values().flat_map(|service| service.calls.iter().cloned()).collect()
}

/// What a replica of `service` is started with, when its database is at this address. The command of a Cargo package is
/// still its package's name.
#[must_use]
pub fn launch(
    application: &Application,
    name: &ServiceName,
    service: &Service,
    folders: &Folders,
    database: Option<&str>,
) -> LaunchSettings {
    let command = match &service.run {
        Run::Cargo(package) => vec![package.clone()],
        Run::Command(command) => command.clone(),
    };
    LaunchSettings {
        command,
        folder: service.source.path.clone(),
        env: environment(application, name, service, folders, database),
        listen: service.listen,
        sockets: BTreeMap::new(),
        calls: service.calls.clone(),
        database: service.database.clone(),
        probes: service.probes.clone(),
        drain_timeout: service.drain_timeout,
    }
}

fn environment(
    application: &Application,
    name: &ServiceName,
    service: &Service,
    folders: &Folders,
    database: Option<&str>,
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
    if let Some(database) = database {
        env.insert("DATABASE_URL".to_owned(), database.to_owned());
    }
    env.entry("OTEL_SERVICE_NAME".to_owned()).or_insert_with(|| name.to_string());
    env.entry("OTEL_RESOURCE_ATTRIBUTES".to_owned())
        .or_insert_with(|| format!("service.namespace={}", application.name));
    env
}

/// What the gateway is started with; `None` when the application needs none: nobody comes from outside, and nobody calls.
#[must_use]
pub fn gateway_launch(
    application: &Application,
    shoal: &Path,
    folders: &Folders,
    public: Option<SocketAddr>,
) -> Option<LaunchSettings> {
    let calls = called(application);
    if public.is_none() && calls.is_empty() {
        return None;
    }
    let env = [("SHOAL_DISCOVERY", folders.discovery_socket()), ("SHOAL_DATA", folders.data("gateway"))];
    Some(LaunchSettings {
        command: vec![shoal.display().to_string(), "__gateway".to_owned()],
        folder: folders.application.clone(),
        env: env.into_iter().map(|(name, path)| (name.to_owned(), path.display().to_string())).collect(),
        listen: if public.is_some() { Listen::Fd } else { Listen::None },
        sockets: public.map(|address| (PUBLIC.to_owned(), address)).into_iter().collect(),
        calls,
        database: None,
        probes: gateway_probes(),
        // A little more than it gives the requests under way.
        drain_timeout: Duration::from_secs(35),
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

/// Which requests the gateway's listeners take, where they go, and how many each service takes.
#[must_use]
pub fn routing(application: &Application) -> RoutingTable {
    let public = application.gateway.as_ref().map(|gateway| {
        (PUBLIC.to_owned(), ListenerRoutes { tls: gateway.tls.clone(), routes: gateway.routes.clone() })
    });
    let services = application.services.iter();
    RoutingTable {
        listeners: public.into_iter().collect(),
        concurrency_max: services.map(|(name, service)| (name.clone(), service.concurrency_max)).collect(),
    }
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
    }

    fn world(manifest: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let application = shoal_manifest::parse(manifest, &folder.path().join("shoal.toml")).unwrap().application;
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        World { _folder: folder, folders, application }
    }

    impl World {
        fn launch(&self, name: &str) -> LaunchSettings {
            let database = (name == "stock-room").then_some("sqlite:///stock");
            let name = name.parse().unwrap();
            launch(&self.application, &name, &self.application.services[&name], &self.folders, database)
        }

        fn gateway(&self, public: Option<&str>) -> Option<LaunchSettings> {
            let public = public.map(|address| address.parse().unwrap());
            gateway_launch(&self.application, Path::new("/bin/shoal"), &self.folders, public)
        }
    }

    #[test]
    fn a_service_is_told_of_what_it_calls_and_of_nothing_else() {
        let world = world(MANIFEST);
        let pages = world.launch("pages");
        assert_eq!(pages.calls, BTreeSet::from(["stock-room".parse().unwrap()]));
        let pages = pages.env;
        assert!(!pages.contains_key("STOCK_ROOM_URL"), "each replica has an address of its own");
        assert_eq!(pages["SHOAL_CALLS"], "stock-room");
        assert_eq!(pages["SHOAL_SETTINGS"], r#"{"greeting":"hello"}"#);
        assert!(!pages.contains_key("DATABASE_URL"));
        let stock = world.launch("stock-room").env;
        assert!(!stock.keys().any(|name| name.ends_with("_URL") && name != "DATABASE_URL"), "{stock:?}");
        assert_eq!((stock["SHOAL_CALLS"].as_str(), stock.get("SHOAL_SETTINGS")), ("", None));
    }

    #[test]
    fn a_service_is_told_where_its_folder_and_its_database_are() {
        let world = world(MANIFEST);
        let env = world.launch("stock-room").env;
        let data = PathBuf::from(&env["SHOAL_DATA"]);
        assert!(data.is_absolute() && data.ends_with(".shoal/data/stock-room"));
        assert_eq!(env["DATABASE_URL"], "sqlite:///stock");
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
    fn the_gateway_starts_before_the_one_it_replaces_ends() {
        let world = world(MANIFEST);
        let launch = world.gateway(Some("127.0.0.1:8080")).unwrap();
        let sockets: Vec<String> = launch.sockets.iter().map(|(name, address)| format!("{name} {address}")).collect();
        assert_eq!(sockets, ["public 127.0.0.1:8080"]);
        assert_eq!(launch.listen, Listen::Fd);
        assert_eq!(launch.command, ["/bin/shoal", "__gateway"]);
        let inner = world.gateway(None).unwrap();
        assert!(inner.sockets.is_empty() && inner.listen == Listen::None, "callers need it even without an address");
    }

    #[test]
    fn an_application_that_nobody_calls_needs_no_gateway() {
        let world = world("[application]\nname = \"x\"\n[services.a]\nrun = { command = [\"true\"] }\n");
        assert_eq!(world.gateway(None), None);
        assert!(routing(&world.application).listeners.is_empty());
        assert_eq!(public_url(&world.application, None), "");
    }

    #[test]
    fn routes_are_those_of_the_manifest() {
        let world = world(MANIFEST);
        let table = routing(&world.application);
        assert_eq!(table.listeners.keys().collect::<Vec<_>>(), ["public"]);
        assert_eq!(table.listeners["public"].routes[0].service.as_str(), "pages");
        let names: Vec<&str> = table.concurrency_max.keys().map(ServiceName::as_str).collect();
        assert_eq!(names, ["alone", "pages", "stock-room"]);
        assert_eq!(public_url(&world.application, Some("127.0.0.1:8080".parse().unwrap())), "http://127.0.0.1:8080");
    }
}
