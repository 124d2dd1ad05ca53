//! What a client sees of replicas that are gone, refuse, break off or are too busy: nothing, where that is possible.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use http::{Request, StatusCode};
use shoal_model::{Limits, Priority};
use stage::{Answer, AnyBody, Failure, PATIENCE, Replica, Stage, client, client2, empty, full, get, limited, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn patient() -> Limits {
    Limits { hold_timeout: PATIENCE, ..Limits::default() }
}

fn post(body: impl Into<bytes::Bytes>) -> Request<AnyBody> {
    Request::post("/").header("host", "shop.example").body(full(body)).unwrap()
}

/// Answers with the body that came, after its own name.
async fn echo(replica: &'static str) -> Replica {
    Replica::new(replica, move |request| async move {
        let body = http_body_util::BodyExt::collect(request.into_body()).await?.to_bytes();
        Ok(http::Response::new(full([replica.as_bytes(), b": ", &body].concat())))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_wait_for_a_replica_and_are_served_when_it_comes() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let address = stage.address;
    let mut asking = Vec::new();
    for index in 0..20 {
        asking.push(tokio::spawn(async move {
            let request = if index % 2 == 0 { get("/") } else { post(format!("body {index}")) };
            Answer::of(client(address).await.send_request(request).await.unwrap()).await
        }));
    }
    let grpc = tokio::spawn(async move {
        let request = Request::post("http://shop.example/").body(full("over two")).unwrap();
        Answer::of(client2(address).await.send_request(request).await.unwrap()).await
    });
    until("all are held", async || stage.in_flight() == 21).await;
    let replica = echo("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    for (index, asked) in asking.into_iter().enumerate() {
        let answer = asked.await.unwrap();
        let sent = if index % 2 == 0 { String::new() } else { format!("body {index}") };
        assert_eq!((answer.status, answer.body), (StatusCode::OK, format!("storefront-1: {sent}")));
    }
    assert_eq!(grpc.await.unwrap().body, "storefront-1: over two");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_refuses_costs_nothing_while_another_is_there_and_a_wait_while_none_is() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let replica = echo("storefront-2").await;
    let (_refusing, address) = stage::closed();
    let refusing = stage::endpoint("storefront-1", address);
    let generation = stage.publish_endpoints("storefront", vec![refusing.clone(), replica.endpoint.clone()]);
    stage.acknowledged("storefront", generation).await;
    for _ in 0..20 {
        assert_eq!(stage.ask(post("hello")).await.body, "storefront-2: hello");
    }
    let generation = stage.publish_endpoints("storefront", vec![refusing]);
    stage.acknowledged("storefront", generation).await;
    let address = stage.address;
    let asking =
        tokio::spawn(async move { Answer::of(client(address).await.send_request(post("late")).await.unwrap()).await });
    until("it is held", async || stage.in_flight() == 1).await;
    stage.serve("storefront", &[&replica]).await;
    assert_eq!(asking.await.unwrap().body, "storefront-2: late");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_refused_and_then_listens_is_found_without_news_of_it() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let (socket, address) = stage::closed();
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let gateway = stage.address;
    let asking =
        tokio::spawn(async move { Answer::of(client(gateway).await.send_request(get("/")).await.unwrap()).await });
    until("it is held", async || stage.in_flight() == 1).await;
    let listener = socket.listen(16).unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nback").await.unwrap();
    assert_eq!(asking.await.unwrap().body, "back");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_may_be_repeated_is_served_by_another_and_one_that_may_not_is_a_502() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
    let (address, heads) = stage::breaking_replica(1, answer).await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let once = stage.ask(post("once")).await;
    assert_eq!((once.status, heads.load(Ordering::SeqCst)), (StatusCode::BAD_GATEWAY, 1), "{}", once.body);

    for (number, method) in ["GET", "PUT", "DELETE"].into_iter().enumerate() {
        // Under a name of its own, so that what was learnt of the one before is not held against it.
        let (address, heads) = stage::breaking_replica(1, answer).await;
        let replica = stage::endpoint(&format!("storefront-{}", number + 2), address);
        let generation = stage.publish_endpoints("storefront", vec![replica]);
        stage.acknowledged("storefront", generation).await;
        let body = if method == "PUT" { full("put") } else { empty() };
        let request = Request::builder().method(method).uri("/").header("host", "a").body(body).unwrap();
        assert_eq!(stage.ask(request).await.body, "done", "{method}");
        assert_eq!(heads.load(Ordering::SeqCst), 2, "{method}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_ends_whoever_gets_it_does_not_reach_them_all() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let mut all = Vec::new();
    let mut heads = Vec::new();
    for index in 0..8 {
        let (address, counting) = stage::raw_replica(None).await;
        all.push(stage::endpoint(&format!("storefront-{index}"), address));
        heads.push(counting);
    }
    let generation = stage.publish_endpoints("storefront", all);
    stage.acknowledged("storefront", generation).await;
    assert_eq!(stage.get("/").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(heads.iter().map(|heads| heads.load(Ordering::SeqCst)).sum::<usize>(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unavailable_answer_is_asked_for_elsewhere_and_passed_on_where_there_is_no_elsewhere() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let text = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 5\r\nconnection: close\r\n\r\nlater";
    let (unavailable, heads) = stage::raw_replica(Some(text)).await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", unavailable)]);
    stage.acknowledged("storefront", generation).await;
    let answer = stage.get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "later"));
    let replica = echo("storefront-2").await;
    let before = heads.load(Ordering::SeqCst);
    // Which one a request is sent to first is chance; a new name is not yet known to be ill.
    let deadline = Instant::now() + PATIENCE;
    for round in 3.. {
        let ill = stage::endpoint(&format!("storefront-{round}"), unavailable);
        let generation = stage.publish_endpoints("storefront", vec![ill, replica.endpoint.clone()]);
        stage.acknowledged("storefront", generation).await;
        assert_eq!(stage.get("/").await.body, "storefront-2: ");
        if heads.load(Ordering::SeqCst) > before {
            return;
        }
        assert!(Instant::now() < deadline, "the ill one was never tried");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_may_be_held_are_refused_at_once() {
    let few = |settings: &mut shoal_gateway::GatewaySettings| {
        settings.held_max = 2;
        settings.cores = 1;
    };
    let mut stage = Stage::with(limited("storefront", patient()), None, few).await;
    let address = stage.address;
    let held: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap().status() }))
        .collect();
    until("two are held", async || stage.in_flight() == 2).await;
    let answer = stage.get("/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.body,
        "The service `storefront` has no replica ready, and too many requests wait for one already.\n"
    );
    let replica = echo("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    for asked in held {
        assert_eq!(asked.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_while_it_is_held_leaves_nothing_behind() {
    let stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until("it is held", async || stage.in_flight() == 1).await;
    drop(stream);
    until("it is gone", async || stage.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saturated_service_turns_away_what_matters_less() {
    let route = |path: &str, priority| shoal_model::Route {
        limits: Limits { priority, ..Limits::default() },
        ..stage::route(None, path, "storefront")
    };
    let routes = vec![route("/low", Priority::Low), route("/", Priority::Normal), route("/high", Priority::High)];
    let mut stage = Stage::with(routes, None, |_| ()).await;
    stage.limit_concurrency("storefront", 10);
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let opening = Arc::clone(&gate);
    let came = Arc::new(AtomicUsize::new(0));
    let coming = Arc::clone(&came);
    let replica = Replica::new("storefront-1", move |_| {
        let gate = Arc::clone(&gate);
        coming.fetch_add(1, Ordering::SeqCst);
        async move {
            gate.acquire().await.map_err(Failure::from)?.forget();
            Ok(http::Response::new(full("done")))
        }
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let ask = |path: &'static str| {
        tokio::spawn(async move { Answer::of(client(address).await.send_request(get(path)).await.unwrap()).await })
    };
    let mut busy = Vec::new();
    for under_way in 1..=10 {
        // Low up to 7, normal up to 9, high up to 10.
        if under_way == 8 {
            let turned_away = ask("/low").await.unwrap();
            assert_eq!(turned_away.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(
                turned_away.body,
                "The service `storefront` has as much to do as it can take; try again in a moment.\n"
            );
        }
        if under_way == 10 {
            assert_eq!(ask("/").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
        }
        let path = match under_way {
            1..=7 => "/low",
            8..=9 => "/",
            _ => "/high",
        };
        busy.push(ask(path));
        until("under way", async || came.load(Ordering::SeqCst) == under_way).await;
    }
    assert_eq!(ask("/high").await.unwrap().status, StatusCode::SERVICE_UNAVAILABLE);
    opening.add_permits(100);
    for asked in busy {
        assert_eq!(asked.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(ask("/low").await.unwrap().status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_request_ends_with_its_own_deadline_or_the_routes_patience() {
    let limits = Limits { hold_timeout: Duration::from_millis(100), ..Limits::default() };
    let stage = Stage::with(limited("storefront", limits), None, |_| ()).await;
    let started = Instant::now();
    let answer = stage.get("/").await;
    assert!(started.elapsed() >= Duration::from_millis(100));
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let mut request = Request::get("/").header("host", "a").body(empty()).unwrap();
    request.headers_mut().insert("connect-timeout-ms", "20".parse().unwrap());
    request.headers_mut().insert("connect-protocol-version", "1".parse().unwrap());
    let answer = stage.ask(request).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(answer.body.contains(r#""code":"deadline_exceeded""#), "{}", answer.body);
}

/// Two ways to the same service: `/short` lets little time pass, and `/` holds nothing, so that an open breaker is seen.
async fn with_a_short_way(short: Limits) -> Stage {
    let at = |path: &str, limits: Limits| shoal_model::Route {
        limits: Limits { hold_timeout: Duration::ZERO, ..limits },
        ..stage::route(None, path, "storefront")
    };
    Stage::with(vec![at("/short", short), at("/", Limits::default())], None, |_| ()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_send_its_body_in_time_is_no_fault_of_the_replica() {
    let mut stage = with_a_short_way(Limits { timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let replica = echo("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    // More than it takes to open a breaker.
    for _ in 0..6 {
        let mut stream = TcpStream::connect(stage.address).await.unwrap();
        stream.write_all(b"POST /short HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf").await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("ends");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not arrive in time"), "{answer}");
    }
    assert_eq!(stage.get("/").await.body, "storefront-1: ");
    let mut over2 = client2(stage.address).await;
    for _ in 0..6 {
        let (sender, body) = http_body_util::Channel::<bytes::Bytes, std::convert::Infallible>::new(1);
        let body: AnyBody =
            http_body_util::BodyExt::boxed(http_body_util::BodyExt::map_err(body, |never| match never {}));
        let request = Request::post("http://shop.example/short").body(body).unwrap();
        let answer = Answer::of(over2.send_request(request).await.unwrap()).await;
        assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{}", answer.body);
        drop(sender);
    }
    assert_eq!(stage.get("/").await.body, "storefront-1: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_answer_says_nothing_for_long_can_still_be_reached() {
    let mut stage = with_a_short_way(Limits { idle_timeout: Duration::from_millis(200), ..Limits::default() }).await;
    let replica = Replica::new("storefront-1", |request| async move {
        if request.uri().path() == "/" {
            return Ok(http::Response::new(full("here")));
        }
        let piece = futures::stream::once(async { Ok(hyper::body::Frame::data(bytes::Bytes::from_static(b"event"))) });
        let body = futures::StreamExt::chain(piece, futures::stream::pending());
        Ok(http::Response::new(http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(body))))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    for _ in 0..6 {
        let response = client(stage.address).await.send_request(get("/short")).await.unwrap();
        let body = http_body_util::BodyExt::collect(response.into_body());
        assert!(tokio::time::timeout(PATIENCE, body).await.expect("ends").is_err());
    }
    assert_eq!(stage.get("/").await.body, "here");
    let mut over2 = client2(stage.address).await;
    for _ in 0..6 {
        let request = Request::get("http://shop.example/short").body(empty()).unwrap();
        let body = http_body_util::BodyExt::collect(over2.send_request(request).await.unwrap().into_body());
        assert!(tokio::time::timeout(PATIENCE, body).await.expect("ends").is_err());
    }
    assert_eq!(stage.get("/").await.body, "here");
}

/// Answers one request on each of its first three connections, once all three are there, and breaks off every other one; counts
/// those.
async fn answers_thrice() -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let broken = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&broken);
    let together = Arc::new(tokio::sync::Barrier::new(3));
    tokio::spawn(async move {
        for connection in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (counting, together) = (Arc::clone(&counting), Arc::clone(&together));
            tokio::spawn(async move {
                for request in 0.. {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        match stream.read_u8().await {
                            Ok(byte) => head.push(byte),
                            Err(_) => return,
                        }
                    }
                    if connection > 2 || request > 0 {
                        counting.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    together.wait().await;
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
                }
            });
        }
    });
    (address, broken)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_idle_is_trusted_once() {
    for version in ["HTTP/1.1", "HTTP/2"] {
        let mut stage = Stage::with(limited("storefront", patient()), None, |settings| settings.cores = 1).await;
        let (replica, broken) = answers_thrice().await;
        let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", replica)]);
        stage.acknowledged("storefront", generation).await;
        let address = stage.address;
        let ask = || async move {
            let answer = if version == "HTTP/2" {
                let request = Request::get("http://shop.example/").body(empty()).unwrap();
                client2(address).await.send_request(request).await.unwrap()
            } else {
                client(address).await.send_request(get("/")).await.unwrap()
            };
            Answer::of(answer).await
        };
        for answer in <[Answer; 3]>::from(tokio::join!(ask(), ask(), ask())) {
            assert_eq!(answer.body, "ok", "{version}");
        }
        assert_eq!(ask().await.status, StatusCode::BAD_GATEWAY, "{version}");
        let broken = broken.load(Ordering::SeqCst);
        // On an idle one and three new ones; two in all where a machine is so slow that one of them took a second.
        assert!((2..=4).contains(&broken), "{version}: sent {broken} times");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_replica_is_tried_again_after_a_pause_only() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone";
    let (address, heads) = stage::breaking_replica(1, answer).await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let started = Instant::now();
    assert_eq!(stage.get("/").await.body, "done");
    assert_eq!(heads.load(Ordering::SeqCst), 2);
    assert!(started.elapsed() >= Duration::from_millis(250), "after {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_waited_for_a_replica_goes_to_it_only_as_far_as_it_can_take_it() {
    let mut stage = Stage::with(limited("storefront", patient()), None, |_| ()).await;
    stage.limit_concurrency("storefront", 10);
    let address = stage.address;
    let ask =
        || tokio::spawn(async move { Answer::of(client(address).await.send_request(get("/")).await.unwrap()).await });
    let crowd: Vec<_> = (0..30).map(|_| ask()).collect();
    until("all are held", async || stage.in_flight() == 30).await;
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (busy, peak) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opening, now, most) = (Arc::clone(&gate), Arc::clone(&busy), Arc::clone(&peak));
    let replica = Replica::new("storefront-1", move |_| {
        let (gate, busy) = (Arc::clone(&gate), Arc::clone(&busy));
        peak.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        async move {
            gate.acquire().await.map_err(Failure::from)?.forget();
            busy.fetch_sub(1, Ordering::SeqCst);
            Ok(http::Response::new(full("done")))
        }
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    // Routes of usual priority get 90 % of the ten.
    until("it has as many as it takes", async || now.load(Ordering::SeqCst) >= 9).await;
    let turned_away = ask().await.unwrap();
    assert_eq!(turned_away.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(turned_away.body.contains("as much to do as it can take"), "{}", turned_away.body);
    opening.add_permits(100);
    for asked in crowd {
        assert_eq!(asked.await.unwrap().body, "done");
    }
    assert_eq!(most.load(Ordering::SeqCst), 9);
    assert_eq!(ask().await.unwrap().body, "done");
}
