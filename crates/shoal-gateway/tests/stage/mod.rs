//! The stage of the gateway's tests: a publisher, replicas and clients, in this process, over real sockets.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.
#![allow(dead_code)] // Each test file uses its own part of it.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use shoal_discovery::publisher::PublisherSettings;
use shoal_discovery::{DiscoveryServer, HolderName, ListenerRoutes, RoutingTable};
use shoal_gateway::{Gateway, GatewaySettings};
use shoal_model::{Address, Endpoint, Generation, Limits, Observation, RevisionId, Route, ServiceName, Tls};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything may take that is sure to come.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Whatever went wrong in a test's replica.
#[derive(Debug)]
pub struct Failure(String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl From<Failure> for Box<dyn std::error::Error + Send + Sync> {
    fn from(failure: Failure) -> Self {
        failure.0.into()
    }
}

impl Failure {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }
}

pub type AnyBody = BoxBody<Bytes, Failure>;

pub fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

pub fn full(bytes: impl Into<Bytes>) -> AnyBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub fn empty() -> AnyBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

/// A route that holds requests for a moment only: what is refused is refused soon.
pub fn route(host: Option<&str>, path: &str, service: &str) -> Route {
    let limits = Limits { hold_timeout: Duration::from_millis(200), ..Limits::default() };
    Route { host: host.map(str::to_owned), path: path.to_owned(), service: name(service), limits }
}

/// One route to a service, with these limits.
pub fn limited(service: &str, limits: Limits) -> Vec<Route> {
    vec![Route { limits, ..route(None, "/", service) }]
}

pub async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A publisher and a gateway that follows it.
pub struct Stage {
    pub folder: tempfile::TempDir,
    pub publisher: Option<DiscoveryServer>,
    pub observations: mpsc::Receiver<Observation>,
    pub gateway: Option<Gateway>,
    pub address: SocketAddr,
    generations: BTreeMap<ServiceName, Generation>,
    table: RoutingTable,
}

impl Stage {
    /// A gateway of two cores with these routes on its listener `public`.
    pub async fn new(routes: Vec<Route>) -> Self {
        Self::with(routes, None, |_| ()).await
    }

