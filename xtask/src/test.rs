//! `cargo xtask test`: what the tests need is installed or named, then every test of the workspace runs.
//!
//! Never: skips a test because something is missing.

use crate::{install, metadata};
use std::path::{Path, PathBuf};

/// Makes sure that all the tests need is there. Answers the Python that they are to run.
pub fn setup(root: &Path) -> Result<PathBuf, String> {
    install::programs()?;
    install::python(&metadata::read(root)?.target_directory)
}

/// Runs every test. `arguments` go to `cargo test`.
pub fn run(root: &Path, arguments: &[&str]) -> Result<(), String> {
    let python = setup(root)?;
    // Tests of the whole run the real binaries, which `cargo test` alone would not build for them.
    let build = ["build", "--package", "shoal-cli", "--package", "store-check"];
    install::succeed(metadata::cargo().args(build).current_dir(root))?;
    let test = ["test", "--workspace"];
    install::succeed(metadata::cargo().args(test).args(arguments).env("SHOAL_TEST_PYTHON", python).current_dir(root))
}
