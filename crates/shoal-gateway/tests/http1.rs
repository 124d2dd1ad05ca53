//! HTTP/1.1 byte by byte: what a client and a replica see of each other when one of them does what is allowed, but seldom done.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use shoal_model::Limits;
use stage::{PATIENCE, Stage, limited, until};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A gateway whose one replica is this test: it accepts connections itself.
struct Both {
    stage: Stage,
    replica: TcpListener,
}

impl Both {
    async fn new(limits: Limits) -> Self {
        let mut stage = Stage::with(limited("storefront", limits), None, |_| ()).await;
        let replica = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = stage::endpoint("storefront-1", replica.local_addr().unwrap());
        let generation = stage.publish_endpoints("storefront", vec![endpoint]);
        stage.acknowledged("storefront", generation).await;
        Self { stage, replica }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.stage.address).await.unwrap()
    }

    async fn accept(&self) -> TcpStream {
        tokio::time::timeout(PATIENCE, self.replica.accept()).await.expect("the gateway connects").unwrap().0
    }
}

/// Reads until what came ends like this, and returns all of it.
async fn until_end(stream: &mut TcpStream, end: &str) -> String {
    let mut came = Vec::new();
    let reading = async {
        while !came.ends_with(end.as_bytes()) {
            came.push(stream.read_u8().await.expect("more comes"));
        }
    };
    let done = tokio::time::timeout(PATIENCE, reading).await;
    let came = String::from_utf8_lossy(&came).into_owned();
    done.unwrap_or_else(|_| panic!("only {came:?} came, without {end:?}"));
    came
}

