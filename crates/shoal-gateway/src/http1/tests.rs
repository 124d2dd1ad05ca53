//! What comes is read the same however it is split, and never as more than hyper reads it; nothing makes it panic.

use super::answer::{self, Passing};
use super::download::Download;
use super::request::{HeadLimits, Heads, Known, Read, Request};
use super::upload::{Stuck, Upload};
use super::wire::Wire;
use crate::headers::Origin;
use http_body_util::{BodyExt, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// A connection on which these bytes come, in pieces of these sizes, and then its end; it keeps what is written to it.
struct Fake {
    bytes: Vec<u8>,
    sizes: Vec<usize>,
    at: usize,
    reads: usize,
    written: Vec<u8>,
}

impl Fake {
    fn new(bytes: &[u8], sizes: &[usize]) -> Self {
        Self { bytes: bytes.to_vec(), sizes: sizes.to_vec(), at: 0, reads: 0, written: Vec::new() }
    }
}

impl AsyncRead for Fake {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let fake = self.get_mut();
        let size = fake.sizes.get(fake.reads % fake.sizes.len()).copied().unwrap();
        let end = (fake.at + size.min(buffer.remaining())).min(fake.bytes.len());
        buffer.put_slice(&fake.bytes[fake.at..end]);
        (fake.at, fake.reads) = (end, fake.reads + 1);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Fake {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.get_mut().written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

const LIMITS: HeadLimits = HeadLimits { bytes: 4000, headers: 20 };

fn known() -> Known {
    Known::new(Origin { peer: std::net::Ipv4Addr::LOCALHOST.into(), secure: false })
}

/// One request as the replica gets it: its first line and its body.
type Told = (String, Vec<u8>);

/// The requests in these bytes, as the gateway passes them on, until one is refused or does not come whole; and whether
/// everything was taken.
fn requests(bytes: &[u8], sizes: &[usize]) -> Vec<Told> {
    let mut wire = Wire::new(Fake::new(bytes, sizes));
    let (mut known, mut memory) = (known(), Vec::new());
    let mut context = Context::from_waker(Waker::noop());
    let mut told = Vec::new();
    loop {
        let mut heads = Heads::default();
        let request = loop {
            match heads.next(&mut wire, &mut memory, &mut known, LIMITS) {
                Read::Whole(request, _) => break request,
                Read::Refused(..) => return told,
                Read::Part => {}
            }
            if !matches!(wire.poll_fill(&mut context), Poll::Ready(Ok(true))) {
                return told;
            }
        };
        let Some(body) = body(&request, &mut wire) else { return told };
        let line = request.head.split(|byte| *byte == b'\r').next().unwrap();
        told.push((String::from_utf8(line.to_vec()).unwrap(), body));
        if !request.keeps_alive || request.upgrade.is_some() {
            return told;
        }
    }
}

/// The body of a request, as a strict reader of what goes to the replica reads it.
fn body(request: &Request, wire: &mut Wire<Fake>) -> Option<Vec<u8>> {
    let mut context = Context::from_waker(Waker::noop());
    let mut replica = Wire::new(Fake::new(&[], &[1]));
    let mut upload = Upload::new(request.framing, 1000, true, false);
    match upload.poll(&mut context, wire, &mut replica) {
        Poll::Ready(Ok(())) => {}
        Poll::Ready(Err(Stuck::Client(_))) => return None,
        _ => panic!("this replica takes everything"),
    }
    let sent = replica.io().written.clone();
    let mut again = Vec::new();
    upload.repeat(&mut again);
    if request.framing != super::request::Framing::Chunked {
        assert_eq!(again, sent, "what is kept is what was sent");
        return Some(sent);
    }
    let mut decoder = super::chunked::Decoder::new();
    let (mut data, mut at) = (Vec::new(), 0);
    loop {
        let (used, piece) = decoder.next(&sent[at..]).expect("what goes out is strict");
        at += used;
        match piece {
            super::chunked::Piece::Data(piece) => data.extend_from_slice(piece),
            super::chunked::Piece::End => break,
            super::chunked::Piece::More => panic!("what goes out is whole"),
        }
    }
    assert_eq!(at, sent.len(), "nothing follows the body");
    Some(data)
}

/// The requests in these bytes, as hyper reads them.
fn by_hyper(bytes: &[u8]) -> Vec<Told> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        ours.write_all(bytes).await.unwrap();
        ours.shutdown().await.unwrap();
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let told = Arc::clone(&told);
            async move {
                let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                let line = format!("{} {path} HTTP/1.1", request.method());
                if let Ok(body) = request.into_body().collect().await {
                    told.lock().unwrap().push((line, body.to_bytes().to_vec()));
                }
                Ok::<_, Infallible>(http::Response::new(Empty::<hyper::body::Bytes>::new()))
            }
        });
        let mut builder = hyper::server::conn::http1::Builder::new();
        let _ = builder.half_close(true).serve_connection(TokioIo::new(theirs), service).await;
    });
    Arc::try_unwrap(told).unwrap().into_inner().unwrap()
}

