//! The brain from outside: scenarios in plain text, a simulated runtime with faults, and the commands.

#![allow(clippy::unwrap_used)] // a test that panics is a test that fails

mod application;
mod commands;
mod faults;
mod resume;
mod scale;
mod scenarios;
mod simulation;
mod stored;
mod world;
