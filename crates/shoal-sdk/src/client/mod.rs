//! The caller's side: which replica, over which connection, with which deadline. Never: encodes a call that stays in the
//! process.

mod channel;
mod connection;
mod directory;
mod disturbance;
mod exchange;
mod hold;
mod link;
mod peer;

pub use channel::Channel;
pub(crate) use directory::Directory;
pub(crate) use hold::HOLD_MAX;
pub use link::{InProcess, Link, link};
