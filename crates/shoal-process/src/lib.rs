//! Replicas as local processes: each under a keeper of its own, with its sockets, probes and bounded logs.
//!
//! [`ProcessRuntime`] takes actions and reports observations. [`keep`] and [`exec`] are the two small programs it runs
//! under the same executable: `shoal __keep` (the keeper, parent of one program) and `shoal __exec` (the shim that becomes
//! the program). [`logs`] reads what the keepers wrote; [`ports`] is the registry that keeps applications apart.
//!
//! Never: decides. It starts, signals and stops what an action names, and says what it sees. It never signals a process
//! that it cannot prove to be its own.

mod clock;
mod environment;
mod error;
mod exec;
mod fixed;
mod folders;
mod identity;
mod keeper;
mod launch;
mod leftovers;
mod linux;
mod lock;
mod probe;
mod record;
mod replica;
mod reporter;
mod runtime;
mod sockets;
mod usage;

pub mod logs;
pub mod ports;

pub use error::ProcessError;
pub use exec::exec;
pub use keeper::keep;
pub use runtime::{ProcessRuntime, ProcessSettings};
pub use usage::{Usage, memory};
