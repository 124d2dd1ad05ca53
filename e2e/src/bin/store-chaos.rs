//! Starts the store in a temporary folder, has `store-check` judge it for as long as its arguments say, and stops it.
//! The first argument is the database, `sqlite` or `postgres`; the others are the checker's. `cargo xtask chaos` runs this.
//!
//! Never: runs in the checkout, where somebody may have a store running.

use shoal_e2e::{CheckedStore, programs, services};
use std::process::ExitCode;
use test_databases::PostgresServer;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((database, arguments)) = arguments.split_first() else {
        eprintln!("usage: store-chaos sqlite|postgres [ARGUMENTS OF store-check]");
        return ExitCode::from(2);
    };
    let server = (database == "postgres").then(PostgresServer::start);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let programs = programs(&services(), &[], folder.path());
    let address = server.as_ref().map(|server| server.url(""));
    let store = CheckedStore::start(&programs, address, &[("checkout", "lease-ms = 3000")]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let status = store.checker(&arguments).status().expect("store-check runs");
    drop(store);
    drop(server);
    status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
