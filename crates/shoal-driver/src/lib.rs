//! The driver without its tasks: has the brain decide, commits, and says what is to be done.
//!
//! [`Core`] is all of the supervisor's loop that can be run without a socket, a process or a clock, so that the supervisor
//! and the simulation run the same code. [`Store`] is where it keeps its state. What comes of a [`Turn`] is carried out by
//! whoever drives it.
//!
//! Never: lets out what is not on disk; decides; acts; waits; reads a clock.

mod accepted;
mod core;
mod faults;
mod store;
mod unkept;

pub use accepted::{Accepted, Prepared};
pub use core::{Answer, Core, CoreError, Snapshot, Turn, Wish, WishError};
pub use faults::FaultWish;
pub use store::{Reopen, Store, StoreError};

#[cfg(test)]
mod test_world;
