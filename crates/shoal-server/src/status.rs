//! The application as it is now, put together from what the brain, the runtime and the callers say. Pure.

use crate::api::{Edge, ReplicaStatus, ServiceStatus, StatusResponse};
use crate::faults;
use crate::folders::Folders;
use crate::samples::{Sample, Samples};
use crate::target;
use shoal_discovery::EdgeReport;
use shoal_driver::Snapshot;
use shoal_model::{ReplicaName, ServiceName};
use shoal_process::Usage;
use shoal_reconcile::{Phase, Reason, ReasonKind};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// What `status` is put together from, beside the snapshot.
pub struct Measured<'a> {
    /// CPU and memory by replica.
    pub usage: &'a BTreeMap<ReplicaName, Usage>,
    /// Totals of the last seconds.
    pub samples: &'a Samples,
    /// Totals now.
    pub now: &'a Sample,
    /// What callers counted.
    pub edges: &'a [EdgeReport],
    /// The supervisor's own memory, in bytes.
    pub supervisor_memory: u64,
    /// Whether an `up` is being prepared.
    pub is_building: bool,
}

/// The answer to `status`.
#[must_use]
pub fn compose(folders: &Folders, snapshot: &Snapshot, measured: &Measured<'_>) -> StatusResponse {
    let state = &snapshot.state;
    let is_idle = state.services().iter().all(|service| service.replicas.is_empty());
    let phase = match (state.is_stopped(), state.is_stopping()) {
        _ if is_idle && measured.is_building => "building",
        (true, _) => "stopped",
        (false, true) => "stopping",
        (false, false) => "running",
    };
    let reasons = state.reasons(measured.now.at);
    let accepted = snapshot.accepted.as_ref();
    StatusResponse {
        application: accepted.map(|accepted| accepted.application.name.to_string()).unwrap_or_default(),
        folder: folders.application.display().to_string(),
        supervisor_pid: std::process::id(),
        supervisor_memory_bytes: measured.supervisor_memory,
        address: accepted
            .map(|accepted| target::public_url(&accepted.application, accepted.public))
            .unwrap_or_default(),
        phase: phase.to_owned(),
        services: state
            .services()
            .iter()
            .map(|service| service_status(service, snapshot, measured, &reasons))
            .collect(),
        edges: edges(measured.edges),
        faults: state.faults().iter().map(faults::shown).collect(),
        ..Default::default()
    }
}

/// The public address that our own gateway listens on now, if it runs.
#[must_use]
pub fn held_address(snapshot: &Snapshot) -> Option<SocketAddr> {
    let gateway = snapshot.state.service(&ServiceName::gateway())?;
    let runs = gateway.replicas.iter().any(|replica| replica.identity.is_some() && replica.phase != Phase::Exited);
    snapshot.accepted.as_ref().filter(|_| runs)?.public
}

fn service_status(
    service: &shoal_reconcile::ServiceStatus,
    snapshot: &Snapshot,
    measured: &Measured<'_>,
    reasons: &[Reason],
) -> ServiceStatus {
    let accepted = snapshot.accepted.as_ref();
    let declared = accepted.and_then(|accepted| accepted.application.services.get(&service.service));
    let rates = measured.samples.calls(&service.service, measured.now);
    let replicas: Vec<ReplicaStatus> =
        service.replicas.iter().map(|replica| replica_status(replica, measured)).collect();
    let reasons: Vec<&Reason> = reasons.iter().filter(|reason| reason.service == service.service).collect();
    ServiceStatus {
        name: service.service.to_string(),
        purpose: purpose(service, declared),
        owner: declared.and_then(|declared| declared.owner.clone()).unwrap_or_default(),
        revision: service.revision.as_ref().map(ToString::to_string).unwrap_or_default(),
        wanted: service.wanted,
        ready: u32::try_from(service.ready).unwrap_or(u32::MAX),
        requests_per_second: rates.per_second,
        errors: rates.errors,
        p99_ms: millis(Some(rates.p99)),
        // Not `sum`, which makes nothing at all of none: -0.
        cpu: replicas.iter().fold(0.0, |all, replica| all + replica.cpu),
        memory_bytes: replicas.iter().map(|replica| replica.memory_bytes).sum(),
        failing: is_failing(service, &reasons),
        reasons: reasons.iter().map(|reason| sentence(reason)).collect(),
        replicas,
        calls: declared.iter().flat_map(|declared| &declared.calls).map(ToString::to_string).collect(),
        contract: declared
            .and_then(|declared| declared.contract.as_ref())
            .map(|contract| contract.display().to_string())
            .unwrap_or_default(),
        ..Default::default()
    }
}

fn purpose(service: &shoal_reconcile::ServiceStatus, declared: Option<&shoal_model::Service>) -> String {
    if service.service == ServiceName::gateway() {
        return "Takes requests and hands each to a ready replica".to_owned();
    }
    declared.and_then(|declared| declared.purpose.clone()).unwrap_or_default()
}

