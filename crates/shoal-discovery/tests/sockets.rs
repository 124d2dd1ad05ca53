//! Discovery and health over real Unix sockets, the publisher's restart included. Waits for states, never for a time.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use shoal_discovery::publisher::PublisherSettings;
use shoal_discovery::{DiscoveryServer, Edges, Faults, Follower, Health, HolderName, RoutingTable, View, Watches, ask};
use shoal_model::{Address, Endpoint, Generation, Observation, RevisionId, ServiceName};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};

const PATIENCE: Duration = Duration::from_secs(20);

fn service() -> ServiceName {
    "catalogue".parse().unwrap()
}

fn endpoint(serial: u16) -> Endpoint {
    Endpoint {
        replica: format!("catalogue-{serial}").parse().unwrap(),
        revision: RevisionId("r1".to_owned()),
        address: Address::Tcp(([127, 0, 0, 1], serial).into()),
        weight: 100,
        identity: None,
    }
}

/// A lease that no loaded machine lets run out.
fn settings() -> PublisherSettings {
    PublisherSettings {
        lease: Duration::from_secs(600),
        heartbeat: Duration::from_millis(100),
        holders_max: 4,
        holders_before: false,
        keeps_counts: false,
    }
}

/// A lease that runs out while a test waits.
fn short() -> PublisherSettings {
    PublisherSettings { lease: Duration::from_millis(1000), ..settings() }
}

fn serve(socket: &Path) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    serve_with(settings(), socket)
}

fn serve_with(settings: PublisherSettings, socket: &Path) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    if socket.exists() {
        std::fs::remove_file(socket).unwrap();
    }
    let (sender, observations) = mpsc::channel(64);
    (DiscoveryServer::start_with(settings, UnixListener::bind(socket).unwrap(), sender), observations)
}

fn follow(socket: &Path, edges: &Edges) -> Follower {
    let watches = Watches::Only(BTreeSet::from([service()]));
    Follower::start(socket.to_owned(), HolderName("storefront-1".to_owned()), watches, edges.clone(), Faults::new())
}

async fn view(views: &mut watch::Receiver<Arc<View>>, wanted: impl Fn(&View) -> bool) -> Arc<View> {
    let found = tokio::time::timeout(PATIENCE, views.wait_for(|view| wanted(view))).await;
    Arc::clone(&found.expect("the view comes in time").unwrap())
}

fn serials(view: &View) -> Option<Vec<u64>> {
    let (_, endpoints) = view.endpoints.get(&service())?;
    Some(endpoints.iter().map(|endpoint| endpoint.replica.serial).collect())
}

async fn acknowledged(observations: &mut mpsc::Receiver<Observation>, wanted: Generation) {
    let wait = async {
        loop {
            match observations.recv().await.unwrap() {
                Observation::RoutesAcknowledged { generation, .. } if generation >= wanted => return,
                _ => {}
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("acknowledged in time");
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("discovery.sock");
    (folder, socket)
}

#[tokio::test]
async fn endpoints_arrive_and_are_acknowledged_once_applied() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve(&socket);
    let follower = follow(&socket, &Edges::new("storefront"));
    let mut views = follower.watch();
    until("it is connected", async || server.connected() == 1).await;
    server.publish(service(), Generation(1), vec![endpoint(1)]);
    let first = view(&mut views, |view| serials(view) == Some(vec![1])).await;
    follower.applied(&first);
    acknowledged(&mut observations, Generation(1)).await;
    server.publish(service(), Generation(2), vec![endpoint(2), endpoint(1)]);
    server.publish(service(), Generation(3), vec![endpoint(2)]);
    let last = view(&mut views, |view| serials(view) == Some(vec![2])).await;
    assert!(observations.try_recv().is_err(), "acknowledged before it was applied");
    follower.applied(&last);
    acknowledged(&mut observations, Generation(3)).await;
}

#[tokio::test]
async fn a_restarted_publisher_is_found_again_and_endpoints_are_kept_meanwhile() {
    let (_folder, socket) = folder();
    let follower = follow(&socket, &Edges::new("storefront"));
    let mut views = follower.watch();
    let (server, mut observations) = serve(&socket);
    server.publish(service(), Generation(7), vec![endpoint(1)]);
    let first = view(&mut views, |view| serials(view) == Some(vec![1])).await;
    follower.applied(&first);
    acknowledged(&mut observations, Generation(7)).await;
    drop(server);
    std::fs::remove_file(&socket).unwrap();
    assert_eq!(serials(&views.borrow()), Some(vec![1]), "kept while nobody publishes");

    let (server, mut observations) = serve(&socket);
    until("the follower is back", async || server.connected() == 1).await;
    assert_eq!(serials(&views.borrow()), Some(vec![1]), "kept until the new publisher speaks of the service");
    // The same generation changes no view, and is acknowledged to the new publisher all the same.
    server.publish(service(), Generation(7), vec![endpoint(1)]);
    acknowledged(&mut observations, Generation(7)).await;
    server.publish(service(), Generation(8), vec![]);
    let last = view(&mut views, |view| serials(view) == Some(vec![])).await;
    follower.applied(&last);
    acknowledged(&mut observations, Generation(8)).await;
}

#[tokio::test]
async fn a_holder_that_vanishes_delays_nothing_beyond_its_lease() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve_with(short(), &socket);
    let follower = follow(&socket, &Edges::new("storefront"));
    until("it is connected", async || server.connected() == 1).await;
    server.publish(service(), Generation(1), vec![endpoint(1)]);
    view(&mut follower.watch(), |view| serials(view).is_some()).await;
    drop(follower);
    acknowledged(&mut observations, Generation(1)).await;
}

#[tokio::test]
async fn a_holder_whose_process_is_gone_delays_nothing() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve(&socket);
    let follower = follow(&socket, &Edges::new("storefront"));
    until("it is connected", async || server.connected() == 1).await;
    server.publish(service(), Generation(1), vec![endpoint(1)]);
    view(&mut follower.watch(), |view| serials(view).is_some()).await;
    drop(follower);
    until("it is disconnected", async || server.connected() == 0).await;
    assert!(observations.try_recv().is_err(), "its lease runs");
    server.forget_holder(&HolderName("storefront-1".to_owned()));
    acknowledged(&mut observations, Generation(1)).await;
}

