//! `cargo xtask bench`: builds what is measured in release, then measures it against its peers.
//!
//! Never: measures a debug build, or installs what is there already.

use crate::{install, metadata};
use std::path::Path;
use std::process::Command;

/// What is built: the bench, what it measures, the smallest service and the simulation. The store is built when it is asked for.
const PACKAGES: [&str; 4] = ["shoal-bench", "shoal-cli", "shoal-sdk-example", "shoal-sim"];

/// Measures figures. `arguments` go to `shoal-bench`: figures, `--rounds N`, `--seconds S`, `--list`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    install::programs()?;
    let packages = PACKAGES.iter().flat_map(|package| ["--package", package]);
    install::succeed(metadata::cargo().args(["build", "--quiet", "--release"]).args(packages).current_dir(root))?;
    let program = metadata::read(root)?.target_directory.join("release/shoal-bench");
    install::succeed(Command::new(program).args(arguments).current_dir(root))
}
