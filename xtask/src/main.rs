//! The project's own chores: `cargo xtask tidy` (the rules of the project, as tests), `cargo xtask test` (every test,
//! with what they need) and `cargo xtask bench` (what it costs, measured).
//!
//! Never: part of what users run.

mod bench;
mod chaos;
mod install;
mod metadata;
mod sim;
mod test;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  tidy             checks the rules of the project: floors, headers, purity, the map, lengths, names, links
  tidy --tighten   as tidy, and lowers xtask/ratchet.txt to present lengths
  sim [--seed N] [--histories M]
                   plays seeded histories of the supervisor, with faults; a seed alone is told from beginning to end
  sim scale        one change to all holders of 1,000 services of 10 replicas: how long, and how much memory
  chaos --minutes N [--seed S] [--database sqlite|postgres] [--bank-delay-ms N] [--bank-lost-answers SHARE] [ARGS]
                   the store under seeded faults, judged from outside; the seed of a run replays its faults;
                   ARGS go to store-check
  setup            installs what the tests need, and nothing else
  bench [ARGS]     measures what Shoal costs beside its peers; ARGS are figures, --rounds N, --seconds S, --list
  test [ARGS]      installs what the tests need, builds shoal, runs every test; ARGS go to `cargo test`
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["bench", rest @ ..] => bench::run(&root(), rest),
        ["tidy"] => tidy::run(&root(), false),
        ["tidy", "--tighten"] => tidy::run(&root(), true),
        ["chaos", rest @ ..] => chaos::run(&root(), rest),
        ["sim", rest @ ..] => sim::run(&root(), rest),
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
