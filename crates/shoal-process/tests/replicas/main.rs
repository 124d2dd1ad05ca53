//! Replicas as real processes: started, ended, killed, left alone and adopted.

mod adoption;
mod ending;
mod environment;
mod logging;
mod stage;
mod starting;
