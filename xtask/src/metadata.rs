//! What Cargo knows of the workspace: its packages and the edges between them.
//!
//! Never: asks the network; only the manifests of this workspace are read.

use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The part of `cargo metadata` that the rules need.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    /// The packages of the workspace.
    pub packages: Vec<Package>,
    /// Where builds go.
    pub target_directory: PathBuf,
}

/// A package of the workspace.
#[derive(Clone, Debug, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its caption.
    pub description: Option<String>,
    /// Its `Cargo.toml`, absolute.
    pub manifest_path: PathBuf,
    /// All that it depends on, in this workspace or not.
    pub dependencies: Vec<Dependency>,
}

/// What a package depends on.
#[derive(Clone, Debug, Deserialize)]
pub struct Dependency {
    /// The package's name.
    pub name: String,
    /// `dev`, `build`, or none for the program itself.
    pub kind: Option<String>,
}

impl Package {
    /// Its folder from the root, with `/`; empty when it lies elsewhere.
    pub fn folder(&self, root: &Path) -> String {
        let folder = self.manifest_path.parent().and_then(|folder| folder.strip_prefix(root).ok());
        folder.map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()
    }
}

/// The Cargo that runs this, or the one on `PATH`.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Reads the metadata of the workspace at `root`.
pub fn read(root: &Path) -> Result<Metadata, String> {
    let arguments = ["metadata", "--no-deps", "--offline", "--format-version", "1"];
    let output = cargo().args(arguments).current_dir(root).output();
    let output = output.map_err(|error| format!("cargo metadata could not be run: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata was not understood: {error}"))
}