/// Whether waiting alone will not help: it crashes again and again, or waits for what will not come.
fn is_failing(service: &shoal_reconcile::ServiceStatus, reasons: &[&Reason]) -> bool {
    // Older replicas that still serve do not make a revision work that crashes.
    let is_fresh = |replica: &&shoal_reconcile::ReplicaStatus| {
        replica.phase == Phase::Ready && Some(&replica.revision) == service.revision.as_ref()
    };
    let fresh = service.replicas.iter().filter(is_fresh).count();
    u32::try_from(fresh).is_ok_and(|fresh| fresh < service.wanted)
        && reasons.iter().any(|reason| matches!(reason.kind, ReasonKind::CrashLoop | ReasonKind::Blocked))
}

/// A reason with the replica it is about and the last lines that replica wrote.
fn sentence(reason: &Reason) -> String {
    let subject = reason.replica.as_ref().map(|replica| format!("{replica} ")).unwrap_or_default();
    let mut sentence = format!("{subject}{}", reason.text);
    for line in &reason.log {
        sentence.push_str("\n    ");
        sentence.push_str(line);
    }
    sentence
}

fn replica_status(replica: &shoal_reconcile::ReplicaStatus, measured: &Measured<'_>) -> ReplicaStatus {
    let usage = measured.usage.get(&replica.replica);
    ReplicaStatus {
        name: replica.replica.to_string(),
        revision: replica.revision.to_string(),
        phase: phase(replica.phase).to_owned(),
        pid: replica.identity.as_ref().filter(|_| replica.phase != Phase::Exited).map_or(0, |identity| identity.pid),
        keeper_pid: usage.map_or(0, |usage| usage.keeper_pid),
        address: replica.address.as_ref().map(ToString::to_string).unwrap_or_default(),
        since_ms: replica.since.0,
        cpu: measured.samples.cpu(&replica.replica, measured.now),
        memory_bytes: usage.map_or(0, |usage| usage.memory_bytes),
        restarts: replica.restarts,
        ..Default::default()
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::NotReady => "not-ready",
        Phase::Ready => "ready",
        Phase::Draining { .. } => "draining",
        Phase::Terminating { .. } | Phase::Stopping => "stopping",
        Phase::Exited => "exited",
    }
}

/// Reports of many replicas of one caller are one edge.
fn edges(reports: &[EdgeReport]) -> Vec<Edge> {
    let mut merged: BTreeMap<(&str, &ServiceName), EdgeReport> = BTreeMap::new();
    for report in reports {
        merged
            .entry((report.caller.as_str(), &report.callee))
            .and_modify(|edge| {
                edge.calls = edge.calls.saturating_add(report.calls);
                edge.errors = edge.errors.saturating_add(report.errors);
                edge.in_flight = edge.in_flight.saturating_add(report.in_flight);
                edge.durations.merge(&report.durations);
            })
            .or_insert_with(|| report.clone());
    }
    let edge = |report: EdgeReport| Edge {
        caller: report.caller,
        callee: report.callee.to_string(),
        calls: report.calls,
        errors: report.errors,
        in_flight: report.in_flight,
        p50_ms: millis(report.durations.quantile(0.5)),
        p99_ms: millis(report.durations.quantile(0.99)),
        ..Default::default()
    };
    merged.into_values().map(edge).collect()
}

