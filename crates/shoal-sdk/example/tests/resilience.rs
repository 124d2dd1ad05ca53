//! What a caller notices of a callee that is not there, stops, or is killed: nothing, wherever that is possible. Each story
//! is told over both transports.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::{Running, framed};
use shoal_discovery::{DiscoveryServer, RoutingTable};
use shoal_model::{Address, Endpoint, Generation, Observation, ReplicaName, RevisionId, ServiceName};
use shoal_sdk::{Call, Code, Environment, Error, Service};
use shoal_sdk_example::calls::{self, Greeter};
use shoal_sdk_example::contracts::example::greeter::v1 as contract;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Transport {
    Http2,
    Frames,
}

const BOTH: [Transport; 2] = [Transport::Http2, Transport::Frames];

/// A greeter in a runtime of its own, which ends like a process that is killed: all its sockets at once.
struct Killable {
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
    begun: Arc<AtomicUsize>,
    _folder: TempDir,
}

/// Ponders until it is killed, unless told otherwise.
struct Pondering {
    begun: Arc<AtomicUsize>,
    for_ever: bool,
}

#[shoal_sdk::async_trait]
impl contract::Greeter for Pondering {
    async fn greet(&self, _: &Call, request: contract::GreetRequest) -> Result<contract::GreetResponse, Error> {
        Ok(contract::GreetResponse { text: request.name, ..Default::default() })
    }
    async fn wait(&self, _: &Call, _: contract::WaitRequest) -> Result<contract::WaitResponse, Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.for_ever {
            std::future::pending::<()>().await;
        }
        Ok(contract::WaitResponse::default())
    }
    async fn ponder(&self, _: &Call, _: contract::PonderRequest) -> Result<contract::PonderResponse, Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if self.for_ever {
            std::future::pending::<()>().await;
        }
        Ok(contract::PonderResponse { replica: "lives".to_owned(), ..Default::default() })
    }
    async fn fail(&self, _: &Call, _: contract::FailRequest) -> Result<contract::FailResponse, Error> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Err(Error::unavailable("another service is away"))
    }
    async fn echo(&self, _: &Call, _: contract::EchoRequest) -> Result<contract::EchoResponse, Error> {
        Ok(contract::EchoResponse::default())
    }
}

impl Killable {
    async fn start(for_ever: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let pondering = Pondering { begun: Arc::clone(&begun), for_ever };
        let service = Service::new().rpc(contract::GreeterServer::new(Arc::new(pondering)));
        let service = service.frames(&folder.path().join("s.calls"));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            service.serve(listener, shoal_sdk::Shutdown::new()).await
        });
        Self { address, runtime, begun, _folder: folder }
    }

    async fn begun(&self, count: usize) {
        until(|| self.begun.load(Ordering::SeqCst) >= count).await;
    }

    /// Returns once all its sockets are closed, and its callers could hear of it.
    async fn kill(self) {
        let runtime = self.runtime;
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE)).await.unwrap();
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn until(condition: impl Fn() -> bool) {
    let reached = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, reached).await.expect("it never came to that");
}

fn callee() -> ServiceName {
    "greeter".parse().unwrap()
}

fn endpoint(serial: u64, address: SocketAddr) -> Endpoint {
    Endpoint {
        replica: ReplicaName { service: callee(), serial },
        revision: RevisionId("r".to_owned()),
        address: Address::Tcp(address),
        weight: 100,
        identity: None,
    }
}

/// A caller that follows a publisher, as `run` makes one.
struct Followed {
    server: DiscoveryServer,
    observations: mpsc::Receiver<Observation>,
    environment: Environment,
    greeter: Arc<dyn Greeter>,
    _folder: TempDir,
}

