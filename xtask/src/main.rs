//! The project's own chores: `cargo xtask tidy` (the rules of the project, as tests) and `cargo xtask test` (every
//! test, with what they need).
//!
//! Never: part of what users run.

mod install;
mod metadata;
mod test;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  tidy             checks the rules of the project: floors, headers, purity, the map, lengths, names, links
  tidy --tighten   as tidy, and lowers xtask/ratchet.txt to present lengths
  setup            installs what the tests need, and nothing else
  test [ARGS]      installs what the tests need, builds shoal, runs every test; ARGS go to `cargo test`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["tidy"] => tidy::run(&root(), false),
        ["tidy", "--tighten"] => tidy::run(&root(), true),
        ["setup"] => test::setup(&root()).map(drop),
        ["test", rest @ ..] => test::run(&root(), rest),
        _ => Err(USAGE.to_owned()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{}", message.trim_end());
            ExitCode::FAILURE
        }
    }
}

/// The root of the project: the folder above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}
