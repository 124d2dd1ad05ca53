//! The client against servers that misbehave in every way a server can.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests.

use shoal_load::{Client, ClientSettings, ClosedLoop, Request, Running, Stage, Target};
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn get() -> Request {
    Request::get("test", "/", &[])
}

/// A server that does this with its nth connection.
async fn server<F, Fut>(answer: F) -> Target
where
    F: Fn(u32, TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(answer(number, stream));
        }
    });
    Target::Tcp(address)
}

/// Reads one request without a body.
async fn request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap_or(0) == 0 {
            return false;
        }
        seen.push(byte[0]);
    }
    true
}

async fn answer_all(mut stream: TcpStream) {
    while request(&mut stream).await {
        stream.write_all(OK).await.unwrap();
    }
}

#[tokio::test]
async fn connections_are_kept() {
    let client = Client::new(server(|_, stream| answer_all(stream)).await, ClientSettings::default());
    for _ in 0..20 {
        let answer = client.send(&get()).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }
    assert_eq!((client.opened(), client.repeated()), (1, 0));
}

#[tokio::test]
async fn there_are_never_more_connections_than_allowed() {
    let settings = ClientSettings { connections_max: 3, ..ClientSettings::default() };
    let client = Client::new(server(|_, stream| answer_all(stream)).await, settings);
    let closed = ClosedLoop { clients: 20, length: Duration::from_millis(100) };
    let asking = client.clone();
    let spent = closed.run(move |_| {
        let client = asking.clone();
        async move { client.status(&get()).await.is_ok_and(|status| status == 200) }
    });
    let spent = spent.await.unwrap();
    assert!(spent.done >= 20 && spent.failed == 0, "{spent:?}");
    assert!(client.opened() <= 3, "{}", client.opened());
}

#[tokio::test]
async fn a_failure_tells_how_far_the_request_had_got() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = Target::Tcp(listener.local_addr().unwrap());
    drop(listener);
    let failure = Client::new(nobody, ClientSettings::default()).send(&get()).await.unwrap_err();
    assert_eq!(failure.stage, Stage::Unsent);

    let silent = server(|_, mut stream| async move {
        request(&mut stream).await;
    })
    .await;
    let failure = Client::new(silent, ClientSettings::default()).send(&get()).await.unwrap_err();
    assert_eq!((failure.stage, failure.late), (Stage::Unanswered, false));

    let half = server(|_, mut stream| async move {
        request(&mut stream).await;
        stream.write_all(&OK[..OK.len() - 1]).await.unwrap();
    });
    let failure = Client::new(half.await, ClientSettings::default()).send(&get()).await.unwrap_err();
    assert_eq!((failure.stage, failure.late), (Stage::Begun, false));

    let slow = server(|_, mut stream| async move {
        request(&mut stream).await;
        std::future::pending::<()>().await;
    });
    let settings = ClientSettings { timeout: Duration::from_millis(50), ..ClientSettings::default() };
    let failure = Client::new(slow.await, settings).send(&get()).await.unwrap_err();
    assert_eq!((failure.stage, failure.late), (Stage::Unanswered, true));
}

/// Answers one request well, and ends with the second one unanswered; the next connection answers all.
async fn closing() -> Target {
    let one_then_close = |number, mut stream: TcpStream| async move {
        if number > 0 {
            return answer_all(stream).await;
        }
        request(&mut stream).await;
        stream.write_all(OK).await.unwrap();
        request(&mut stream).await;
    };
    server(one_then_close).await
}

#[tokio::test]
async fn only_what_may_be_asked_twice_is_asked_again_on_another_connection() {
    let client = Client::new(closing().await, ClientSettings::default());
    for _ in 0..3 {
        assert_eq!(client.status(&get()).await.unwrap(), 200);
    }
    assert_eq!((client.opened(), client.repeated()), (2, 1));

    // What must not be asked twice goes where no kept connection can be closed under it, and is not asked again.
    let post = Request::post("test", "/", &[], b"");
    let client = Client::new(closing().await, ClientSettings::default());
    assert_eq!(client.status(&get()).await.unwrap(), 200);
    assert_eq!(client.status(&post).await.unwrap(), 200);
    assert_eq!((client.opened(), client.repeated()), (2, 0));
    let silent = server(|_, mut stream| async move {
        request(&mut stream).await;
    });
    let client = Client::new(silent.await, ClientSettings::default());
    let failure = client.status(&post).await.unwrap_err();
    assert_eq!((failure.stage, client.opened(), client.repeated()), (Stage::Unanswered, 1, 0));
}

#[test]
fn load_runs_beside_a_test_until_it_is_told_to_stop() {
    let running = Running::start(|stop| async move {
        stop.await;
        Ok("stopped")
    });
    assert_eq!(running.unwrap().stop().unwrap(), "stopped");
    let by_itself = Running::start(|_| std::future::ready(Ok(7)));
    assert_eq!(by_itself.unwrap().wait().unwrap(), 7);
}