impl Followed {
    fn start(transport: Transport) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("d.sock");
        let (sender, observations) = mpsc::channel(1000);
        let server = DiscoveryServer::start(UnixListener::bind(&socket).unwrap(), sender);
        let environment = Environment::captured_for_tests(&[
            ("SHOAL_SERVICE", "caller"),
            ("SHOAL_REPLICA", "caller-1"),
            ("SHOAL_CALLS", "greeter,other"),
            ("SHOAL_DISCOVERY", socket.to_str().unwrap()),
        ]);
        let environment = environment.unwrap();
        let environment = if transport == Transport::Http2 { environment.without_frames() } else { environment };
        let greeter = calls::greeter(&environment).unwrap();
        Self { server, observations, environment, greeter, _folder: folder }
    }

    fn publish(&self, generation: u64, endpoints: &[Endpoint]) {
        self.server.publish(callee(), Generation(generation), endpoints.to_vec());
    }

    /// Calls until all endpoints are called over this transport.
    async fn settle(&self, transport: Transport, endpoints: usize) {
        until_async(async || {
            self.greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
            self.environment.framed_for_tests("greeter").unwrap().0 == endpoints
        })
        .await;
        if transport == Transport::Frames {
            framed(&self.environment, &self.greeter).await;
        }
    }

    async fn acknowledged(&mut self, service: &ServiceName, wanted: u64) {
        let seen = async {
            while let Some(observation) = self.observations.recv().await {
                if let Observation::RoutesAcknowledged { service: acknowledged, generation } = observation
                    && acknowledged == *service
                    && generation >= Generation(wanted)
                {
                    return;
                }
            }
            panic!("the publisher is gone");
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("never acknowledged");
    }

    fn ponder(&self) -> JoinHandle<Result<contract::PonderResponse, Error>> {
        let greeter = Arc::clone(&self.greeter);
        tokio::spawn(async move { greeter.ponder(&long(), contract::PonderRequest::default()).await })
    }

    fn wait(&self) -> JoinHandle<Result<contract::WaitResponse, Error>> {
        let greeter = Arc::clone(&self.greeter);
        tokio::spawn(async move { greeter.wait(&long(), contract::WaitRequest::default()).await })
    }

    async fn greet(&self) -> Result<String, Error> {
        let request = contract::GreetRequest { name: "x".to_owned(), ..Default::default() };
        self.greeter.greet(&long(), request).await.map(|response| response.text)
    }
}

async fn until_async(condition: impl AsyncFn() -> bool) {
    let reached = async { while !condition().await {} };
    tokio::time::timeout(PATIENCE, reached).await.expect("it never came to that");
}

fn long() -> Call {
    Call::new().with_timeout(PATIENCE)
}

#[tokio::test]
async fn a_call_is_held_until_a_replica_is_ready() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        followed.publish(1, &[]);
        let held = followed.ponder();
        // An address where nobody listens: refused, and held again.
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        followed.publish(2, &[endpoint(1, nobody)]);
        tokio::task::yield_now().await;
        let replica = Killable::start(false).await;
        followed.publish(3, &[endpoint(2, replica.address)]);
        assert_eq!(held.await.unwrap().unwrap().replica, "lives", "{transport:?}");
        replica.kill().await;
    }
}

#[tokio::test]
async fn a_call_that_may_be_repeated_survives_its_replica() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        let first = Killable::start(true).await;
        followed.publish(1, &[endpoint(1, first.address)]);
        followed.settle(transport, 1).await;
        let pondered = followed.ponder();
        let waited = followed.wait();
        first.begun(2).await;
        first.kill().await;
        // It may have been done, and doing it twice might do harm.
        let error = waited.await.unwrap().unwrap_err();
        assert_eq!(error.code, Code::Unavailable, "{transport:?}");
        assert!(error.message.contains("broke before greeter-1 answered"), "{error}");
        // There is nobody yet: the other one is held.
        let second = Killable::start(false).await;
        followed.publish(2, &[endpoint(2, second.address)]);
        assert_eq!(pondered.await.unwrap().unwrap().replica, "lives", "{transport:?}");
        second.kill().await;
    }
}

#[tokio::test]
async fn a_call_that_brings_each_replica_down_does_not_go_through_them_all() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        let mut pondered = None;
        for serial in 1..=3 {
            let replica = Killable::start(true).await;
            followed.publish(serial, &[endpoint(serial, replica.address)]);
            if pondered.is_none() {
                followed.settle(transport, 1).await;
                pondered = Some(followed.ponder());
            }
            replica.begun(1).await;
            replica.kill().await;
        }
        let error = pondered.unwrap().await.unwrap().unwrap_err();
        assert!(error.message.contains("broke before greeter-3 answered"), "{error}");
    }
}

