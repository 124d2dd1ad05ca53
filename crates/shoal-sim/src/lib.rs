//! The simulation: thousands of seeded histories of the supervisor's own code, in virtual time.
//!
//! [`shoal_driver::Core`] (decide, then commit), the real store over a disk that tears writes, the real publisher and the
//! real holders run over a simulated machine. Supervisors are killed between commit and action and in the middle of
//! commits, observations get lost and come twice, replicas crash, hang and leave, users change their minds. Safety is
//! judged at every turn, by what really runs; once faults stop, everything must settle. [`play`] is one history; the same
//! seed is the same history. [`Planted`] faults prove that it notices.
//!
//! Never: part of what users run; reads no clock, and starts no process.

mod application;
mod disk;
mod faults;
mod history;
mod holders;
mod machine;
mod planted;
mod random;
mod runtime;
mod scale;
mod supervisor;
mod watch;
mod world;

pub use history::{Failure, Summary, play};
pub use planted::Planted;
pub use scale::{Figures, measure};
