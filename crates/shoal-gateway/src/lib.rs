//! Requests in, a ready replica's answer out.
//!
//! The gateway is a process of its own: it accepts on sockets it was passed, finds the service by host and path
//! ([`route`]), lets the balancer choose a replica, and passes request and answer through, streaming. What it knows of
//! replicas comes from the discovery socket and outlives the supervisor. One single-threaded event loop runs per core;
//! each accepts from all listeners. A control thread beside them follows discovery, so that a busy core neither loses
//! the gateway's lease nor delays a drain.
//!
//! Never: knows what a rollout is, starts or judges a replica, retries a request that may have been served, or buffers
//! a body.

mod applied;
mod complaints;
mod connection;
mod control;
mod core_loop;
mod forward;
mod gateway;
mod headers;
mod identify;
mod pool;
mod process;
mod random;
mod refusal;
pub mod route;
mod tls;
mod tracked;
mod tunnel;
mod upstream;

pub use gateway::{Gateway, GatewayError, GatewaySettings};
pub use process::main;