#[tokio::test]
async fn what_was_not_sent_goes_elsewhere_whatever_it_does() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        let (first, second) = (Killable::start(false).await, Killable::start(false).await);
        followed.publish(1, &[endpoint(1, first.address), endpoint(2, second.address)]);
        followed.settle(transport, 2).await;
        first.kill().await;
        for _ in 0..50 {
            // Over a connection that broke without a call on it.
            assert_eq!(followed.greet().await.unwrap(), "x", "{transport:?}");
        }
        second.kill().await;
    }
}

#[tokio::test]
async fn an_answer_is_an_answer() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        let (first, second) = (Killable::start(false).await, Killable::start(false).await);
        followed.publish(1, &[endpoint(1, first.address), endpoint(2, second.address)]);
        followed.settle(transport, 2).await;
        let fail = async || followed.greeter.fail(&Call::new(), contract::FailRequest::default()).await;
        for count in 1..=20 {
            let error = fail().await.unwrap_err();
            assert_eq!(error, Error::unavailable("another service is away"), "{transport:?}");
            assert_eq!(first.begun.load(Ordering::SeqCst) + second.begun.load(Ordering::SeqCst), count);
        }
        // And what needs not the other service is answered all the same.
        assert_eq!(followed.greet().await.unwrap(), "x");
        first.kill().await;
        second.kill().await;
    }
}

#[tokio::test]
async fn held_calls_are_bounded() {
    let followed = Followed::start(Transport::Http2);
    followed.publish(1, &[]);
    let call = Call::new().with_timeout(Duration::from_secs(3));
    let calls = (0..1_100).map(|_| followed.greeter.echo(&call, contract::EchoRequest::default()));
    let results = futures::future::join_all(calls).await;
    let refused = |why: &str| {
        let all = results.iter().map(|result| result.as_ref().unwrap_err());
        all.filter(|error| error.code == Code::Unavailable && error.message == why).count()
    };
    assert_eq!(refused("too many calls wait for a replica of `greeter`"), 100);
    assert_eq!(refused("no replica of `greeter` is ready"), 1_000);
}

#[tokio::test]
async fn a_service_that_is_full_gets_no_more() {
    for transport in BOTH {
        let followed = Followed::start(transport);
        let first = Killable::start(true).await;
        let concurrency_max = [(callee(), 2)].into();
        followed.server.set_routing(RoutingTable { concurrency_max, ..Default::default() });
        followed.publish(1, &[endpoint(1, first.address)]);
        followed.settle(transport, 1).await;
        let waiting = [followed.wait(), followed.wait()];
        first.begun(2).await;
        // Until the caller has heard of the limit, a third one is let in, and gives up.
        until_async(async || {
            let short = Call::new().with_timeout(Duration::from_millis(50));
            let error = followed.greeter.wait(&short, contract::WaitRequest::default()).await.unwrap_err();
            error == Error::unavailable("`greeter` has as many calls under way as it takes")
        })
        .await;
        for call in waiting {
            call.abort();
            assert!(call.await.unwrap_err().is_cancelled());
        }
        assert_eq!(followed.greet().await.unwrap(), "x", "there is room again");
        first.kill().await;
    }
}

#[tokio::test]
async fn a_client_without_discovery_fails_at_once() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let environment = Environment::of_client("tester", "greeter", Address::Tcp(nobody)).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    // Held, it would not be answered before the test's own end.
    let call = Call::new().with_timeout(Duration::from_secs(3600));
    let error = tokio::time::timeout(PATIENCE, greeter.echo(&call, contract::EchoRequest::default())).await.unwrap();
    assert_eq!(error.unwrap_err().code, Code::Unavailable);
}