/// Requests as clients send them.
const GOOD: [&str; 8] = [
    "GET /a?b=c HTTP/1.1\r\nHost: shop.example\r\nX-Request-Id: one\r\n\r\n",
    "POST /p HTTP/1.1\r\nHost: shop.example:80\r\nContent-Length: 5\r\nContent-Type: text/plain\r\n\r\nhello",
    "PUT /c HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nyou\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: x-private\r\nX-Private: 1\r\n\r\n",
    "POST /q HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: y\r\n\r\n",
    "HEAD http://shop.example/abs HTTP/1.1\r\nHost: shop.example\r\nAccept: */*\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    "\r\nGET /after HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n",
];

/// A change of a byte sequence: at a place, so many bytes are replaced by these.
fn change() -> impl Strategy<Value = (prop::sample::Index, usize, Vec<u8>)> {
    let pieces: Vec<&'static [u8]> = vec![
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"0",
        b"1",
        b"5",
        b"f",
        b";",
        b"\x80",
        b"\r\n\r\n",
        b"\r\n ",
        b",",
        b"Content-Length: 3\r\n",
        b"Content-Length: 5\r\n",
        b"content-length : 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"transfer-encoding: identity\r\n",
        b"transfer-encoding:\x0bchunked\r\n",
        b"Host: b\r\n",
        b"0\r\n\r\n",
        b"+",
        b"-",
        b"0x",
        b"GET /in HTTP/1.1\r\nHost: a\r\n\r\n",
        b"HTTP/1.0",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"x_y: 1\r\n",
        b"Connection: content-length\r\n",
        b"Connection: host, transfer-encoding\r\n",
        b"ffffffffffffffff",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..4),
        1 => Just(Vec::new()),
    ];
    (any::<prop::sample::Index>(), 0usize..4, piece)
}

fn changed(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, usize, Vec<u8>)]) -> Vec<u8> {
    for (place, count, piece) in changes {
        let at = place.index(bytes.len() + 1);
        let end = (at + count).min(bytes.len());
        bytes.splice(at..end, piece.iter().copied());
    }
    bytes
}

fn sequence() -> impl Strategy<Value = Vec<u8>> {
    let good = prop::collection::vec(prop::sample::select(GOOD.to_vec()), 1..4);
    (good, prop::collection::vec(change(), 0..4))
        .prop_map(|(good, changes)| changed(good.concat().into_bytes(), &changes))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn requests_are_read_the_same_however_they_come(bytes in sequence(), sizes in prop::collection::vec(1usize..40, 1..5)) {
        prop_assert_eq!(requests(&bytes, &sizes), requests(&bytes, &[100_000]));
    }

    #[test]
    fn what_is_passed_on_is_what_hyper_reads(bytes in sequence()) {
        let ours = requests(&bytes, &[100_000]);
        let theirs = by_hyper(&bytes);
        prop_assert!(theirs.starts_with(&ours), "{:?}\nours {ours:?}\ntheirs {theirs:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        requests(&bytes, &[7]);
        answered(&bytes, &[7]);
    }
}

#[test]
fn good_requests_are_all_passed_on() {
    let all = GOOD.concat();
    let told = requests(all.as_bytes(), &[100_000]);
    assert_eq!(told.len(), GOOD.len(), "{told:?}");
    assert_eq!(told, by_hyper(all.as_bytes()));
    assert_eq!(told[2].1, b"helloyou");
}

#[test]
fn a_head_that_grows_is_refused_at_its_limit() {
    let head = |length: usize| {
        let start = "GET / HTTP/1.1\r\nhost: a\r\nx: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4)).into_bytes()
    };
    assert_eq!(requests(&head(LIMITS.bytes), &[13]).len(), 1);
    assert!(requests(&head(LIMITS.bytes + 1), &[13]).is_empty());
    let many = |count| format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count)).into_bytes();
    assert_eq!(requests(&many(LIMITS.headers - 1), &[1000]).len(), 1);
    assert!(requests(&many(LIMITS.headers), &[1000]).is_empty());
}