fn millis(span: Option<Duration>) -> f64 {
    span.unwrap_or_default().as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_world::{World, exited, running, service, target};
    use shoal_discovery::{DurationSketch, RoutingTable};
    use shoal_driver::Accepted;

    const MANIFEST: &str = "[application]\nname = \"shop\"\n[gateway]\nlisten = \"127.0.0.1:8080\"\n\
        routes = [{ path = \"/\", service = \"a\" }]\n\
        [services.a]\npurpose = \"Sells\"\nowner = \"team\"\nrun = { command = [\"true\"] }\n";

    fn snapshot(world: &World) -> Snapshot {
        let application = shoal_manifest::parse(MANIFEST, std::path::Path::new("/shoal.toml")).unwrap().application;
        let public = Some("127.0.0.1:8080".parse().unwrap());
        let routing = RoutingTable { listeners: BTreeMap::new(), concurrency_max: BTreeMap::new() };
        Snapshot { state: world.state.clone(), accepted: Some(Accepted { application, routing, public }) }
    }

    fn composed(world: &World, edges: &[EdgeReport], is_building: bool) -> StatusResponse {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::of(folder.path(), Some(folder.path())).unwrap();
        let now = Sample::new(world.now, edges, BTreeMap::new());
        let (usage, samples) = (BTreeMap::new(), Samples::default());
        let measured =
            Measured { usage: &usage, samples: &samples, now: &now, edges, supervisor_memory: 7, is_building };
        compose(&folders, &snapshot(world), &measured)
    }

    #[test]
    fn phases_and_counts_follow_the_brain() {
        let mut world = World::new([target("a", "r1", 2)]);
        assert_eq!(composed(&world, &[], true).phase, "building");
        assert_eq!(composed(&world, &[], false).phase, "running");
        world.see(&[]);
        world.see(&[running("a-1")]);
        let status = composed(&world, &[], true);
        assert_eq!((status.phase.as_str(), status.address.as_str()), ("running", "http://127.0.0.1:8080"));
        let a = &status.services[0];
        assert_eq!((a.name.as_str(), a.purpose.as_str(), a.owner.as_str()), ("a", "Sells", "team"));
        assert_eq!((a.ready, a.wanted, a.failing), (0, 2, false));
        let phases: Vec<_> = a.replicas.iter().map(|replica| (replica.phase.as_str(), replica.pid)).collect();
        assert_eq!(phases, [("starting", 4242), ("starting", 0)]);
        world.make_ready(&["a-1", "a-2"]);
        let a = composed(&world, &[], false).services.remove(0);
        assert_eq!(
            (a.ready, a.replicas[0].phase.as_str(), a.replicas[0].address.as_str()),
            (2, "ready", "127.0.0.1:4242")
        );
        assert!(a.reasons.is_empty(), "{:?}", a.reasons);
        world.state.stop(world.now);
        assert_eq!(composed(&world, &[], false).phase, "stopping");
        assert_eq!(composed(&World::new([]), &[], false).services.len(), 0);
    }

    fn crash(world: &mut World, serials: std::ops::RangeInclusive<u32>) {
        for serial in serials {
            let name = format!("a-{serial}");
            // A second at a time, past any waiting.
            while world.state.replica(&name.parse().unwrap()).is_none() {
                world.see(&[]);
            }
            world.see(&[running(&name)]);
            world.see(&[exited(&name, 3)]);
            world.acknowledge();
        }
    }

    #[test]
    fn a_crash_loop_is_failing_and_shows_its_last_words() {
        let mut world = World::new([target("a", "r1", 1)]);
        crash(&mut world, 1..=1);
        assert!(!composed(&world, &[], false).services[0].failing, "once is no loop");
        crash(&mut world, 2..=6);
        let a = composed(&world, &[], false).services.remove(0);
        assert!(a.failing, "{:?}", a.reasons);
        let reason = a.reasons.iter().find(|reason| reason.contains("exited with code 3")).unwrap();
        assert!(reason.contains("\n    cannot find my keys"), "{reason}");
    }

    #[test]
    fn who_waits_for_a_crash_loop_is_failing_too() {
        let (name, mut waiting) = target("b", "r1", 1);
        waiting.after.insert(service("a"));
        let mut world = World::new([target("a", "r1", 1), (name, waiting)]);
        assert!(!composed(&world, &[], false).services[1].failing);
        crash(&mut world, 1..=6);
        assert!(composed(&world, &[], false).services[1].failing);
    }

    #[test]
    fn a_revision_that_crashes_is_failing_though_older_replicas_serve() {
        let mut world = World::new([target("a", "r1", 1)]);
        world.make_ready(&["a-1"]);
        world.acknowledge();
        world.state.set_target(BTreeMap::from([target("a", "r2", 1)]), world.now);
        crash(&mut world, 2..=7);
        let a = composed(&world, &[], false).services.remove(0);
        assert_eq!((a.ready, a.failing), (1, true), "{:?}", a.reasons);
    }

    #[test]
    fn reports_of_one_caller_are_one_edge() {
        let report = |caller: &str, calls, errors, millis| {
            let mut durations = DurationSketch::default();
            (0..calls).for_each(|_| durations.add(Duration::from_millis(millis)));
            let callee = service("a");
            EdgeReport { caller: caller.to_owned(), callee, calls, errors, in_flight: 1, durations }
        };
        let merged = edges(&[report("gateway", 10, 1, 5), report("b", 3, 0, 1), report("gateway", 30, 2, 50)]);
        let shown: Vec<_> = merged
            .iter()
            .map(|edge| (edge.caller.as_str(), edge.callee.as_str(), edge.calls, edge.errors, edge.in_flight))
            .collect();
        assert_eq!(shown, [("b", "a", 3, 0, 1), ("gateway", "a", 40, 3, 2)]);
        assert!(merged[1].p50_ms > 40.0 && merged[1].p99_ms < 60.0, "{merged:?}");
    }

    #[test]
    fn the_public_address_is_ours_while_the_gateway_runs() {
        let mut world = World::new([target("gateway", "r1", 1)]);
        assert_eq!(held_address(&snapshot(&world)), None);
        world.see(&[]);
        assert_eq!(held_address(&snapshot(&world)), None, "asked for, not seen yet");
        world.see(&[running("gateway-1")]);
        assert_eq!(held_address(&snapshot(&world)), Some("127.0.0.1:8080".parse().unwrap()));
        world.see(&[exited("gateway-1", 1)]);
        assert_eq!(held_address(&snapshot(&world)), None);
    }
}
