//! Frames as a stranger may write them, byte by byte, and how two programs come to use them at all.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::{Running, framed};
use shoal_sdk::{Call, Environment};
use shoal_sdk_example::calls;
use shoal_sdk_example::contracts::example::greeter::v1 as contract;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixStream};

/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// The token that the callee tells to one who offers frames at its address, and where it listens.
async fn invitation(running: &Running, offered: &str) -> Option<(Vec<u8>, String)> {
    let body = "{}";
    let headers = [("content-type", "application/json"), ("shoal-frames", offered)];
    let path = "/example.greeter.v1.Greeter/Echo";
    let response = running::http1(running.address, "POST", path, &headers, body).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let line = response.lines().find(|line| line.to_lowercase().starts_with("shoal-frames:"))?;
    let mut parts = line.split_once(": ").unwrap().1.splitn(3, ' ');
    assert_eq!(parts.next(), Some("1"), "the version");
    let digits = parts.next().unwrap();
    let token = (0..16).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
    Some((token, parts.next().unwrap().to_owned()))
}

fn frame(kind: u8, fields: &[&[u8]]) -> Vec<u8> {
    let fields = fields.concat();
    let length = u32::try_from(fields.len() + 1).unwrap();
    [&length.to_le_bytes()[..], &[kind], &fields].concat()
}

fn hello(version: u16, token: &[u8]) -> Vec<u8> {
    frame(1, &[b"shoal frames", &version.to_le_bytes(), &1_000_000_u32.to_le_bytes(), token])
}

fn call(id: u64, path: &str, message: &[u8]) -> Vec<u8> {
    let micros = 5_000_000_u64.to_le_bytes();
    let length = u16::try_from(path.len()).unwrap().to_le_bytes();
    let head: [&[u8]; 6] = [&id.to_le_bytes(), &micros, &[1; 16], &[2; 8], &[1], &length];
    frame(2, &[&head.concat(), &[3], &[0, 0], path.as_bytes(), b"me1", message])
}

/// The kind and the fields of the next frame; `None` at the end.
async fn next(stream: &mut UnixStream) -> Option<(u8, Vec<u8>)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut rest = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut rest).await.ok()?;
    let kind = rest.remove(0);
    Some((kind, rest))
}

/// A stranger who has introduced himself.
async fn introduced(running: &Running) -> UnixStream {
    let (token, socket) = invitation(running, &format!("1 {}", running.address)).await.unwrap();
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(&hello(1, &token)).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, &fields[..12], &fields[18..]), (1, &b"shoal frames"[..], &token[..]));
    stream
}

/// Whether the callee closes the connection, saying nothing more.
async fn is_closed(stream: &mut UnixStream) -> bool {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it stays open");
    end.is_err() || rest.is_empty()
}

const ECHO: &str = "/example.greeter.v1.Greeter/Echo";
const WAIT: &str = "/example.greeter.v1.Greeter/Wait";

#[tokio::test]
async fn bytes_written_by_hand_are_answered() {
    let running = Running::start().await;
    let mut stream = introduced(&running).await;
    stream.write_all(&call(7, ECHO, &[])).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, &fields[..8]), (4, &7_u64.to_le_bytes()[..]));
    // The trace and the request id that the call brought, as fields 1 and 2.
    let text = String::from_utf8_lossy(&fields[8..]).into_owned();
    assert!(text.contains(&"01".repeat(16)) && text.contains("me1"), "{text}");

    stream.write_all(&call(8, "/no.such/Method", &[])).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, &fields[..8], fields[8]), (5, &8_u64.to_le_bytes()[..], 12), "unimplemented");
    stream.write_all(&call(9, ECHO, &[0xff; 9])).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, fields[8]), (5, 3), "invalid_argument");
    // One that is cancelled, by an id that nobody knows, or before its answer, says nothing more.
    stream.write_all(&frame(3, &[&99_u64.to_le_bytes()])).await.unwrap();
    stream.write_all(&call(10, WAIT, &[8, 0x80, 0x9c, 1])).await.unwrap();
    stream.write_all(&frame(3, &[&10_u64.to_le_bytes()])).await.unwrap();
    stream.write_all(&call(11, ECHO, &[])).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, &fields[..8]), (4, &11_u64.to_le_bytes()[..]));
    drop(stream);
    running.stop().await;
}

