//! The store's ten services in the test's own process, each behind a socket of its own, as callers meet them; and what they
//! logged. It ends with the test.

#![allow(dead_code, clippy::unwrap_used)] // Each test binary uses its own part of it.

pub mod methods;
pub mod odd;

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::json;
use shoal_sdk::{Environment, Service, Shutdown, StartError};
use test_databases::{Kind, TestDatabase};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::MakeWriter;

/// Who serves what.
pub const SERVICES: [&str; 10] = [
    "basket",
    "catalogue",
    "checkout",
    "customer",
    "inventory",
    "notify",
    "orders",
    "payment",
    "shipping",
    "storefront",
];

pub const ADMIN: (&str, &str) = ("admin@store.example", "let-me-mind-the-shop");

/// The running store.
pub struct Town {
    addresses: BTreeMap<&'static str, SocketAddr>,
    agent: ureq::Agent,
    pub folder: tempfile::TempDir,
    /// Held for as long as the services use them.
    _databases: Vec<TestDatabase>,
    shutdown: Shutdown,
    runtime: Option<Runtime>,
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: String,
}

impl Town {
    /// Starts all services, each with an empty database of this kind.
    pub fn start(kind: Kind) -> Town {
        let folder = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let shutdown = Shutdown::new();
        let mut listeners: BTreeMap<&'static str, TcpListener> = SERVICES
            .into_iter()
            .map(|name| (name, runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap()))
            .collect();
        let addresses: BTreeMap<&'static str, SocketAddr> =
            listeners.iter().map(|(name, listener)| (*name, listener.local_addr().unwrap())).collect();
        let mut databases = Vec::new();
        for name in SERVICES {
            let own = folder.path().join(name);
            std::fs::create_dir(&own).unwrap();
            let mut environment = environment(&own, &addresses);
            if name != "storefront" {
                let database = TestDatabase::new(kind);
                environment = environment.with_database(database.url());
                databases.push(database);
            }
            let service = runtime.block_on(service(name, environment)).unwrap();
            let listener = listeners.remove(name).unwrap();
            let serving = service.serve(listener, shutdown.clone());
            runtime.spawn(async move { serving.await.unwrap_or_else(|error| tracing::error!(%error, "it fell over")) });
        }
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .into();
        Town { addresses, agent, folder, _databases: databases, shutdown, runtime: Some(runtime) }
    }

    /// Posts bytes to an RPC method, `store.basket.v1.Basket/Get`, in this encoding.
    pub fn call(&self, method: &str, kind: &str, body: &[u8]) -> Answer {
        let service = method.split('.').nth(1).unwrap();
        let request = self.agent.post(format!("http://{}/{method}", self.addresses[service]));
        answer(request.header("content-type", kind).header("connect-protocol-version", "1").send(body))
    }

    /// Gets a page with these cookies.
    pub fn get(&self, path: &str, cookies: &str) -> Answer {
        let request = self.agent.get(format!("http://{}{path}", self.addresses["storefront"]));
        answer(request.header("cookie", cookies).call())
    }

    /// Sends a form with these cookies.
    pub fn post(&self, path: &str, cookies: &str, body: &str) -> Answer {
        let request = self.agent.post(format!("http://{}{path}", self.addresses["storefront"]));
        let request = request.header("cookie", cookies).header("content-type", "application/x-www-form-urlencoded");
        answer(request.send(body))
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        self.shutdown.request();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(10));
        }
    }
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap();
    let mut headers = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in response.headers() {
        headers.entry(name.to_string()).or_default().push(String::from_utf8_lossy(value.as_bytes()).into_owned());
    }
    let bytes = response.body_mut().read_to_vec().unwrap();
    Answer { status: response.status().as_u16(), headers, body: String::from_utf8_lossy(&bytes).into_owned() }
}

fn environment(folder: &Path, addresses: &BTreeMap<&'static str, SocketAddr>) -> Environment {
    let environment = Environment::for_tests(folder);
    addresses.iter().fold(environment, |environment, (name, address)| environment.with_callee(name, *address).unwrap())
}

async fn service(name: &str, environment: Environment) -> Result<Service, StartError> {
    let admin = json!({ "admin-email": ADMIN.0, "admin-password": ADMIN.1 });
    match name {
        "basket" => basket::service(environment).await,
        "catalogue" => catalogue::service(environment).await,
        "checkout" => checkout::service(environment).await,
        "customer" => customer::service(environment.with_settings(&admin)?).await,
        "inventory" => inventory::service(environment.with_settings(&json!({ "demo-stock": true }))?).await,
        "notify" => notify::service(environment).await,
        "orders" => orders::service(environment).await,
        "payment" => payment::service(environment).await,
        "shipping" => shipping::service(environment).await,
        _ => storefront::service(environment).await,
    }
}

/// Everything that was logged in this process.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Begins to keep what is logged, at every level that anybody might turn on; once per process.
    pub fn kept() -> Log {
        static LOG: OnceLock<Log> = OnceLock::new();
        let log = LOG.get_or_init(|| {
            let log = Log::default();
            let levels = tracing_subscriber::EnvFilter::new(
                "debug,basket=trace,catalogue=trace,checkout=trace,\
                customer=trace,inventory=trace,notify=trace,orders=trace,payment=trace,shipping=trace,\
                storefront=trace,shoal_sdk=trace",
            );
            tracing_subscriber::fmt().with_env_filter(levels).with_writer(log.clone()).with_ansi(false).init();
            log
        });
        log.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Log;

    fn make_writer(&'a self) -> Log {
        self.clone()
    }
}

/// Every file below a folder, with what is in it.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.is_file() {
                found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    found
}
