//! The gateway's life: readiness, endpoint changes, the supervisor's absence, TLS, limits, drain.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::ServerName;
use shoal_discovery::ask;
use shoal_model::Tls;
use stage::{Answer, AnyBody, PATIENCE, Replica, Stage, client, empty, full, get, name, route, until};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

fn everything_to(service: &str) -> Vec<shoal_model::Route> {
    vec![route(None, "/", service)]
}

/// A replica that answers once it is let, and a semaphore that tells how many requests have come.
async fn waiting(replica: &str) -> (Replica, Arc<Semaphore>, Arc<Semaphore>) {
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (coming, going) = (Arc::clone(&came), Arc::clone(&go));
    let replica = Replica::new(replica, move |_| {
        let (coming, going) = (Arc::clone(&coming), Arc::clone(&going));
        async move {
            coming.add_permits(1);
            going.acquire().await?.forget();
            Ok(Response::new(full("finished")))
        }
    })
    .await;
    (replica, came, go)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_replicas_are_used_and_one_that_leaves_gets_nothing_more() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let (one, two) = (Replica::named("storefront-1").await, Replica::named("storefront-2").await);
    stage.serve("storefront", &[&one, &two]).await;
    let mut seen = BTreeSet::new();
    for _ in 0..60 {
        seen.insert(stage.get("/").await.body);
    }
    assert_eq!(seen.len(), 2, "{seen:?}");
    stage.serve("storefront", &[&two]).await;
    for _ in 0..60 {
        assert_eq!(stage.get("/").await.body, "storefront-2");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_no_request_reaches_a_replica_after_it_was_acknowledged_as_gone() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let told = Arc::clone(&gone);
    let leaving = Replica::new("storefront-1", move |_| {
        let late = told.load(std::sync::atomic::Ordering::SeqCst);
        async move { Ok(Response::new(full(if late { "too late" } else { "in time" }))) }
    })
    .await;
    let staying = Replica::named("storefront-2").await;
    stage.serve("storefront", &[&leaving, &staying]).await;
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let address = stage.address;
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let stop = Arc::clone(&stop);
            tokio::spawn(async move {
                let mut client = client(address).await;
                let mut seen = BTreeSet::new();
                while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                    client.ready().await.unwrap();
                    let answer = Answer::of(client.send_request(get("/")).await.unwrap()).await;
                    assert_eq!(answer.status, 200);
                    seen.insert(answer.body);
                }
                seen
            })
        })
        .collect();
    for _ in 0..10 {
        stage.serve("storefront", &[&staying]).await;
        gone.store(true, std::sync::atomic::Ordering::SeqCst);
        for _ in 0..20 {
            assert_eq!(stage.get("/").await.body, "storefront-2");
        }
        gone.store(false, std::sync::atomic::Ordering::SeqCst);
        stage.serve("storefront", &[&leaving, &staying]).await;
    }
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    for client in clients {
        let seen = client.await.unwrap();
        assert!(!seen.contains("too late"), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_acknowledged_as_gone_once_what_was_sent_to_it_is_answered() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let (replica, came, go) = waiting("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap() });
    came.acquire().await.unwrap().forget();
    let generation = stage.publish("storefront", &[]);
    // One that comes before the gateway has heard of it is sent there, and stays.
    let refused = async || tokio::time::timeout(Duration::from_secs(1), stage.get("/")).await;
    until("no new request goes there", async || refused().await.is_ok_and(|answer| answer.status == 503)).await;
    let early = tokio::time::timeout(Duration::from_millis(200), stage.acknowledged("storefront", generation)).await;
    assert!(early.is_err(), "acknowledged while its request was under way");
    go.add_permits(1);
    assert_eq!(Answer::of(asking.await.unwrap()).await.body, "finished");
    stage.acknowledged("storefront", generation).await;
}

/// A listener that nobody accepts from, with a full queue: connecting to it takes for ever.
async fn clogged() -> (tokio::net::TcpListener, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(connected) = tokio::time::timeout(Duration::from_millis(500), TcpStream::connect(address)).await {
        queued.push(connected.unwrap());
        assert!(queued.len() < 100, "the queue is never full");
    }
    (listener, queued)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_acknowledged_as_gone_only_when_no_request_is_still_on_its_way_there() {
    let connect_timeout = Duration::from_secs(4);
    let mut stage =
        Stage::with(everything_to("storefront"), None, |settings| settings.connect_timeout = connect_timeout).await;
    let (listener, _queued) = clogged().await;
    let generation =
        stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", listener.local_addr().unwrap())]);
    stage.acknowledged("storefront", generation).await;
    let address = stage.address;
    let started = std::time::Instant::now();
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap() });
    let in_flight = || stage.publisher.as_ref().unwrap().edges().iter().any(|edge| edge.in_flight == 1);
    until("it is connecting", async || in_flight()).await;
    assert!(started.elapsed() < connect_timeout, "this machine is too slow for this test");
    stage.serve("storefront", &[]).await;
    assert!(started.elapsed() >= connect_timeout, "acknowledged after {:?}", started.elapsed());
    let answer = Answer::of(asking.await.unwrap()).await;
    assert!(answer.body.contains("accepted no connection within 4 s"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_ready_once_routes_are_known_and_not_while_stopping() {
    let (replica, came, go) = waiting("storefront-1").await;
    let mut stage = Stage::new(everything_to("storefront")).await;
    let health = stage.health();
    until("ready", async || ask(&health, PATIENCE).await.is_ok_and(|answer| answer.ready)).await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap() });
    came.acquire().await.unwrap().forget();
    let gateway = stage.gateway.take().unwrap();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    until("not ready", async || ask(&health, PATIENCE).await.is_ok_and(|answer| !answer.ready)).await;
    until("the listener is closed", async || TcpStream::connect(address).await.is_err()).await;
    assert!(!stopping.is_finished(), "a request is under way");
    go.add_permits(1);
    assert_eq!(Answer::of(asking.await.unwrap()).await.body, "finished");
    assert_eq!(stopping.await.unwrap(), 0);
    assert!(!health.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_idle_connections_at_once_and_cuts_off_what_takes_too_long() {
    let short = |settings: &mut shoal_gateway::GatewaySettings| settings.drain_timeout = Duration::from_millis(300);
    let mut stage = Stage::with(everything_to("storefront"), None, short).await;
    let (replica, came, _go) = waiting("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let mut spare = TcpStream::connect(stage.address).await.unwrap();
    let address = stage.address;
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await });
    came.acquire().await.unwrap().forget();
    assert_eq!(stage.stop().await, 1);
    assert!(asking.await.unwrap().is_err());
    let read = tokio::time::timeout(PATIENCE, spare.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_supervisor_it_goes_on_and_follows_the_next_one() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    stage.publisher = None;
    for _ in 0..20 {
        assert_eq!(stage.get("/").await.body, "storefront-1");
    }
    stage.restart_publisher().await;
    let other = Replica::named("storefront-2").await;
    stage.serve("storefront", &[&other]).await;
    assert_eq!(stage.get("/").await.body, "storefront-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_counted_to_the_end_of_the_body() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let (replica, came, go) = waiting("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let edge = || stage.publisher.as_ref().unwrap().edges().into_iter().find(|edge| edge.callee == name("storefront"));
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap() });
    came.acquire().await.unwrap().forget();
    until("one in flight", async || edge().is_some_and(|edge| (edge.calls, edge.in_flight) == (0, 1))).await;
    go.add_permits(1);
    Answer::of(asking.await.unwrap()).await;
    until("one call", async || edge().is_some_and(|edge| (edge.calls, edge.errors, edge.in_flight) == (1, 0, 0))).await;
    let edge_now = edge().unwrap();
    assert_eq!((edge_now.caller.as_str(), edge_now.durations.count()), ("gateway", 1));

    // A client that goes away: a call, no error, no duration.
    let mut client = client(address).await;
    let giving_up = tokio::spawn(async move { client.send_request(get("/")).await });
    came.acquire().await.unwrap().forget();
    giving_up.abort();
    until("cancelled", async || edge().is_some_and(|edge| (edge.calls, edge.errors, edge.in_flight) == (2, 0, 0)))
        .await;
    assert_eq!(edge().unwrap().durations.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_over_the_limit_wait_for_a_place() {
    let few = |settings: &mut shoal_gateway::GatewaySettings| {
        settings.connections_max = 2;
        settings.cores = 1;
    };
    let mut stage = Stage::with(everything_to("storefront"), None, few).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let (mut one, mut two) = (client(stage.address).await, client(stage.address).await);
    for client in [&mut one, &mut two] {
        Answer::of(client.send_request(get("/")).await.unwrap()).await;
    }
    let mut three = client(stage.address).await;
    let mut asking = std::pin::pin!(three.send_request(get("/")));
    // A level cannot show that something never happens; a short while is enough to notice a missing limit.
    assert!(tokio::time::timeout(Duration::from_millis(200), asking.as_mut()).await.is_err(), "no place yet");
    drop(one);
    let answer = tokio::time::timeout(PATIENCE, asking).await.expect("a place is free").unwrap();
    assert_eq!(Answer::of(answer).await.body, "storefront-1");
}

/// A certificate for `shop.example`, in files, and a client that trusts it.
fn certificate(folder: &std::path::Path) -> (Tls, rustls::RootCertStore) {
    let made = rcgen::generate_simple_self_signed(vec!["shop.example".to_owned()]).unwrap();
    let tls = Tls { certificate: folder.join("certificate.pem"), key: folder.join("key.pem") };
    std::fs::write(&tls.certificate, made.cert.pem()).unwrap();
    std::fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    (tls, roots)
}

async fn tls_client(
    stage: &Stage,
    roots: &rustls::RootCertStore,
    protocol: &[u8],
) -> tokio_rustls::client::TlsStream<TcpStream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots.clone())
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    connector.connect(ServerName::try_from("shop.example").unwrap(), stream).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_speaks_both_protocols() {
    let files = tempfile::tempdir().unwrap();
    let (tls, roots) = certificate(files.path());
    let mut stage = Stage::with(everything_to("storefront"), Some(tls), |_| ()).await;
    let replica = Replica::mirror("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;

    let stream = tls_client(&stage, &roots, b"http/1.1").await;
    let (mut sender, connection) = http1::handshake::<_, AnyBody>(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = Answer::of(sender.send_request(get("/one")).await.unwrap()).await;
    assert!(
        answer.body.starts_with("GET /one ") && answer.body.contains("x-forwarded-proto: https"),
        "{}",
        answer.body
    );

    let stream = tls_client(&stage, &roots, b"h2").await;
    let (mut sender, connection) =
        http2::handshake::<_, _, AnyBody>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("https://shop.example/two").body(empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let text = answer.into_body().collect().await.unwrap().to_bytes();
    assert!(text.starts_with(b"GET /two "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_certificate_is_named_and_nothing_is_served_without_it() {
    let tls = Tls { certificate: "/nowhere/certificate.pem".into(), key: "/nowhere/key.pem".into() };
    let stage = Stage::with(everything_to("storefront"), Some(tls), |_| ()).await;
    let health = stage.health();
    let named = async || {
        let answer = ask(&health, PATIENCE).await.unwrap();
        assert!(!answer.ready);
        answer.waiting_for.is_some_and(|why| why.contains("`/nowhere/certificate.pem` cannot be read"))
    };
    until("the missing file is named", named).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let read = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0; 1])).await;
    assert!(read.is_err(), "the connection waits in the queue");
}

/// A connection in the middle of its TLS handshake: the gateway has said its part, and waits for the client's.
fn half_shaken(
    address: std::net::SocketAddr,
    roots: rustls::RootCertStore,
) -> (rustls::ClientConnection, std::net::TcpStream) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("shop.example").unwrap();
    let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    connection.write_tls(&mut socket).unwrap();
    socket.peek(&mut [0]).unwrap();
    (connection, socket)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_in_a_tls_handshake_when_the_gateway_stops_is_still_answered() {
    let files = tempfile::tempdir().unwrap();
    let (tls, roots) = certificate(files.path());
    let mut stage = Stage::with(everything_to("storefront"), Some(tls), |_| ()).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let shaking = tokio::task::spawn_blocking(move || half_shaken(address, roots));
    let (mut connection, mut socket) = shaking.await.unwrap();
    let gateway = stage.gateway.take().unwrap();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    until("it accepts nothing more", async || TcpStream::connect(address).await.is_err()).await;
    let asking = tokio::task::spawn_blocking(move || {
        let mut tls = rustls::Stream::new(&mut connection, &mut socket);
        tls.write_all(b"GET / HTTP/1.1\r\nhost: shop.example\r\n\r\n").unwrap();
        let mut answer = String::new();
        tls.read_to_string(&mut answer).unwrap();
        answer
    });
    let answer = asking.await.unwrap();
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("storefront-1"), "{answer}");
    assert_eq!(stopping.await.unwrap(), 0);
}
