//! Requests in, a ready replica's answer out.
//!
//! The gateway is a process of its own: it accepts on sockets it was passed, finds the service by host and path
//! ([`route`]), lets the balancer choose a replica, and passes request and answer through, streaming. What it knows of
//! replicas comes from the discovery socket and outlives the supervisor. It is the local proxy too: it serves the calls of
//! programs without the SDK, at listening sockets that the callers' keepers hand out ([`callers`]). One single-threaded event
//! loop runs per core; each accepts from all public listeners. A control thread beside them follows discovery, so that a
//! busy core neither loses the gateway's lease nor delays a drain.
//!
//! Never: knows what a rollout is, starts or stops a replica, sends twice what may have been served unless that does no
//! harm, or holds more of a body than that takes.

mod applied;
mod callers;
mod clock;
mod complaints;
mod connection;
mod control;
mod core_loop;
mod deadline;
mod destination;
mod disturbance;
mod forward;
mod gateway;
mod headers;
mod http1;
mod identify;
mod outgoing;
mod pool;
mod process;
mod progress;
mod random;
mod reading;
mod refusal;
pub mod route;
mod tls;
mod tracked;
mod tries;
mod upload;
mod upstream;

pub use gateway::{Gateway, GatewayError, GatewaySettings};
pub use process::main;