#[tokio::test]
async fn a_holder_that_lives_keeps_its_lease_without_anything_to_say() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve_with(short(), &socket);
    let follower = follow(&socket, &Edges::new("storefront"));
    until("it is connected", async || server.connected() == 1).await;
    // What a loaded machine does to this event loop: if it stood still for long, the lease ran out rightly.
    let stall = Arc::new(std::sync::Mutex::new((Instant::now(), Duration::ZERO)));
    let watched = Arc::clone(&stall);
    let watching = tokio::spawn(async move {
        loop {
            {
                let mut seen = watched.lock().unwrap();
                *seen = (Instant::now(), seen.1.max(seen.0.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    server.publish(service(), Generation(1), vec![endpoint(1)]);
    view(&mut follower.watch(), |view| serials(view).is_some()).await;
    let early = tokio::time::timeout(short().lease * 2, observations.recv()).await;
    watching.abort();
    if stall.lock().unwrap().1 < short().lease / 2 {
        assert!(early.is_err(), "{early:?} before it was applied");
    }
}

#[tokio::test]
async fn counters_are_reported_and_survive_their_holder() {
    let (_folder, socket) = folder();
    let (server, _observations) = serve(&socket);
    let edges = Edges::new("storefront");
    let follower = follow(&socket, &edges);
    edges.begin(&service()).finish(Duration::from_millis(3), false);
    let pending = edges.begin(&service());
    let seen = |calls, in_flight| {
        let edges = server.edges();
        edges.len() == 1
            && (edges[0].calls, edges[0].in_flight) == (calls, in_flight)
            && edges[0].caller == "storefront"
    };
    until("one call and one pending", async || seen(1, 1)).await;
    drop(pending);
    until("two calls", async || seen(2, 0)).await;
    assert_eq!(server.edges()[0].durations.count(), 1);
    drop(follower);
    server.forget_holder(&HolderName("storefront-1".to_owned()));
    assert!(seen(2, 0));
}

#[tokio::test]
async fn the_gateway_gets_routes() {
    let (_folder, socket) = folder();
    let (server, _observations) = serve(&socket);
    let mut table = RoutingTable::default();
    table.listeners.insert("public".to_owned(), Default::default());
    server.set_routing(table.clone());
    let gateway = Follower::start(
        socket.clone(),
        HolderName("gateway-1".to_owned()),
        Watches::All,
        Edges::new("gateway"),
        Faults::new(),
    );
    view(&mut gateway.watch(), |view| view.routing.as_deref() == Some(&table)).await;
}

/// Says `lines` on a fresh connection and returns the first line that comes back; empty when it was closed.
async fn say(socket: &Path, lines: &[u8]) -> String {
    let stream = UnixStream::connect(socket).await.unwrap();
    let (read, mut write) = stream.into_split();
    // The server may refuse and close before it has read everything.
    let _ = write.write_all(lines).await;
    let mut answer = String::new();
    let reading = BufReader::new(read);
    let _ = tokio::time::timeout(PATIENCE, { reading }.read_line(&mut answer)).await.expect("answers or closes");
    answer
}

#[tokio::test]
async fn what_is_not_the_protocol_is_refused_with_a_sentence() {
    let (_folder, socket) = folder();
    let (server, _observations) = serve(&socket);
    let newer = br#"{"hello":{"version":9,"holder":{"new":"shape"}}}"#;
    let answer = say(&socket, &[newer.as_slice(), b"\n"].concat()).await;
    assert!(answer.contains("refused") && answer.contains("not 9"), "{answer}");
    let answer = say(&socket, b"GET / HTTP/1.1\r\n").await;
    assert!(answer.contains("not a hello"), "{answer}");
    let endless = vec![b'x'; shoal_discovery::messages::LINE_MAX + 10];
    let answer = say(&socket, &endless).await;
    assert!(answer.is_empty() || answer.contains("longer than"), "{answer}");
    assert_eq!(server.connected(), 0);
}

#[tokio::test]
async fn holders_over_the_limit_are_refused_and_the_others_live() {
    let (_folder, socket) = folder();
    let (server, _observations) = serve(&socket);
    let start = |index: usize| {
        let watches = Watches::Only(BTreeSet::from([service()]));
        Follower::start(socket.clone(), HolderName(format!("a-{index}")), watches, Edges::new("a"), Faults::new())
    };
    let _followers: Vec<_> = (0..4).map(start).collect();
    until("four are connected", async || server.connected() == 4).await;
    let hello = b"{\"hello\":{\"version\":2,\"holder\":\"a-9\",\"watches\":\"all\"}}\n";
    assert!(say(&socket, hello).await.contains("which is the most"));
    assert_eq!(server.connected(), 4);
}

#[tokio::test]
async fn an_older_shape_with_unknown_fields_is_served() {
    let (_folder, socket) = folder();
    let (server, _observations) = serve(&socket);
    server.publish(service(), Generation(1), vec![]);
    let hello = b"{\"hello\":{\"version\":2,\"holder\":\"a-1\",\"watches\":\"all\",\"colour\":\"blue\"}}\n";
    assert!(say(&socket, hello).await.contains("welcome"));
}

#[tokio::test]
async fn health_answers_while_the_event_loop_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health");
    let health = Health::serve(socket.clone()).unwrap();
    let timeout = Duration::from_secs(5);
    let answer = ask(&socket, timeout).await.unwrap();
    assert!(!answer.ready && answer.waiting_for.is_none());
    health.set_ready(true);
    health.set_waiting_for(Some("the database".to_owned()));
    let beating = tokio::spawn(health.beat());
    until("a tick", async || ask(&socket, timeout).await.unwrap().tick_age < Duration::from_millis(500)).await;

    // This thread is the event loop: while it blocks, another thread asks until the tick is seen to age.
    let asked = socket.clone();
    let asking = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let old = async || ask(&asked, timeout).await.unwrap().tick_age > Duration::from_secs(1);
            until("an old tick", old).await;
            ask(&asked, timeout).await.unwrap()
        })
    });
    let answer = asking.join().unwrap();
    assert!(answer.ready && answer.waiting_for.as_deref() == Some("the database"));
    until("a fresh tick", async || ask(&socket, timeout).await.unwrap().tick_age < Duration::from_millis(500)).await;
    beating.abort();
    drop(health);
    until("the socket is gone", async || !socket.exists()).await;
    assert!(ask(&socket, timeout).await.unwrap_err().contains("does not answer"));
}

