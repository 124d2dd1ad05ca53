//! Sample manifests in files: every broken one beside what is said of it, and valid ones.
//!
//! `BLESS=1 cargo test -p shoal-manifest` writes down what is said now. Read the difference before you keep it.

use shoal_manifest::{Code, Diagnostics, parse};
use shoal_model::{Application, Database, Limits, Listen, Priority, ProbeCheck, Replicas, Service};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The sample manifests of a folder beside this one, by name.
pub fn samples(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    assert!(!paths.is_empty());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// The problems of a manifest that must have some.
pub fn problems(text: &str) -> Diagnostics {
    parse(text, Path::new("/store/shoal.toml")).expect_err("the manifest is broken")
}

#[test]
fn every_broken_sample_is_told_as_written_down() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut different = Vec::new();
    for (path, text) in samples("invalid") {
        let told = parse(&text, Path::new("shoal.toml")).err().map(|problems| problems.render(false));
        let told = told.unwrap_or_else(|| panic!("{} is taken for valid", path.display()));
        let expected = path.with_extension("txt");
        if bless {
            fs::write(&expected, &told).unwrap();
        } else if fs::read_to_string(&expected).unwrap_or_default() != told {
            different.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(different.is_empty(), "told differently (BLESS=1 keeps it):\n{}", different.join("\n"));
}

#[test]
fn samples_show_every_code_that_reading_gives() {
    let mut shown: BTreeSet<Code> = BTreeSet::new();
    for (_, text) in samples("invalid") {
        shown.extend(problems(&text).problems().iter().map(|problem| problem.code));
    }
    // Too large for a sample, or shown by bytes that no text file holds; tested in `arbitrary`.
    shown.extend([Code::TooLarge, Code::NotText, Code::PastLimit]);
    let missing: Vec<_> = Code::ALL.iter().filter(|code| code.number() < 100 && !shown.contains(code)).collect();
    assert!(missing.is_empty(), "no sample shows {missing:?}");
}

#[test]
fn every_valid_sample_is_understood() {
    for (path, text) in samples("valid") {
        if let Err(problems) = parse(&text, &path) {
            panic!("{}", problems.render(false));
        }
    }
}

#[test]
fn a_command_is_all_a_service_needs() {
    let text = &samples("valid")[0].1;
    let application = parse(text, Path::new("/hello/shoal.toml")).unwrap().application;
    assert!(application.gateway.is_none());
    let web = &application.services[&"web".parse().unwrap()];
    assert_eq!(web.listen, Listen::Port);
    assert_eq!(web.source.path, Path::new("/hello"));
    assert_eq!(web.replicas, Replicas { min: 1, max: 1000, target_concurrency: None });
    assert_eq!(web.drain_timeout, Duration::from_secs(30));
    assert_eq!(web.probes.startup.check, ProbeCheck::Tcp);
    assert_eq!(web.probes.startup.period * web.probes.startup.failures_max, Duration::from_secs(60));
    assert_eq!(web.probes.liveness.check, ProbeCheck::Tcp);
}

fn store() -> Application {
    let text = &samples("valid")[1].1;
    parse(text, Path::new("/store/shoal.toml")).unwrap().application
}

fn service<'a>(application: &'a Application, name: &str) -> &'a Service {
    &application.services[&name.parse().unwrap()]
}

#[test]
fn the_gateway_reaches_the_model() {
    let gateway = store().gateway.unwrap();
    let tls = gateway.tls.unwrap();
    assert_eq!(tls.certificate, Path::new("/store/tls/chain.pem"));
    assert_eq!(tls.key, Path::new("/etc/store/key.pem"));
    assert_eq!(gateway.routes[1].host.as_deref(), Some("mail.example"));
    assert_eq!(gateway.routes[1].path, "/mail");
}

