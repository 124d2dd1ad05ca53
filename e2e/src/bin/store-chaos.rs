//! Starts the store in a temporary folder, has `store-check` judge it for as long as its arguments say, and stops it.
//! The first argument is the database, `sqlite` or `postgres`; `--bank-delay-ms N` and `--bank-lost-answers SHARE` say how its simulated bank
//! treats everybody; the others are the checker's. `cargo xtask chaos` runs this.
//!
//! Never: runs in the checkout, where somebody may have a store running.

use shoal_e2e::{CheckedStore, programs, services};
use std::process::ExitCode;
use test_databases::PostgresServer;

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let bank = ["bank-delay-ms", "bank-lost-answers"].map(|setting| taken(&mut arguments, setting));
    let Some((database, arguments)) = arguments.split_first() else {
        eprintln!(
            "usage: store-chaos sqlite|postgres [--bank-delay-ms N] [--bank-lost-answers SHARE] [ARGUMENTS OF store-check]"
        );
        return ExitCode::from(2);
    };
    let server = (database == "postgres").then(PostgresServer::start);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let programs = programs(&services(), &[], folder.path());
    let address = server.as_ref().map(|server| server.url(""));
    let bank = bank.iter().flatten().map(|line| ("payment", line.as_str()));
    let settings: Vec<(&str, &str)> = bank.chain([("checkout", "lease-ms = 3000")]).collect();
    let store = CheckedStore::start(&programs, address, &settings);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = store.checker(&arguments).status().expect("store-check runs");
    drop(store);
    drop(server);
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Takes `--setting VALUE` out of the arguments, as a line of settings.
fn taken(arguments: &mut Vec<String>, setting: &str) -> Option<String> {
    let place = arguments.iter().position(|argument| *argument == format!("--{setting}"))?;
    let value = arguments.get(place + 1)?.clone();
    drop(arguments.drain(place..=place + 1));
    Some(format!("{setting} = {value}"))
}
