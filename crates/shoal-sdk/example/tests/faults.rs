//! What goes wrong on purpose has the effect that it names, over both transports, and only where it was asked for.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::{Running, framed};
use shoal_discovery::{DiscoveryServer, DiscoverySettings, PublishedFault};
use shoal_model::{
    Address, Endpoint, Fault, FaultError, FaultId, FaultKind, FaultRate, FaultTarget, Generation, Observation,
    ReplicaName, RevisionId,
};
use shoal_sdk::{Call, Code, Environment, Error, Service};
use shoal_sdk_example::calls::{self, Greeter};
use shoal_sdk_example::contracts::example::greeter::v1 as contract;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);
/// A call of a method that may be sent twice waits for so long where a breaker has it wait.
const CALL: Duration = Duration::from_secs(60);

/// Counts what it is asked, and answers with the count.
struct Counting(Arc<AtomicU64>);

impl Counting {
    fn count(&self) -> String {
        (self.0.fetch_add(1, Ordering::SeqCst) + 1).to_string()
    }
}

#[shoal_sdk::async_trait]
impl contract::Greeter for Counting {
    async fn greet(&self, _: &Call, _: contract::GreetRequest) -> Result<contract::GreetResponse, Error> {
        Ok(contract::GreetResponse { text: self.count(), ..Default::default() })
    }
    async fn wait(&self, _: &Call, _: contract::WaitRequest) -> Result<contract::WaitResponse, Error> {
        Ok(contract::WaitResponse::default())
    }
    async fn ponder(&self, _: &Call, _: contract::PonderRequest) -> Result<contract::PonderResponse, Error> {
        Ok(contract::PonderResponse { replica: self.count(), ..Default::default() })
    }
    async fn fail(&self, _: &Call, _: contract::FailRequest) -> Result<contract::FailResponse, Error> {
        self.count();
        Err(Error::not_found("as asked"))
    }
    async fn echo(&self, _: &Call, _: contract::EchoRequest) -> Result<contract::EchoResponse, Error> {
        Ok(contract::EchoResponse::default())
    }
}

/// A supervisor's side of discovery, one greeter, and one who calls it.
struct Scene {
    server: DiscoveryServer,
    observations: mpsc::Receiver<Observation>,
    greeter: Arc<dyn Greeter>,
    asked: Arc<AtomicU64>,
    _callee: Running,
    _folder: TempDir,
}

fn publisher(folder: &TempDir) -> (DiscoveryServer, mpsc::Receiver<Observation>, String) {
    let socket = folder.path().join("d.sock");
    let (sender, observations) = mpsc::channel(1000);
    let settings = DiscoverySettings { holders_before: false, ..DiscoverySettings::default() };
    let server = DiscoveryServer::start_with(settings, UnixListener::bind(&socket).unwrap(), sender);
    (server, observations, socket.to_str().unwrap().to_owned())
}

impl Scene {
    async fn new(over_frames: bool) -> Self {
        let asked = Arc::new(AtomicU64::new(0));
        let service = Service::new().rpc(contract::GreeterServer::new(Arc::new(Counting(Arc::clone(&asked)))));
        let callee = Running::serving(service, tempfile::tempdir().unwrap()).await;
        let folder = tempfile::tempdir().unwrap();
        let (server, observations, socket) = publisher(&folder);
        let environment = Environment::captured_for_tests(&[
            ("SHOAL_SERVICE", "caller"),
            ("SHOAL_REPLICA", "caller-1"),
            ("SHOAL_CALLS", "greeter"),
            ("SHOAL_DISCOVERY", &socket),
        ]);
        let environment = environment.unwrap();
        let environment = if over_frames { environment } else { environment.without_frames() };
        let endpoint = Endpoint {
            replica: ReplicaName { service: "greeter".parse().unwrap(), serial: 1 },
            revision: RevisionId("r".to_owned()),
            address: Address::Tcp(callee.address),
            weight: 100,
            identity: None,
        };
        server.publish("greeter".parse().unwrap(), Generation(1), vec![endpoint]);
        let greeter = calls::greeter(&environment).unwrap();
        if over_frames {
            framed(&environment, &greeter).await;
        } else {
            greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
        }
        Self { server, observations, greeter, asked, _callee: callee, _folder: folder }
    }

