//! The client follows endpoints as they change, says when it has, and keeps them when nobody tells it any more.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::Running;
use shoal_discovery::{DiscoveryServer, EdgeReport};
use shoal_model::{Address, Endpoint, Generation, Observation, ReplicaName, RevisionId, ServiceName};
use shoal_sdk::{Call, Code};
use shoal_sdk_example::calls::{self, Greeter};
use shoal_sdk_example::contracts::example::greeter::v1 as contract;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::UnixListener;
use tokio::sync::mpsc;

/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

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

/// A publisher, and a caller that follows it as `run` makes one.
struct Followed {
    server: DiscoveryServer,
    observations: mpsc::Receiver<Observation>,
    greeter: Arc<dyn Greeter>,
}

fn publisher(socket: &Path) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    let (sender, observations) = mpsc::channel(1000);
    let listener = UnixListener::bind(socket).unwrap();
    (DiscoveryServer::start(listener, sender), observations)
}

fn follow(socket: &Path) -> Followed {
    let (server, observations) = publisher(socket);
    let environment = shoal_sdk::Environment::captured_for_tests(&[
        ("SHOAL_SERVICE", "caller"),
        ("SHOAL_REPLICA", "caller-1"),
        ("SHOAL_CALLS", "greeter,other"),
        ("SHOAL_DISCOVERY", socket.to_str().unwrap()),
    ]);
    let greeter = calls::greeter(&environment.unwrap()).unwrap();
    Followed { server, observations, greeter }
}

impl Followed {
    fn publish(&self, generation: u64, endpoints: &[Endpoint]) {
        self.server.publish(callee(), Generation(generation), endpoints.to_vec());
    }

    /// Waits until every holder has applied this generation.
    async fn acknowledged(&mut self, wanted: u64) {
        let seen = async {
            while let Some(observation) = self.observations.recv().await {
                if let Observation::RoutesAcknowledged { service, generation } = observation
                    && service == callee()
                    && generation >= Generation(wanted)
                {
                    return;
                }
            }
            panic!("the publisher is gone");
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("never acknowledged");
    }

    async fn greeting(&self) -> Result<String, shoal_sdk::Error> {
        let request = contract::GreetRequest { name: "x".to_owned(), ..Default::default() };
        self.greeter.greet(&Call::new(), request).await.map(|response| response.text)
    }

    /// As above, by a caller who does not wait for long.
    async fn hasty_greeting(&self) -> Result<String, shoal_sdk::Error> {
        let request = contract::GreetRequest { name: "x".to_owned(), ..Default::default() };
        let call = Call::new().with_timeout(Duration::from_millis(100));
        self.greeter.greet(&call, request).await.map(|response| response.text)
    }
}

#[tokio::test]
async fn endpoints_are_followed_and_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::with_greeting("first").await;
    let second = Running::with_greeting("second").await;
    let mut followed = follow(&folder.path().join("d.sock"));

    // The first call waits for the first endpoints.
    let (early, ()) = tokio::join!(followed.greeting(), async {
        tokio::task::yield_now().await;
        followed.publish(1, &[endpoint(1, first.address)]);
    });
    assert_eq!(early.unwrap(), "first, x!");

    followed.publish(2, &[endpoint(2, second.address)]);
    followed.acknowledged(2).await;
    for _ in 0..20 {
        assert_eq!(followed.greeting().await.unwrap(), "second, x!");
    }
    // What has left can stop, and nobody notices.
    first.stop().await;
    assert_eq!(followed.greeting().await.unwrap(), "second, x!");

    followed.publish(3, &[]);
    followed.acknowledged(3).await;
    let error = followed.hasty_greeting().await.unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (Code::Unavailable, "no replica of `greeter` is ready"));
    second.stop().await;
}

#[tokio::test]
async fn requests_are_spread_and_a_dead_replica_is_gone_around() {
    let folder = tempfile::tempdir().unwrap();
    let first = Running::with_greeting("first").await;
    let second = Running::with_greeting("second").await;
    let mut followed = follow(&folder.path().join("d.sock"));
    followed.publish(1, &[endpoint(1, first.address), endpoint(2, second.address)]);
    followed.acknowledged(1).await;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..200 {
        seen.insert(followed.greeting().await.unwrap());
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    // Gone without leaving first: its endpoint refuses, and nothing was sent to it.
    first.stop().await;
    for _ in 0..50 {
        assert_eq!(followed.greeting().await.unwrap(), "second, x!");
    }
    second.stop().await;
    let error = followed.hasty_greeting().await.unwrap_err();
    assert_eq!(error.code, Code::Unavailable);
    assert!(error.message.contains("`greeter` can be reached"), "{error}");
}

#[tokio::test]
async fn endpoints_are_kept_without_a_supervisor_and_followed_again_with_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("d.sock");
    let first = Running::with_greeting("first").await;
    let second = Running::with_greeting("second").await;
    let mut followed = follow(&socket);
    followed.publish(7, &[endpoint(1, first.address)]);
    followed.acknowledged(7).await;
    assert_eq!(followed.greeting().await.unwrap(), "first, x!");

    let (unused, _) = publisher(&folder.path().join("unused.sock"));
    drop(std::mem::replace(&mut followed.server, unused));
    std::fs::remove_file(&socket).unwrap();
    for _ in 0..20 {
        assert_eq!(followed.greeting().await.unwrap(), "first, x!");
    }

    let (server, observations) = publisher(&socket);
    (followed.server, followed.observations) = (server, observations);
    followed.publish(8, &[endpoint(2, second.address)]);
    followed.acknowledged(8).await;
    // The new publisher gives those it does not know a lease; by then this one has joined.
    let moved = async {
        while followed.greeting().await.unwrap() != "second, x!" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, moved).await.unwrap();
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn edges_are_counted_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let greeter = Running::start().await;
    let mut followed = follow(&folder.path().join("d.sock"));
    followed.publish(1, &[endpoint(1, greeter.address)]);
    followed.acknowledged(1).await;
    for _ in 0..3 {
        followed.greeting().await.unwrap();
    }
    let fail = |how: &str| contract::FailRequest { how: how.to_owned(), ..Default::default() };
    // A refusal is an answer; a defect is an error.
    followed.greeter.fail(&Call::new(), fail("not_found")).await.unwrap_err();
    followed.greeter.fail(&Call::new(), fail("internal")).await.unwrap_err();
    let reported = async {
        loop {
            let edges: Vec<EdgeReport> = followed.server.edges();
            if let Some(edge) = edges.iter().find(|edge| edge.callee == callee() && edge.calls == 5) {
                return edge.clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let edge = tokio::time::timeout(PATIENCE, reported).await.unwrap();
    assert_eq!((edge.caller.as_str(), edge.errors, edge.in_flight), ("caller", 1, 0));
    assert_eq!(edge.durations.count(), 5);
    greeter.stop().await;
}
