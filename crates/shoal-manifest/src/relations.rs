//! What only shows when services are seen together: calls and routes that lead somewhere, and an order to start in.
//!
//! Works on the tables, not on the model, so that it speaks also of services that have problems of their own.
//!
//! Never: complains of a call or route to a service that is declared, however broken that service is.

use crate::Code;
use crate::application::route_path;
use crate::diagnostic::{Diagnostic, Problems};
use crate::read::At;
use crate::service;
use crate::tables::{ManifestTable, RouteTable, ServiceTable};
use crate::words::{and_list, closest, shown};
use shoal_model::Listen;
use std::collections::BTreeMap;
use std::ops::Range;

/// The longest start cycle that is written out, in services.
const CYCLE_SHOWN_MAX: usize = 12;

type Services<'a> = BTreeMap<&'a str, &'a ServiceTable>;

/// Checks calls, routes and the order of the start.
pub(crate) fn check(manifest: &ManifestTable, problems: &mut Problems) {
    // Without the table of services, which is a problem of its own, nothing is declared.
    let Some(named) = &manifest.services else {
        return;
    };
    let services: Services<'_> = named.value.0.iter().map(|(name, at)| (name.as_str(), &at.value)).collect();
    for (name, service) in &services {
        check_calls(name, service, &services, problems);
    }
    if let Some(routes) = manifest.gateway.as_ref().and_then(|gateway| gateway.value.routes.as_ref()) {
        check_routes(&routes.value, &services, problems);
    }
    check_start_order(&services, problems);
}

fn calls(service: &ServiceTable) -> impl Iterator<Item = &At<String>> {
    service.calls.iter().flat_map(|calls| &calls.value)
}

fn calls_later(service: &ServiceTable) -> impl Iterator<Item = &At<String>> {
    service.calls_later.iter().flat_map(|calls| &calls.value)
}

fn check_calls(name: &str, service: &ServiceTable, services: &Services<'_>, problems: &mut Problems) {
    let mut seen: BTreeMap<&str, &Range<usize>> = BTreeMap::new();
    for callee in calls(service).chain(calls_later(service)) {
        let text = callee.value.as_str();
        if let Some(first) = seen.insert(text, &callee.span) {
            let message = format!("`services.{}` lists {} twice among its calls", quoteless(name), shown(text));
            let mend = "keep it once, in `calls` or in `calls-later`";
            let diagnostic = Diagnostic::spanned(Code::ListedTwice, &callee.span, message, mend);
            problems.push(diagnostic.with_note(first, "first listed here"));
        } else if text == name {
            let message = format!("`services.{}` calls itself", quoteless(name));
            let mend = "remove it: a service needs no way to itself; what its replicas share belongs in its database";
            problems.add(Code::CallsItself, &callee.span, message, mend);
        } else if let Some(target) = services.get(text) {
            if service::listen(target) == Some(Listen::None) {
                let message =
                    format!("`services.{}` calls {}, which has `listen = \"none\"`", quoteless(name), shown(text));
                let mend = "let the callee listen, or remove the call";
                problems.add(Code::DoesNotListen, &callee.span, message, mend);
            }
        } else {
            let message =
                format!("`services.{}` calls {}, which the manifest does not declare", quoteless(name), shown(text));
            problems.add(Code::UnknownCallee, &callee.span, message, declare(text, services));
        }
    }
}

fn quoteless(name: &str) -> String {
    shown(name).replace('`', "")
}

/// What to do about a name that is not declared.
fn declare(text: &str, services: &Services<'_>) -> String {
    let table = text.parse::<shoal_model::ServiceName>().map(|name| format!("`[services.{name}]`"));
    let names: Vec<&str> = services.keys().copied().filter(|name| name.len() <= 60).collect();
    match (closest(text, services.keys().copied()), table) {
        (Some(closest), Ok(table)) => {
            format!("did you mean `{closest}`? If not, declare it as {table}")
        }
        (Some(closest), Err(_)) => format!("did you mean `{closest}`?"),
        (None, Ok(table)) => format!("declare it as {table}, or name a service that is declared: {}", and_list(&names)),
        (None, Err(_)) => format!("name a service that is declared: {}", and_list(&names)),
    }
}

