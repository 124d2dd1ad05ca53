//! The application as it is now, put together from what the brain, the runtime and the callers say. Pure.

use crate::api::{Edge, ReplicaStatus, ServiceStatus, StatusResponse};
use crate::driver::Snapshot;
use crate::folders::Folders;
use crate::samples::{Sample, Samples};
use crate::target;
use shoal_discovery::EdgeReport;
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
        cpu: replicas.iter().map(|replica| replica.cpu).sum(),
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

/// Whether waiting alone will not help: it crashes again and again, or waits for something that does.
fn is_failing(service: &shoal_reconcile::ServiceStatus, reasons: &[&Reason]) -> bool {
    // Older replicas that still serve do not make a revision work that crashes.
    let is_fresh = |replica: &&shoal_reconcile::ReplicaStatus| {
        replica.phase == Phase::Ready && Some(&replica.revision) == service.revision.as_ref()
    };
    let fresh = service.replicas.iter().filter(is_fresh).count();
    u32::try_from(fresh).is_ok_and(|fresh| fresh < service.wanted)
        && reasons.iter().any(|reason| match reason.kind {
            ReasonKind::CrashLoop => true,
            ReasonKind::Waiting => reason.text.contains("again and again"),
            _ => false,
        })
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
