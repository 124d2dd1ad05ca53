//! Generates Rust for services from Protobuf descriptions, without protoc. For build scripts.
//!
//! Two generators, both read by a macro of `shoal-sdk`:
//!
//! - [`contracts`] makes the messages, and one full trait with its server for each Protobuf service. One crate per
//!   application does this, so that every part of the application shares the same message types.
//! - [`calls`] makes, in the crate of a caller, a trait with only the methods that the caller lists, implemented over
//!   the wire and in process. A method that is not listed does not compile.
//!
//! What they embed in the executable is read back with [`read_records`].
//!
//! Never: runs another program, reaches the network, or writes outside of `OUT_DIR`.

mod caller;
mod contract;
mod descriptors;
mod error;
mod method;
mod record;
#[cfg(test)]
mod tests;

pub use caller::{Calls, calls};
pub use contract::{Contracts, contracts};
pub use error::BuildError;
pub use record::{Record, read_records};
