//! Every limit of the gateway, with real bytes: who is too slow, too large, too many or too late gets a sentence or is cut
//! off, and nobody else notices.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, StreamBody};
use hyper::body::Frame;
use shoal_model::Limits;
use stage::{Answer, AnyBody, PATIENCE, Replica, Stage, client, client2, empty, full, get, limited, until};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const SHORT: Duration = Duration::from_millis(200);

async fn stage(limits: Limits) -> Stage {
    Stage::with(limited("storefront", limits), None, |_| ()).await
}

/// Sends bytes as they are and returns all that comes back until the connection ends.
async fn raw(stage: &Stage, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    // The gateway may have answered and closed before it has read everything.
    let _ = stream.write_all(sent).await;
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("closes");
    String::from_utf8_lossy(&answer).into_owned()
}

/// A replica that never answers, and whether somebody waits for it.
async fn silent(replica: &str) -> (Replica, Arc<AtomicBool>) {
    struct Waiting(Arc<AtomicBool>);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.store(false, Ordering::SeqCst);
        }
    }
    let waited = Arc::new(AtomicBool::new(false));
    let waiting = Arc::clone(&waited);
    let replica = Replica::new(replica, move |_| {
        waiting.store(true, Ordering::SeqCst);
        let waiting = Waiting(Arc::clone(&waiting));
        async move {
            std::future::pending::<()>().await;
            drop(waiting);
            Ok(Response::new(empty()))
        }
    })
    .await;
    (replica, waited)
}

