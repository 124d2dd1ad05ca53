//! From a service's table to the service: how it runs, how many copies, its environment, with every default filled in.
//!
//! Never: looks at other services; that is for [`relations`](crate::relations).

use crate::Code;
use crate::application::absolute;
use crate::diagnostic::Problems;
use crate::environment;
use crate::limits;
use crate::place::{Place, ServicePart, SourceMap};
use crate::probes;
use crate::read::At;
use crate::tables::{ListenWord, ReplicasTable, ReplicasValue, RunTable, ServiceTable};
use crate::values::{Count, TimeSpan};
use crate::words::shown;
use shoal_model::{Listen, Replicas, Run, Service, ServiceName, Source};
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

/// What is known of a service beside its table.
pub(crate) struct Surroundings<'a> {
    /// Its name.
    pub name: &'a ServiceName,
    /// Where its name is.
    pub key: &'a Range<usize>,
    /// The manifest's folder.
    pub folder: &'a Path,
}

/// How long a replica may finish its requests when the manifest does not say.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest `purpose` or `owner`, in characters: one sentence.
const SENTENCE_MAX: usize = 500;
/// The most requests in flight per replica that scaling can aim at.
const CONCURRENCY_MAX: i64 = 1_000_000;

/// The service, when all of it could be understood; problems otherwise.
pub(crate) fn lower(
    around: &Surroundings<'_>,
    table: &ServiceTable,
    spans: &mut SourceMap,
    problems: &mut Problems,
) -> Option<Service> {
    keep_places(around.name, table, spans);
    let run = table.run.as_ref().and_then(|run| lower_run(around.name, run, spans, problems));
    let listen = listen(table);
    let probes = probes::lower(around, table, listen, problems);
    let calls: BTreeSet<ServiceName> = callees(&table.calls);
    check_sentences(around.name, table, problems);
    let source = lower_source(around, table, problems);
    let settings = environment::settings(around.name, table, problems);
    let replicas = lower_replicas(around.name, table.replicas.as_ref(), problems);
    let concurrency_max = table
        .concurrency_max
        .as_ref()
        .map(|at| limits::number(&format!("services.{}.concurrency-max", around.name), at, limits::REQUESTS, problems));
    let drain_timeout = bounded(
        &format!("services.{}.drain-timeout", around.name),
        table.drain_timeout.as_ref(),
        Duration::ZERO..=Duration::from_secs(3600),
        problems,
    );
    let env = environment::variables(around.name, table, problems);
    let database = table.database.as_ref().and_then(|database| environment::database(&database.value, problems));
    Some(Service {
        purpose: table.purpose.as_ref().map(|purpose| purpose.value.clone()),
        owner: table.owner.as_ref().map(|owner| owner.value.clone()),
        source,
        run: run?,
        contract: table.contract.as_ref().map(|contract| absolute(around.folder, &contract.value)),
        replicas,
        concurrency_max: concurrency_max
            .map_or(Service::CONCURRENCY_MAX, |most| u32::try_from(most).unwrap_or(u32::MAX)),
        listen: listen?,
        after: calls.clone(),
        calls: &calls | &callees(&table.calls_later),
        database,
        env,
        settings,
        probes: probes?,
        drain_timeout: drain_timeout.unwrap_or(DRAIN_TIMEOUT),
    })
}

/// The names in a list of callees that are names at all; the others are reported as not declared.
pub(crate) fn callees(list: &Option<At<Vec<At<String>>>>) -> BTreeSet<ServiceName> {
    list.iter().flat_map(|list| &list.value).filter_map(|callee| callee.value.parse().ok()).collect()
}

