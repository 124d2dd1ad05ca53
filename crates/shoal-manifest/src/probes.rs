//! A service's probes: what the manifest says of them, with defaults by how the service listens.
//!
//! Never: lets a probe through that would always pass without asking, unless it was asked for by name.

use crate::Code;
use crate::diagnostic::Problems;
use crate::read::At;
use crate::service::{Surroundings, bounded};
use crate::tables::{ProbeTable, ServiceTable};
use crate::values::Count;
use crate::words::{and_list, shown};
use shoal_model::{Listen, ProbeCheck, ProbeKind, ProbeSettings, Probes};
use std::ops::Range;
use std::time::Duration;

/// How old the last tick of the SDK's event loop may be when the manifest does not say.
const HANG_AFTER: Duration = Duration::from_secs(10);
/// The most failures in a row that a probe can wait for.
const FAILURES_MAX: i64 = 100_000;
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

/// The timing of one probe when the manifest does not say: startup has a minute, and asks often so that a replica
/// serves as soon as it can.
fn default_timing(kind: ProbeKind) -> (Duration, u32) {
    match kind {
        ProbeKind::Startup => (100 * MILLISECOND, 600),
        ProbeKind::Readiness | ProbeKind::Liveness => (SECOND, 3),
    }
}

/// Where each probe that the manifest speaks of is.
pub(crate) fn places(table: &ServiceTable) -> Vec<(ProbeKind, &Range<usize>)> {
    [ProbeKind::Startup, ProbeKind::Readiness, ProbeKind::Liveness]
        .into_iter()
        .filter_map(|kind| Some((kind, &own(table, kind).or(table.probe.as_ref())?.key)))
        .collect()
}

/// What the manifest says of this probe alone.
fn own(table: &ServiceTable, kind: ProbeKind) -> Option<&At<ProbeTable>> {
    let probes = &table.probes.as_ref()?.value;
    match kind {
        ProbeKind::Startup => probes.startup.as_ref(),
        ProbeKind::Readiness => probes.readiness.as_ref(),
        ProbeKind::Liveness => probes.liveness.as_ref(),
    }
}

/// The three probes, when each could be understood; problems otherwise.
pub(crate) fn lower(
    around: &Surroundings<'_>,
    table: &ServiceTable,
    listen: Option<Listen>,
    problems: &mut Problems,
) -> Option<Probes> {
    let name = around.name;
    let shared = table.probe.as_ref();
    let shared_check = shared.map(|probe| lower_check(&format!("services.{name}.probe"), probe, listen, problems));
    let shared_check = shared_check.flatten();
    let mut undecided = false;
    let mut one = |kind: ProbeKind, key: &str| {
        let path = format!("services.{name}.probes.{key}");
        let own = own(table, kind);
        let own_check = own.and_then(|probe| lower_check(&path, probe, listen, problems));
        let check = own_check.or_else(|| shared_check.clone()).or_else(|| default_check(table, listen));
        undecided |= check.is_none();
        lower_timing(&path, kind, own, shared, check, problems)
    };
    let startup = one(ProbeKind::Startup, "startup");
    let readiness = one(ProbeKind::Readiness, "readiness");
    let liveness = one(ProbeKind::Liveness, "liveness");
    if undecided && listen == Some(Listen::Fd) {
        let message =
            format!("`services.{name}` runs a command that is passed its socket, so it must say how to probe it");
        let mend = "add `probe = { sdk = true }` if the program uses Shoal's SDK, else `probe = { http = \"/…\" }`";
        problems.add(Code::BadProbe, around.key, message, mend);
    }
    Some(Probes { startup: startup?, readiness: readiness?, liveness: liveness? })
}

/// How a service is asked that does not say how. A passed socket accepts connections whatever the program does, so a
/// command that takes one has no default.
fn default_check(table: &ServiceTable, listen: Option<Listen>) -> Option<ProbeCheck> {
    let cargo = table.run.as_ref().is_some_and(|run| run.value.cargo.is_some());
    match listen? {
        Listen::Fd => cargo.then_some(ProbeCheck::Sdk { hang_after: HANG_AFTER }),
        Listen::Port => Some(ProbeCheck::Tcp),
        Listen::None => Some(ProbeCheck::Process),
    }
}

