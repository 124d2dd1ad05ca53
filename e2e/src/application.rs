//! An application of a test's own: a folder with a manifest, and `shoal` run in it.

use crate::page::{self, Page};
use crate::processes::pids_with_variable;
use crate::wait::eventually;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run of `shoal` came to.
#[derive(Debug)]
pub struct Output {
    /// Its exit status; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The same, when it succeeded.
    ///
    /// # Panics
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// What it said on standard error, when it failed as it should: with an exit status, and not by a panic.
    ///
    /// # Panics
    /// When it succeeded, or panicked.
    #[track_caller]
    #[must_use]
    pub fn refused(self) -> String {
        assert!(matches!(self.code, Some(1 | 2)), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        self.stderr
    }
}

/// An application in a temporary folder. Stopped, and checked to have left nothing behind, when it is dropped.
pub struct Application {
    folder: tempfile::TempDir,
    runtime: tempfile::TempDir,
}

/// The `shoal` that was built with these tests.
///
/// # Panics
/// When it was not built.
#[must_use]
pub fn shoal() -> PathBuf {
    let own = std::env::current_exe().expect("a program knows its own path");
    // Tests are in target/<profile>/deps, other programs in target/<profile>.
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("shoal")).find(|shoal| shoal.is_file());
    found.unwrap_or_else(|| panic!("no `shoal` beside {}: run `cargo build -p shoal-cli` first", own.display()))
}

impl Application {
    /// An application with this manifest.
    ///
    /// # Panics
    /// When the temporary folders cannot be made.
    #[must_use]
    pub fn new(manifest: &str) -> Self {
        let application = Self {
            folder: tempfile::Builder::new().prefix("app").tempdir().expect("a temporary folder"),
            runtime: tempfile::Builder::new().prefix("run").tempdir().expect("a temporary folder"),
        };
        application.write("shoal.toml", manifest);
        application
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its sockets are.
    #[must_use]
    pub fn runtime(&self) -> &Path {
        self.runtime.path()
    }

    /// Writes a file of the application.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.folder().join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder can be made");
        std::fs::write(path, text).expect("a file can be written");
    }

    /// A command that runs `shoal` in the application's folder.
    #[must_use]
    pub fn command(&self, words: &[&str]) -> Command {
        // Whoever runs the tests in the background had SIGINT ignored for all of them; a user's terminal does not.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(shoal());
        command.args(words).current_dir(self.folder()).env("XDG_RUNTIME_DIR", self.runtime()).env_remove("RUST_LOG");
        command
    }

    /// Runs `shoal` in the application's folder.
    ///
    /// # Panics
    /// When it cannot be run.
    #[must_use]
    pub fn shoal(&self, words: &[&str]) -> Output {
        let output = self.command(words).output().expect("shoal runs");
        Output {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// `shoal up -d`.
    ///
    /// # Panics
    /// When it fails.
    #[track_caller]
    pub fn up(&self) -> Output {
        self.shoal(&["up", "-d", "--profile", "dev"]).succeeded()
    }

    /// `shoal status --json`.
    ///
    /// # Panics
    /// When it fails, or prints something else.
    #[track_caller]
    #[must_use]
    pub fn status(&self) -> Value {
        let output = self.shoal(&["status", "--json"]).succeeded();
        serde_json::from_str(&output.stdout).expect("status prints JSON")
    }

    /// What `status` says of one service; null when it says nothing.
    #[track_caller]
    #[must_use]
    pub fn service(&self, name: &str) -> Value {
        let status = self.status();
        let services = status["services"].as_array().cloned().unwrap_or_default();
        services.into_iter().find(|service| service["name"] == name).unwrap_or_default()
    }

    /// The process ids of a service's ready replicas, in the order of their names.
    #[track_caller]
    #[must_use]
    pub fn pids(&self, service: &str) -> Vec<u32> {
        let service = self.service(service);
        let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
        let ready = replicas.iter().filter(|replica| replica["phase"] == "ready");
        ready.filter_map(|replica| u32::try_from(replica["pid"].as_u64()?).ok()).collect()
    }

    /// Waits until exactly `count` replicas of a service are ready and no others are left; answers their process ids.
    ///
    /// # Panics
    /// When that does not come about.
    #[track_caller]
    pub fn until_ready(&self, service: &str, count: usize) -> Vec<u32> {
        eventually(&format!("{service} has {count} ready replicas"), || {
            let all = self.service(service)["replicas"].as_array().map_or(0, Vec::len);
            Some(self.pids(service)).filter(|pids| pids.len() == count && all == count)
        })
    }

    /// Where its gateway listens.
    ///
    /// # Panics
    /// When it has none.
    #[track_caller]
    #[must_use]
    pub fn address(&self) -> String {
        self.status()["address"].as_str().expect("there is a gateway").to_owned()
    }

    /// Gets a page through the gateway.
    ///
    /// # Panics
    /// When the gateway does not answer at all.
    #[track_caller]
    #[must_use]
    pub fn get(&self, path: &str) -> Page {
        page::get(&format!("{}{path}", self.address())).expect("the gateway answers")
    }

    /// The supervisor's process id.
    ///
    /// # Panics
    /// When none runs.
    #[track_caller]
    #[must_use]
    pub fn supervisor(&self) -> u32 {
        let pid = self.status()["supervisorPid"].as_u64().expect("a supervisor has a pid");
        u32::try_from(pid).expect("a pid fits")
    }

    /// All processes that belong to this application.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        // A keeper has almost no environment; its program is the copy under the application's folder.
        let mut pids = pids_with_variable(self.runtime());
        pids.extend(pids_with_variable(self.folder()));
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    /// `shoal down`, after which nothing may be left.
    ///
    /// # Panics
    /// When something is.
    #[track_caller]
    pub fn down(&self) {
        let _ = self.shoal(&["down"]).succeeded();
        eventually("nothing is left behind", || self.processes().is_empty().then_some(()));
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return self.down();
        }
        // The test has failed already: say what the supervisor said, and leave nothing running.
        let log = std::fs::read_to_string(self.folder().join(".shoal/supervisor.log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(40).collect();
        eprintln!("the supervisor's last words:\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
        let output = self.shoal(&["down"]);
        eprintln!("down: {output:?}");
    }
}
