//! What Shoal costs, measured against its peers: `shoal-bench [FIGURE]…`. The same program is each process that a figure
//! needs besides: replicas, peers and callers are its roles.
//!
//! A figure is measured in rounds; in each round every contender has its turn, in another order each time, and a ratio
//! is made of two turns of one round. What is printed is the median over the rounds. CPU is what the system charged to the
//! processes of the contender, not to those that ask or answer it.
//!
//! Never: judges; it prints what was measured beside what was aimed for, and fails only when something could not be measured.

mod application;
mod cpu;
mod figures;
mod interrupt;
mod messages;
mod peers;
mod process;
mod report;
mod roles;
mod rounds;

use clap::Parser;
use rounds::Settings;
use std::process::ExitCode;
use std::time::Duration;

/// What is generated of the bench's own contract.
pub mod contracts {
    shoal_sdk::include_contracts!();
}

/// Calls of it.
pub mod calls {
    shoal_sdk::include_calls!();
}

/// The same contract, as tonic has it.
#[allow(missing_docs, clippy::all)] // Generated.
pub mod for_tonic {
    include!(concat!(env!("OUT_DIR"), "/tonic/contracts.echo.v1.rs"));
}

/// Whatever kept a figure from being measured.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// With more cores busy than this before anything is measured, measuring is not worth much.
const BUSY_MAX: f64 = 0.2;

/// Measures what Shoal costs, and prints it beside its peers and goals.
#[derive(Debug, Parser)]
#[command(name = "shoal-bench")]
struct Arguments {
    /// The figures; all when none is named
    figures: Vec<String>,
    /// How often each contender has its turn
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long a turn is, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Print the names of the figures
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if let Some(role) = words.next().filter(|word| word.starts_with("__")) {
        return roles::play(&role, &words.collect::<Vec<_>>());
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", report::with_causes(&*failure));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    if arguments.list {
        for figure in figures::ALL {
            report::line(&format!("{:16} {}", figure.name, figure.title));
        }
        return Ok(());
    }
    let unknown = |name: &&String| !figures::ALL.iter().any(|figure| figure.name == **name);
    if let Some(name) = arguments.figures.iter().find(unknown) {
        return Err(format!("there is no figure `{name}`; `--list` names them").into());
    }
    let settings = Settings {
        rounds: arguments.rounds,
        length: Duration::try_from_secs_f64(arguments.seconds.clamp(0.05, 600.0))?,
    };
    interrupt::listen()?;
    let busy = cpu::busy_cores()?;
    if busy > BUSY_MAX {
        report::line(&format!("Other work keeps {busy:.1} cores busy: latencies say nothing now, and CPU little."));
    }
    let wanted = |name: &str| arguments.figures.is_empty() || arguments.figures.iter().any(|wanted| wanted == name);
    for figure in figures::ALL.iter().filter(|figure| wanted(figure.name)) {
        report::title(figure.title);
        let rows = (figure.measure)(&settings).map_err(|cause| report::because(figure.name, cause))?;
        report::table(&rows);
    }
    Ok(())
}
