//! Random applications: a gateway and a few services that call each other. Never says how their programs behave.

use crate::random::Random;
use shoal_discovery::RoutingTable;
use shoal_driver::Prepared;
use shoal_model::{
    Application, LaunchSettings, Listen, ProbeCheck, ProbeSettings, Probes, Replicas, Revision, RevisionId, ServiceName,
};
use shoal_reconcile::ServiceTarget;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The services there can be, each calling some of those before it.
const NAMES: [&str; 5] = ["catalogue", "basket", "checkout", "orders", "storefront"];

/// A service's name from a text that is one.
///
/// # Panics
/// When it is none.
#[must_use]
#[expect(clippy::expect_used, reason = "names are written in this package")]
pub fn service(name: &str) -> ServiceName {
    name.parse().expect("a service's name")
}

/// The names of all services that a random application may have.
#[must_use]
pub fn names() -> Vec<ServiceName> {
    NAMES.iter().map(|name| service(name)).chain([ServiceName::gateway()]).collect()
}

/// A target that nobody is waiting for: each service once to five times, or parked when `parked`.
#[must_use]
pub fn random(random: &mut Random, parked: bool) -> Prepared {
    let mut services = BTreeMap::new();
    let mut there: Vec<ServiceName> = Vec::new();
    for name in NAMES {
        if random.chance(200) {
            continue;
        }
        let name = service(name);
        let calls: BTreeSet<ServiceName> = there.iter().filter(|_| random.chance(500)).cloned().collect();
        let replicas = if parked && random.chance(100) { 0 } else { u32::try_from(random.between(1, 5)).unwrap_or(1) };
        let revision = revision(&name, random.between(1, 4), calls.clone(), random);
        let after = if random.chance(700) { calls } else { BTreeSet::new() };
        services.insert(name.clone(), ServiceTarget { revision, replicas, replicas_max: Replicas::MOST, after });
        there.push(name);
    }
    let gateway = ServiceName::gateway();
    let revision = revision(&gateway, random.between(1, 3), BTreeSet::new(), random);
    let after = BTreeSet::new();
    services.insert(gateway, ServiceTarget { revision, replicas: 1, replicas_max: 1, after });
    prepared(services)
}

/// What `up` would hand over for these services.
#[must_use]
pub fn prepared(services: BTreeMap<ServiceName, ServiceTarget>) -> Prepared {
    let application = Application { name: service("shop"), gateway: None, services: BTreeMap::new() };
    Prepared { application, services, routing: RoutingTable::default(), public: None }
}

/// A revision of a service; its times are drawn anew, so its id has them.
fn revision(name: &ServiceName, number: u64, calls: BTreeSet<ServiceName>, random: &mut Random) -> Revision {
    let period = 1_000 * random.between(1, 4);
    let drain = random.between(1, 12);
    let launch = launch(calls, Duration::from_millis(period), Duration::from_secs(drain));
    let called: Vec<&str> = launch.calls.iter().map(ServiceName::as_str).collect();
    Revision {
        id: RevisionId(format!("r{number}-{period}-{drain}-{}", called.join("+"))),
        service: name.clone(),
        launch,
    }
}

/// How a replica is launched that may call these.
#[must_use]
pub fn launch(calls: BTreeSet<ServiceName>, period: Duration, drain_timeout: Duration) -> LaunchSettings {
    let probe = |period, failures_max| ProbeSettings {
        check: ProbeCheck::Process,
        period,
        timeout: Duration::from_secs(1),
        failures_max,
    };
    LaunchSettings {
        command: vec!["program".to_owned()],
        folder: "/".into(),
        env: BTreeMap::new(),
        listen: Listen::Fd,
        sockets: BTreeMap::new(),
        calls,
        database: None,
        probes: Probes {
            startup: probe(Duration::from_secs(1), 20),
            readiness: probe(period, 2),
            liveness: probe(period, 3),
        },
        drain_timeout,
    }
}