#[test]
fn few_blank_lines_may_come_before_a_request() {
    for (before, taken) in [("\r\n", true), ("\n\r\n", true), ("\r\n\r\n\r\n", false), ("\r", false), ("\r\r\n", false)]
    {
        let bytes = format!("{before}GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        for size in [1, 1000] {
            assert_eq!(!requests(bytes.as_bytes(), &[size]).is_empty(), taken, "{before:?}");
        }
    }
}

const PASSING: Passing<'_> =
    Passing { request_id: "id", date: b"today", is_http10: false, is_head: false, closes: false, upgrades: false };

/// What a client gets of these bytes of a replica, if all of it does.
fn answered(bytes: &[u8], sizes: &[usize]) -> Option<Vec<u8>> {
    let (mut replica, mut client) = (Wire::new(Fake::new(bytes, sizes)), Wire::new(Fake::new(&[], &[1])));
    let mut context = Context::from_waker(Waker::noop());
    let answer = loop {
        match answer::read(replica.data(), PASSING, &mut client.outbox).ok()? {
            answer::Read::Whole(answer) => break answer,
            answer::Read::Interim(bytes) => replica.consume(bytes),
            answer::Read::Part => {
                if !matches!(replica.poll_fill(&mut context), Poll::Ready(Ok(true))) {
                    return None;
                }
            }
        }
    };
    replica.consume(answer.bytes);
    let mut download = Download::new(answer.framing, false);
    match download.poll(&mut context, &mut client, &mut replica) {
        Poll::Ready(Ok(())) => Some(client.io().written.clone()),
        Poll::Ready(Err(_)) => None,
        Poll::Pending => panic!("nothing waits here"),
    }
}

/// An answer's status and body as hyper's client reads it.
fn answer_by_hyper(bytes: &[u8]) -> Option<(u16, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Empty<hyper::body::Bytes>>(TokioIo::new(theirs)).await.ok()?;
        let running = async {
            let _ = connection.await;
        };
        let asking = async {
            let request = http::Request::get("/").header("host", "a").body(Empty::new()).ok()?;
            let asked = sender.send_request(request);
            let answering = async {
                // An answer that is there before its request is none.
                let _ = ours.read(&mut [0; 1000]).await.ok()?;
                ours.write_all(bytes).await.ok()?;
                ours.shutdown().await.ok()
            };
            let (response, _) = tokio::join!(asked, answering);
            let response = response.ok()?;
            let status = response.status().as_u16();
            Some((status, response.into_body().collect().await.ok()?.to_bytes().to_vec()))
        };
        tokio::join!(asking, running).0
    })
}

const ANSWERS: [&str; 6] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nto the end",
    "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn answers_are_passed_on_as_hyper_reads_them_however_they_come(
        good in prop::sample::select(ANSWERS.to_vec()),
        changes in prop::collection::vec(change(), 0..3),
        sizes in prop::collection::vec(1usize..40, 1..5),
    ) {
        let bytes = changed(good.as_bytes().to_vec(), &changes);
        let ours = answered(&bytes, &[100_000]).map(|passed| answer_by_hyper(&passed).expect("what goes out is good"));
        let split = answered(&bytes, &sizes).map(|passed| answer_by_hyper(&passed).expect("what goes out is good"));
        prop_assert_eq!(&split, &ours);
        if let Some(ours) = ours {
            prop_assert_eq!(Some(ours), answer_by_hyper(&bytes), "{:?}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[tokio::test]
async fn a_client_that_takes_the_leave_to_send_its_body_bit_by_bit_gets_all_of_it() {
    let (mut theirs, ours) = tokio::io::duplex(8);
    let (mut wire, mut replica) = (Wire::new(ours), Wire::new(Fake::new(&[], &[1])));
    let mut upload = Upload::new(super::request::Framing::Sized(4), 1000, false, true);
    let passing = std::future::poll_fn(|context| upload.poll(context, &mut wire, &mut replica));
    let asking = async {
        let mut leave = [0; 25];
        theirs.read_exact(&mut leave).await.unwrap();
        theirs.write_all(b"body").await.unwrap();
        leave
    };
    let both = async { tokio::join!(passing, asking) };
    let (passed, leave) = tokio::time::timeout(std::time::Duration::from_secs(30), both).await.expect("goes on");
    assert!(passed.is_ok());
    assert_eq!(&leave, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(replica.io().written, b"body");
}