#[tokio::test]
async fn one_byte_at_a_time_is_the_same() {
    let running = Running::start().await;
    let mut stream = introduced(&running).await;
    for byte in [call(1, ECHO, &[]), call(2, ECHO, &[])].concat() {
        stream.write_all(&[byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(next(&mut stream).await.unwrap().1[..8], 1_u64.to_le_bytes());
    assert_eq!(next(&mut stream).await.unwrap().1[..8], 2_u64.to_le_bytes());
    drop(stream);
    running.stop().await;
}

#[tokio::test]
async fn whoever_does_not_introduce_himself_is_not_served() {
    let running = Running::start().await;
    let (token, socket) = invitation(&running, &format!("1 {}", running.address)).await.unwrap();
    for first in [
        hello(1, &[9; 16]),
        hello(2, &token),
        hello(1, &token[..15]),
        call(1, ECHO, &[]),
        frame(3, &[&1_u64.to_le_bytes()]),
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        u32::MAX.to_le_bytes().to_vec(),
        [&4_000_u32.to_le_bytes()[..], &[0; 4_000]].concat(),
        frame(1, &[b"other frames", &[0; 22]]),
    ] {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        // It may be closed in the middle of this.
        let _ = stream.write_all(&first).await;
        assert!(is_closed(&mut stream).await, "{first:?}");
    }
    // One who says nothing at all is let go of, and holds nobody up.
    let mut silent = UnixStream::connect(&socket).await.unwrap();
    assert!(is_closed(&mut silent).await);
    running.stop().await;
}

#[tokio::test]
async fn whoever_breaks_the_rules_is_let_go_of_and_nobody_else() {
    let running = Running::start().await;
    let greeter = running.over_frames().await;
    let twice = [call(1, WAIT, &[8, 0x80, 0x9c, 1]), call(1, WAIT, &[8, 0x80, 0x9c, 1])].concat();
    let over = (4 * 1024 * 1024 + 17 * 1024_u32).to_le_bytes().to_vec();
    let cut = {
        let mut cut = call(1, ECHO, &[]);
        // The path is said to be longer than the frame.
        cut[46..48].copy_from_slice(&u16::MAX.to_le_bytes());
        cut
    };
    let not_text = call(1, ECHO, &[]).into_iter().map(|byte| if byte == b'E' { 0xff } else { byte }).collect();
    for bytes in [
        twice,
        over,
        cut,
        not_text,
        vec![0, 0, 0, 0],
        frame(0, &[]),
        frame(4, &[&1_u64.to_le_bytes()]),
        frame(6, &[&1_u64.to_le_bytes()]),
        frame(77, &[&[1; 30]]),
    ] {
        let mut stream = introduced(&running).await;
        let _ = stream.write_all(&bytes).await;
        assert!(is_closed(&mut stream).await, "{bytes:?}");
        greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn one_who_reads_no_answers_is_not_read_for_long() {
    let running = Running::start().await;
    let mut stream = introduced(&running).await;
    // Each asks for 10,000 bytes.
    let ponder = |id| call(id, "/example.greeter.v1.Greeter/Ponder", &[16, 0x90, 0x4e]);
    let written = async {
        for hundred in 0..1_000 {
            let calls: Vec<u8> = (0..100).flat_map(|id| ponder(100 * hundred + id)).collect();
            stream.write_all(&calls).await.unwrap();
        }
    };
    // Its writing comes to rest.
    assert!(tokio::time::timeout(Duration::from_secs(2), written).await.is_err(), "everything was taken");
    // Others are served meanwhile.
    let greeter = running.over_frames().await;
    greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
    drop(stream);
    running.stop().await;
}

/// Calls that wait for five minutes, and may.
async fn crowd(stream: &mut UnixStream, ids: std::ops::Range<u64>) {
    let waiting = |id| {
        let mut call = call(id, WAIT, &[8, 0xe0, 0xa7, 0x12]);
        call[13..21].copy_from_slice(&400_000_000_u64.to_le_bytes());
        call
    };
    stream.write_all(&ids.flat_map(waiting).collect::<Vec<u8>>()).await.unwrap();
}

#[tokio::test]
async fn one_who_gives_up_makes_room_also_in_a_crowd() {
    let running = Running::start().await;
    let mut stream = introduced(&running).await;
    crowd(&mut stream, 0..1_000).await;
    // No room for these, the second of which is given up before there is.
    for id in [1_000, 1_001, 1_002] {
        stream.write_all(&call(id, ECHO, &[])).await.unwrap();
    }
    for id in [1_001_u64, 7, 999] {
        stream.write_all(&frame(3, &[&id.to_le_bytes()])).await.unwrap();
    }
    for id in [1_000_u64, 1_002] {
        let answer = tokio::time::timeout(PATIENCE, next(&mut stream)).await.expect("it waits for those given up");
        let (kind, fields) = answer.unwrap();
        assert_eq!((kind, &fields[..8]), (4, &id.to_le_bytes()[..]));
    }
    // At the end the one that was given up while it waited counts as taken, as the caller counts it.
    running.shutdown.request();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, fields), (6, 1_003_u64.to_le_bytes().to_vec()));
    drop(stream);
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn at_the_end_calls_that_were_not_taken_are_told_apart() {
    let running = Running::start().await;
    let mut stream = introduced(&running).await;
    stream.write_all(&call(1, ECHO, &[])).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().0, 4);
    // A call of 300 ms, and the end.
    stream.write_all(&call(2, WAIT, &[8, 0xac, 2])).await.unwrap();
    stream.write_all(&call(3, ECHO, &[])).await.unwrap();
    assert_eq!(next(&mut stream).await.unwrap().1[..8], 3_u64.to_le_bytes());
    running.shutdown.request();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, fields), (6, 3_u64.to_le_bytes().to_vec()), "three calls were taken");
    stream.write_all(&call(4, ECHO, &[])).await.unwrap();
    let (kind, fields) = next(&mut stream).await.unwrap();
    assert_eq!((kind, &fields[..8]), (4, &2_u64.to_le_bytes()[..]), "what was taken is finished");
    assert!(is_closed(&mut stream).await);
    assert!(!running.frames_socket().exists());
    running.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_socket_is_told_only_to_who_is_on_the_connection_itself() {
    let running = Running::start().await;
    let own = format!("1 {}", running.address);
    let (_, socket) = invitation(&running, &own).await.unwrap();
    assert_eq!(socket, running.frames_socket().to_str().unwrap());
    let mode = std::fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its own user only");
    for other in ["1 127.0.0.1:1", "1", "", "2 127.0.0.1:1", &own.replacen('1', "2", 1)] {
        assert_eq!(invitation(&running, other).await, None, "{other}");
    }
    running.stop().await;
}

/// Passes bytes on, as a proxy does.
async fn proxy(to: std::net::SocketAddr) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn nobody_goes_around_a_proxy() {
    let running = Running::start().await;
    let address = proxy(running.address).await;
    let environment = Environment::for_tests(running.folder.path()).with_callee("greeter", address).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    for _ in 0..50 {
        greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
        assert_eq!(environment.framed_for_tests("greeter"), Some((1, 0)));
    }
    running.stop().await;
}

#[tokio::test]
async fn where_frames_do_not_work_calls_go_on_over_http2() {
    let running = Running::start().await;
    let (_, socket) = invitation(&running, &format!("1 {}", running.address)).await.unwrap();
    std::fs::remove_file(socket).unwrap();
    let environment = Environment::for_tests(running.folder.path()).with_callee("greeter", running.address).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    for _ in 0..50 {
        greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
    }
    assert_eq!(environment.framed_for_tests("greeter"), Some((1, 0)));
    running.stop().await;
}

#[tokio::test]
async fn a_stranger_at_the_socket_is_not_taken_for_the_callee() {
    let running = Running::start().await;
    let (_, socket) = invitation(&running, &format!("1 {}", running.address)).await.unwrap();
    // Somebody else takes the place, and answers with a token of his own.
    std::fs::remove_file(&socket).unwrap();
    let stranger = tokio::net::UnixListener::bind(&socket).unwrap();
    let answering = tokio::spawn(async move {
        let (mut stream, _) = stranger.accept().await.unwrap();
        next(&mut stream).await.unwrap();
        stream.write_all(&hello(1, &[5; 16])).await.unwrap();
        // Nothing is ever asked of it.
        assert!(next(&mut stream).await.is_none());
    });
    let environment = Environment::for_tests(running.folder.path()).with_callee("greeter", running.address).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    for _ in 0..50 {
        greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
    }
    tokio::time::timeout(PATIENCE, answering).await.unwrap().unwrap();
    assert_eq!(environment.framed_for_tests("greeter"), Some((1, 0)));
    running.stop().await;
}

#[tokio::test]
async fn a_callee_that_starts_anew_is_found_anew() {
    let running = Running::start().await;
    let environment = Environment::for_tests(running.folder.path()).with_callee("greeter", running.address).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    framed(&environment, &greeter).await;
    let (address, folder) = (running.address, running.folder.path().to_owned());
    running.shutdown.request();
    running.served.await.unwrap().unwrap();
    // The same addresses, and a token of its own.
    let service = shoal_sdk_example::service(Environment::for_tests(&folder)).await.unwrap();
    let listener = TcpListener::bind(address).await.unwrap();
    let shutdown = shoal_sdk::Shutdown::new();
    let served = tokio::spawn(service.frames(&folder.join("s.calls")).serve(listener, shutdown.clone()));
    greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
    framed(&environment, &greeter).await;
    shutdown.request();
    served.await.unwrap().unwrap();
}