#[tokio::test]
async fn health_replaces_a_stale_socket_but_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health");
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let health = Health::serve(socket.clone()).unwrap();
    assert!(ask(&socket, Duration::from_secs(5)).await.is_ok());
    drop(health);
    std::fs::write(&socket, "precious").unwrap();
    assert!(Health::serve(socket.clone()).unwrap_err().to_string().contains("not a socket"));
    assert_eq!(std::fs::read_to_string(&socket).unwrap(), "precious");
}

#[tokio::test]
async fn a_holder_that_ends_is_observed_also_by_the_next_publisher() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve(&socket);
    let follower = follow(&socket, &Edges::new("storefront"));
    until("it is connected", async || server.connected() == 1).await;
    follower.leave(PATIENCE).await;
    let leaving = Observation::ReplicaLeaving { replica: "storefront-1".parse().unwrap() };
    let seen = tokio::time::timeout(PATIENCE, observations.recv()).await.expect("in time");
    assert_eq!(seen.as_ref(), Some(&leaving));
    drop(server);
    let (_server, mut observations) = serve(&socket);
    let seen = tokio::time::timeout(PATIENCE, observations.recv()).await.expect("in time");
    assert_eq!(seen, Some(leaving));
}

#[tokio::test]
async fn leaving_waits_for_nobody_for_long() {
    let (_folder, socket) = folder();
    let follower = follow(&socket, &Edges::new("storefront"));
    tokio::time::timeout(PATIENCE, follower.leave(Duration::from_millis(10))).await.expect("it returns");
}
