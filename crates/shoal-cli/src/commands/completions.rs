//! `shoal completions`: a completion script for a shell.

use crate::args::Arguments;
use crate::failure::Failure;
use crate::screen;
use clap::CommandFactory;
use clap_complete::Shell;

/// Prints the script.
pub fn run(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "shoal", &mut script);
    screen::raw(&script);
    Ok(())
}
