//! A PostgreSQL server that stops or dies under load: callers hear of it cleanly, what was acknowledged is kept, and the
//! pools heal.

use super::*;
use crate::{Code, Error};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};
use test_databases::PostgresServer;

struct Load {
    next: AtomicI64,
    acknowledged: AtomicI64,
    over: AtomicBool,
}

async fn add(database: &Database, number: i64) -> Result<(), Error> {
    let mut transaction = database.write_for(&(number % 5).to_string()).await?;
    let insert = query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)");
    insert.bind(number).bind("load").execute(&mut transaction).await?;
    transaction.commit().await
}

async fn write(database: Database, load: Arc<Load>) -> Vec<i64> {
    let mut kept = Vec::new();
    while !load.over.load(Ordering::Relaxed) {
        let number = load.next.fetch_add(1, Ordering::Relaxed);
        match add(&database, number).await {
            Ok(()) => {
                kept.push(number);
                load.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                assert_eq!(error.code, Code::Unavailable, "{error}");
                // As a caller that tries again does; a refusal comes at once when the server is gone.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    kept
}

async fn until_more_are_acknowledged(load: &Load) {
    let (before, until) = (load.acknowledged.load(Ordering::Relaxed), Instant::now() + Duration::from_secs(60));
    while load.acknowledged.load(Ordering::Relaxed) < before + 50 {
        assert!(Instant::now() < until, "nothing is written any more");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_goes_away_under_load_loses_nothing_and_pools_heal() {
    let server = PostgresServer::start();
    let url = server.url("loaded");
    let replicas = [
        Database::open(&url, migrations(&[TABLE])).await.unwrap(),
        Database::open(&url, migrations(&[TABLE])).await.unwrap(),
    ];
    let load =
        Arc::new(Load { next: AtomicI64::new(0), acknowledged: AtomicI64::new(0), over: AtomicBool::new(false) });
    let writers: Vec<_> =
        (0..8).map(|writer| tokio::spawn(write(replicas[writer % 2].clone(), load.clone()))).collect();
    until_more_are_acknowledged(&load).await;
    for away in [PostgresServer::stop, PostgresServer::kill] {
        tokio::task::block_in_place(|| {
            away(&server);
            server.restart();
        });
        until_more_are_acknowledged(&load).await;
        // Reads heal, too, whichever connection they get.
        for _ in 0..8 {
            assert!(count(&replicas[0]).await > 0 && count(&replicas[1]).await > 0);
        }
    }
    load.over.store(true, Ordering::Relaxed);
    let mut kept = Vec::new();
    for writer in writers {
        kept.extend(writer.await.unwrap());
    }
    let mut reading = replicas[0].read().await.unwrap();
    let rows: Vec<(i64,)> = query("SELECT ticket FROM turns").fetch_all(&mut reading).await.unwrap();
    let there: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.0).collect();
    assert_eq!(there.len(), rows.len(), "something was written twice");
    assert!(kept.iter().all(|number| there.contains(number)), "something acknowledged is lost");
}

#[tokio::test]
async fn a_server_that_is_away_is_told_within_a_bound_and_waited_for() {
    let server = PostgresServer::start();
    let database = Database::open(&server.url("away"), migrations(&[TABLE])).await.unwrap();
    insert(&database, 1, "a").await;
    server.stop();
    let refused = futures::future::join_all((0..40).map(|_| async { database.write().await.err() })).await;
    assert!(refused.iter().all(|error| error.as_ref().is_some_and(|error| error.code == Code::Unavailable)));
    assert_eq!(database.read().await.err().unwrap().code, Code::Unavailable);
    // Who asks while it comes back, waits and is served.
    let (asked, ()) = tokio::join!(
        tokio::spawn({
            let database = database.clone();
            async move { count(&database).await }
        }),
        async { server.restart() }
    );
    assert_eq!(asked.unwrap(), 1);
}
