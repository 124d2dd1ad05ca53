//! The tables of a manifest. Each key is declared here once; its doc comment is what editors show.
//!
//! Never: checks more than types; what the values mean is for [`application`](crate::application) and
//! [`service`](crate::service).

use crate::Code;
use crate::diagnostic::Problems;
use crate::read::{At, Parent, Read, field, table, unknown_keys, word, wrong_type};
use crate::values::{Count, Named, Settings, TimeSpan};
use crate::words::{and_list, closest, shown};
use schemars::JsonSchema;
use toml::Spanned;
use toml::de::DeValue;

table! {
    /// An application of small services: what there is, and who may call whom.
    struct ManifestTable, "the manifest" {
        /// The application as a whole.
        application: ApplicationTable = required "[application]",
        /// Where requests come in. Leave it out for an application that nobody calls from outside.
        gateway: GatewayTable,
        /// The services, each under its name: 1 to 40 lower-case letters, digits and `-`, starting with a letter.
        services: Named<ServiceTable> = required "[services.web]",
    }
}

table! {
    /// The application as a whole.
    struct ApplicationTable, "`application`" {
        /// Its name: 1 to 40 lower-case letters, digits and `-`, starting with a letter.
        name: String = required "name = \"store\"",
    }
}

table! {
    /// Where requests come in, and where they go.
    struct GatewayTable, "`gateway`" {
        /// The IP address and port to listen on, such as `127.0.0.1:8080`; port 0 takes a free one.
        listen: String = required "listen = \"127.0.0.1:8080\"",
        /// TLS from certificate files. Without it the gateway speaks plain HTTP.
        tls: TlsTable,
        /// Which service answers which requests. The longest matching path wins, a matching host before none.
        routes: Vec<At<RouteTable>>,
        /// What every route allows that says nothing else.
        limits: LimitsTable,
    }
}

table! {
    /// TLS from certificate files.
    struct TlsTable, "`gateway.tls`" {
        /// The PEM file with the certificate chain, the server's own first; relative to the manifest.
        certificate: String = required "certificate = \"certificate.pem\"",
        /// The PEM file with its private key; relative to the manifest.
        key: String = required "key = \"key.pem\"",
    }
}

table! {
    /// Requests that match, and the service they go to.
    struct RouteTable, "a route" {
        /// Only requests for this host, without a port. Any host when left out.
        host: String,
        /// Requests whose path starts with this one, by whole segments: `/shop` matches `/shop/cart`, not `/shopping`.
        path: String = required "path = \"/\"",
        /// The service that answers.
        service: String = required "service = \"web\"",
        /// What it allows, where that differs from `gateway.limits`.
        limits: LimitsTable,
    }
}

table! {
    /// What a route allows. Whoever passes a limit is refused; the rest go on.
    struct LimitsTable, "`limits`" {
        /// From the end of a request's head to the beginning of its answer, with all waiting and trying again: `"60s"`
        /// when left out, at most 24 hours. A shorter deadline that the request carries wins.
        timeout: TimeSpan,
        /// How long either side may neither send nor take anything in the middle of a body: `"60s"` when left out, at
        /// most 24 hours.
        idle_timeout: TimeSpan,
        /// How long a request may wait while no replica can take it: `"10s"` when left out, `"0s"` for not at all, at
        /// most 1 hour. `timeout` goes on meanwhile.
        hold_timeout: TimeSpan,
        /// The most headers of a request: 1 to 10,000; 100 when left out.
        headers_max: Count,
        /// The largest head of a request, in bytes: 1 KiB to 1 MiB; 64 KiB when left out.
        header_bytes_max: Count,
        /// The largest body of a request, in bytes: up to 1 TiB; 64 MiB when left out.
        body_bytes_max: Count,
        /// The most requests under way on the route: 1 to 1,000,000; 10,000 when left out.
        requests_max: Count,
        /// Who is turned away first when the service has too much to do: `low`, then `normal`, then `high`; `normal`
        /// when left out.
        priority: PriorityWord,
    }
}

table! {
    /// A part of the application with one responsibility.
    struct ServiceTable, "a service" {
        /// Its single responsibility, in one sentence.
        purpose: String,
        /// The team or person that owns it.
        owner: String,
        /// Where its files are; the manifest's folder when left out.
        source: SourceTable,
        /// How its program is had.
        run: RunTable = required "run = { command = [\"./server\"] }",
        /// The folder of its Protobuf contract, relative to the manifest.
        contract: String,
        /// How many copies run: a number, or `{ min, max, target-concurrency }`. 1 when left out.
        replicas: ReplicasValue,
        /// The most requests under way per ready replica: 1 to 1,000,000; 1000 when left out. Beyond that its callers turn
        /// some away, those of low priority first.
        concurrency_max: Count,
        /// How a replica gets its socket: `fd` (passed, the default with `cargo`), `port` (it listens on `$PORT`, the
        /// default with `command`) or `none` (it does not listen).
        listen: ListenWord,
        /// The services it calls. They are started first.
        calls: Vec<At<String>>,
        /// Services that it calls too, but does not wait for when it starts.
        calls_later: Vec<At<String>>,
        /// The database it is given, at `DATABASE_URL`: `sqlite`, `postgres`, or `{ env, default }`.
        database: DatabaseValue,
        /// Environment variables of its own.
        env: Named<String>,
        /// Settings that only the service understands; it gets them as JSON in `SHOAL_SETTINGS`.
        settings: Settings,
        /// How a replica is asked whether it started, may get requests, and is alive. Period, timeout and failures
        /// given here are those of readiness and liveness.
        probe: ProbeTable,
        /// The three probes, where they differ from each other.
        probes: ProbesTable,
        /// How long a replica may take to finish its requests when it must stop: `"30s"` when left out, at most 1 hour.
        drain_timeout: TimeSpan,
    }
}

