//! What a manifest declares: an application, its gateway and its services.

use crate::{Limits, Probes, ServiceName};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything one manifest describes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Its name; the same rules as a service's.
    pub name: ServiceName,
    /// Where requests come in; none for an application without routes.
    pub gateway: Option<Gateway>,
    /// Its services by name.
    pub services: BTreeMap<ServiceName, Service>,
}

/// Where requests come in, and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gateway {
    /// The address it listens on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// TLS from certificate files; plain HTTP without.
    pub tls: Option<Tls>,
    /// In the order of the manifest.
    pub routes: Vec<Route>,
}

/// A certificate chain and its key, as PEM files; absolute paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// The certificate chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A match (host, path prefix) and the service it leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The host it matches, without a port, in lower case; any when `None`.
    pub host: Option<String>,
    /// The path prefix it matches, by whole segments; starts with `/`.
    pub path: String,
    /// Where a matching request goes.
    pub service: ServiceName,
    /// What it allows.
    #[serde(default)]
    pub limits: Limits,
}

/// A named part of the application, with one responsibility.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its single responsibility, in one sentence.
    pub purpose: Option<String>,
    /// Who owns it.
    pub owner: Option<String>,
    /// The folder that holds it, absolute; the manifest's own when not given.
    pub source: Source,
    /// How its program is had.
    pub run: Run,
    /// The folder of its Protobuf contract, absolute.
    pub contract: Option<PathBuf>,
    /// How many copies run.
    pub replicas: Replicas,
    /// The most requests under way per ready replica, beyond which callers turn some away, low ones first.
    #[serde(default = "concurrency_max_default")]
    pub concurrency_max: u32,
    /// How a replica gets its listening socket.
    pub listen: Listen,
    /// The services it may call.
    pub calls: BTreeSet<ServiceName>,
    /// The services among `calls` that must be ready before it starts.
    pub after: BTreeSet<ServiceName>,
    /// The database whose address it gets as `DATABASE_URL`.
    pub database: Option<Database>,
    /// Environment variables of its own.
    pub env: BTreeMap<String, String>,
    /// Typed settings, as JSON text, for `SHOAL_SETTINGS`; `None` when the manifest has none.
    pub settings: Option<String>,
    /// The questions asked of each replica.
    pub probes: Probes,
    /// How long a replica may take to finish its requests after it was told to stop, before it is killed.
    pub drain_timeout: Duration,
}

impl Service {
    /// `concurrency_max` where the manifest is silent.
    pub const CONCURRENCY_MAX: u32 = 1000;
}

fn concurrency_max_default() -> u32 {
    Service::CONCURRENCY_MAX
}

/// Where a service's files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// An absolute folder.
    pub path: PathBuf,
}

/// How a service's program is had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Run {
    /// A Cargo package that is built; its binary of the same name is run.
    Cargo(String),
    /// A program and its arguments, run in the service's folder; never empty.
    Command(Vec<String>),
}

/// How many copies of a service run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicas {
    /// The fewest, and the number started with.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Requests in flight per replica that scaling aims at; kept for the autoscaler.
    pub target_concurrency: Option<u32>,
}

impl Replicas {
    /// The most replicas of one service that Shoal accepts on one machine.
    pub const MOST: u32 = 1000;
}

/// How a replica gets its listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Listen {
    /// Shoal binds it and passes it as descriptor 3 (`LISTEN_FDS`, as systemd does).
    Fd,
    /// The program binds `127.0.0.1:$PORT` itself.
    Port,
    /// The program does not listen: a worker.
    None,
}

/// A database that Shoal gives a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Database {
    /// One SQLite file under the application's `.shoal/data/<service>/`.
    Sqlite,
    /// A database of its own in the PostgreSQL server that [`SERVER_VARIABLE`](Self::SERVER_VARIABLE) names.
    Postgres,
    /// What a variable of the environment says at `shoal up`: `sqlite`, `postgres`, or the address of a server.
    Named {
        /// The variable.
        variable: String,
        /// What it is when the variable is not set.
        otherwise: Box<Database>,
    },
}

impl Database {
    /// The variable of the environment that holds the address of the PostgreSQL server.
    pub const SERVER_VARIABLE: &str = "POSTGRES_URL";

    /// The variables of the environment that decide which it is.
    #[must_use]
    pub fn variables(&self) -> Vec<&str> {
        match self {
            Self::Sqlite => Vec::new(),
            Self::Postgres => vec![Self::SERVER_VARIABLE],
            Self::Named { variable, .. } => vec![variable, Self::SERVER_VARIABLE],
        }
    }
}
