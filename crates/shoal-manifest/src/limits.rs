//! Limits of routes and services: what the manifest says of them, within what the gateway can keep to.
//!
//! Never: compares limits with each other; the tighter one simply comes first.

use crate::Code;
use crate::diagnostic::Problems;
use crate::read::At;
use crate::service::bounded;
use crate::tables::{LimitsTable, PriorityWord};
use crate::values::{Count, TimeSpan};
use shoal_model::{Limits, Priority};
use std::ops::RangeInclusive;
use std::time::Duration;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
const HEADERS: RangeInclusive<i64> = 1..=10_000;
/// Less than that would refuse browsers; a larger head is data, and belongs in a body.
const HEADER_BYTES: RangeInclusive<i64> = 1024..=1024 * 1024;
const BODY_BYTES: RangeInclusive<i64> = 0..=1 << 40;
/// Requests under way: on a route, or at one replica.
pub(crate) const REQUESTS: RangeInclusive<i64> = 1..=1_000_000;

/// What a table at `path` allows; `base` where it is silent.
pub(crate) fn lower(path: &str, table: &At<LimitsTable>, base: &Limits, problems: &mut Problems) -> Limits {
    let table = &table.value;
    let mut time = |key: &str, at: &Option<At<TimeSpan>>, least: Duration, most: Duration| {
        bounded(&format!("{path}.{key}"), at.as_ref(), least..=most, problems)
    };
    let timeout = time("timeout", &table.timeout, MILLISECOND, DAY);
    let idle_timeout = time("idle-timeout", &table.idle_timeout, MILLISECOND, DAY);
    let hold_timeout = time("hold-timeout", &table.hold_timeout, Duration::ZERO, HOUR);
    let mut number = |key: &str, at: &Option<At<Count>>, bounds: RangeInclusive<i64>| {
        at.as_ref().map(|at| number(&format!("{path}.{key}"), at, bounds, problems))
    };
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Limits {
        timeout: timeout.unwrap_or(base.timeout),
        idle_timeout: idle_timeout.unwrap_or(base.idle_timeout),
        hold_timeout: hold_timeout.unwrap_or(base.hold_timeout),
        headers_max: number("headers-max", &table.headers_max, HEADERS).map_or(base.headers_max, size),
        header_bytes_max: number("header-bytes-max", &table.header_bytes_max, HEADER_BYTES)
            .map_or(base.header_bytes_max, size),
        body_bytes_max: number("body-bytes-max", &table.body_bytes_max, BODY_BYTES).unwrap_or(base.body_bytes_max),
        requests_max: number("requests-max", &table.requests_max, REQUESTS).map_or(base.requests_max, size),
        priority: table.priority.as_ref().map_or(base.priority, |at| match at.value {
            PriorityWord::Low => Priority::Low,
            PriorityWord::Normal => Priority::Normal,
            PriorityWord::High => Priority::High,
        }),
    }
}

/// A number that must lie within bounds; the nearest that does, after a problem was reported.
pub(crate) fn number(path: &str, at: &At<Count>, bounds: RangeInclusive<i64>, problems: &mut Problems) -> u64 {
    let (least, most) = (*bounds.start(), *bounds.end());
    if !bounds.contains(&at.value.0) {
        let mend = format!("write a number from {least} to {most}");
        problems.add(Code::BadLimit, &at.span, format!("`{path}` is {}", at.value), mend);
    }
    at.value.0.clamp(least, most).unsigned_abs()
}