    pub async fn with(routes: Vec<Route>, tls: Option<Tls>, change: impl FnOnce(&mut GatewaySettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (publisher, observations) = publish_in(folder.path());
        let mut table = RoutingTable::default();
        table.listeners.insert("public".to_owned(), ListenerRoutes { tls, routes });
        publisher.set_routing(table.clone());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings =
            GatewaySettings::new(folder.path().join("discovery.sock"), HolderName("gateway-1".to_owned()));
        settings.health = Some(folder.path().join("health.sock"));
        settings.cores = 2;
        change(&mut settings);
        let gateway = Gateway::start(settings, BTreeMap::from([("public".to_owned(), listener)])).unwrap();
        until("the gateway follows", async || publisher.connected() == 1).await;
        Self {
            folder,
            publisher: Some(publisher),
            observations,
            gateway: Some(gateway),
            address,
            generations: BTreeMap::new(),
            table,
        }
    }

    pub fn health(&self) -> PathBuf {
        self.folder.path().join("health.sock")
    }

    /// How many requests a replica of a service takes at once. Counts from the next endpoints on.
    pub fn limit_concurrency(&mut self, service: &str, most: u32) {
        self.table.concurrency_max.insert(name(service), most);
        self.publisher.as_ref().unwrap().set_routing(self.table.clone());
    }

    /// How many requests the gateway has under way.
    pub fn in_flight(&self) -> u64 {
        self.publisher.as_ref().unwrap().edges().iter().map(|edge| edge.in_flight).sum()
    }

    /// How many requests have ended, well or not.
    pub fn ended(&self) -> u64 {
        self.publisher.as_ref().unwrap().edges().iter().map(|edge| edge.calls).sum()
    }

    /// Publishes a service's replicas, without waiting for anyone.
    pub fn publish(&mut self, service: &str, replicas: &[&Replica]) -> Generation {
        let endpoints = replicas.iter().map(|replica| replica.endpoint.clone()).collect();
        self.publish_endpoints(service, endpoints)
    }

    pub fn publish_endpoints(&mut self, service: &str, endpoints: Vec<Endpoint>) -> Generation {
        let service = name(service);
        let generation = self.generations.get(&service).map_or(Generation(1), |generation| generation.next());
        self.generations.insert(service.clone(), generation);
        self.publisher.as_ref().unwrap().publish(service, generation, endpoints);
        generation
    }

    /// Publishes a service's replicas and waits until the gateway has applied them.
    pub async fn serve(&mut self, service: &str, replicas: &[&Replica]) {
        let generation = self.publish(service, replicas);
        self.acknowledged(service, generation).await;
    }

    pub async fn acknowledged(&mut self, service: &str, wanted: Generation) {
        let wait = async {
            loop {
                let Observation::RoutesAcknowledged { service: told, generation } =
                    self.observations.recv().await.unwrap()
                else {
                    continue;
                };
                if told == name(service) && generation >= wanted {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("acknowledged in time");
    }

    /// The supervisor dies and is started again, knowing what it knew.
    pub async fn restart_publisher(&mut self) {
        self.publisher = None;
        let (publisher, observations) = publish_in(self.folder.path());
        until("the gateway is back", async || publisher.connected() == 1).await;
        self.publisher = Some(publisher);
        self.observations = observations;
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(get(path)).await
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: Request<AnyBody>) -> Answer {
        Answer::of(client(self.address).await.send_request(request).await.expect("an answer")).await
    }

    /// Stops the gateway and returns how many connections were cut off.
    pub async fn stop(&mut self) -> usize {
        let gateway = self.gateway.take().unwrap();
        tokio::task::spawn_blocking(move || gateway.stop()).await.unwrap()
    }
}

fn publish_in(folder: &Path) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    let socket = folder.join("discovery.sock");
    if socket.exists() {
        std::fs::remove_file(&socket).unwrap();
    }
    let (sender, observations) = mpsc::channel(64);
    // No loaded machine lets this lease run out: what is acknowledged has been applied.
    let settings = PublisherSettings {
        lease: Duration::from_secs(600),
        holders_before: false,
        heartbeat: Duration::from_millis(100),
        ..PublisherSettings::default()
    };
    (DiscoveryServer::start_with(settings, UnixListener::bind(&socket).unwrap(), sender), observations)
}

pub fn get(path: &str) -> Request<AnyBody> {
    Request::get(path).header("host", "shop.example").body(empty()).unwrap()
}

/// An HTTP/1.1 connection to the gateway.
pub async fn client(address: SocketAddr) -> http1::SendRequest<AnyBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

/// An HTTP/2 connection to the gateway, with prior knowledge.
pub async fn client2(address: SocketAddr) -> http2::SendRequest<AnyBody> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
    pub trailers: HeaderMap,
}

impl Answer {
    pub async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let collected = tokio::time::timeout(PATIENCE, body.collect()).await.expect("ends").expect("whole");
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let body = String::from_utf8(collected.to_bytes().to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, body, trailers }
    }
}

type Handling = Pin<Box<dyn Future<Output = Result<Response<AnyBody>, Failure>> + Send>>;

/// A replica in this process: HTTP/1.1 and HTTP/2. Dropped, it and its connections are gone.
pub struct Replica {
    pub endpoint: Endpoint,
    /// How many connections it has accepted.
    pub connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Replica {
    /// A replica whose answers these are.
    pub async fn new<F>(replica: &str, handle: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Response<AnyBody>, Failure>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = endpoint(replica, listener.local_addr().unwrap());
        let handle = Arc::new(move |request| Box::pin(handle(request)) as Handling);
        let accepted = Arc::new(AtomicUsize::new(0));
        let counting = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counting.fetch_add(1, Ordering::SeqCst);
                let handle = Arc::clone(&handle);
                connections.spawn(async move {
                    let service = service_fn(move |request| handle(request));
                    let builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { endpoint, connections: accepted, task }
    }

    /// Answers with its own name.
    pub async fn named(replica: &str) -> Self {
        let text = replica.to_owned();
        Self::new(replica, move |_| {
            let text = text.clone();
            async move { Ok(Response::new(full(text))) }
        })
        .await
    }

    /// Answers with the head of the request, one header a line.
    pub async fn mirror(replica: &str) -> Self {
        Self::new(replica, |request| async move {
            let mut text = format!("{} {} {:?}\n", request.method(), request.uri(), request.version());
            for (name, value) in request.headers() {
                text.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
            }
            Ok(Response::new(full(text)))
        })
        .await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn endpoint(replica: &str, address: SocketAddr) -> Endpoint {
    Endpoint {
        replica: replica.parse().unwrap(),
        revision: RevisionId("r1".to_owned()),
        address: Address::Tcp(address),
        weight: 100,
        identity: None,
    }
}

/// A port that refuses connections until its socket listens. While that is held, nobody else gets the port.
pub fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Reads a request's head on each connection and then does as told: closes it, or answers with this text.
pub async fn raw_replica(answer: Option<&'static str>) -> (SocketAddr, Arc<AtomicUsize>) {
    breaking_replica(if answer.is_some() { 0 } else { usize::MAX }, answer.unwrap_or_default()).await
}

/// Reads a request's head on each connection; closes so many of them, and answers with this text on all that follow.
pub async fn breaking_replica(broken: usize, answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heads = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&heads);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counting = Arc::clone(&counting);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                if counting.fetch_add(1, Ordering::SeqCst) >= broken {
                    let _ = stream.write_all(answer.as_bytes()).await;
                }
            });
        }
    });
    (address, heads)
}