fn check_routes(routes: &[At<RouteTable>], services: &Services<'_>, problems: &mut Problems) {
    let mut seen: BTreeMap<(Option<String>, String), &Range<usize>> = BTreeMap::new();
    for route in routes {
        if let Some(target) = &route.value.service {
            let text = target.value.as_str();
            match services.get(text) {
                None => {
                    let message = format!("a route leads to {}, which the manifest does not declare", shown(text));
                    problems.add(Code::RouteToNowhere, &target.span, message, declare(text, services));
                }
                Some(service) if service::listen(service) == Some(Listen::None) => {
                    let message = format!("a route leads to {}, which has `listen = \"none\"`", shown(text));
                    let mend = "let the service listen, or remove the route";
                    problems.add(Code::DoesNotListen, &target.span, message, mend);
                }
                Some(_) => {}
            }
        }
        // A path that can never match was reported where it was read.
        let Some(path) = &route.value.path else {
            continue;
        };
        let Some(matched) = route_path(path, &mut Problems::default()) else {
            continue;
        };
        let host = route.value.host.as_ref().map(|host| host.value.to_ascii_lowercase());
        if let Some(first) = seen.insert((host, matched), &path.span) {
            let message = format!("a route with the path {} and the same host is there already", shown(&path.value));
            let mend = "remove one of the two, or give one a `host` or a longer path";
            let diagnostic = Diagnostic::spanned(Code::DuplicateRoute, &path.span, message, mend);
            problems.push(diagnostic.with_note(first, "the first is here"));
        }
    }
}

/// How far the search for cycles has come with a service.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visited {
    /// It is on the way that is being followed.
    OnTheWay,
    /// All that can be reached from it has been seen.
    Done,
}

/// A service on the way, with those of its calls that are still to be followed.
struct Step<'a> {
    name: &'a str,
    callees: Vec<&'a At<String>>,
    /// The call that led here; none at the start of a way.
    by: Option<&'a At<String>>,
}

/// Follows `calls` from each service in turn. A call back to a service on the way closes a cycle; it is reported and
/// then left out, as it would be once mended. Each call is followed once, without recursion.
fn check_start_order(services: &Services<'_>, problems: &mut Problems) {
    let mut visited: BTreeMap<&str, Visited> = BTreeMap::new();
    for start in services.keys() {
        if visited.contains_key(start) {
            continue;
        }
        let mut way = vec![step(start, None, services)];
        visited.insert(start, Visited::OnTheWay);
        while let Some(last) = way.last_mut() {
            let Some(call) = last.callees.pop() else {
                visited.insert(last.name, Visited::Done);
                way.pop();
                continue;
            };
            let callee = call.value.as_str();
            match visited.get(callee) {
                Some(Visited::Done) => {}
                Some(Visited::OnTheWay) if callee == last.name => {}
                Some(Visited::OnTheWay) => report_cycle(&way, call, problems),
                None if services.contains_key(callee) => {
                    visited.insert(callee, Visited::OnTheWay);
                    way.push(step(callee, Some(call), services));
                }
                None => {}
            }
        }
    }
}

fn step<'a>(name: &'a str, by: Option<&'a At<String>>, services: &Services<'a>) -> Step<'a> {
    let mut callees: Vec<_> = services.get(name).into_iter().flat_map(|service| calls(service)).collect();
    callees.reverse();
    Step { name, callees, by }
}

fn report_cycle(way: &[Step<'_>], closing: &At<String>, problems: &mut Problems) {
    let first = way.iter().position(|step| step.name == closing.value).unwrap_or(0);
    let cycle = &way[first..];
    let mut names: Vec<String> = cycle.iter().take(CYCLE_SHOWN_MAX).map(|step| shown(step.name)).collect();
    if cycle.len() > CYCLE_SHOWN_MAX {
        names.push(format!("… {} more …", cycle.len() - CYCLE_SHOWN_MAX));
    }
    names.push(shown(&closing.value));
    let message = format!("each of these services waits for the next one to start: {}", names.join(" → "));
    let mend = "move the call that is not needed at the start from `calls` to `calls-later`: \
                it stays allowed, and the caller no longer waits for it";
    let mut diagnostic = Diagnostic::spanned(Code::StartCycle, &closing.span, message, mend);
    let waits = |caller: &str, callee: &str| format!("{} waits for {}", shown(caller), shown(callee));
    for pair in cycle.windows(2).take(CYCLE_SHOWN_MAX) {
        if let [caller, Step { name, by: Some(call), .. }] = pair {
            diagnostic = diagnostic.with_note(&call.span, waits(caller.name, name));
        }
    }
    if let Some(last) = cycle.last() {
        diagnostic = diagnostic.with_note(&closing.span, waits(last.name, &closing.value));
    }
    problems.push(diagnostic);
}