#[test]
fn limits_are_a_routes_own_then_the_gateways_then_the_defaults() {
    let routes = store().gateway.unwrap().routes;
    let shared = Limits {
        timeout: Duration::from_secs(20),
        idle_timeout: Duration::from_secs(120),
        hold_timeout: Duration::ZERO,
        headers_max: 50,
        header_bytes_max: 16 * 1024,
        body_bytes_max: 1024 * 1024,
        requests_max: 200,
        priority: Priority::Low,
    };
    assert_eq!((&routes[0].limits, &routes[1].limits), (&shared, &shared));
    let own = Limits { timeout: Duration::from_secs(5), body_bytes_max: 0, priority: Priority::High, ..shared };
    assert_eq!(routes[2].limits, own);
    let silent = "[application]\nname = \"a\"\n[gateway]\nlisten = \"127.0.0.1:0\"\n\
                  routes = [{ path = \"/\", service = \"web\" }]\n[services.web]\nrun = { command = [\"./web\"] }\n";
    let silent = parse(silent, Path::new("/a/shoal.toml")).unwrap().application;
    assert_eq!(silent.gateway.unwrap().routes[0].limits, Limits::default());
}

#[test]
fn calls_and_settings_reach_the_model() {
    let store = store();
    let storefront = service(&store, "storefront");
    assert_eq!(storefront.listen, Listen::Fd);
    assert_eq!(storefront.replicas, Replicas { min: 2, max: 1000, target_concurrency: None });
    let names = |names: &BTreeSet<_>| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&storefront.calls), ["catalogue", "notify"]);
    assert_eq!(names(&storefront.after), ["catalogue"]);
    let settings =
        concat!(r#"{"opened":"2026-01-31","pages":{"ratio":1.5,"size":24},"#, r#""tags":["a","b"],"title":"Shop"}"#);
    assert_eq!(storefront.settings.as_deref(), Some(settings));
}

#[test]
fn the_other_parts_of_services_reach_the_model() {
    let store = store();
    let catalogue = service(&store, "catalogue");
    let contract = Path::new("/store/contracts/store/catalogue/v1");
    assert_eq!(catalogue.contract.as_deref(), Some(contract));
    assert_eq!(catalogue.replicas, Replicas { min: 2, max: 8, target_concurrency: Some(40) });
    assert_eq!(catalogue.database, Some(Database::Sqlite));
    let named = Database::Named { variable: "NOTIFY_DATABASE".to_owned(), otherwise: Box::new(Database::Postgres) };
    assert_eq!(service(&store, "notify").database, Some(named));
    assert_eq!(service(&store, "sweeper").database, Some(Database::Postgres));
    assert_eq!((catalogue.concurrency_max, service(&store, "notify").concurrency_max), (64, 1000));
    let notify = service(&store, "notify");
    assert_eq!(notify.drain_timeout, Duration::from_secs(120));
    assert_eq!(notify.env["LOG_LEVEL"], "info");
    assert_eq!(service(&store, "sweeper").replicas.min, 0);
}

#[test]
fn probes_reach_the_model() {
    let store = store();
    let sdk = ProbeCheck::Sdk { hang_after: Duration::from_secs(10) };
    assert_eq!(service(&store, "storefront").probes.liveness.check, sdk);
    let http = ProbeCheck::Http { path: "/health".to_owned() };
    let notify = &service(&store, "notify").probes;
    assert_eq!((&notify.startup.check, notify.startup.failures_max), (&http, 10));
    assert_eq!((&notify.readiness.check, notify.readiness.period), (&http, Duration::from_secs(5)));
    assert_eq!(notify.liveness.check, ProbeCheck::Process);
    assert_eq!(service(&store, "sweeper").probes.readiness.check, ProbeCheck::Process);
}

#[test]
fn the_example_application_is_understood() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/store/shoal.toml");
    let text = fs::read_to_string(&path).unwrap();
    let application = parse(&text, &path).unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    assert_eq!(application.application.services.len(), 10);
}
