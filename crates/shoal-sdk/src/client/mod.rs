//! The caller's side: which replica, over which connection, with which deadline. Never: encodes a call that stays in the
//! process.

mod channel;
mod connection;
mod directory;
mod link;
mod whole;

pub use channel::Channel;
pub(crate) use directory::Directory;
pub use link::{InProcess, Link, link};