table! {
    /// Where a service's files are.
    struct SourceTable, "`source`" {
        /// A folder, relative to the manifest.
        path: String,
        /// A Git repository. Not supported yet.
        git: String,
        /// The revision of the Git repository. Not supported yet.
        rev: String,
    }
}

table! {
    /// How a program is had: either `cargo` or `command`.
    struct RunTable, "`run`" {
        /// A Cargo package to build, whose binary of the same name is run.
        cargo: String,
        /// A program and its arguments, run in the service's folder.
        command: Vec<At<String>>,
    }
}

table! {
    /// The bounds between which a service is scaled.
    struct ReplicasTable, "`replicas`" {
        /// The fewest, and the number started with: 0 to 1000; 1 when left out.
        min: Count,
        /// The most: at least `min`, at most 1000; 1000 when left out.
        max: Count,
        /// How many requests in flight per replica scaling aims at.
        target_concurrency: Count,
    }
}

/// How many copies run.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum ReplicasValue {
    /// The number to start with.
    Number(Count),
    /// The bounds.
    Bounds(ReplicasTable),
}

impl Read for ReplicasValue {
    const KIND: &'static str = "a whole number or a table";
    const FORM: &'static str = "2 or { min = 2, max = 8 }";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::Integer(_) => Count::read(value, path, problems).map(Self::Number),
            DeValue::Table(_) => ReplicasTable::read(value, path, problems).map(Self::Bounds),
            _ => {
                wrong_type::<Self>(value, path, problems);
                None
            }
        }
    }
}

table! {
    /// The three questions asked of each replica.
    struct ProbesTable, "`probes`" {
        /// Has it started? Asked until it passes once; it fails after `period` times `failures`.
        startup: ProbeTable,
        /// May it receive requests now?
        readiness: ProbeTable,
        /// Is it alive? When it fails, the replica is replaced.
        liveness: ProbeTable,
    }
}

table! {
    /// How a replica is asked, and how often.
    struct ProbeTable, "a probe" {
        /// `GET` this path; an answer of 2xx or 3xx passes.
        http: String,
        /// A TCP connection must be accepted. Not with `listen = "fd"`, where it always is.
        tcp: bool,
        /// The SDK's health socket must answer. The default with `run.cargo` and `listen = "fd"`.
        sdk: bool,
        /// The process runs: always passes.
        process: bool,
        /// With `sdk`: an event loop that has not turned for this long hangs; `"10s"` when left out.
        hang_after: TimeSpan,
        /// From one question to the next: `"1s"` when left out, `"100ms"` for startup; at most 1 hour.
        period: TimeSpan,
        /// How long an answer may take: `"1s"` when left out, at most 1 minute.
        timeout: TimeSpan,
        /// How many failures in a row count: 3 when left out, 600 for startup.
        failures: Count,
    }
}

word! {
    /// How a replica gets its listening socket.
    enum ListenWord {
        /// Shoal binds the socket and passes it (`LISTEN_FDS`).
        Fd = "fd",
        /// The program listens on `127.0.0.1:$PORT`.
        Port = "port",
        /// The program does not listen.
        None = "none",
    }
}

word! {
    /// Who is turned away first when a service has too much to do.
    enum PriorityWord {
        /// Can wait: prefetching, reports.
        Low = "low",
        /// Everything else.
        Normal = "normal",
        /// Must get through while anything does: paying.
        High = "high",
    }
}

word! {
    /// A database that a service is given.
    enum DatabaseWord {
        /// An SQLite file of its own.
        Sqlite = "sqlite",
        /// A database of its own in the PostgreSQL server whose address `POSTGRES_URL` holds at `shoal up`.
        Postgres = "postgres",
    }
}

table! {
    /// A database that the environment of `shoal up` chooses.
    struct DatabaseTable, "`database`" {
        /// The variable that holds `sqlite`, `postgres`, or the address of a PostgreSQL server.
        env: String = required "env = \"STORE_DATABASE\"",
        /// What it is when the variable is not set.
        default: DatabaseWord = required "default = \"sqlite\"",
    }
}

/// The database that a service is given.
#[derive(Debug, JsonSchema)]
#[schemars(untagged)]
pub(crate) enum DatabaseValue {
    /// The manifest chooses.
    Word(DatabaseWord),
    /// The environment chooses.
    Named(DatabaseTable),
}

impl Read for DatabaseValue {
    const KIND: &'static str = "a text or a table";
    const FORM: &'static str = "\"sqlite\", \"postgres\" or { env = \"STORE_DATABASE\", default = \"sqlite\" }";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        match value.get_ref() {
            DeValue::String(_) => DatabaseWord::read(value, path, problems).map(Self::Word),
            DeValue::Table(_) => DatabaseTable::read(value, path, problems).map(Self::Named),
            _ => {
                wrong_type::<Self>(value, path, problems);
                None
            }
        }
    }
}
