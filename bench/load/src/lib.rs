//! Load as users make it: requests arrive when they are due, whether or not those before them were answered, and a
//! request's time counts from when it was due. So a server that stands still for a second has a second's worth of slow
//! requests, not one (the error of leaving them out is called coordinated omission).
//!
//! [`OpenLoop`] is when requests come; [`Client`] is how one is sent, and where it had got to when it failed; [`Latency`] is
//! what they took. [`ClosedLoop`] is the other kind, for finding what a server costs when it is busy all the time.
//! [`Running`] does either on a thread of its own, beside a test that makes the faults. [`store`] knows the pages of
//! the example application.
//!
//! Never: links a crate of Shoal, so that it can do only what a user can; or hides a failure by asking again, but for the
//! one case that every client of kept connections has to, which is counted.

mod client;
mod closed_loop;
mod connection;
mod latency;
mod open_loop;
mod pace;
mod request;
mod running;
pub mod store;
mod wire;

pub use client::{Client, ClientSettings};
pub use closed_loop::{ClosedLoop, Spent};
pub use connection::{Failure, Response, Stage, Target};
pub use latency::Latency;
pub use open_loop::{Arrivals, Done, OpenLoop};
pub use request::Request;
pub use running::Running;
