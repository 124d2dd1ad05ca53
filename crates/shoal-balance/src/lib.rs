//! Pure load balancing: which endpoint takes the next request.
//!
//! A [`Balancer`] holds the ready endpoints of one service and counts what each has in flight. [`Balancer::pick`] is a
//! weighted power of two choices: two distinct endpoints are drawn in proportion to their weights, and the one with
//! less in flight for its weight takes the request. The [`Pick`] holds that place until it is dropped.
//!
//! Never: reads a clock, a file or a socket, waits, logs, or makes its own randomness; the caller brings it.

mod balancer;
mod candidates;

pub use balancer::{Balancer, Pick};
