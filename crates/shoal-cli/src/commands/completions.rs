//! `shoal completions`: a completion script for a shell.

use crate::args::Arguments;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the script.
pub fn run(shell: Shell) -> Result<(), Failure> {
    clap_complete::generate(shell, &mut Arguments::command(), "shoal", &mut anstream::stdout());
    Ok(())
}
