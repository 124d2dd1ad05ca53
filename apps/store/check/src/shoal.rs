//! The `shoal` command, run as anybody would, and signals to the processes that it names. Never: signals a process that `shoal status` did not
//! name just before.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;

/// The command and the folder of the running store.
#[derive(Clone, Debug)]
pub struct Shoal {
    /// The program.
    pub program: PathBuf,
    /// The store's folder.
    pub folder: PathBuf,
    /// Cargo's profile that the store was started with.
    pub profile: String,
}

/// One running copy of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replica {
    /// As `shoal` calls it.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub address: String,
    /// Whether it takes requests.
    pub is_ready: bool,
}

/// What `shoal status` says.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Where the gateway takes requests.
    pub address: String,
    /// The supervisor's process.
    pub supervisor: u32,
    /// The replicas of each service.
    pub services: Vec<ServiceStatus>,
}

/// What `shoal status` says of a service.
#[derive(Clone, Debug)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// How many replicas it should have.
    pub wanted: u64,
    /// Those it has.
    pub replicas: Vec<Replica>,
}

impl Shoal {
    /// Runs `shoal` with these words; answers what it printed.
    ///
    /// # Errors
    /// What it said when it failed.
    pub fn run(&self, words: &[&str]) -> Result<String, String> {
        let output = Command::new(&self.program)
            .args(words)
            .current_dir(&self.folder)
            .env_remove("RUST_LOG")
            .output()
            .map_err(|error| format!("{} cannot be run: {error}", self.program.display()))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`shoal {}` failed: {}", words.join(" "), said.trim()))
    }

    /// The application as it is now.
    ///
    /// # Errors
    /// When the supervisor does not answer.
    pub fn status(&self) -> Result<Status, String> {
        let text = self.run(&["status", "--json"])?;
        let json: Value =
            serde_json::from_str(&text).map_err(|error| format!("`shoal status` is not JSON: {error}"))?;
        Ok(Status::of(&json))
    }

    /// Starts the supervisor again; the replicas are adopted.
    ///
    /// # Errors
    /// What `shoal up` said.
    pub fn up(&self) -> Result<(), String> {
        self.run(&["up", "-d", "--profile", &self.profile]).map(drop)
    }
}

/// `kill -9`. False when the process was gone already.
#[must_use]
pub fn kill(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

impl Status {
    fn of(json: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let number = |value: &Value| value.as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let replica = |replica: &Value| Replica {
            name: text(&replica["name"]),
            pid: number(&replica["pid"]),
            address: text(&replica["address"]),
            is_ready: replica["phase"] == "ready",
        };
        let service = |service: &Value| ServiceStatus {
            name: text(&service["name"]),
            wanted: service["wanted"].as_u64().unwrap_or(0),
            replicas: list(&service["replicas"]).iter().map(replica).collect(),
        };
        Self {
            address: text(&json["address"]),
            supervisor: number(&json["supervisorPid"]),
            services: list(&json["services"]).iter().map(service).collect(),
        }
    }

    /// The replicas of a service.
    #[must_use]
    pub fn replicas(&self, service: &str) -> &[Replica] {
        self.services.iter().find(|known| known.name == service).map_or(&[], |known| &known.replicas)
    }

    /// The services that do not have all their replicas ready, or have more than they should.
    #[must_use]
    pub fn unready(&self) -> Vec<String> {
        let is_unready = |service: &&ServiceStatus| {
            let ready = service.replicas.iter().filter(|replica| replica.is_ready).count();
            ready != service.replicas.len() || u64::try_from(ready).unwrap_or(u64::MAX) != service.wanted
        };
        self.services.iter().filter(is_unready).map(|service| service.name.clone()).collect()
    }
}
