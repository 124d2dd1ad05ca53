//! Which service a request goes to, from its host and path. Pure.
//!
//! A route matches by whole path segments: `/api` matches `/api` and `/api/x`, not `/apix`. A route with a host wins
//! over one without; among equals the longest path wins, and of two that are the same the first.

use shoal_model::{Route, ServiceName};
use std::collections::BTreeMap;

/// One listener's routes, ready to be searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteTable {
    by_host: BTreeMap<String, Vec<Prefix>>,
    any_host: Vec<Prefix>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Prefix {
    /// Without a slash at its end; empty for the root.
    path: String,
    service: ServiceName,
}

impl RouteTable {
    /// A table of these routes, in the manifest's order.
    #[must_use]
    pub fn new(routes: &[Route]) -> Self {
        let mut table = Self::default();
        for route in routes {
            let prefixes = match &route.host {
                Some(host) => table.by_host.entry(normal_host(host)).or_default(),
                None => &mut table.any_host,
            };
            let path = route.path.trim_end_matches('/').to_owned();
            prefixes.push(Prefix { path, service: route.service.clone() });
        }
        for prefixes in table.by_host.values_mut().chain([&mut table.any_host]) {
            // Stable: of two equal paths the first stays first.
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        }
        table
    }

    /// The service for a request. `host` as [`normal_host`] gives it; `path` without the query.
    #[must_use]
    pub fn find(&self, host: &str, path: &str) -> Option<&ServiceName> {
        let of_host = self.by_host.get(host).and_then(|prefixes| find_prefix(prefixes, path));
        of_host.or_else(|| find_prefix(&self.any_host, path))
    }
}

fn find_prefix<'a>(prefixes: &'a [Prefix], path: &str) -> Option<&'a ServiceName> {
    let matching = prefixes.iter().find(|prefix| match path.strip_prefix(prefix.path.as_str()) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || prefix.path.is_empty(),
        None => false,
    });
    matching.map(|prefix| &prefix.service)
}

/// A host as routes compare it: lower case, without its port and without the dot at the end of an absolute name.
/// `Example.com:8080` becomes `example.com`, `[::1]:80` becomes `[::1]`.
#[must_use]
pub fn normal_host(authority: &str) -> String {
    let end = match (authority.rfind(']'), authority.rfind(':')) {
        (Some(bracket), Some(colon)) if colon < bracket => authority.len(),
        (_, Some(colon)) => colon,
        (_, None) => authority.len(),
    };
    let host = authority.get(..end).unwrap_or(authority);
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use shoal_model::Limits;

    fn route(host: Option<&str>, path: &str, service: &str) -> Route {
        Route {
            host: host.map(str::to_owned),
            path: path.to_owned(),
            service: service.parse().unwrap(),
            limits: Limits::default(),
        }
    }

    fn found(table: &RouteTable, host: &str, path: &str) -> Option<String> {
        table.find(host, path).map(ToString::to_string)
    }

    #[test]
    fn the_longest_prefix_of_whole_segments_wins() {
        let table = RouteTable::new(&[
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
        let table = RouteTable::new(&[
            route(None, "/api/deep", "common"),
            route(Some("Shop.Example"), "/api", "shop"),
            route(Some("shop.example"), "/api", "never"),
        ]);
        assert_eq!(found(&table, "shop.example", "/api/deep/x").as_deref(), Some("shop"));
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
            let table = RouteTable::new(&list);
            prop_assert_eq!(found(&table, &host, &format!("/{}", request.join("/"))), expected);
        }

        #[test]
        fn no_text_panics(host in ".*", path in ".*") {
            let table = RouteTable::new(&[route(None, "/a", "a"), route(Some("h"), "/", "b")]);
            let _ = table.find(&normal_host(&host), &path);
        }
    }
}
