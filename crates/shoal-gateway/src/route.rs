//! Where a request goes, from its host and path. Pure.
//!
//! A route matches by whole path segments: `/api` matches `/api` and `/api/x`, not `/apix`. A route with a host wins
//! over one without; among equals the longest path wins, and of two that are the same the first.

use shoal_model::Route;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// One listener's routes, ready to be searched; each leads to a `D`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTable<D> {
    by_host: BTreeMap<String, Vec<Prefix<D>>>,
    any_host: Vec<Prefix<D>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix<D> {
    /// Without a slash at its end; empty for the root.
    path: String,
    leads_to: D,
}

impl<D> RouteTable<D> {
    /// A table of these routes, in the manifest's order, each with where it leads.
    #[must_use]
    pub fn new<'a>(routes: impl IntoIterator<Item = (&'a Route, D)>) -> Self {
        let mut table = Self { by_host: BTreeMap::new(), any_host: Vec::new() };
        for (route, leads_to) in routes {
            let prefixes = match &route.host {
                Some(host) => table.by_host.entry(normal_host(host).into_owned()).or_default(),
                None => &mut table.any_host,
            };
            let path = route.path.trim_end_matches('/').to_owned();
            prefixes.push(Prefix { path, leads_to });
        }
        for prefixes in table.by_host.values_mut().chain([&mut table.any_host]) {
            // Stable: of two equal paths the first stays first.
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        }
        table
    }

    /// Where a request goes. `authority` as the client wrote it; `path` without the query.
    #[must_use]
    pub fn find(&self, authority: &str, path: &str) -> Option<&D> {
        let of_host = if self.by_host.is_empty() {
            None
        } else {
            self.by_host.get(&*normal_host(authority)).and_then(|prefixes| find_prefix(prefixes, path))
        };
        of_host.or_else(|| find_prefix(&self.any_host, path))
    }
}

fn find_prefix<'a, D>(prefixes: &'a [Prefix<D>], path: &str) -> Option<&'a D> {
    let matching = prefixes.iter().find(|prefix| match path.strip_prefix(prefix.path.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix.path.is_empty(),
        None => false,
    });
    matching.map(|prefix| &prefix.leads_to)
}

/// A host as routes compare it: lower case, without its port and without the dot at the end of an absolute name.
/// `Example.com:8080` becomes `example.com`, `[::1]:80` becomes `[::1]`.
#[must_use]
pub fn normal_host(authority: &str) -> Cow<'_, str> {
    let end = match (authority.rfind(']'), authority.rfind(':')) {
        (Some(bracket), Some(colon)) if colon < bracket => authority.len(),
        (_, Some(colon)) => colon,
        (_, None) => authority.len(),
    };
    let host = authority.get(..end).unwrap_or(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(host.to_ascii_lowercase());
    }
    Cow::Borrowed(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shoal_model::{Limits, ServiceName};

    fn route(host: Option<&str>, path: &str, service: &str) -> Route {
        Route {
            host: host.map(str::to_owned),
            path: path.to_owned(),
            service: service.parse().unwrap(),
            limits: Limits::default(),
        }
    }

    fn table_of(routes: &[Route]) -> RouteTable<ServiceName> {
        RouteTable::new(routes.iter().map(|route| (route, route.service.clone())))
    }

    fn found(table: &RouteTable<ServiceName>, host: &str, path: &str) -> Option<String> {
        table.find(host, path).map(ToString::to_string)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = table_of(&[
            route(None, "/", "storefront"),
            route(None, "/api", "api"),
            route(None, "/api/images/", "images"),
        ]);
        for (path, service) in [
            ("/", "storefront"),
            ("/apix", "storefront"),
            ("/api", "api"),
            ("/api/", "api"),
            ("/api/imagesx", "api"),
            ("/api/images", "images"),
            ("/api/images/7", "images"),
            ("/API", "storefront"),
            ("*", "storefront"),
        ] {
            assert_eq!(found(&table, "any", path).as_deref(), Some(service), "{path}");
        }
    }

    #[test]
    fn a_host_wins_over_a_longer_path_without_one_and_falls_back() {
        let table = table_of(&[
            route(None, "/api/deep", "common"),
            route(Some("Shop.Example"), "/api", "shop"),
            route(Some("shop.example"), "/api", "never"),
        ]);
        assert_eq!(found(&table, "Shop.Example:8080", "/api/deep/x").as_deref(), Some("shop"));
        assert_eq!(found(&table, "other.example", "/api/deep/x").as_deref(), Some("common"));
        assert_eq!(found(&table, "shop.example", "/else"), None);
    }

    #[test]
    fn hosts_are_normalised() {
        for (given, normal) in [
            ("Example.COM:8080", "example.com"),
            ("example.com.", "example.com"),
            ("example.com.:80", "example.com"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(normal_host(given), normal);
        }
    }

    fn segments() -> impl Strategy<Value = Vec<String>> {
        proptest::collection::vec("[ab]{1,2}", 0..4)
    }

    proptest! {
        /// The table agrees with the rule said in words over lists of segments.
        #[test]
        fn agrees_with_the_rule(
            routes in proptest::collection::vec((proptest::option::of("[xy]"), segments()), 0..8),
            host in "[xyz]",
            request in segments(),
        ) {
            let list: Vec<Route> = routes.iter().enumerate().map(|(index, (host, path))| {
                route(host.as_deref(), &format!("/{}", path.join("/")), &format!("s{index}"))
            }).collect();
            let expected = routes.iter().enumerate()
                .filter(|(_, (route_host, path))| {
                    route_host.as_ref().is_none_or(|route_host| *route_host == host) && request.starts_with(path)
                })
                .max_by_key(|(index, (host, path))| (host.is_some(), path.len(), std::cmp::Reverse(*index)))
                .map(|(index, _)| format!("s{index}"));
            let table = table_of(&list);
            prop_assert_eq!(found(&table, &host, &format!("/{}", request.join("/"))), expected);
        }

        #[test]
        fn no_text_panics(host in ".*", path in ".*") {
            let table = table_of(&[route(None, "/a", "a"), route(Some("h"), "/", "b")]);
            let _ = table.find(&host, &path);
        }
    }
}