/// Waits for ever, and tells when it is let go of.
struct Watched {
    begun: Arc<Notify>,
    dropped: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[shoal_sdk::async_trait]
impl contract::Greeter for Watched {
    async fn greet(&self, _: &Call, _: contract::GreetRequest) -> Result<contract::GreetResponse, Error> {
        Err(Error::unimplemented("no"))
    }
    async fn wait(&self, _: &Call, _: contract::WaitRequest) -> Result<contract::WaitResponse, Error> {
        let _guard = Guard(Arc::clone(&self.dropped));
        self.begun.notify_one();
        std::future::pending().await
    }
    async fn ponder(&self, _: &Call, _: contract::PonderRequest) -> Result<contract::PonderResponse, Error> {
        Err(Error::unimplemented("no"))
    }
    async fn fail(&self, _: &Call, _: contract::FailRequest) -> Result<contract::FailResponse, Error> {
        Err(Error::unimplemented("no"))
    }
    async fn echo(&self, _: &Call, _: contract::EchoRequest) -> Result<contract::EchoResponse, Error> {
        Ok(contract::EchoResponse::default())
    }
}

#[tokio::test]
async fn work_ends_with_its_deadline_and_with_its_caller() {
    for transport in BOTH {
        let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let watched = Watched { begun: Arc::clone(&begun), dropped: Arc::clone(&dropped) };
        let service = Service::new().rpc(contract::GreeterServer::new(Arc::new(watched)));
        let running = Running::serving(service, tempfile::tempdir().unwrap()).await;
        let greeter = match transport {
            Transport::Http2 => running.over_http2(),
            Transport::Frames => running.over_frames().await,
        };
        let short = Call::new().with_timeout(Duration::from_millis(100));
        let error = greeter.wait(&short, contract::WaitRequest::default()).await.unwrap_err();
        assert_eq!(error.code, Code::DeadlineExceeded);
        begun.notified().await;
        until(|| dropped.load(Ordering::SeqCst) == 1).await;
        // One who has all the time in the world, and leaves.
        let leaves = tokio::spawn(async move { greeter.wait(&long(), contract::WaitRequest::default()).await });
        begun.notified().await;
        leaves.abort();
        until(|| dropped.load(Ordering::SeqCst) == 2).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn work_ends_with_a_caller_over_http_1() {
    let (begun, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let watched = Watched { begun: Arc::clone(&begun), dropped: Arc::clone(&dropped) };
    let service = Service::new().rpc(contract::GreeterServer::new(Arc::new(watched)));
    let running = Running::serving(service, tempfile::tempdir().unwrap()).await;
    let path = "/example.greeter.v1.Greeter/Wait";
    let stream = running::send(running.address, "POST", path, &[("content-type", "application/json")], "{}").await;
    begun.notified().await;
    drop(stream);
    until(|| dropped.load(Ordering::SeqCst) == 1).await;
    running.stop().await;
}

#[tokio::test]
async fn each_service_is_acknowledged_by_itself() {
    for transport in BOTH {
        let mut followed = Followed::start(transport);
        let first = Killable::start(true).await;
        followed.publish(1, &[endpoint(1, first.address)]);
        followed.settle(transport, 1).await;
        let other: ServiceName = "other".parse().unwrap();
        let waiting = followed.wait();
        first.begun(1).await;
        followed.publish(2, &[]);
        followed.server.publish(other.clone(), Generation(1), Vec::new());
        // The call that still waits holds up the one, and not the other.
        followed.acknowledged(&other, 1).await;
        while let Ok(observation) = followed.observations.try_recv() {
            let early = matches!(&observation, Observation::RoutesAcknowledged { service, generation }
                if *service == callee() && *generation >= Generation(2));
            assert!(!early, "acknowledged with a call under way");
        }
        waiting.abort();
        followed.acknowledged(&callee(), 2).await;
        first.kill().await;
    }
}

#[tokio::test]
async fn calls_under_way_are_finished_while_a_replica_stops() {
    for transport in BOTH {
        let running = Running::start().await;
        let greeter = match transport {
            Transport::Http2 => running.over_http2(),
            Transport::Frames => running.over_frames().await,
        };
        let calls = (0..20).map(|_| {
            let greeter = Arc::clone(&greeter);
            let request = contract::WaitRequest { milliseconds: 300, ..Default::default() };
            tokio::spawn(async move { greeter.wait(&long(), request).await })
        });
        let calls: Vec<_> = calls.collect();
        // The last of them is on its way once this is answered.
        greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
        let stopped = tokio::spawn(running.stop());
        for call in calls {
            call.await.unwrap().unwrap();
        }
        stopped.await.unwrap();
    }
}
