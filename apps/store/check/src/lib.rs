//! Judges the store from outside, while things fail on purpose: buyers shop by its public pages, probes read its audits, a seeded
//! schedule of faults is made by the `shoal` command, and when all is quiet again the history is held against the store's invariants.
//!
//! Where to start reading: `history` is what is known of a run, `judge` what must hold of it, both without any input or output.
//! `round` makes one run; `buyer`, `probes`, `faults` and `quiet` are its parts.
//!
//! Never: links a crate of the store or of Shoal, so that it sees only what anybody can see.

mod api;
mod arguments;
mod buyer;
mod faults;
mod history;
mod judge;
mod page;
mod probes;
mod quiet;
mod random;
mod report;
mod round;
mod schedule;
mod shoal;
mod takeover;
mod trip;
mod world;

use arguments::Arguments;
use clap::Parser;
use quiet::Baseline;
use report::Sums;
use round::Settings;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Runs what the command line asks for. Exits with 0 when every invariant held, 1 when one did not, 2 when it could not be judged.
#[must_use]
pub fn main() -> ExitCode {
    match check(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            say(&format!("store-check: {why}\n"));
            ExitCode::from(2)
        }
    }
}

fn check(arguments: &Arguments) -> Result<bool, String> {
    let shoal = arguments.shoal();
    let mut sums = Sums::default();
    let mut before = Baseline::default();
    let began = Instant::now();
    let mut all_hold = true;
    for number in 0.. {
        let enough = match arguments.minutes {
            Some(minutes) => began.elapsed() >= Duration::from_secs(60 * minutes),
            None => number >= arguments.rounds,
        };
        if enough || (!all_hold && !arguments.keep_going) {
            break;
        }
        let settings = Settings { seed: arguments.seed.wrapping_add(number), ..arguments.settings()? };
        let started = Instant::now();
        let verdict = round::run(&shoal, &settings, &mut before)
            .map_err(|why| format!("the run of seed {} broke off: {why}", settings.seed))?;
        let took = started.elapsed();
        sums.add(&settings, &verdict, took);
        say(&format!("{}\n", report::line(&settings, &verdict, took)));
        if !verdict.violations.is_empty() {
            all_hold = false;
            say(&report::complaint(&settings, &verdict));
        }
    }
    say(&format!("\n{}", sums.text()));
    Ok(all_hold)
}

/// Prints at once; a reader that is gone is no reason to stop judging.
fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}
