//! `cargo xtask sim`: plays histories from a seed on, on every core, and shows those that went wrong.

use shoal_sim::{Failure, Figures, Summary, measure, play};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

const USAGE: &str = "\
Usage: cargo xtask sim [--seed N] [--histories M]
       cargo xtask sim scale [SERVICES]

  --seed N         the first history (0); alone, just that one, with its story
  --histories M    how many follow one another (1 with a seed, 1000 without)
  scale            one change to all holders of 1,000 services (or so many) of 10 replicas: how long, how much memory
";

/// Failures that are shown.
const SHOWN_MAX: usize = 10;

#[expect(clippy::print_stderr, reason = "it is a command")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(("scale", rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        return scale(rest.first().and_then(|count| count.parse().ok()).unwrap_or(SERVICES));
    }
    let Some((seed, histories)) = numbers(&arguments) else {
        eprint!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let begun = Instant::now();
    let (counts, failures) = play_all(seed, histories);
    for failure in failures.iter().take(SHOWN_MAX) {
        if failures.len() == 1 {
            eprint!("{}", failure.story);
        }
        eprintln!("seed {}: {}; replay it with `cargo xtask sim --seed {}`", failure.seed, failure.what, failure.seed);
    }
    let counted: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    eprintln!("{histories} histories in {:.1} s: {}", begun.elapsed().as_secs_f64(), counted.join(", "));
    if failures.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("{} went wrong", failures.len());
    ExitCode::FAILURE
}

/// The services of the figure, unless it is told otherwise.
const SERVICES: u32 = 1_000;

#[expect(clippy::print_stderr, reason = "it is a command")]
fn scale(services: u32) -> ExitCode {
    match measure(services) {
        Ok(Figures { replicas, holders, up, change, memory }) => {
            eprintln!("{services} services, {replicas} replicas, all ready after {:.1} s", up.as_secs_f64());
            eprintln!("one change to {holders} holders, applied and acknowledged: {:.3} s", change.as_secs_f64());
            eprintln!("memory: {} MB", memory / 1_000_000);
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn numbers(arguments: &[String]) -> Option<(u64, u64)> {
    let (mut seed, mut histories) = (None, None);
    for pair in arguments.chunks(2) {
        let [name, value] = pair else { return None };
        let place = match name.as_str() {
            "--seed" => &mut seed,
            "--histories" => &mut histories,
            _ => return None,
        };
        *place = Some(value.parse().ok()?);
    }
    let alone = if seed.is_some() { 1 } else { 1_000 };
    Some((seed.unwrap_or(0), histories.unwrap_or(alone)))
}

type Counts = BTreeMap<&'static str, u64>;

/// What all of them counted together, and those that went wrong, in the order of their seeds.
fn play_all(seed: u64, histories: u64) -> (Counts, Vec<Failure>) {
    let next = AtomicU64::new(0);
    let outcome: Mutex<(Counts, Vec<Failure>)> = Mutex::default();
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= histories {
                return;
            }
            let played = play(seed.wrapping_add(index), None);
            let mut outcome = outcome.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            match played {
                Ok(Summary { counts }) => {
                    counts.into_iter().for_each(|(what, count)| *outcome.0.entry(what).or_default() += count);
                }
                Err(failure) => outcome.1.push(*failure),
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| (0..cores).for_each(|_| drop(scope.spawn(work))));
    let (counts, mut failures) = outcome.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failures.sort_by_key(|failure| failure.seed);
    (counts, failures)
}
