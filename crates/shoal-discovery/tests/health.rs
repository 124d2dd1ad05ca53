//! The health socket: who stays connected hears of each change. Waits for answers, never for a time.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use shoal_discovery::{Health, HealthAnswer, HealthWatch, ask};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const LONG: Duration = Duration::from_secs(20);

async fn next(watch: &mut HealthWatch) -> HealthAnswer {
    tokio::time::timeout(LONG, watch.next()).await.expect("an answer in time").unwrap()
}

async fn watch(socket: &Path) -> (HealthWatch, HealthAnswer) {
    let mut watch = HealthWatch::connect(socket).await.unwrap();
    let first = next(&mut watch).await;
    (watch, first)
}

#[tokio::test]
async fn who_stays_hears_of_each_change_and_of_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health");
    let health = Health::serve(socket.clone()).unwrap();
    let (mut one, first) = watch(&socket).await;
    let (mut other, _) = watch(&socket).await;
    assert!(!first.ready);

    health.set_ready(false);
    health.set_waiting_for(None);
    health.set_ready(true);
    assert!(next(&mut one).await.ready && next(&mut other).await.ready);

    // Had setting what was set already been told, it would come before this.
    health.set_ready(true);
    health.set_waiting_for(Some("the database".to_owned()));
    assert_eq!(next(&mut one).await.waiting_for.as_deref(), Some("the database"));
    drop(other);

    one.ask().await.unwrap();
    assert!(next(&mut one).await.ready, "who asks is answered without a change");
    drop(health);
    assert!(one.next().await.unwrap_err().contains("closed"));
}

#[tokio::test]
async fn too_many_and_silent_askers_keep_nobody_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health");
    let health = Health::serve(socket.clone()).unwrap();
    let (mut oldest, _) = watch(&socket).await;
    let mut others = Vec::new();
    for _ in 0..16 {
        others.push(watch(&socket).await.0);
    }
    assert!(tokio::time::timeout(LONG, oldest.next()).await.unwrap().is_err(), "the oldest makes way");

    // One that asks without end and never reads is let go once nothing more fits.
    let mut silent = tokio::net::UnixStream::connect(&socket).await.unwrap();
    let flood = async {
        while silent.write_all(&[b'\n'; 4096]).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, flood).await.expect("it is let go");
    let mut rest = Vec::new();
    let _ = silent.read_to_end(&mut rest).await; // what was answered before
    assert!(rest.len() < 64 * 1024 * 1024);

    health.set_ready(true);
    let last = others.last_mut().unwrap();
    assert!(next(last).await.ready);
    assert!(ask(&socket, LONG).await.unwrap().ready);
}

#[tokio::test]
async fn one_that_answers_once_and_closes_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("health");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let line = b"{\"version\":1,\"ready\":true,\"tick_age\":{\"secs\":0,\"nanos\":0}}\n";
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(line).await.unwrap();
        }
    });
    let (mut watch, first) = watch(&socket).await;
    assert!(first.ready);
    assert!(watch.next().await.is_err());
}

#[tokio::test]
async fn nonsense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (index, nonsense) in
        [b"no\n".to_vec(), vec![b'x'; 100_000], b"{\"version\":9,\"ready\":true}\n".to_vec()].into_iter().enumerate()
    {
        let socket = folder.path().join(format!("health-{index}"));
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(&nonsense).await; // it may be refused in the middle
            let _ = stream.read(&mut [0]).await;
        });
        assert!(ask(&socket, LONG).await.is_err());
    }
}