fn keep_places(name: &ServiceName, table: &ServiceTable, spans: &mut SourceMap) {
    let mut keep = |part: ServicePart, span: Option<&Range<usize>>| {
        if let Some(span) = span {
            spans.set(Place::of(name, part), span);
        }
    };
    keep(
        ServicePart::Source,
        table.source.as_ref().map(|at| at.value.path.as_ref().map_or(&at.span, |path| &path.span)),
    );
    keep(ServicePart::Contract, table.contract.as_ref().map(|at| &at.span));
    keep(ServicePart::Replicas, table.replicas.as_ref().map(|at| &at.span));
    keep(ServicePart::Listen, table.listen.as_ref().map(|at| &at.span));
    keep(ServicePart::Database, table.database.as_ref().map(|at| &at.span));
    keep(ServicePart::Settings, table.settings.as_ref().map(|at| &at.key));
    keep(ServicePart::DrainTimeout, table.drain_timeout.as_ref().map(|at| &at.span));
    for (kind, at) in probes::places(table) {
        keep(ServicePart::Probe(kind), Some(at));
    }
    for callee in [&table.calls, &table.calls_later].into_iter().flatten().flat_map(|list| &list.value) {
        if let Ok(name) = callee.value.parse() {
            keep(ServicePart::Call(name), Some(&callee.span));
        }
    }
    for (variable, at) in table.env.iter().flat_map(|env| &env.value.0) {
        keep(ServicePart::Variable(variable.clone()), Some(&at.key));
    }
}

fn check_sentences(name: &ServiceName, table: &ServiceTable, problems: &mut Problems) {
    for (key, at) in [("purpose", &table.purpose), ("owner", &table.owner)] {
        if let Some(at) = at
            && at.value.chars().nth(SENTENCE_MAX).is_some()
        {
            let message = format!("`services.{name}.{key}` has more than {SENTENCE_MAX} characters");
            problems.add(Code::PastLimit, &at.span, message, "say it in one sentence");
        }
    }
}

fn lower_source(around: &Surroundings<'_>, table: &ServiceTable, problems: &mut Problems) -> Source {
    let source = table.source.as_ref().map(|source| &source.value);
    if let Some(git) = source.and_then(|source| source.git.as_ref().or(source.rev.as_ref())) {
        let message = format!("`services.{}.source` names a Git repository, which is not supported yet", around.name);
        let mend = "clone the repository yourself and name its folder: `source = { path = \"…\" }`";
        problems.add(Code::SourceNotSupported, &git.span, message, mend);
    }
    let path = source.and_then(|source| source.path.as_ref()).map_or("", |path| path.value.as_str());
    Source { path: absolute(around.folder, path) }
}

fn lower_run(name: &ServiceName, run: &At<RunTable>, spans: &mut SourceMap, problems: &mut Problems) -> Option<Run> {
    spans.set(Place::of(name, ServicePart::Run), &run.span);
    let mend = "write `run = { cargo = \"package\" }` or `run = { command = [\"program\", \"argument\"] }`";
    match (&run.value.cargo, &run.value.command) {
        (Some(package), None) => {
            spans.set(Place::of(name, ServicePart::Program), &package.span);
            lower_package(name, package, problems)
        }
        (None, Some(command)) => {
            let part = |index| {
                if index == 0 { ServicePart::Program } else { ServicePart::Argument(index) }
            };
            for (index, word) in command.value.iter().enumerate() {
                spans.set(Place::of(name, part(index)), &word.span);
            }
            lower_command(name, command, problems)
        }
        (Some(_), Some(command)) => {
            let message = format!("`services.{name}.run` has both `cargo` and `command`");
            problems.add(Code::BadRun, &command.key, message, "keep one of the two");
            None
        }
        (None, None) => {
            // A key that is there but was not understood, or is not known, has been reported already.
            let message = format!("`services.{name}.run` says neither `cargo` nor `command`");
            if problems.kept.iter().all(|problem| problem.span().is_none_or(|span| !within(span, &run.span))) {
                problems.add(Code::BadRun, &run.span, message, mend);
            }
            None
        }
    }
}

