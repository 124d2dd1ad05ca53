//! From the tables of a manifest to the application: its name, its gateway, and every service in turn.
//!
//! Never: looks whether a file or an address is there; only the machine that runs the application can tell.

use crate::Code;
use crate::diagnostic::Problems;
use crate::limits;
use crate::place::{Place, ServicePart, SourceMap};
use crate::read::At;
use crate::relations;
use crate::service::{self, Surroundings};
use crate::tables::{GatewayTable, ManifestTable, RouteTable, ServiceTable, TlsTable};
use crate::values::Named;
use crate::words::shown;
use shoal_model::{Application, Gateway, Limits, Route, Service, ServiceName, Tls};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};

/// The most services of one application.
const SERVICES_MAX: usize = 1000;
/// The longest path of a route, in bytes; HTTP servers commonly refuse longer request lines than a few thousand.
const ROUTE_PATH_MAX: usize = 1024;
/// The longest host name, in bytes: RFC 1035, section 2.3.4.
const HOST_MAX: usize = 253;

/// The application, when all of it could be understood; problems otherwise.
pub(crate) fn lower(
    table: &ManifestTable,
    manifest_path: &Path,
    spans: &mut SourceMap,
    problems: &mut Problems,
) -> Option<Application> {
    let folder = manifest_path.parent().unwrap_or(Path::new(""));
    let name = application_name(table, spans, problems);
    let gateway = table.gateway.as_ref().map(|gateway| lower_gateway(gateway, folder, spans, problems));
    let services = table.services.as_ref().map(|services| lower_services(services, folder, spans, problems));
    relations::check(table, problems);
    let gateway = match gateway {
        Some(gateway) => Some(gateway?),
        None => None,
    };
    Some(Application { name: name?, gateway, services: services? })
}

fn application_name(table: &ManifestTable, spans: &mut SourceMap, problems: &mut Problems) -> Option<ServiceName> {
    let name = table.application.as_ref()?.value.name.as_ref()?;
    spans.set(Place::ApplicationName, &name.span);
    parse_name(&name.value, &name.span, "an application", problems)
}

fn parse_name(text: &str, span: &std::ops::Range<usize>, what: &str, problems: &mut Problems) -> Option<ServiceName> {
    let parsed = text.parse();
    if parsed.is_err() {
        let message = format!("{} is not a name for {what}", shown(text));
        let most = ServiceName::LENGTH_MAX;
        let mend = format!(
            "use 1 to {most} lower-case letters, digits and `-`, starting with a letter and not ending with `-`"
        );
        problems.add(Code::BadName, span, message, mend);
    }
    parsed.ok()
}

fn lower_services(
    services: &At<Named<ServiceTable>>,
    folder: &Path,
    spans: &mut SourceMap,
    problems: &mut Problems,
) -> BTreeMap<ServiceName, Service> {
    let named = &services.value.0;
    if named.is_empty() && problems.is_empty() {
        let mend = "declare at least one, as in `[services.web]` with `run = { command = [\"./server\"] }`";
        problems.add(Code::MissingKey, &services.key, "the manifest declares no service", mend);
    }
    if named.len() > SERVICES_MAX {
        let message = format!("the manifest declares {} services, at most {SERVICES_MAX} are allowed", named.len());
        problems.add(Code::PastLimit, &services.key, message, "split the application");
        return BTreeMap::new();
    }
    let mut lowered = BTreeMap::new();
    for (text, table) in named {
        let Some(name) = parse_name(text, &table.key, "a service", problems) else {
            continue;
        };
        spans.set(Place::of(&name, ServicePart::Name), &table.key);
        if name == ServiceName::gateway() {
            let message = "`gateway` is the name of Shoal's own gateway";
            problems.add(Code::ReservedName, &table.key, message, "give the service another name, such as `web`");
        }
        let surroundings = Surroundings { name: &name, key: &table.key, folder };
        if let Some(service) = service::lower(&surroundings, &table.value, spans, problems) {
            lowered.insert(name, service);
        }
    }
    lowered
}

fn lower_gateway(
    gateway: &At<GatewayTable>,
    folder: &Path,
    spans: &mut SourceMap,
    problems: &mut Problems,
) -> Option<Gateway> {
    spans.set(Place::Gateway, &gateway.key);
    let listen = gateway.value.listen.as_ref().and_then(|listen| {
        spans.set(Place::GatewayListen, &listen.span);
        lower_listen(listen, problems)
    });
    let tls = gateway.value.tls.as_ref().map(|tls| lower_tls(&tls.value, folder, spans));
    let routes = gateway.value.routes.as_ref().map_or(&[][..], |routes| &routes.value);
    let limits =
        gateway.value.limits.as_ref().map_or_else(Limits::default, |limits| {
            limits::lower("gateway.limits", limits, &Limits::default(), problems)
        });
    let mut lowered: Vec<Option<Route>> = Vec::with_capacity(routes.len());
    for (index, route) in routes.iter().enumerate() {
        spans.set(Place::Route(index), &route.span);
        lowered.push(lower_route(index, &route.value, &limits, problems));
    }
    let tls = match tls {
        Some(tls) => Some(tls?),
        None => None,
    };
    Some(Gateway { listen: listen?, tls, routes: lowered.into_iter().collect::<Option<_>>()? })
}

