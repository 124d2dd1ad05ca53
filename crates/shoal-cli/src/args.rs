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
        for good in [&["up"][..], &["up", "-d", "dir"], &["logs", "-f", "-n", "0", "a"], &["scale", "a=1", "b=2"]] {
            assert!(parse(good).is_ok(), "{good:?}");
        }
        for bad in [&["logs", "-n", "10001"][..], &["scale"], &["logs", "-n", "-1"], &["completions", "sh"], &["fly"]] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
