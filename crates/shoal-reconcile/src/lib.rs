//! The brain: decides, purely, what must happen next for the target to come true.
//!
//! [`State`] holds the target of every service and every replica there is. Commands ([`State::set_target`],
//! [`State::scale`], [`State::restart`], [`State::stop`]) change the target; [`step`] compares it with what was observed
//! and answers the actions a runtime must take, why, and when to look again. It is level-triggered: everything is
//! recomputed from the whole state, so a lost or repeated observation does no harm.
//!
//! Two levels. [`intents`] decides per revision what should be, which a cluster could take as it is; `lower` turns that
//! into start, publish, signal, stop and forget of named replicas, which is what a process runtime takes.
//!
//! How a driver uses it: commit `step.state` when [`Step::changed`] says so, *then* run `step.actions`; call again on
//! any observation and at `step.wake_at`. After a start of the supervisor: [`State::open`], [`State::resumed`], let the
//! runtime adopt, [`State::adopted`], and only then the first step. A runtime must report a replica's life again from
//! time to time (every few seconds is enough), which is what makes a lost observation harmless.
//!
//! Never: async, a clock, a file, a socket, a process, a log line; `now` is an argument.

mod backoff;
mod commands;
mod drain;
mod fault_rules;
mod faults;
pub mod intents;
pub mod invariants;
mod life;
mod lower;
mod observe;
mod order;
mod reasons;
mod resume;
mod routes;
mod state;
mod status;
mod step;

pub use commands::{Refusal, ServiceTarget};
pub use faults::{FAULTS_MAX, FaultStatus};
pub use reasons::{Reason, ReasonKind};
pub use state::{Ending, OpenError, Phase, State};
pub use status::{LastExit, ReplicaStatus, ServiceStatus};
pub use step::{Step, step};
