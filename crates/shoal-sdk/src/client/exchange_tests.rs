//! A call over HTTP/2, with a callee whose frames are written by hand.

use super::*;
use rstest::rstest;
use shoal_model::Address;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const HEADERS: u8 = 1;
/// Streams are numbered 1, 3, 5, …; this is the end of the first one, for a reason.
const RST_STREAM: [u8; 9] = [0, 0, 4, 3, 0, 0, 0, 0, 1];
/// No stream after this one, for a reason.
const GOAWAY: [u8; 9] = [0, 0, 8, 7, 0, 0, 0, 0, 0];

/// Reads until a request has come, and then says this.
async fn callee(mut stream: TcpStream, says: Vec<u8>) -> TcpStream {
    stream.write_all(SETTINGS).await.unwrap();
    let mut preface = [0; PREFACE.len()];
    stream.read_exact(&mut preface).await.unwrap();
    assert_eq!(preface, PREFACE);
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
        if head[3] == HEADERS {
            stream.write_all(&says).await.unwrap();
            return stream;
        }
    }
}

fn frame(head: [u8; 9], fields: &[u32]) -> Vec<u8> {
    head.into_iter().chain(fields.iter().flat_map(|field| field.to_be_bytes())).collect()
}

/// Whether a request that ended so may be sent elsewhere, whatever it does.
#[rstest]
#[case::refused(frame(RST_STREAM, &[7]), true)]
#[case::broken_off(frame(RST_STREAM, &[2]), false)]
#[case::after_the_last(frame(GOAWAY, &[0, 0]), true)]
#[case::the_last_itself(frame(GOAWAY, &[1, 2]), false)]
#[tokio::test]
async fn what_was_not_looked_at_is_told_apart(#[case] says: Vec<u8>, #[case] is_refused: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connection = Connection::new(Address::Tcp(listener.local_addr().unwrap()));
    let called = tokio::spawn(async move {
        let call = Call::new().with_timeout(Duration::from_secs(60));
        let authority = Authority::from_static("callee");
        let exchange = Exchange { authority: &authority, path: "/a.B/C", call: &call, offer: None };
        exchange.send(&connection, Bytes::from_static(b"x"), |_| {}).await
    });
    let (stream, _) = listener.accept().await.unwrap();
    let mut stream = callee(stream, says).await;
    // It says no more, and closes its end.
    stream.shutdown().await.unwrap();
    match called.await.unwrap() {
        Err(Unanswered::Refused(_)) => assert!(is_refused, "it may have been served"),
        Err(Unanswered::Broken(_)) => assert!(!is_refused, "it was not looked at"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_callee_is_told_of_the_time_that_is_left_when_the_request_is_written() {
    let call = Call::new().with_timeout(Duration::from_secs(60));
    let authority = Authority::from_static("callee");
    let exchange = Exchange { authority: &authority, path: "/a.B/C", call: &call, offer: None };
    let began = Instant::now();
    // As if it had taken a while to connect.
    while began.elapsed() < Duration::from_millis(5) {
        std::thread::yield_now();
    }
    let told = |exchange: &Exchange<'_>| -> u64 {
        let request = exchange.request(Bytes::new());
        request.headers()[TIMEOUT].to_str().unwrap().parse().unwrap()
    };
    assert!(told(&exchange) <= 59_995);
    let over = Call::new().with_timeout(Duration::ZERO);
    assert_eq!(told(&Exchange { call: &over, ..exchange }), 1);
}