    /// These are the faults from now on, numbered from 1.
    async fn set(&self, faults: impl IntoIterator<Item = Fault>) {
        let numbered = (1..).map(FaultId).zip(faults);
        let faults = numbered.map(|(id, fault)| PublishedFault { id, fault, happened: 0 }).collect();
        self.server.set_faults(faults);
        assert!(self.server.faults_applied(PATIENCE).await);
    }

    /// Calls a method that may not be sent twice; what it answers is how often anything was asked.
    async fn greet(&self) -> Result<String, Error> {
        let request = contract::GreetRequest { name: "x".to_owned(), ..Default::default() };
        self.greeter.greet(&Call::new().with_timeout(CALL), request).await.map(|response| response.text)
    }

    fn asked(&self) -> u64 {
        self.asked.swap(0, Ordering::SeqCst)
    }

    async fn happened(&mut self, wanted: (FaultId, u64)) {
        happened(&mut self.observations, wanted).await;
    }
}

async fn happened(observations: &mut mpsc::Receiver<Observation>, wanted: (FaultId, u64)) {
    let seen = async {
        while let Some(observation) = observations.recv().await {
            if observation == (Observation::FaultHappened { fault: wanted.0, total: wanted.1 }) {
                return;
            }
        }
        panic!("the publisher is gone");
    };
    tokio::time::timeout(PATIENCE, seen).await.expect("never counted");
}

fn fault(kind: FaultKind) -> Fault {
    let target = FaultTarget::Call { caller: "caller".parse().unwrap(), callee: "greeter".parse().unwrap() };
    Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times: None, until: None }
}

#[tokio::test]
async fn a_lost_answer_is_a_broken_connection_after_the_effect() {
    for over_frames in [false, true] {
        let mut scene = Scene::new(over_frames).await;
        scene.set([Fault { times: Some(3), ..fault(FaultKind::LostAnswer) }]).await;
        let error = scene.greet().await.unwrap_err();
        assert_eq!((error.code, scene.asked()), (Code::Unavailable, 1), "{error}");
        assert!(error.message.contains("broke before greeter-1 answered"), "{error}");
        // An error is an answer, too.
        let error = scene.greeter.fail(&Call::new(), contract::FailRequest::default()).await.unwrap_err();
        assert_eq!((error.code, scene.asked()), (Code::Unavailable, 1), "{error}");
        // What may be sent twice is, as on a connection that breaks.
        let call = Call::new().with_timeout(CALL);
        let answer = scene.greeter.ponder(&call, contract::PonderRequest::default()).await.unwrap();
        assert_eq!((answer.replica.as_str(), scene.asked()), ("2", 2));
        // No more often than was asked for.
        scene.greet().await.unwrap();
        scene.happened((FaultId(1), 3)).await;
    }
}

#[tokio::test]
async fn an_error_is_the_answer_of_a_callee_that_never_heard_of_the_call() {
    for over_frames in [false, true] {
        let mut scene = Scene::new(over_frames).await;
        for (error, code) in [
            (FaultError::Unavailable, Code::Unavailable),
            (FaultError::Internal, Code::Internal),
            (FaultError::ResourceExhausted, Code::ResourceExhausted),
            (FaultError::DeadlineExceeded, Code::DeadlineExceeded),
        ] {
            scene.set([fault(FaultKind::Error(error))]).await;
            let error = scene.greet().await.unwrap_err();
            assert_eq!((error.code, scene.asked()), (code, 0), "{error}");
            assert!(error.message.contains("fault 1"), "{error}");
        }
        scene.happened((FaultId(1), 4)).await;
        scene.set([]).await;
        assert_eq!((scene.greet().await, scene.asked()), (Ok("1".to_owned()), 1), "gone, it has no effect");
    }
}