fn within(inner: &Range<usize>, outer: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// Cargo's own rule for package names, which also keeps one from being taken for an option.
fn lower_package(name: &ServiceName, package: &At<String>, problems: &mut Problems) -> Option<Run> {
    let text = package.value.as_str();
    let allowed = |character: char| character.is_ascii_alphanumeric() || character == '-' || character == '_';
    if text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(allowed)
        && text.len() <= 100
    {
        return Some(Run::Cargo(package.value.clone()));
    }
    let message = format!("`services.{name}.run.cargo` is {}, which is not the name of a Cargo package", shown(text));
    problems.add(Code::BadRun, &package.span, message, "write the `name` from the package's `Cargo.toml`");
    None
}

fn lower_command(name: &ServiceName, command: &At<Vec<At<String>>>, problems: &mut Problems) -> Option<Run> {
    let (span, what) = match command.value.first() {
        None => (&command.span, "is empty"),
        Some(program) if program.value.trim().is_empty() => (&program.span, "has no program as its first text"),
        Some(_) => {
            return Some(Run::Command(command.value.iter().map(|word| word.value.clone()).collect()));
        }
    };
    // An entry that is not a text was dropped, and reported.
    if problems.kept.iter().all(|problem| problem.span().is_none_or(|span| !within(span, &command.span))) {
        let mend = "name the program first, then its arguments: `command = [\"node\", \"server.js\"]`";
        problems.add(Code::BadRun, span, format!("`services.{name}.run.command` {what}"), mend);
    }
    None
}

/// How the service listens, by its own word or by how it runs; `None` when that is not known.
pub(crate) fn listen(table: &ServiceTable) -> Option<Listen> {
    match &table.listen {
        Some(At { value: ListenWord::Fd, .. }) => Some(Listen::Fd),
        Some(At { value: ListenWord::Port, .. }) => Some(Listen::Port),
        Some(At { value: ListenWord::None, .. }) => Some(Listen::None),
        None => {
            let run = &table.run.as_ref()?.value;
            let by_run = if run.cargo.is_some() { Listen::Fd } else { Listen::Port };
            (run.cargo.is_some() || run.command.is_some()).then_some(by_run)
        }
    }
}

fn lower_replicas(name: &ServiceName, replicas: Option<&At<ReplicasValue>>, problems: &mut Problems) -> Replicas {
    let path = format!("services.{name}.replicas");
    let any = Replicas { min: 1, max: Replicas::MOST, target_concurrency: None };
    match replicas.map(|at| (&at.span, &at.value)) {
        None => any,
        Some((span, ReplicasValue::Number(number))) => {
            let min = count(&path, span, *number, 0..=i64::from(Replicas::MOST), problems);
            Replicas { min, ..any }
        }
        Some((_, ReplicasValue::Bounds(bounds))) => lower_bounds(&path, bounds, problems),
    }
}

fn lower_bounds(path: &str, bounds: &ReplicasTable, problems: &mut Problems) -> Replicas {
    let mut number = |key: &str, at: &Option<At<Count>>, least: i64, most: i64| {
        let at = at.as_ref()?;
        Some(count(&format!("{path}.{key}"), &at.span, at.value, least..=most, problems))
    };
    let most = i64::from(Replicas::MOST);
    let max = number("max", &bounds.max, 0, most).unwrap_or(Replicas::MOST);
    let min = number("min", &bounds.min, 0, most).unwrap_or(max.min(1));
    let target_concurrency = number("target-concurrency", &bounds.target_concurrency, 1, CONCURRENCY_MAX);
    if let Some(at) = bounds.min.as_ref().filter(|_| min > max) {
        let message = format!("`{path}` has a `min` of {min}, more than its `max` of {max}");
        problems.add(Code::BadReplicas, &at.span, message, "lower `min` or raise `max`");
    }
    Replicas { min, max, target_concurrency }
}

/// A number that must lie within bounds; the nearest that does, after a problem was reported.
fn count(path: &str, span: &Range<usize>, count: Count, bounds: RangeInclusive<i64>, problems: &mut Problems) -> u32 {
    let (least, most) = (*bounds.start(), *bounds.end());
    if !bounds.contains(&count.0) {
        let mend = format!("write a number from {least} to {most}");
        problems.add(Code::BadReplicas, span, format!("`{path}` is {count}"), mend);
    }
    u32::try_from(count.0.clamp(least, most)).unwrap_or(u32::MAX)
}

/// A span of time that must lie within bounds; `None` when it is not given.
pub(crate) fn bounded(
    path: &str,
    span: Option<&At<TimeSpan>>,
    bounds: RangeInclusive<Duration>,
    problems: &mut Problems,
) -> Option<Duration> {
    let at = span?;
    if !bounds.contains(&at.value.0) {
        let (least, most) = (TimeSpan(*bounds.start()), TimeSpan(*bounds.end()));
        let message = format!("`{path}` is {}, which is out of range", at.value);
        problems.add(Code::BadDuration, &at.span, message, format!("write a time from `\"{least}\"` to `\"{most}\"`"));
    }
    Some(at.value.0)
}
