//! Replicas as real processes: started, ended, killed, left alone and adopted.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod adoption;
mod disturbed;
mod ending;
mod environment;
mod kept;
mod logging;
mod stage;
mod starting;
