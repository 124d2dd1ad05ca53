//! What a Rust service may link: serve, call, health, settings, database. Optional; everything works for a program
//! without it.
//!
//! A service is a library that exports `service(Environment)`, and a `main` of three lines:
//!
//! ```ignore
//! fn main() -> std::process::ExitCode {
//!     shoal_sdk::run(catalogue::service)
//! }
//! ```
//!
//! Where to start reading: [`run`] is what happens in a process; [`Environment`] is all that a service is given;
//! [`Service`] is what it gives back; [`Call`] and [`Error`] travel with each call, over the wire and in process alike.
//!
//! Never: reads `std::env` outside of [`run`], or keeps a global but each thread's source of ids, so that several services
//! can share a process.

mod call;
mod client;
mod database;
mod environment;
mod error;
mod faults;
mod frames;
mod heavy;
mod key;
mod random;
mod run;
mod serve;
mod service;
mod shutdown;
mod start_error;
mod trace;
mod variables;
mod wire;

pub use async_trait::async_trait;
pub use buffa::{EnumValue, Message, MessageField};
pub use call::{Call, DEADLINE_DEFAULT};
pub use database::{Connection, Database, Dialect, Migrations, Query, Reading, Row, Value, WriteTransaction, query};
pub use environment::{Contract, Environment};
pub use error::{Code, Detail, Error};
pub use faults::Faults;
pub use heavy::heavy;
pub use run::run;
pub use serve::Body;
pub use service::{Serve, Service};
pub use shutdown::Shutdown;
pub use start_error::StartError;

#[doc(hidden)]
pub use buffa;

/// For generated code only; may change in any release.
#[doc(hidden)]
pub mod __private {
    pub use crate::client::{Channel, InProcess, Link, link};
    pub use crate::wire::Routes;
}

/// Includes what `shoal_build::contracts` generated: the modules of all packages.
#[macro_export]
macro_rules! include_contracts {
    () => {
        include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
    };
}

/// Includes what `shoal_build::calls` generated: a trait and a connect function for each called service.
#[macro_export]
macro_rules! include_calls {
    () => {
        include!(concat!(env!("OUT_DIR"), "/calls.rs"));
    };
}
