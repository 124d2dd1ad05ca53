//! An application of the bench's own, run by the `shoal` that was built beside it. Never: runs in a folder of the checkout.

use crate::Failure;
use crate::process::{neighbour, until};
use serde_json::{Value, json};
use shoal_load::{Client, ClientSettings, Request, Target};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tokio::runtime::Runtime;

/// A running application, stopped when it is dropped.
pub struct Application {
    folder: tempfile::TempDir,
    sockets: tempfile::TempDir,
    shoal: PathBuf,
    variables: Vec<(&'static str, String)>,
    runtime: Runtime,
    control: Option<Client>,
    running: bool,
}

/// One replica, as the control API tells it.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Its service.
    pub service: String,
    /// Its process.
    pub pid: u32,
    /// Its keeper's process.
    pub keeper: u32,
    /// Where it listens.
    pub address: String,
}

impl Application {
    /// Makes an application with this manifest, without starting it.
    pub fn new(manifest: &str) -> Result<Self, Failure> {
        let application = Self {
            folder: tempfile::Builder::new().prefix("bench").tempdir()?,
            sockets: tempfile::Builder::new().prefix("run").tempdir()?,
            shoal: neighbour("shoal")?,
            variables: Vec::new(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
            control: None,
            running: false,
        };
        std::fs::write(application.folder.path().join("shoal.toml"), manifest)?;
        Ok(application)
    }

    /// Gives `shoal up` a variable of its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// Makes one and starts it.
    pub fn start(manifest: &str) -> Result<Self, Failure> {
        let mut application = Self::new(manifest)?;
        application.up()?;
        Ok(application)
    }

    /// `shoal up -d`: returns once everything is ready.
    pub fn up(&mut self) -> Result<(), Failure> {
        self.running = true;
        let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
        self.shoal(&["up", "-d", "--profile", profile])?;
        let socket = control_socket(self.sockets.path()).ok_or("the supervisor has no control socket")?;
        let settings = ClientSettings { timeout: Duration::from_secs(60), ..ClientSettings::default() };
        self.control = Some(Client::new(Target::Unix(socket), settings));
        Ok(())
    }

    /// `shoal down`.
    pub fn down(&mut self) -> Result<(), Failure> {
        self.running = false;
        self.control = None;
        self.shoal(&["down"])
    }

    fn shoal(&self, words: &[&str]) -> Result<(), Failure> {
        let mut command = Command::new(&self.shoal);
        command.args(words).current_dir(self.folder.path()).env("XDG_RUNTIME_DIR", self.sockets.path());
        command.envs(self.variables.iter().map(|(name, value)| (*name, value)));
        let output = command.env_remove("RUST_LOG").output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(format!("`shoal {}` failed:\n{said}\n{}", words.join(" "), self.log()).into())
    }

    /// The last words of its supervisor.
    pub fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join(".shoal/supervisor.log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Asks the control API.
    pub fn ask(&self, method: &str, request: &Value) -> Result<Value, Failure> {
        let client = self.control.as_ref().ok_or("the application is not running")?;
        let path = format!("/shoal.control.v1.Control/{method}");
        let body = serde_json::to_vec(request)?;
        let request = Request::post("control", &path, &[("content-type", "application/json")], &body);
        let answer = self.runtime.block_on(client.send(&request))?;
        if answer.status != 200 {
            return Err(format!("the control API answers {} to {method}: {}", answer.status, answer.text()).into());
        }
        Ok(serde_json::from_slice(&answer.body)?)
    }

    /// What `shoal status` shows.
    pub fn status(&self) -> Result<Value, Failure> {
        self.ask("Status", &json!({}))
    }

    /// The ready replicas of one service.
    pub fn replicas(&self, service: &str) -> Result<Vec<Replica>, Failure> {
        let all = self.all_replicas()?;
        Ok(all.into_iter().filter(|replica| replica.service == service).collect())
    }

    /// The ready replicas of all services, the gateway's among them.
    pub fn all_replicas(&self) -> Result<Vec<Replica>, Failure> {
        let status = self.status()?;
        let mut found = Vec::new();
        for service in list(&status["services"]) {
            for replica in list(&service["replicas"]).iter().filter(|replica| replica["phase"] == "ready") {
                let number = |name: &str| u32::try_from(replica[name].as_u64().unwrap_or(0)).unwrap_or(0);
                found.push(Replica {
                    service: text(&service["name"]),
                    pid: number("pid"),
                    keeper: number("keeperPid"),
                    address: text(&replica["address"]),
                });
            }
        }
        Ok(found)
    }

    /// The process id of the supervisor.
    pub fn supervisor(&self) -> Result<u32, Failure> {
        let status = self.status()?;
        Ok(status["supervisorPid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).ok_or("there is no supervisor")?)
    }

    /// Where its gateway listens.
    pub fn address(&self) -> Result<SocketAddr, Failure> {
        let status = self.status()?;
        let url = text(&status["address"]);
        let address = url.strip_prefix("http://").ok_or("there is no gateway")?;
        Ok(address.trim_end_matches('/').parse()?)
    }

    /// Waits until a service has so many ready replicas.
    pub fn until_ready(&self, service: &str, count: usize) -> Result<Vec<Replica>, Failure> {
        let what = format!("{count} replicas of {service} are ready");
        until(&what, || self.replicas(service).ok().filter(|replicas| replicas.len() == count))
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        if self.running
            && let Err(error) = self.down()
        {
            eprintln!("an application of the bench did not stop: {error}");
        }
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The socket `control.sock` somewhere below a folder.
fn control_socket(folder: &Path) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if entry.file_name() == "control.sock" {
            return Some(path);
        }
        entry.file_type().ok()?.is_dir().then(|| control_socket(&path))?
    })
}