fn grpc(timeout: &str) -> Request<AnyBody> {
    Request::post("http://shop.example/store.v1.Store/Get")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(full("\0\0\0\0\0"))
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_begin_in_time_is_a_504_and_the_replica_is_let_go() {
    let mut stage = stage(Limits { timeout: SHORT, ..Limits::default() }).await;
    let (replica, waited) = silent("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let started = Instant::now();
    let answer = stage.get("/").await;
    assert!(started.elapsed() >= SHORT);
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(answer.body, "The service `storefront` did not answer in time.\n");
    until("the replica is let go", async || !waited.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clients_deadline_counts_in_the_form_of_its_protocol() {
    let mut stage = stage(Limits::default()).await;
    let (replica, waited) = silent("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let answer = Answer::of(client2(stage.address).await.send_request(grpc("200m")).await.unwrap()).await;
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (StatusCode::OK, &"4".parse().unwrap()));
    until("the replica is let go", async || !waited.load(Ordering::SeqCst)).await;
    let mut connect = get("/");
    connect.headers_mut().insert("connect-timeout-ms", "200".parse().unwrap());
    connect.headers_mut().insert("connect-protocol-version", "1".parse().unwrap());
    let answer = stage.ask(connect).await;
    assert_eq!(answer.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(answer.body.contains(r#""code":"deadline_exceeded""#), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_goes_on_to_the_replica_and_has_shrunk() {
    let mut stage = stage(Limits { hold_timeout: PATIENCE, ..Limits::default() }).await;
    let address = stage.address;
    let mut request = get("/");
    request.headers_mut().insert("connect-timeout-ms", "100000".parse().unwrap());
    let asking =
        tokio::spawn(async move { Answer::of(client(address).await.send_request(request).await.unwrap()).await });
    until("it is held", async || stage.in_flight() == 1).await;
    let replica = Replica::mirror("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let answer = asking.await.unwrap();
    let left = answer.body.lines().find_map(|line| line.strip_prefix("connect-timeout-ms: ")).unwrap();
    let left: u64 = left.parse().unwrap();
    assert!((1..100_000).contains(&left), "{left}");
}

/// An answer that begins and then never goes on.
async fn stuck(replica: &str) -> Replica {
    Replica::new(replica, |request| async move {
        let piece = futures::stream::once(async { Ok(Frame::data(Bytes::from_static(b"\0\0\0\0\0"))) });
        let body = StreamBody::new(futures::StreamExt::chain(piece, futures::stream::pending()));
        let kind = request.headers().get("content-type").cloned();
        let mut response = Response::new(BodyExt::boxed(body));
        if let Some(kind) = kind {
            response.headers_mut().insert("content-type", kind);
        }
        Ok(response)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_go_on_is_broken_off() {
    let mut stage = stage(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let replica = stuck("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let response = client(stage.address).await.send_request(get("/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await.expect("ends");
    assert!(body.is_err(), "an answer that did not end must not look whole");
    until("nothing is under way", async || stage.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_a_grpc_stream_with_its_status() {
    let mut stage = stage(Limits::default()).await;
    let replica = stuck("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let answer = Answer::of(client2(stage.address).await.send_request(grpc("300m")).await.unwrap()).await;
    assert_eq!((answer.body.as_str(), &answer.trailers["grpc-status"]), ("\0\0\0\0\0", &"4".parse().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_lets_its_replica_go() {
    let mut stage = stage(Limits::default()).await;
    let (replica, waited) = silent("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until("the replica is asked", async || waited.load(Ordering::SeqCst)).await;
    drop(stream);
    until("the replica is let go", async || !waited.load(Ordering::SeqCst)).await;
    let mut over2 = client2(stage.address).await;
    let asking = tokio::spawn(async move { over2.send_request(grpc("60S")).await });
    until("the replica is asked", async || waited.load(Ordering::SeqCst)).await;
    asking.abort();
    until("the replica is let go", async || !waited.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_a_413_declared_or_not() {
    let mut stage = stage(Limits { body_bytes_max: 1000, ..Limits::default() }).await;
    let replica = Replica::new("storefront-1", |request| async move {
        let bytes = request.into_body().collect().await?.to_bytes();
        Ok(Response::new(full(bytes.len().to_string())))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let declared =
        raw(&stage, b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1001\r\n\r\n").await;
    assert!(declared.starts_with("HTTP/1.1 413 "), "{declared}");
    assert!(declared.contains("larger than 1000 bytes"), "{declared}");
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let head = "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let whole = raw(&stage, format!("{head}{chunk}0\r\n\r\n").as_bytes()).await;
    assert!(whole.starts_with("HTTP/1.1 200 ") && whole.contains("1000"), "{whole}");
    let over = raw(&stage, format!("{head}{chunk}1\r\nx\r\n0\r\n\r\n").as_bytes()).await;
    assert!(over.starts_with("HTTP/1.1 413 "), "{over}");
    let mut over2 = client2(stage.address).await;
    let request = Request::post("http://shop.example/").body(full("x".repeat(1001))).unwrap();
    assert_eq!(over2.send_request(request).await.unwrap().status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_without_end_is_stopped_at_the_limit() {
    let mut stage = stage(Limits { body_bytes_max: 1_000_000, ..Limits::default() }).await;
    let replica = Replica::new("storefront-1", |request| async move {
        request.into_body().collect().await?;
        Ok(Response::new(empty()))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    let chunk = format!("2710\r\n{}\r\n", "x".repeat(10_000));
    let writing = async { while stream.write_all(chunk.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, writing).await.expect("the gateway closes the connection");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_go_on_is_a_408() {
    let mut stage = stage(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let replica = Replica::new("storefront-1", |request| async move {
        request.into_body().collect().await?;
        Ok(Response::new(empty()))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let answer =
        raw(&stage, b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 10\r\n\r\nhalf").await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("did not go on for 0.2 s"), "{answer}");
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let body: AnyBody = body.map_err(|never| match never {}).boxed();
    let request = Request::post("http://shop.example/").body(body).unwrap();
    let answer = Answer::of(client2(stage.address).await.send_request(request).await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT);
    drop(sender);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection() {
    let short = |settings: &mut shoal_gateway::GatewaySettings| settings.header_timeout = SHORT;
    let mut stage = Stage::with(limited("storefront", Limits::default()), None, short).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    // One byte now and then is no progress.
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    let drip = async {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").await;
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, drip).await.expect("the gateway closes the connection");
    // So is one request after which no other comes.
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert!(read_all(&mut stream).await.ends_with("storefront-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_take_its_answer_is_cut_off() {
    let mut stage = stage(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let replica = Replica::new("storefront-1", |_| async {
        let piece = Bytes::from(vec![b'x'; 100_000]);
        let pieces = futures::stream::repeat_with(move || Ok(Frame::data(piece.clone())));
        Ok(Response::new(BodyExt::boxed(StreamBody::new(pieces))))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    until("it is cut off", async || (stage.ended(), stage.in_flight()) == (1, 0)).await;
    drop(stream);
    let mut over2 = client2(stage.address).await;
    let request = Request::get("http://shop.example/").body(empty()).unwrap();
    let untaken = over2.send_request(request).await.unwrap();
    until("it is cut off", async || (stage.ended(), stage.in_flight()) == (2, 0)).await;
    drop(untaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_held_to_their_routes_limits() {
    let limits = Limits { headers_max: 5, header_bytes_max: 1000, ..Limits::default() };
    let mut stage = stage(limits).await;
    let replica = Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let with = |count: usize, length: usize| {
        let mut text = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n".to_owned();
        (0..count).for_each(|_| text.push_str(&format!("x: {}\r\n", "x".repeat(length))));
        text + "\r\n"
    };
    assert!(raw(&stage, with(3, 1).as_bytes()).await.starts_with("HTTP/1.1 200 "));
    let many = raw(&stage, with(4, 1).as_bytes()).await;
    assert!(many.starts_with("HTTP/1.1 431 ") && many.contains("6 headers"), "{many}");
    assert!(raw(&stage, with(1, 2000).as_bytes()).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_take_more_headers_than_usual() {
    let mut stage = stage(Limits { headers_max: 200, header_bytes_max: 200_000, ..Limits::default() }).await;
    let (address, _) = stage::raw_replica(Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")).await;
    let generation = stage.publish_endpoints("storefront", vec![stage::endpoint("storefront-1", address)]);
    stage.acknowledged("storefront", generation).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{}\r\n", "x: 1\r\n".repeat(150));
    assert!(raw(&stage, head.as_bytes()).await.starts_with("HTTP/1.1 200 "));
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n", "x".repeat(150_000));
    assert!(raw(&stage, head.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_its_most_requests_under_way() {
    let mut stage = stage(Limits { requests_max: 2, ..Limits::default() }).await;
    let (replica, _) = silent("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let address = stage.address;
    let asking: Vec<_> = (0..2)
        .map(|_| tokio::spawn(async move { client(address).await.send_request(get("/")).await.is_ok() }))
        .collect();
    until("two are under way", async || stage.in_flight() == 2).await;
    let answer = stage.get("/").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("its 2 requests under way"), "{}", answer.body);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    until("none is under way", async || stage.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order_one_at_a_time() {
    let mut stage = stage(Limits::default()).await;
    let replica = Replica::new("storefront-1", |request| async move {
        let path = request.uri().path().to_owned();
        let bytes = request.into_body().collect().await?.to_bytes();
        Ok(Response::new(full(format!("[{path} {}]", bytes.len()))))
    })
    .await;
    stage.serve("storefront", &[&replica]).await;
    let mut sent = String::new();
    for index in 0..50 {
        sent.push_str(&format!("POST /{index} HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc"));
    }
    sent.push_str("GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let answer = raw(&stage, sent.as_bytes()).await;
    let mut bodies: Vec<String> = (0..50).map(|index| format!("[/{index} 3]")).collect();
    bodies.push("[/last 0]".to_owned());
    let came: Vec<&str> = answer.split('[').skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    let expected: Vec<String> = bodies.iter().map(|body| body.trim_matches(['[', ']']).to_owned()).collect();
    assert_eq!(came, expected);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// `GET / HTTP/2` for `a`, in HPACK: three entries of the static table, and a literal authority.
const HEAD: &[u8] = &[0x82, 0x84, 0x86, 0x01, 0x01, b'a'];

/// What a flood of these frames ends in: the code of the GOAWAY that closes the connection.
async fn flood(stage: &Stage, frames: impl Fn(u32) -> Vec<u8>) -> u32 {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let writing = tokio::spawn({
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(frame(4, 0, 0, &[]));
        (0..20_000).for_each(|index| bytes.extend(frames(2 * index + 1)));
        async move {
            let _ = writer.write_all(&bytes).await;
            // Held open: it is for the gateway to close.
            std::future::pending::<()>().await;
        }
    });
    let reading = async {
        loop {
            let mut head = [0; 9];
            reader.read_exact(&mut head).await.expect("a GOAWAY comes first");
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            reader.read_exact(&mut payload).await.unwrap();
            if head[3] == 7 {
                return u32::from_be_bytes(payload[4..8].try_into().unwrap());
            }
        }
    };
    let code = tokio::time::timeout(PATIENCE, reading).await.expect("the flood is stopped");
    writing.abort();
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_over_http2_are_stopped_and_others_are_served() {
    const PROTOCOL_ERROR: u32 = 1;
    const ENHANCE_YOUR_CALM: u32 = 11;
    let mut stage = stage(Limits::default()).await;
    let (replica, _) = silent("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let rapid_reset = |id: u32| [frame(1, 5, id, HEAD), frame(3, 0, id, &8_u32.to_be_bytes())].concat();
    assert_eq!(flood(&stage, rapid_reset).await, ENHANCE_YOUR_CALM);
    // A head that never ends.
    let endless = |id: u32| frame(if id == 1 { 1 } else { 9 }, 0, 1, &[0x00, 0x01, b'x', 0x01, b'y'].repeat(20));
    assert!([PROTOCOL_ERROR, ENHANCE_YOUR_CALM].contains(&flood(&stage, endless).await));
    until("nothing is left of it", async || stage.in_flight() == 0).await;
    let other = Replica::named("storefront-2").await;
    stage.serve("storefront", &[&other]).await;
    assert_eq!(stage.get("/").await.body, "storefront-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_http2_connection_is_told_to_go() {
    let short = |settings: &mut shoal_gateway::GatewaySettings| settings.http2_idle_timeout = SHORT;
    let stage = Stage::with(limited("storefront", Limits::default()), None, short).await;
    let mut over2 = client2(stage.address).await;
    until("it is closed", async || over2.ready().await.is_err()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_floods_its_answers_head_is_a_502() {
    let mut stage = stage(Limits { hold_timeout: SHORT, ..Limits::default() }).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = stage::endpoint("storefront-1", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 1000]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
                while stream.write_all(b"x-more: and more\r\n").await.is_ok() {}
            });
        }
    });
    let generation = stage.publish_endpoints("storefront", vec![endpoint]);
    stage.acknowledged("storefront", generation).await;
    let answer = stage.get("/").await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.body);
}
