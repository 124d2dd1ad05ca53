//! What a client sees of replicas that are gone, refuse, break off or are too busy: nothing, where that is possible.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use http::{Request, StatusCode};
use shoal_model::{Limits, Priority};
use stage::{Answer, AnyBody, Failure, PATIENCE, Replica, Stage, client, client2, empty, full, get, limited, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
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
    let refusing = stage::endpoint("storefront-1", stage::closed().await);
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
    let address = stage::closed().await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let gateway = stage.address;
    let asking =
        tokio::spawn(async move { Answer::of(client(gateway).await.send_request(get("/")).await.unwrap()).await });
    until("it is held", async || stage.in_flight() == 1).await;
    let listener = TcpListener::bind(address).await.unwrap();
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
