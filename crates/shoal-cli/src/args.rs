//! The command line: every verb, its arguments and its help. Does nothing itself.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;

/// Runs an application made of many small services as easily as one program.
#[derive(Debug, Parser)]
#[command(name = "shoal", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub verb: Verb,
}

/// Where the application is.
#[derive(Args, Debug)]
pub struct Where {
    /// The application's folder; without it, the nearest one upward that holds a shoal.toml
    #[arg(long = "in", value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Build what changed and start everything, in dependency order
    Up(Up),
    /// Show every service, whether it is ready, and why not
    Status {
        #[command(flatten)]
        at: Where,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Change how many replicas a service has
    Scale {
        #[command(flatten)]
        at: Where,
        /// A service and a number, such as catalogue=6; several are set in the order given
        #[arg(required = true, value_name = "SERVICE=N")]
        wanted: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Replace the replicas of some services one at a time, or of all
    Restart {
        #[command(flatten)]
        at: Where,
        /// The services; all when none is named
        services: Vec<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print what services wrote
    Logs(Logs),
    /// Call any API: shoal call catalogue.v1.Catalogue/Search '{"query":"mug"}'
    Call {
        #[command(flatten)]
        at: Where,
        /// The method, as Service/Method; the package may be cut short from the left
        method: String,
        /// The request as JSON; `-` reads it from standard input
        #[arg(default_value = "{}")]
        request: String,
    },
    /// Have something go wrong on purpose; without more words, list what does
    Fault(Fault),
    /// Show who calls whom
    Graph {
        #[command(flatten)]
        at: Where,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Check the manifest without running anything
    Check {
        #[command(flatten)]
        at: Where,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of shoal.toml, for editors
    Schema,
    /// Make a new application with one service that runs at once
    New {
        /// The folder to make; its last part is the application's name
        folder: PathBuf,
    },
    /// Stop everything, draining first
    Down {
        #[command(flatten)]
        at: Where,
    },
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

#[derive(Args, Debug)]
pub struct Up {
    /// The application's folder; without it, the nearest one upward that holds a shoal.toml
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Leave it running and return once everything is ready
    #[arg(short, long)]
    pub detach: bool,
    /// Cargo's profile for services that are Cargo packages
    #[arg(long, default_value = "release")]
    pub profile: String,
}

#[derive(Args, Debug)]
pub struct Logs {
    #[command(flatten)]
    pub at: Where,
    /// The services; all when none is named
    pub services: Vec<String>,
    /// Go on as lines are written
    #[arg(short, long)]
    pub follow: bool,
    /// How many of the newest lines to begin with, per replica
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub lines: u32,
    /// Print one JSON object a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct Fault {
    #[command(flatten)]
    pub at: Where,
    /// Print JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub change: Option<FaultChange>,
}

#[derive(Debug, Subcommand)]
pub enum FaultChange {
    /// Put a fault on: shoal fault add 'checkout->payment' lost-answer --rate 0.3
    Add(AddFault),
    /// Take a fault away
    Remove {
        #[command(flatten)]
        at: Where,
        /// Its number, as `shoal fault` lists it
        #[arg(required_unless_present = "all", value_parser = clap::value_parser!(u64).range(1..))]
        id: Option<u64>,
        /// Every fault
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

#[derive(Args, Debug)]
pub struct AddFault {
    #[command(flatten)]
    pub at: Where,
    /// A call such as checkout->payment (gateway->storefront for requests from outside), a service, or a replica
    pub target: String,
    /// To calls: delay, error, lost-answer or duplicate; to processes: pause, kill or disk-full
    pub kind: String,
    /// Of delay, how long, such as 200ms; of error, which: unavailable, internal, resource-exhausted or deadline-exceeded
    #[arg(value_name = "WHAT")]
    pub what: Option<String>,
    /// The share of calls that it happens to, more than 0 and at most 1; every call when not given
    #[arg(long, allow_negative_numbers = true)]
    pub rate: Option<f64>,
    /// Only calls of this method, such as Capture
    #[arg(long)]
    pub method: Option<String>,
    /// How often it may happen in all
    #[arg(long, value_name = "N")]
    pub times: Option<u32>,
    /// For how long, such as 30s; until it is removed when not given
    #[arg(long = "for", value_name = "TIME", value_parser = crate::commands::fault::span)]
    pub span: Option<std::time::Duration>,
    /// Kill where the program names this crash point, and not at once
    #[arg(long = "at", value_name = "POINT")]
    pub crash_point: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let parse = |words: &[&str]| Arguments::try_parse_from(std::iter::once(&"shoal").chain(words));
        for good in [
            &["up"][..],
            &["up", "-d", "dir"],
            &["logs", "-f", "-n", "0", "a"],
            &["scale", "a=1", "b=2"],
            &["fault"],
            &["fault", "--json"],
            &["fault", "remove", "3"],
            &["fault", "remove", "--all", "--in", "x"],
            &["fault", "add", "a->b", "delay", "200ms", "--rate", "0.3", "--times", "2", "--for", "30s"],
            &["fault", "add", "a", "kill", "--at", "x.y", "--json"],
        ] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for bad in [
            &["logs", "-n", "10001"][..],
            &["scale"],
            &["logs", "-n", "-1"],
            &["completions", "sh"],
            &["fly"],
            &["fault", "remove"],
            &["fault", "remove", "0"],
            &["fault", "remove", "1", "--all"],
            &["fault", "add", "a"],
            &["fault", "add", "a", "pause", "--for", "soon"],
            &["fault", "add", "a", "pause", "--times", "-1"],
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