fn lower_listen(listen: &At<String>, problems: &mut Problems) -> Option<SocketAddr> {
    let parsed = listen.value.parse();
    if parsed.is_err() {
        let message = format!("`gateway.listen` is {}, which is not an IP address with a port", shown(&listen.value));
        let mend = "write `\"127.0.0.1:8080\"` for this machine only, or `\"0.0.0.0:8080\"` for everyone; \
                    an IPv6 address goes in brackets, `\"[::1]:8080\"`";
        problems.add(Code::BadAddress, &listen.span, message, mend);
    }
    parsed.ok()
}

fn lower_tls(tls: &TlsTable, folder: &Path, spans: &mut SourceMap) -> Option<Tls> {
    if let Some(certificate) = &tls.certificate {
        spans.set(Place::Certificate, &certificate.span);
    }
    if let Some(key) = &tls.key {
        spans.set(Place::CertificateKey, &key.span);
    }
    let certificate = absolute(folder, &tls.certificate.as_ref()?.value);
    Some(Tls { certificate, key: absolute(folder, &tls.key.as_ref()?.value) })
}

fn lower_route(index: usize, route: &RouteTable, limits: &Limits, problems: &mut Problems) -> Option<Route> {
    let path = route.path.as_ref().and_then(|path| route_path(path, problems));
    let host = route.host.as_ref().map(|host| route_host(host, problems));
    let limits = route.limits.as_ref().map_or_else(
        || limits.clone(),
        |own| limits::lower(&format!("gateway.routes[{index}].limits"), own, limits, problems),
    );
    let service = route.service.as_ref()?.value.parse().ok();
    let host = match host {
        Some(host) => Some(host?),
        None => None,
    };
    Some(Route { host, path: path?, service: service?, limits })
}

/// The path without a slash at its end, which matches the same requests. Only one that a request can have is taken.
pub(crate) fn route_path(path: &At<String>, problems: &mut Problems) -> Option<String> {
    let text = path.value.as_str();
    let strange = |byte: u8| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#' | b'\\' | b'%');
    let (why, mend) = if !text.starts_with('/') {
        ("it does not start with `/`", format!("write `\"/{}\"`", text.chars().take(60).collect::<String>()))
    } else if text.len() > ROUTE_PATH_MAX {
        ("it is too long", format!("use at most {ROUTE_PATH_MAX} bytes"))
    } else if text.bytes().any(strange) {
        ("it holds a character that paths are not matched by", "leave out spaces, `?`, `#`, `%` and `\\`".to_owned())
    } else if text
        .strip_suffix('/')
        .unwrap_or(text)
        .split('/')
        .skip(1)
        .any(|segment| matches!(segment, "" | "." | ".."))
    {
        ("a segment of it is empty, `.` or `..`", "write the plain path".to_owned())
    } else {
        let trimmed = text.strip_suffix('/').unwrap_or(text);
        return Some(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() });
    };
    let message = format!("no request can match the path {}: {why}", shown(text));
    problems.add(Code::BadRoute, &path.span, message, mend);
    None
}

fn route_host(host: &At<String>, problems: &mut Problems) -> Option<String> {
    let lower = host.value.to_ascii_lowercase();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    let labels = lower.split('.').all(|label| (1..=63).contains(&label.len()));
    if labels && lower.len() <= HOST_MAX && lower.bytes().all(allowed) {
        return Some(lower);
    }
    let message = format!("no request can match the host {}", shown(&host.value));
    let mend = "write a plain host name, `\"shop.example\"`: no `http://`, no port, no `*`";
    problems.add(Code::BadRoute, &host.span, message, mend);
    None
}

/// A path of the manifest from its folder, without `.` and with `..` taken back; symbolic links are not followed.
pub(crate) fn absolute(folder: &Path, path: &str) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in folder.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match clean.components().next_back() {
                Some(Component::Normal(_)) => {
                    clean.pop();
                }
                Some(Component::RootDir | Component::Prefix(_)) => {}
                Some(Component::CurDir | Component::ParentDir) | None => clean.push(component),
            },
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::absolute;
    use std::path::{Path, PathBuf};

    #[test]
    fn paths_are_taken_from_the_manifest() {
        let folder = Path::new("/apps/store");
        assert_eq!(absolute(folder, "services/./catalogue"), PathBuf::from("/apps/store/services/catalogue"));
        assert_eq!(absolute(folder, "../contracts/"), PathBuf::from("/apps/contracts"));
        assert_eq!(absolute(folder, "../../../.."), PathBuf::from("/"));
        assert_eq!(absolute(folder, "/srv"), PathBuf::from("/srv"));
        assert_eq!(absolute(folder, ""), PathBuf::from("/apps/store"));
    }
}
