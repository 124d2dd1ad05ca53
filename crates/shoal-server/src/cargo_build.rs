//! Builds the services that are Cargo packages, one `cargo build` per workspace. Never runs what it built.

use rustix::process::{Pid, Signal};
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
    let mut workspaces: Vec<(Workspace, Vec<&Package>)> = Vec::new();
    for package in packages {
        match workspaces.iter_mut().find(|(workspace, _)| workspace.holds(package)) {
            Some((_, packages)) => packages.push(package),
            None => workspaces.push((Workspace::around(package).await?, vec![package])),
        }
    }
    let mut programs = BTreeMap::new();
    for (workspace, packages) in workspaces {
        build_workspace(&workspace.workspace_root, &packages, profile, progress, &mut programs).await?;
    }
    match packages.iter().find(|package| !programs.contains_key(&package.service)) {
        None => Ok(programs),
        Some(package) => Err(BuildError::new(
            Some(&package.service),
            format!("package `{0}` has no binary named `{0}`; give it a src/main.rs", package.name),
        )),
    }
}

/// The part of `cargo metadata` that concerns us.
#[derive(Debug, Deserialize)]
struct Workspace {
    workspace_root: PathBuf,
    packages: Vec<Member>,
}

#[derive(Debug, Deserialize)]
struct Member {
    name: String,
    manifest_path: PathBuf,
}

impl Workspace {
    /// The workspace that a package's folder is in.
    async fn around(package: &Package) -> Result<Self, BuildError> {
        let failed = |sentence: String| BuildError::new(Some(&package.service), sentence);
        let output = cargo(&package.folder)
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .output()
            .await
            .map_err(|error| failed(format!("cargo could not be run: {error}; install Rust, or put cargo on PATH")))?;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout)
                .map_err(|error| failed(format!("what cargo says of `{}` is not understood: {error}", package.name)));
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if said.contains("could not find `Cargo.toml`") {
            return Err(failed(format!(
                "{} holds no Cargo package; point `source.path` at the folder of package `{}`",
                package.folder.display(),
                package.name
            )));
        }
        let sentence = format!("the workspace of package `{}` cannot be read; what cargo said is above", package.name);
        Err(BuildError { output: said, ..failed(sentence) })
    }

    /// Whether it is known to hold this package, so that cargo need not be asked again.
    fn holds(&self, package: &Package) -> bool {
        let mut members = self.packages.iter().filter(|member| member.name == package.name);
        members.any(|member| member.manifest_path.parent() == Some(&package.folder))
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
        .process_group(0)
        .spawn()
        .map_err(|error| BuildError::new(None, format!("cargo could not be run: {error}")))?;
    let mut group = Group(child.id());
    let words = tokio::spawn(collect(child.stderr.take()));
    if let Some(stdout) = child.stdout.take() {
        let mut lines = BufReader::new(stdout).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            note(&line, packages, progress, programs);
        }
    }
    let status = child.wait().await;
    group.0 = None; // all that it started has ended with it
    let output = words.await.unwrap_or_default();
    if status.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(BuildError {
        service: culprit(packages, &output).map(|package| package.service.clone()),
        sentence: "the build failed; what the compiler said is above".to_owned(),
        output,
    })
}

/// Cargo with the compilers it started. A build that nobody waits for any more ends with all of them.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let leader = self.0.and_then(|id| Pid::from_raw(id.try_into().ok()?));
        if let Some(leader) = leader
            && let Err(error) = rustix::process::kill_process_group(leader, Signal::KILL)
        {
            tracing::warn!("the build could not be ended: {error}");
        }
    }
}

/// Whose package it was that cargo gave up on; warnings name packages too.
fn culprit<'a>(packages: &[&'a Package], output: &str) -> Option<&'a Package> {
    let said = |lead: &str| {
        packages.iter().copied().find(move |package| output.contains(&format!("{lead}`{}`", package.name)))
    };
    if output.contains("could not compile") { said("could not compile ") } else { said("") }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, folder: &Path) -> Package {
        Package { service: name.parse().unwrap(), name: name.to_owned(), folder: folder.to_path_buf() }
    }

    #[test]
    fn the_package_that_failed_is_told_from_those_that_only_warned() {
        let (one, two) = (package("one", Path::new("/")), package("two", Path::new("/")));
        let output = "warning: `one` (bin \"one\") generated 1 warning\nerror: could not compile `two` (bin \"two\")";
        assert_eq!(culprit(&[&one, &two], output).unwrap().name, "two");
        assert_eq!(culprit(&[&one, &two], "error: could not compile `shared` (lib)"), None);
        let output = "error: package ID specification `one` did not match any packages";
        assert_eq!(culprit(&[&one, &two], output).unwrap().name, "one");
    }

    #[tokio::test]
    async fn a_folder_without_a_package_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let packages = [package("one", folder.path())];
        let error = build(&packages, "dev", &mut |_| {}).await.unwrap_err();
        assert_eq!(error.service, Some("one".parse().unwrap()));
        assert!(error.sentence.contains("source.path"), "{}", error.sentence);
    }

    #[tokio::test]
    async fn a_build_nobody_waits_for_ends_with_all_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let started = folder.path().join("started");
        std::fs::create_dir(folder.path().join("src")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("Cargo.toml", "[package]\nname = \"one\"\nedition = \"2024\"\n[workspace]\n");
        write("src/main.rs", "fn main() {}");
        let script = "fn main() { std::fs::write(STARTED, std::process::id().to_string()).unwrap(); loop { std::thread::park() } }";
        write("build.rs", &script.replace("STARTED", &format!("{:?}", started)));
        let packages = [package("one", folder.path())];
        let mut ignored = |_| {};
        let until_started = async {
            loop {
                match std::fs::read_to_string(&started).ok().and_then(|text| text.parse::<u32>().ok()) {
                    Some(pid) => break pid,
                    None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            }
        };
        let pid = tokio::select! {
            built = build(&packages, "dev", &mut ignored) => panic!("{built:?}"),
            pid = until_started => pid,
        };
        let gone = || {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
        };
        tokio::time::timeout(std::time::Duration::from_secs(30), async {
            while !gone() {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap();
    }
}
