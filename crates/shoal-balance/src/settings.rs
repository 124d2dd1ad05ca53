//! What balancing can be told. Never: reads a manifest; the defaults are for services on one machine.

use std::time::Duration;

/// How a [`Balancer`](crate::Balancer) judges endpoints.
#[derive(Clone, Debug)]
pub struct BalanceSettings {
    /// After how long without an answer the estimated time of one is worth half as much.
    pub estimate_half_life: Duration,
    /// The load at which an endpoint is put that fails always while its peer never does; in proportion to the square of
    /// the difference otherwise, so that a stray failure costs little.
    pub penalty: Duration,
    /// After how long a failure is worth half as much.
    pub failure_half_life: Duration,
    /// For how long a new endpoint's share of requests grows to its full one.
    pub slow_start: Duration,
    /// With which part of its share it starts, from 0 to 1.
    pub slow_start_share: f64,
    /// After how many requests in a row that did not reach it an endpoint's breaker opens.
    pub breaker_failures: u32,
    /// For how long a breaker first stays open; each trial that fails doubles it.
    pub breaker_open_min: Duration,
    /// For how long it stays open at most.
    pub breaker_open_max: Duration,
    /// When an unfinished trial is old enough to try once more.
    pub breaker_patience: Duration,
    /// By how much more of its requests than those of its peers an endpoint must fail to be ejected, from 0 to 1.
    pub ejection_margin: f64,
    /// Of how many recent requests that is judged at least, both its own and its peers'.
    pub ejection_requests_min: u32,
    /// For how long an endpoint is ejected first; doubled when it must be again before it did well for as long.
    pub ejection_min: Duration,
    /// For how long it is ejected at most.
    pub ejection_max: Duration,
    /// Which part of the endpoints may be ejected at once, rounded down, from 0 to 1.
    pub ejected_share_max: f64,
}

impl Default for BalanceSettings {
    fn default() -> Self {
        Self {
            estimate_half_life: Duration::from_secs(2),
            penalty: Duration::from_secs(5),
            failure_half_life: Duration::from_secs(3),
            slow_start: Duration::from_secs(5),
            slow_start_share: 0.1,
            breaker_failures: 5,
            breaker_open_min: Duration::from_millis(100),
            breaker_open_max: Duration::from_secs(2),
            breaker_patience: Duration::from_secs(1),
            ejection_margin: 0.3,
            ejection_requests_min: 10,
            ejection_min: Duration::from_secs(5),
            ejection_max: Duration::from_secs(60),
            ejected_share_max: 0.5,
        }
    }
}
