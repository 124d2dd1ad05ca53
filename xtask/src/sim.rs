//! `cargo xtask sim`: builds the simulation and plays its histories.
//!
//! Never: judges them; the simulation does, and its status is this one's.

use crate::{install, metadata};
use std::path::Path;

/// Plays histories. `arguments` go to the simulation.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    // Where time is the figure, as users would run it.
    let profile = if arguments.first() == Some(&"scale") { "release" } else { "dev" };
    let run = ["run", "--quiet", "--profile", profile, "--package", "shoal-sim", "--"];
    install::succeed(metadata::cargo().args(run).args(arguments).current_dir(root))
}
