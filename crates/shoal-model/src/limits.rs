//! What one route allows: times, sizes, counts, and its rank when a service is saturated.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The limits of a route; [`Limits::default`] has what applies where the manifest is silent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Limits {
    /// From the end of a request's head to the beginning of its answer, with all that holding and retries take. A shorter
    /// deadline that the request carries wins.
    pub timeout: Duration,
    /// How long either side may send nothing in the middle of a body, or take nothing of one.
    pub idle_timeout: Duration,
    /// How long a request may be held while no replica can take it; part of `timeout`.
    pub hold_timeout: Duration,
    /// The most headers of a request.
    pub headers_max: usize,
    /// The largest head of a request, in bytes.
    pub header_bytes_max: usize,
    /// The largest body of a request, in bytes.
    pub body_bytes_max: u64,
    /// The most requests under way on this route.
    pub requests_max: usize,
    /// Who is turned away first when the service is saturated.
    pub priority: Priority,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            hold_timeout: Duration::from_secs(10),
            headers_max: 100,
            header_bytes_max: 64 * 1024,
            body_bytes_max: 64 * 1024 * 1024,
            requests_max: 10_000,
            priority: Priority::Normal,
        }
    }
}

/// The rank of a route's requests: when a service is saturated, low ones are turned away first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Priority {
    /// Can wait: prefetching, reports.
    Low,
    /// Everything else.
    #[default]
    Normal,
    /// Must get through while anything does: paying.
    High,
}