#[tokio::test]
async fn a_duplicate_is_served_twice_and_answered_once() {
    for over_frames in [false, true] {
        let mut scene = Scene::new(over_frames).await;
        scene.set([fault(FaultKind::Duplicate)]).await;
        assert_eq!((scene.greet().await, scene.asked()), (Ok("2".to_owned()), 2));
        let error = scene.greeter.fail(&Call::new(), contract::FailRequest::default()).await.unwrap_err();
        assert_eq!((error.code, scene.asked()), (Code::NotFound, 2), "{error}");
        let large = contract::GreetRequest { name: "x".repeat(65 * 1024), ..Default::default() };
        scene.greeter.greet(&Call::new(), large).await.unwrap();
        assert_eq!(scene.asked(), 1, "what is large is left alone, and not counted");
        scene.happened((FaultId(1), 2)).await;
        scene.set([fault(FaultKind::Duplicate), fault(FaultKind::LostAnswer)]).await;
        assert_eq!((scene.greet().await.map_err(|error| error.code), scene.asked()), (Err(Code::Unavailable), 2));
    }
}

#[tokio::test]
async fn a_delay_comes_before_the_call_and_out_of_its_time() {
    for over_frames in [false, true] {
        let mut scene = Scene::new(over_frames).await;
        scene.set([fault(FaultKind::Delay(Duration::from_millis(50)))]).await;
        let began = Instant::now();
        scene.greet().await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(50));
        scene.set([fault(FaultKind::Delay(Duration::from_secs(3600)))]).await;
        scene.asked();
        let request = contract::GreetRequest { name: "x".to_owned(), ..Default::default() };
        let error = scene.greeter.greet(&Call::new().with_timeout(Duration::from_secs(1)), request).await;
        assert_eq!((error.unwrap_err().code, scene.asked()), (Code::DeadlineExceeded, 0));
        scene.happened((FaultId(1), 2)).await;
    }
}

#[tokio::test]
async fn only_what_was_named_is_hit() {
    let scene = Scene::new(true).await;
    let error = || fault(FaultKind::Error(FaultError::Internal));
    let to = |target| Fault { target, ..error() };
    let call = |caller: &str| FaultTarget::Call { caller: caller.parse().unwrap(), callee: "greeter".parse().unwrap() };
    let method = |name: &str| Fault { method: Some(name.to_owned()), ..error() };
    for (fault, is_hit) in [
        (to(call("other")), false),
        (to(call("gateway")), false),
        (to(FaultTarget::Service("greeter".parse().unwrap())), true),
        (to(FaultTarget::Service("caller".parse().unwrap())), false),
        (to(FaultTarget::Replica("greeter-1".parse().unwrap())), true),
        (to(FaultTarget::Replica("greeter-2".parse().unwrap())), false),
        (method("Greet"), true),
        (method("Fail"), false),
        (Fault { until: Some(shoal_model::Millis(1)), ..error() }, false),
        (Fault { times: Some(0), ..error() }, false),
    ] {
        scene.set([fault.clone()]).await;
        assert_eq!(scene.greet().await.is_err(), is_hit, "{fault:?}");
    }
}

#[tokio::test]
async fn a_rate_is_the_share_of_calls_that_are_hit() {
    let mut scene = Scene::new(true).await;
    let error = fault(FaultKind::Error(FaultError::ResourceExhausted));
    scene.set([Fault { rate: FaultRate(300_000), ..error }]).await;
    let mut hits = 0;
    for _ in 0..1000 {
        hits += u64::from(scene.greet().await.is_err());
    }
    // Outside of this once in 10⁹ times: six standard deviations.
    assert!((212..=388).contains(&hits), "{hits} of 1000");
    assert_eq!(scene.asked(), 1000 - hits);
    scene.happened((FaultId(1), hits)).await;
}

/// The example as a replica of its own; killed when a test fails half-way.
struct Replica {
    child: Child,
    port: u16,
}

impl Replica {
    fn start(name: &str, folder: &TempDir, discovery: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_shoal-sdk-example"))
            .env_clear()
            .env("PORT", port.to_string())
            .env("SHOAL_SERVICE", "greeter")
            .env("SHOAL_REPLICA", name)
            .env("SHOAL_DATA", folder.path())
            .env("SHOAL_HEALTH", folder.path().join(format!("{name}.sock")))
            .env("SHOAL_DISCOVERY", discovery)
            .stderr(Stdio::null())
            .spawn();
        Self { child: child.unwrap(), port }
    }