/// Reads to the connection's end.
async fn all(stream: &mut TcpStream) -> String {
    let mut came = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut came)).await.expect("ends");
    String::from_utf8_lossy(&came).into_owned()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_continue_is_told_when_its_body_is_wanted() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    let head = b"PUT / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    client.write_all(head).await.unwrap();
    let mut replica = both.accept().await;
    let head = until_end(&mut replica, "\r\n\r\n").await;
    assert!(head.contains("content-length: 4\r\n") && !head.contains("expect"), "{head}");
    assert_eq!(until_end(&mut client, "\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(b"body").await.unwrap();
    until_end(&mut replica, "body").await;
    replica.write_all(OK).await.unwrap();
    assert!(until_end(&mut client, "ok").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_before_the_body_is_passed_on_and_ends_the_connection() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\nsome").await.unwrap();
    let mut replica = both.accept().await;
    until_end(&mut replica, "some").await;
    replica.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno!").await.unwrap();
    let answer = all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("no!"), "{answer}");
    assert_eq!(all(&mut replica).await, "", "the connection with half a request is not used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_before_the_answer_are_left_out() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    client.write_all(GET).await.unwrap();
    let mut replica = both.accept().await;
    until_end(&mut replica, "\r\n\r\n").await;
    replica.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n").await.unwrap();
    replica.write_all(OK).await.unwrap();
    let answer = until_end(&mut client, "ok").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && !answer.contains("link"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_ends_with_its_connection_ends_for_each_client_as_it_can_read_it() {
    for (version, framed) in [("1.1", "5\r\nto th\r\n5\r\ne end\r\n0\r\n\r\n"), ("1.0", "\r\n\r\nto the end")] {
        let both = Both::new(Limits::default()).await;
        let mut client = both.client().await;
        client.write_all(format!("GET / HTTP/{version}\r\nhost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut replica = both.accept().await;
        until_end(&mut replica, "\r\n\r\n").await;
        replica.write_all(b"HTTP/1.0 200 OK\r\n\r\nto th").await.unwrap();
        until_end(&mut client, "to th").await;
        replica.write_all(b"e end").await.unwrap();
        drop(replica);
        let rest = until_end(&mut client, if version == "1.1" { "0\r\n\r\n" } else { "e end" }).await;
        assert!(format!("\r\n\r\nto th{rest}").ends_with(framed) || framed.ends_with(rest.trim_start()), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_client_that_asks_for_it_keeps_its_connection() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    let mut replica = None;
    for _ in 0..3 {
        client.write_all(b"GET / HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n").await.unwrap();
        let replica = match &mut replica {
            Some(replica) => replica,
            None => replica.insert(both.accept().await),
        };
        until_end(replica, "\r\n\r\n").await;
        replica.write_all(OK).await.unwrap();
        let answer = until_end(&mut client, "ok").await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n") && answer.contains("connection: keep-alive\r\n"), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_comes_byte_by_byte_is_one_request() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    let writing = tokio::spawn(async move {
        for byte in b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
            client.write_all(&[*byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        client
    });
    let mut replica = both.accept().await;
    let came = until_end(&mut replica, "0\r\n\r\n").await;
    let (head, body) = came.split_once("\r\n\r\n").unwrap();
    // In chunks as they happened to come.
    let body: String = body.split("\r\n").skip(1).step_by(2).collect();
    assert!(head.starts_with("POST /x HTTP/1.1\r\n") && body == "abc", "{came}");
    replica.write_all(OK).await.unwrap();
    until_end(&mut writing.await.unwrap(), "ok").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_on_which_something_came_that_nobody_asked_for_is_not_used_again() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    client.write_all(GET).await.unwrap();
    let mut replica = both.accept().await;
    until_end(&mut replica, "\r\n\r\n").await;
    replica.write_all(&[OK, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison"].concat()).await.unwrap();
    until_end(&mut client, "ok").await;
    client.write_all(GET).await.unwrap();
    let mut other = both.accept().await;
    until_end(&mut other, "\r\n\r\n").await;
    other.write_all(OK).await.unwrap();
    assert!(!until_end(&mut client, "ok").await.contains("poison"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_cut_short_does_not_look_whole() {
    for head in ["content-length: 10\r\n", "transfer-encoding: chunked\r\n"] {
        let both = Both::new(Limits::default()).await;
        let mut client = both.client().await;
        client.write_all(GET).await.unwrap();
        let mut replica = both.accept().await;
        until_end(&mut replica, "\r\n\r\n").await;
        replica.write_all(format!("HTTP/1.1 200 OK\r\n{head}\r\n5\r\nhal").as_bytes()).await.unwrap();
        drop(replica);
        let answer = all(&mut client).await;
        assert!(!answer.contains("0\r\n\r\n"), "{answer}");
        let edges = || both.stage.publisher.as_ref().unwrap().edges();
        until("it counts as an error", async || edges().iter().any(|edge| (edge.calls, edge.errors) == (1, 1))).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_an_upgrade_passes_also_when_it_came_with_it() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    let upgrade = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nfirst";
    client.write_all(upgrade).await.unwrap();
    let mut replica = both.accept().await;
    let head = until_end(&mut replica, "\r\n\r\n").await;
    assert!(head.contains("connection: upgrade\r\nupgrade: chat\r\n"), "{head}");
    replica
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chat\r\n\r\nhello")
        .await
        .unwrap();
    assert!(until_end(&mut client, "hello").await.contains("upgrade: chat\r\n"));
    assert_eq!(until_end(&mut replica, "first").await, "first");
    client.write_all(b"second").await.unwrap();
    until_end(&mut replica, "second").await;
    drop(client);
    assert_eq!(all(&mut replica).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_body_is_not_sent_twice_and_a_small_one_is() {
    for (size, heads) in [(60_000, 2), (100_000, 1)] {
        let both = Both::new(Limits { hold_timeout: PATIENCE, ..Limits::default() }).await;
        let asked = Arc::new(AtomicUsize::new(0));
        let mut client = both.client().await;
        let counting = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            // The first to take the whole body breaks off; the next one answers.
            loop {
                let mut replica = both.accept().await;
                until_end(&mut replica, "end").await;
                if counting.fetch_add(1, Ordering::SeqCst) > 0 {
                    replica.write_all(OK).await.unwrap();
                    return both;
                }
            }
        });
        let body = format!("{}end", "x".repeat(size - 3));
        let head = format!("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: {size}\r\nconnection: close\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(body.as_bytes()).await.unwrap();
        let answer = all(&mut client).await;
        let status = if heads == 2 { "HTTP/1.1 200 " } else { "HTTP/1.1 502 " };
        assert!(answer.starts_with(status), "{size}: {answer}");
        assert_eq!(asked.load(Ordering::SeqCst), heads);
        serving.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_gateway_answers_what_comes_on_an_open_connection_and_says_that_it_closes() {
    let mut both = Both::new(Limits::default()).await;
    let (mut client, mut late) = (both.client().await, both.client().await);
    client.write_all(GET).await.unwrap();
    let mut replica = both.accept().await;
    until_end(&mut replica, "\r\n\r\n").await;
    replica.write_all(OK).await.unwrap();
    let answer = until_end(&mut client, "ok").await;
    assert!(!answer.contains("connection: close"), "{answer}");
    let gateway = both.stage.gateway.take().unwrap();
    let address = both.stage.address;
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    until("it accepts nothing more", async || TcpStream::connect(address).await.is_err()).await;
    client.write_all(GET).await.unwrap();
    until_end(&mut replica, "\r\n\r\n").await;
    replica.write_all(OK).await.unwrap();
    let answer = all(&mut client).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("ok"), "{answer}");
    assert_eq!(all(&mut late).await, "");
    assert_eq!(stopping.await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_head_request_is_told_a_length_and_gets_no_body() {
    let mut stage = Stage::new(vec![stage::route(None, "/served", "storefront")]).await;
    let replica = stage::Replica::named("storefront-1").await;
    stage.serve("storefront", &[&replica]).await;
    let mut client = TcpStream::connect(stage.address).await.unwrap();
    client.write_all(b"HEAD /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let refused = until_end(&mut client, "\r\n\r\n").await;
    assert!(refused.starts_with("HTTP/1.1 404 ") && !refused.contains("content-length: 0\r\n"), "{refused}");
    client.write_all(b"GET /served HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = until_end(&mut client, "storefront-1").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");

    let mut client = stage::client2(stage.address).await;
    let ask = |method, path: &str| {
        let uri = format!("http://a{path}");
        http::Request::builder().method(method).uri(uri).body(stage::empty()).unwrap()
    };
    let refused = client.send_request(ask("HEAD", "/nothing")).await.unwrap();
    assert_ne!(refused.headers()["content-length"], "0");
    let refused = stage::Answer::of(refused).await;
    assert_eq!((refused.status.as_u16(), refused.body.as_str()), (404, ""));
    assert_eq!(stage::Answer::of(client.send_request(ask("GET", "/served")).await.unwrap()).await.body, "storefront-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_answer_does_not_look_whole_to_a_client_that_is_told_its_end_by_the_connections() {
    let both = Both::new(Limits::default()).await;
    let mut client = both.client().await;
    client.write_all(b"GET / HTTP/1.0\r\nhost: a\r\n\r\n").await.unwrap();
    let mut replica = both.accept().await;
    until_end(&mut replica, "\r\n\r\n").await;
    replica.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n").await.unwrap();
    until_end(&mut client, "half").await;
    drop(replica);
    let rest = tokio::time::timeout(PATIENCE, client.read_to_end(&mut Vec::new())).await.expect("ends");
    assert_eq!(rest.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_began_and_does_not_end_is_a_408_and_a_connection_without_one_just_ends() {
    let short = |settings: &mut shoal_gateway::GatewaySettings| {
        settings.header_timeout = std::time::Duration::from_millis(300);
    };
    let stage = Stage::with(limited("storefront", Limits::default()), None, short).await;
    let mut client = TcpStream::connect(stage.address).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: ").await.unwrap();
    let answer = all(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("head did not arrive in time"), "{answer}");
    let mut silent = TcpStream::connect(stage.address).await.unwrap();
    assert_eq!(all(&mut silent).await, "");
}
