//! HTTP/2 connections, which many requests share: none of them takes what the others need, on either side.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Channel, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use shoal_model::Limits;
use stage::{Answer, AnyBody, Failure, PATIENCE, Replica, Stage, client2, full, limited, until};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn one_core() -> Stage {
    let limits = Limits { hold_timeout: PATIENCE, ..Limits::default() };
    Stage::with(limited("catalogue", limits), None, |settings| settings.cores = 1).await
}

fn grpc(path: &str, body: AnyBody) -> Request<AnyBody> {
    let request = Request::post(format!("http://shop.example/store.v1.Store/{path}"));
    request.header("content-type", "application/grpc").header("te", "trailers").body(body).unwrap()
}

/// Answers `Endless` without end, and everything else with 100,000 bytes.
async fn talker(request: Request<Incoming>) -> Result<Response<AnyBody>, Failure> {
    let piece = Bytes::from(vec![b'x'; 100_000]);
    let pieces = futures::stream::repeat_with(move || Ok(Frame::data(piece.clone())));
    let is_endless = request.uri().path().ends_with("/Endless");
    let count = if is_endless { usize::MAX } else { 1 };
    Ok(Response::new(BodyExt::boxed(StreamBody::new(futures::StreamExt::take(pieces, count)))))
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_nobody_takes_do_not_stop_the_others_of_their_replica() {
    let mut stage = one_core().await;
    let replica = Replica::new("catalogue-1", talker).await;
    stage.serve("catalogue", &[&replica]).await;
    let mut untaken = Vec::new();
    for _ in 0..8 {
        let stream = TcpStream::connect(stage.address).await.unwrap();
        let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(65_535);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        untaken.push(sender.send_request(grpc("Endless", full(""))).await.unwrap());
    }
    let mut client = client2(stage.address).await;
    for number in 0..200 {
        let asked = async { Answer::of(client.send_request(grpc("Get", full(""))).await.unwrap()).await };
        let answer = tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| panic!("{number} is not answered"));
        assert_eq!(answer.body.len(), 100_000);
    }
    assert_eq!(replica.connections.load(Ordering::SeqCst), 1, "they share one connection");
    drop(untaken);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_together_share_a_connection() {
    let mut stage = one_core().await;
    let client = client2(stage.address).await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { Answer::of(client.send_request(grpc("Get", full(""))).await.unwrap()).await })
        })
        .collect();
    until("all are held", async || stage.in_flight() == 20).await;
    let replica = Replica::new("catalogue-1", talker).await;
    stage.serve("catalogue", &[&replica]).await;
    for asked in asking {
        assert_eq!(asked.await.unwrap().body.len(), 100_000);
    }
    // Requests may hear of a replica a moment before the pool does, which then lets go of the first connection.
    let connections = replica.connections.load(Ordering::SeqCst);
    assert!((1..=2).contains(&connections), "{connections} connections for 20 calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_come_together_hear_of_a_refused_connection_and_wait_for_the_next_replica() {
    let mut stage = one_core().await;
    let (_refusing, address) = stage::closed();
    let generation = stage.publish_endpoints("catalogue", vec![stage::endpoint("catalogue-1", address)]);
    stage.acknowledged("catalogue", generation).await;
    let client = client2(stage.address).await;
    let asking: Vec<_> = (0..20)
        .map(|_| {
            let mut client = client.clone();
            tokio::spawn(async move { Answer::of(client.send_request(grpc("Get", full(""))).await.unwrap()).await })
        })
        .collect();
    until("all are under way", async || stage.in_flight() == 20).await;
    let replica = Replica::new("catalogue-2", talker).await;
    stage.serve("catalogue", &[&replica]).await;
    for asked in asking {
        assert_eq!(asked.await.unwrap().body.len(), 100_000);
    }
}

/// A call whose body has begun and does not end.
fn unended() -> (Channel2, Request<AnyBody>) {
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    (sender, grpc("Put", body.map_err(|never| match never {}).boxed()))
}

type Channel2 = http_body_util::channel::Sender<Bytes, Infallible>;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_held_call_may_send_ahead_counts_as_held() {
    let limits = Limits { hold_timeout: PATIENCE, ..Limits::default() };
    let stage = Stage::with(limited("catalogue", limits), None, |settings| {
        (settings.cores, settings.held_bytes_max) = (1, 100_000);
    })
    .await;
    let mut client = client2(stage.address).await;
    let (first, request) = unended();
    let mut held = client.clone();
    let holding = tokio::spawn(async move { held.send_request(request).await });
    until("one is held", async || stage.in_flight() == 1).await;
    let (second, request) = unended();
    let answer = Answer::of(client.send_request(request).await.unwrap()).await;
    assert_eq!((answer.status, &answer.headers["grpc-status"]), (StatusCode::OK, &"14".parse().unwrap()));
    let why = answer.headers["grpc-message"].to_str().unwrap();
    assert!(why.contains("too many requests wait for one already"), "{why}");
    holding.abort();
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_64_kib_of_a_body_come_before_anybody_asks_for_them() {
    const SETTINGS: u8 = 4;
    const INITIAL_WINDOW_SIZE: u16 = 4;
    let stage = one_core().await;
    let mut stream = TcpStream::connect(stage.address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let reading = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!((head[3], head[4]), (SETTINGS, 0), "settings come first");
        let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        stream.read_exact(&mut settings).await.unwrap();
        settings
    };
    let settings = tokio::time::timeout(PATIENCE, reading).await.expect("settings come");
    let window = settings.chunks(6).find_map(|setting| {
        let value = u32::from_be_bytes(setting[2..6].try_into().unwrap());
        (u16::from_be_bytes([setting[0], setting[1]]) == INITIAL_WINDOW_SIZE).then_some(value)
    });
    assert!(window.is_none_or(|window| window <= 65_536), "{window:?}");
}
