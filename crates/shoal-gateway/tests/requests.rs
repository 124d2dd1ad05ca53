//! Requests through a running gateway: routes, headers, bodies, protocols, and the gateway's own answers.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, StreamBody};
use hyper::body::Frame;
use stage::{
    Answer, AnyBody, Failure, PATIENCE, Replica, Stage, client, client2, empty, full, get, name, route, until,
};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn everything_to(service: &str) -> Vec<shoal_model::Route> {
    vec![route(None, "/", service)]
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_find_their_service_by_host_and_path() {
    let routes = vec![
        route(None, "/", "storefront"),
        route(None, "/api", "catalogue"),
        route(Some("admin.example"), "/", "admin"),
    ];
    let mut stage = Stage::new(routes).await;
    let replicas =
        [Replica::named("storefront-1").await, Replica::named("catalogue-1").await, Replica::named("admin-1").await];
    for (service, replica) in ["storefront", "catalogue", "admin"].iter().zip(&replicas) {
        stage.serve(service, &[replica]).await;
    }
    for (host, path, expected) in [
        ("shop.example", "/", "storefront-1"),
        ("shop.example", "/apis?x=/api", "storefront-1"),
        ("shop.example:8080", "/api/products?page=2", "catalogue-1"),
        ("Admin.Example:80", "/api", "admin-1"),
    ] {
        let request = Request::get(path).header("host", host).body(empty()).unwrap();
        assert_eq!(stage.ask(request).await.body, expected, "{host}{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_matches_no_route_is_a_404_with_a_sentence() {
    let mut stage = Stage::new(vec![route(None, "/api", "catalogue")]).await;
    stage.serve("catalogue", &[]).await;
    let answer = stage.get("/else?q=1").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.body, "No route of this application matches `shop.example/else`.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_ready_replica_the_answer_names_the_service_and_then_it_works() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let answer = stage.get("/").await;
    assert_eq!(
        (answer.status, &answer.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"1".parse().unwrap())
    );
    assert_eq!(answer.body, "The service `storefront` has no replica ready to answer; try again in a moment.\n");
    let mut request = get("/");
    request.headers_mut().insert("accept", "text/html,*/*;q=0.8".parse().unwrap());
    let page = stage.ask(request).await;
    assert!(page.body.starts_with("<!doctype html>") && page.body.contains("`storefront`"), "{}", page.body);
    let mut request = get("/");
    request.headers_mut().insert("accept", "application/json".parse().unwrap());
    assert!(stage.ask(request).await.body.contains(r#""code":"unavailable""#));

    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    assert_eq!(stage.get("/").await.body, "storefront-1");
    stage.serve("storefront", &[]).await;
    assert_eq!(stage.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_cleaned_and_the_forwarding_ones_added() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::mirror("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let request = Request::get("/a%20b?c=%2F&d")
        .header("host", "Shop.example:8080")
        .header("connection", "x-private, keep-alive")
        .header("x-private", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic x")
        .header("expect", "100-continue")
        .header("cookie", "basket=7")
        .header("x-request-id", "order-7")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .body(empty())
        .unwrap();
    let answer = stage.ask(request).await;
    let mut lines: Vec<&str> = answer.body.lines().collect();
    assert_eq!(lines.remove(0), "GET /a%20b?c=%2F&d HTTP/1.1");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "cookie: basket=7",
            "forwarded: for=127.0.0.1;proto=http;host=\"Shop.example:8080\"",
            "host: Shop.example:8080",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: Shop.example:8080",
            "x-forwarded-proto: http",
            "x-request-id: order-7",
        ]
    );
    assert_eq!(answer.headers["x-request-id"], "order-7");

    let answer = stage.get("/").await;
    let made = answer.headers["x-request-id"].to_str().unwrap();
    assert!(made.len() == 32 && answer.body.contains(&format!("x-request-id: {made}")), "{}", answer.body);
    assert!(answer.body.contains("traceparent: 00-"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_keeps_its_headers_but_for_those_of_the_hop() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::new("storefront-1", |_| async {
        let response = Response::builder().status(418).header("x-kept", "1").header("x-hop", "1");
        Ok(response.header("connection", "x-hop").header("x-request-id", "own").body(full("tea")).unwrap())
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let answer = stage.get("/").await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (418, "tea"));
    assert!(answer.headers.contains_key("x-kept") && !answer.headers.contains_key("x-hop"));
    assert_eq!(answer.headers["x-request-id"], "own");
    assert_eq!(answer.headers["content-length"], "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_keep_their_shape_and_their_connection() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::new("storefront-1", |request| async move {
        let status = if request.uri().path() == "/none" { 204 } else { 200 };
        let response = Response::builder().status(status);
        let body = if status == 204 { empty() } else { full("hello") };
        Ok(response.body(body).unwrap())
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let mut client = client(stage.address).await;
    for _ in 0..3 {
        let request = Request::head("/").header("host", "shop.example").body(empty()).unwrap();
        let head = Answer::of(client.send_request(request).await.unwrap()).await;
        assert_eq!((head.body.as_str(), &head.headers["content-length"]), ("", &"5".parse().unwrap()));
        client.ready().await.unwrap();
        let none = Answer::of(client.send_request(get("/none")).await.unwrap()).await;
        assert_eq!((none.status, none.body.as_str()), (StatusCode::NO_CONTENT, ""));
        client.ready().await.unwrap();
        let whole = Answer::of(client.send_request(get("/")).await.unwrap()).await;
        assert_eq!(whole.body, "hello");
        client.ready().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_stream_both_ways_without_waiting_for_their_end() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    // Sends back each piece as it comes.
    let replica = Replica::new("storefront-1", |request| async move {
        Ok(Response::new(request.into_body().map_err(Failure::from).boxed()))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    for version in ["HTTP/1.1", "HTTP/2"] {
        let (mut sender, body) = Channel::<Bytes, Infallible>::new(1);
        let body: AnyBody = body.map_err(|never| match never {}).boxed();
        let request = Request::post("http://shop.example/").header("host", "shop.example").body(body).unwrap();
        let response = if version == "HTTP/2" {
            client2(stage.address).await.send_request(request).await
        } else {
            client(stage.address).await.send_request(request).await
        };
        let mut body = response.unwrap().into_body();
        for piece in ["one", "two", "three"] {
            sender.send_data(Bytes::from(piece)).await.unwrap();
            let frame = tokio::time::timeout(PATIENCE, body.frame()).await.expect("comes back at once");
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece, "{version}");
        }
        drop(sender);
        let rest = tokio::time::timeout(PATIENCE, body.collect()).await.expect("ends").unwrap();
        assert!(rest.to_bytes().is_empty(), "{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies_pass_whole() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::new("storefront-1", |request| async move {
        let bytes = request.into_body().collect().await?.to_bytes();
        Ok(Response::new(full(bytes)))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let sent: String = (0..2_000_000).map(|index| char::from(b'a' + u8::try_from(index % 26).unwrap())).collect();
    let request = Request::put("/").header("host", "shop.example").body(full(sent.clone())).unwrap();
    assert!(stage.ask(request).await.body == sent);
}

async fn grpc(request: Request<hyper::body::Incoming>) -> Result<Response<AnyBody>, Failure> {
    assert_eq!((request.version(), &request.headers()["te"]), (http::Version::HTTP_2, &"trailers".parse().unwrap()));
    assert_eq!(request.uri().authority().unwrap(), "shop.example");
    let mut body = request.into_body();
    let mut pieces = Vec::new();
    while let Some(frame) = body.frame().await {
        pieces.push(frame?.into_data().unwrap_or_default());
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "14".parse()?);
    let frames = pieces.into_iter().map(Frame::data).chain([Frame::trailers(trailers)]).map(Ok::<_, Failure>);
    let body = BodyExt::boxed(StreamBody::new(futures::stream::iter(frames)));
    Ok(Response::builder().header("content-type", "application/grpc").body(body)?)
}

fn grpc_request() -> Request<AnyBody> {
    Request::post("http://shop.example/store.catalogue.v1.Catalogue/Get")
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(full("\0\0\0\0\x02hi"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_passes_with_its_trailers_and_its_errors_are_counted() {
    let mut stage = Stage::new(everything_to("catalogue")).await;
    let mut client = client2(stage.address).await;
    let refused = Answer::of(client.send_request(grpc_request()).await.unwrap()).await;
    assert_eq!((refused.status, &refused.headers["grpc-status"]), (StatusCode::OK, &"14".parse().unwrap()));
    assert!(refused.headers["grpc-message"].to_str().unwrap().contains("`catalogue`"));

    let replica = Replica::new("catalogue-1", grpc).await;
    stage.serve("catalogue", &[&replica]).await;
    for _ in 0..3 {
        let answer = Answer::of(client.send_request(grpc_request()).await.unwrap()).await;
        assert_eq!(answer.body, "\0\0\0\0\x02hi");
        assert_eq!(answer.trailers["grpc-status"], "14");
    }
    let publisher = stage.publisher.as_ref().unwrap();
    let counted = async || publisher.edges().iter().any(|edge| (edge.calls, edge.errors, edge.in_flight) == (4, 4, 0));
    until("four calls, all errors", counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_goes_to_http1_replicas_with_its_host() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::mirror("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let mut client = client2(stage.address).await;
    let request = Request::get("http://shop.example/x?y").body(empty()).unwrap();
    let answer = Answer::of(client.send_request(request).await.unwrap()).await;
    assert!(answer.body.starts_with("GET /x?y HTTP/1.1\n"), "{}", answer.body);
    assert!(answer.body.contains("\nhost: shop.example\n"), "{}", answer.body);
}

/// Switches protocols, then sends back what comes, in upper case.
async fn shouting(mut request: Request<hyper::body::Incoming>) -> Result<Response<AnyBody>, Failure> {
    let upgrade = request.headers().get("upgrade").cloned();
    let Some(upgrade) = upgrade else { return Ok(Response::new(full("plain"))) };
    let switching = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let mut stream = hyper_util::rt::TokioIo::new(switching.await.unwrap());
        let mut buffer = [0; 64];
        loop {
            let count = stream.read(&mut buffer).await.unwrap();
            if count == 0 {
                return;
            }
            buffer[..count].make_ascii_uppercase();
            stream.write_all(&buffer[..count]).await.unwrap();
        }
    });
    Ok(Response::builder().status(101).header("connection", "upgrade").header("upgrade", upgrade).body(empty())?)
}

#[tokio::test(flavor = "multi_thread")]
async fn upgrades_pass_through_both_ways() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::new("storefront-1", shouting).await;
    stage.serve("storefront", &[&replica]).await;
    let mut request = get("/socket");
    request.headers_mut().insert("connection", "Upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
    let response = client(stage.address).await.send_request(request).await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["upgrade"]),
        (StatusCode::SWITCHING_PROTOCOLS, &"websocket".parse().unwrap())
    );
    let mut stream = hyper_util::rt::TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    for (said, heard) in [("hello", "HELLO"), ("again", "AGAIN")] {
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut buffer = [0; 5];
        stream.read_exact(&mut buffer).await.unwrap();
        assert_eq!(std::str::from_utf8(&buffer).unwrap(), heard);
    }
    let edge = || stage.publisher.as_ref().unwrap().edges().into_iter().find(|edge| edge.callee == name("storefront"));
    until("the tunnel is in flight", async || edge().is_some_and(|edge| edge.in_flight == 1)).await;
    drop(stream);
    until("the tunnel has ended", async || {
        edge().is_some_and(|edge| (edge.in_flight, edge.calls, edge.errors) == (0, 1, 0))
    })
    .await;

    let mut request = get("/socket");
    request.headers_mut().insert("connection", "upgrade, http2-settings".parse().unwrap());
    request.headers_mut().insert("upgrade", "h2c".parse().unwrap());
    assert_eq!(stage.ask(request).await.body, "plain", "h2c is not passed on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_refuses_is_a_503_and_one_that_breaks_off_a_502() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let (_socket, closed) = stage::closed();
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", closed)]);
    stage.acknowledged("storefront", generation).await;
    let answer = stage.get("/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.body,
        "The service `storefront` could not be reached: its replica `storefront-1` refused the connection.\n"
    );

    let replica = Replica::new("storefront-2", |_| async { Err(Failure::new("gone")) }).await;
    stage.serve("storefront", &[&replica]).await;
    let answer = stage.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY);
    assert_eq!(
        answer.body,
        "The service `storefront` did not answer: its replica `storefront-2` closed the connection before its answer.\n"
    );
}

/// A server that says keep-alive and closes each connection after its first answer all the same.
async fn treacherous() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap_or(b'\n'));
                    if head.len() > 10_000 {
                        return;
                    }
                }
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
                // Closes when the next request has come: the worst moment.
                let _ = stream.read(&mut [0; 1]).await;
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_connection_that_was_closed_is_not_the_clients_trouble() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let address = treacherous().await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let mut client = client(stage.address).await;
    for _ in 0..10 {
        client.ready().await.unwrap();
        let answer = Answer::of(client.send_request(get("/")).await.unwrap()).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_a_replica_are_used_again() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = stage::endpoint("storefront-1", listener.local_addr().unwrap());
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = Arc::clone(&accepted);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counting.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let service = hyper::service::service_fn(|_| async { Ok::<_, Infallible>(Response::new(full("x"))) });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service),
            );
        }
    });
    let generation = stage.publish_endpoints("storefront", vec![endpoint]);
    stage.acknowledged("storefront", generation).await;
    let mut client = client(stage.address).await;
    for _ in 0..50 {
        client.ready().await.unwrap();
        assert_eq!(Answer::of(client.send_request(get("/")).await.unwrap()).await.body, "x");
    }
    // The first answers may be quicker than the connection is ready again.
    let accepted = accepted.load(std::sync::atomic::Ordering::Relaxed);
    assert!(accepted < 10, "{accepted} connections for 50 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_has_the_same_limits() {
    let mut stage = Stage::new(everything_to("storefront")).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let mut client = client2(stage.address).await;
    let mut many = Request::get("http://shop.example/").body(empty()).unwrap();
    for index in 0..101 {
        many.headers_mut().append("x-many", index.to_string().parse().unwrap());
    }
    let answer = Answer::of(client.send_request(many).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let mut long = Request::get("http://shop.example/").body(empty()).unwrap();
    long.headers_mut().insert("x-long", "x".repeat(70_000).parse().unwrap());
    let refused = client.send_request(long).await;
    assert!(refused.is_err() || refused.unwrap().status() == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let tunnel = Request::connect("shop.example:443").body(empty()).unwrap();
    assert_eq!(client.send_request(tunnel).await.unwrap().status(), StatusCode::NOT_IMPLEMENTED);
    let good = Request::get("http://shop.example/").body(empty()).unwrap();
    assert_eq!(Answer::of(client.send_request(good).await.unwrap()).await.body, "storefront-1");
}

/// Sends bytes as they are and returns all that comes back.
async fn raw(stage: &Stage, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    // The gateway may have answered and closed before it has read everything.
    let _ = stream.write_all(sent).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closes");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_proper_request_is_refused() {
    let short = |settings: &mut shoal_gateway::GatewaySettings| settings.header_timeout = Duration::from_millis(300);
    let mut stage = Stage::with(everything_to("storefront"), None, short).await;
    let replica = Replica::mirror("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(70_000));
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: 1\r\n".repeat(101));
    for (sent, status) in [
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: me@a\r\nconnection: close\r\n\r\n", "400"),
        ("CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\nconnection: close\r\n\r\n", "501"),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("GET http://b/ HTTP/1.1\r\nhost: a\r\n\r\n", "400"),
        ("nonsense\r\n\r\n", "400"),
        (long.as_str(), "431"),
        (many.as_str(), "431"),
    ] {
        let answer = raw(&stage, sent.as_bytes()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{sent:.60}: {answer}");
    }
    assert!(raw(&stage, b"GET / HTT").await.is_empty() || raw(&stage, b"GET / HTT").await.contains("408"));
    assert_eq!(raw(&stage, b"").await, "", "a silent connection is closed");
    let absolute = raw(&stage, b"GET http://a/x HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
    assert!(absolute.contains("GET /x HTTP/1.1\n") && absolute.contains("\nhost: a\n"), "{absolute}");
    let old = raw(&stage, b"GET /x HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 OK"), "{old}");
}