/// The one way to ask that the table names; `None` when it names none, or after a problem.
fn lower_check(
    path: &str,
    probe: &At<ProbeTable>,
    listen: Option<Listen>,
    problems: &mut Problems,
) -> Option<ProbeCheck> {
    let table = &probe.value;
    let hang_after = bounded(&format!("{path}.hang-after"), table.hang_after.as_ref(), SECOND..=HOUR, problems);
    let http = table.http.as_ref().map(|at| ("http", &at.span));
    let flag = |key, at: &Option<At<bool>>| at.as_ref().filter(|at| at.value).map(|_| key);
    let flags = [flag("tcp", &table.tcp), flag("sdk", &table.sdk), flag("process", &table.process)];
    let named: Vec<&str> = http.map(|(key, _)| key).into_iter().chain(flags.into_iter().flatten()).collect();
    let problem = |what: String, mend: &str, problems: &mut Problems| {
        problems.add(Code::BadProbe, &probe.span, format!("`{path}` {what}"), mend);
        None
    };
    match (named.as_slice(), listen) {
        ([], _) => {
            // Only a check of the SDK knows hangs; it is what `hang-after` asks for.
            hang_after.map(|hang_after| ProbeCheck::Sdk { hang_after })
        }
        ([_, _, ..], _) => problem(format!("asks in several ways: {}", and_list(&named)), "keep one of them", problems),
        ([asked], _) if hang_after.is_some() && *asked != "sdk" => problem(
            format!("has `hang-after`, which `{asked}` cannot know"),
            "remove it, or use `sdk = true`",
            problems,
        ),
        ([asked @ ("http" | "tcp")], Some(Listen::None)) => problem(
            format!("uses `{asked}`, but the service has `listen = \"none\"`"),
            "use `process = true`, or let the service listen",
            problems,
        ),
        (["tcp"], Some(Listen::Fd)) => problem(
            "uses `tcp`, which always passes with `listen = \"fd\"`: the socket is there before the program".to_owned(),
            "use `http = \"/…\"` or `sdk = true`",
            problems,
        ),
        (["tcp"], _) => Some(ProbeCheck::Tcp),
        (["sdk"], _) => Some(ProbeCheck::Sdk { hang_after: hang_after.unwrap_or(HANG_AFTER) }),
        (["process"], _) => Some(ProbeCheck::Process),
        ([_], _) => lower_http(path, table.http.as_ref()?, problems),
    }
}

fn lower_http(path: &str, http: &At<String>, problems: &mut Problems) -> Option<ProbeCheck> {
    let text = &http.value;
    if text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic()) && text.len() <= 1024 {
        return Some(ProbeCheck::Http { path: text.clone() });
    }
    let message = format!("`{path}.http` is {}, which is not an absolute path", shown(text));
    problems.add(Code::BadProbe, &http.span, message, "write a path such as `\"/health\"`, percent-encoded");
    None
}

/// A probe with its timing. What `probe` says of time holds for readiness and liveness: a startup that was given as
/// little would hardly ever pass.
fn lower_timing(
    path: &str,
    kind: ProbeKind,
    own: Option<&At<ProbeTable>>,
    shared: Option<&At<ProbeTable>>,
    check: Option<ProbeCheck>,
    problems: &mut Problems,
) -> Option<ProbeSettings> {
    let name = path.split(".probes.").next().unwrap_or(path);
    let (period_default, failures_default) = default_timing(kind);
    let tables = [own, shared.filter(|_| kind != ProbeKind::Startup)];
    let paths = [path.to_owned(), format!("{name}.probe")];
    // Each key is taken from the first table that has it, and named as it stands there.
    let said = || tables.iter().zip(&paths).filter_map(|(table, path)| Some((&table.as_ref()?.value, path)));
    let period = said().find_map(|(table, path)| Some((table.period.as_ref()?, format!("{path}.period"))));
    let timeout = said().find_map(|(table, path)| Some((table.timeout.as_ref()?, format!("{path}.timeout"))));
    let failures = said().find_map(|(table, path)| Some((table.failures.as_ref()?, format!("{path}.failures"))));
    let period = period.and_then(|(at, path)| bounded(&path, Some(at), 10 * MILLISECOND..=HOUR, problems));
    let timeout = timeout.and_then(|(at, path)| bounded(&path, Some(at), 10 * MILLISECOND..=60 * SECOND, problems));
    let failures = failures.map(|(at, path)| lower_failures(&path, at, problems));
    Some(ProbeSettings {
        check: check?,
        period: period.unwrap_or(period_default),
        timeout: timeout.unwrap_or(SECOND),
        failures_max: failures.unwrap_or(failures_default),
    })
}

fn lower_failures(path: &str, failures: &At<Count>, problems: &mut Problems) -> u32 {
    let count = failures.value.0;
    if !(1..=FAILURES_MAX).contains(&count) {
        let message = format!("`{path}` is {}", failures.value);
        problems.add(Code::BadProbe, &failures.span, message, format!("write a number from 1 to {FAILURES_MAX}"));
    }
    u32::try_from(count).unwrap_or(1)
}
