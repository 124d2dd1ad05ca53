//! Builds the services that are Cargo packages, one `cargo build` per workspace. Never runs what it built.

use serde::Deserialize;
use shoal_model::ServiceName;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

/// A Cargo package that a service runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Whose program it is.
    pub service: ServiceName,
    /// The package's name, and its binary's.
    pub name: String,
    /// A folder inside its workspace.
    pub folder: PathBuf,
}

/// A build that failed.
#[derive(Debug)]
pub struct BuildError {
    /// The service whose package it was, where that is known.
    pub service: Option<ServiceName>,
    /// One sentence.
    pub sentence: String,
    /// What the compiler said; may be empty.
    pub output: String,
}

impl BuildError {
    fn new(service: Option<&ServiceName>, sentence: impl Into<String>) -> Self {
        Self { service: service.cloned(), sentence: sentence.into(), output: String::new() }
    }
}

/// What is worth telling while a build goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildProgress {
    /// A crate was compiled; not told of what was fresh.
    Compiled(String),
    /// A service's program is there.
    Finished(ServiceName),
}

/// At most this much of the compiler's words is kept.
const OUTPUT_BYTES_MAX: usize = 64 * 1024;

/// Builds all `packages` and answers where their programs are.
///
/// # Errors
/// When cargo cannot be run, a package does not exist, or it does not compile.
pub async fn build(
    packages: &[Package],
    profile: &str,
    progress: &mut impl FnMut(BuildProgress),
) -> Result<BTreeMap<ServiceName, PathBuf>, BuildError> {
    let mut workspaces: BTreeMap<PathBuf, Vec<&Package>> = BTreeMap::new();
    for package in packages {
        let root = workspace_root(package).await?;
        workspaces.entry(root).or_default().push(package);
    }
    let mut programs = BTreeMap::new();
    for (root, packages) in workspaces {
        build_workspace(&root, &packages, profile, progress, &mut programs).await?;
    }
    match packages.iter().find(|package| !programs.contains_key(&package.service)) {
        None => Ok(programs),
        Some(package) => Err(BuildError::new(
            Some(&package.service),
            format!("package `{0}` has no binary named `{0}`; give it a src/main.rs", package.name),
        )),
    }
}

async fn workspace_root(package: &Package) -> Result<PathBuf, BuildError> {
    let failed = |sentence: String| BuildError::new(Some(&package.service), sentence);
    let output = cargo(&package.folder)
        .args(["locate-project", "--workspace", "--message-format", "plain"])
        .output()
        .await
        .map_err(|error| failed(format!("cargo could not be run: {error}; install Rust, or put cargo on PATH")))?;
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match Path::new(&path).parent() {
        Some(root) if output.status.success() => Ok(root.to_path_buf()),
        _ => Err(failed(format!(
            "{} holds no Cargo package; point `source.path` at the folder of package `{}`",
            package.folder.display(),
            package.name
        ))),
    }
}

/// A line of `cargo build --message-format json`, as far as it concerns us.
#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum CargoLine {
    CompilerArtifact {
        target: CargoTarget,
        executable: Option<PathBuf>,
        fresh: bool,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct CargoTarget {
    name: String,
    kind: Vec<String>,
}

async fn build_workspace(
    root: &Path,
    packages: &[&Package],
    profile: &str,
    progress: &mut impl FnMut(BuildProgress),
    programs: &mut BTreeMap<ServiceName, PathBuf>,
) -> Result<(), BuildError> {
    let mut command = cargo(root);
    command.args(["build", "--message-format", "json-render-diagnostics", "--profile", profile]);
    for package in packages {
        command.args(["--package", &package.name, "--bin", &package.name]);
    }
    let mut child: Child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| BuildError::new(None, format!("cargo could not be run: {error}")))?;
    let words = tokio::spawn(collect(child.stderr.take()));
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            note(&line, packages, progress, programs);
        }
    }
    let status = child.wait().await;
    let output = words.await.unwrap_or_default();
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let culprit = packages.iter().find(|package| output.contains(&format!("`{}`", package.name)));
    Err(BuildError {
        service: culprit.map(|package| package.service.clone()),
        sentence: "the build failed; what the compiler said is above".to_owned(),
        output,
    })
}

fn note(
    line: &str,
    packages: &[&Package],
    progress: &mut impl FnMut(BuildProgress),
    programs: &mut BTreeMap<ServiceName, PathBuf>,
) {
    let Ok(CargoLine::CompilerArtifact { target, executable, fresh }) = serde_json::from_str(line) else {
        return;
    };
    if !fresh && executable.is_none() {
        progress(BuildProgress::Compiled(target.name.clone()));
    }
    let Some(executable) = executable.filter(|_| target.kind.iter().any(|kind| kind == "bin")) else {
        return;
    };
    for package in packages.iter().filter(|package| package.name == target.name) {
        programs.insert(package.service.clone(), executable.clone());
        progress(BuildProgress::Finished(package.service.clone()));
    }
}

/// Cargo, without the variables that an outer `cargo run` or `cargo test` leaves behind and that would make it rebuild.
fn cargo(folder: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST") || text == "CARGO_BIN_NAME" {
            command.env_remove(&name);
        }
    }
    command
}

async fn collect(stream: Option<tokio::process::ChildStderr>) -> String {
    let mut kept = Vec::new();
    let mut buffer = vec![0; 8192];
    let Some(mut stream) = stream else { return String::new() };
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        kept.extend_from_slice(&buffer[..count]);
        if kept.len() > 2 * OUTPUT_BYTES_MAX {
            kept.drain(..kept.len() - OUTPUT_BYTES_MAX);
        }
    }
    String::from_utf8_lossy(&kept).into_owned()
}