    /// Asks over HTTP/1.1; `None` when the connection breaks.
    async fn ask(&self, request: &str) -> Option<String> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(answer)
    }

    /// Has it greet, which leads past its crash point.
    async fn greet(&self) -> Option<String> {
        let body = r#"{"name":"Ada"}"#;
        let head = "POST /example.greeter.v1.Greeter/Greet HTTP/1.1\r\nhost: x\r\nconnection: close";
        let length = body.len();
        let json = "content-type: application/json";
        self.ask(&format!("{head}\r\n{json}\r\ncontent-length: {length}\r\n\r\n{body}")).await
    }

    async fn answers(&self) {
        let home = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        until("the replica answers", async || self.ask(home).await.is_some()).await;
    }

    async fn ended(mut self) -> ExitStatus {
        let mut status = None;
        until("the replica ends", async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_process_dies_at_its_crash_point_and_the_next_one_does_not() {
    use std::os::unix::process::ExitStatusExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (server, mut observations, socket) = publisher(&folder);
    let replica = Replica::start("greeter-1", &folder, &socket);
    replica.answers().await;
    until("its crash points are known", async || server.crash_points(&"greeter".parse().unwrap()).is_some()).await;
    let points = server.crash_points(&"greeter".parse().unwrap()).unwrap();
    assert_eq!(points.into_iter().collect::<Vec<_>>(), ["greet.counted"]);
    let kill = |at: &str| {
        let target = FaultTarget::Service("greeter".parse().unwrap());
        let kind = FaultKind::Kill { at: Some(at.to_owned()) };
        vec![PublishedFault { id: FaultId(7), fault: Fault { target, times: Some(1), ..fault(kind) }, happened: 0 }]
    };
    server.set_faults(kill("elsewhere"));
    assert!(server.faults_applied(PATIENCE).await);
    assert!(replica.greet().await.is_some(), "it does not pass that one");
    server.set_faults(Vec::new());
    server.set_faults(kill("greet.counted"));
    assert!(server.faults_applied(PATIENCE).await);
    assert_eq!(replica.greet().await, None);
    assert_eq!(replica.ended().await.signal(), Some(9));
    happened(&mut observations, (FaultId(7), 1)).await;
    let next = Replica::start("greeter-2", &folder, &socket);
    next.answers().await;
    until("the next is connected", async || server.connected() == 1).await;
    assert!(next.greet().await.is_some(), "it may happen once");
}

#[tokio::test]
async fn without_anybody_who_counts_a_crash_point_kills_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _observations, socket) = publisher(&folder);
    let replica = Replica::start("greeter-1", &folder, &socket);
    replica.answers().await;
    until("it is connected", async || server.connected() == 1).await;
    let kind = FaultKind::Kill { at: Some("greet.counted".to_owned()) };
    let target = FaultTarget::Replica("greeter-1".parse().unwrap());
    server.set_faults(vec![PublishedFault { id: FaultId(1), fault: Fault { target, ..fault(kind) }, happened: 0 }]);
    assert!(server.faults_applied(PATIENCE).await);
    drop(server);
    until("the socket is closed", async || tokio::net::UnixStream::connect(&socket).await.is_err()).await;
    assert!(replica.greet().await.is_some());
}

#[test]
fn a_test_hears_of_the_crash_points_that_are_reached() {
    let folder = tempfile::tempdir().unwrap();
    let reached = Arc::new(std::sync::Mutex::new(Vec::new()));
    let hearing = Arc::clone(&reached);
    let environment = Environment::for_tests(folder.path());
    environment.faults().crash_point("unheard");
    let heard = environment.with_crash_points_for_tests(Arc::new(move |name: &str| {
        hearing.lock().unwrap().push(name.to_owned());
    }));
    heard.faults().crash_point("here");
    assert_eq!(*reached.lock().unwrap(), ["here"]);
}
