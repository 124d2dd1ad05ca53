//! The `shoal` command: parses what was typed and hands it to the verb's own module.
//!
//! The words with two underscores are Shoal starting itself as one of its own processes; no person types them.

mod application;
mod args;
mod commands;
mod failure;
mod json_call;
mod screen;

use args::{Arguments, Verb};
use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
    match words.first().and_then(|word| word.to_str()) {
        Some("__keep") => shoal_process::keep(words[1..].to_vec()),
        Some("__exec") => shoal_process::exec(words[1..].to_vec()),
        Some("__gateway") => shoal_gateway::main(),
        Some("__supervise") => shoal_server::supervise(&words[1..]),
        _ => command(Arguments::parse()),
    }
}

fn command(arguments: Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::because("this machine would not start an event loop", error).print(),
    };
    match runtime.block_on(run(arguments.verb)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

async fn run(verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Up(up) => commands::up::run(up).await,
        Verb::Status { at, json } => commands::status::run(&at, json).await,
        Verb::Scale { at, wanted, json } => commands::scale::run(&at, &wanted, json).await,
        Verb::Restart { at, services, json } => commands::restart::run(&at, services, json).await,
        Verb::Logs(logs) => commands::logs::run(logs).await,
        Verb::Call { at, method, request } => commands::call::run(&at, &method, &request).await,
        Verb::Fault(fault) => commands::fault::run(fault).await,
        Verb::Graph { at, json } => commands::graph::run(&at, json),
        Verb::Check { at, json } => commands::check::run(&at, json),
        Verb::Schema => commands::schema::run(),
        Verb::New { folder } => commands::new::run(&folder),
        Verb::Down { at } => commands::down::run(&at).await,
        Verb::Completions { shell } => commands::completions::run(shell),
    }
}
