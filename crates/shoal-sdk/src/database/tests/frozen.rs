//! A PostgreSQL server that sleeps or has vanished: it closes no connection and answers nothing. Callers hear of it
//! within a bound, and what they held is free again.

use super::*;
use crate::{Code, Error};
use std::time::Duration;
use test_databases::PostgresServer;

/// How long the server may take to answer here: longer than a busy machine needs for a statement.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(120);

async fn open_impatiently(server: &PostgresServer) -> Database {
    Database::open_impatiently(&server.url("frozen"), migrations(&[TABLE]), ANSWER_MAX).await.unwrap()
}

/// What becomes of it; nothing may take for ever.
async fn ended<T>(what: &str, waiting: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} waits for ever"))
}

async fn assert_away<T>(what: &str, waiting: impl Future<Output = Result<T, Error>>) {
    let error = ended(what, waiting).await.err().unwrap_or_else(|| panic!("{what} was answered"));
    assert_eq!(error.code, Code::Unavailable, "{what}: {error}");
}

async fn add(database: &Database, key: &str) -> Result<(), Error> {
    let mut transaction = database.write_for(key).await?;
    query("INSERT INTO turns VALUES (1, 'a')").execute(&mut transaction).await?;
    transaction.commit().await
}

#[tokio::test]
async fn a_server_that_sleeps_is_told_within_a_bound_and_waited_for() {
    let server = PostgresServer::start();
    let database = open_impatiently(&server).await;
    insert(&database, 1, "a").await;
    let (mut reading, mut snapshot) = (database.read().await.unwrap(), database.snapshot().await.unwrap());
    let (mut writing, committing) = (database.write_for("1").await.unwrap(), database.write_for("2").await.unwrap());
    server.freeze();
    let counted = || query("SELECT COUNT(*) FROM turns");
    tokio::join!(
        assert_away("a read", counted().fetch_one::<(i64,)>(&mut reading)),
        assert_away("a snapshot", counted().fetch_all::<(i64,)>(&mut snapshot)),
        assert_away("a write", query("DELETE FROM turns").execute(&mut writing)),
        assert_away("a commit", committing.commit()),
        assert_away("a new reader", database.read()),
        assert_away("a new snapshot", database.snapshot()),
        assert_away("a new writer", database.write()),
        assert_away("a new writer of one key", database.write_for("3")),
    );
    // What could not be asked for is not asked for again, and nothing of it counts.
    assert_away("a second read", counted().fetch_one::<(i64,)>(&mut reading)).await;
    assert_away("a rollback", writing.rollback()).await;
    drop((reading, snapshot));
    server.thaw();
    let healed = async {
        while ended("a write", add(&database, "1")).await.is_err() || database.read().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("it does not heal");
    assert!(count(&database).await >= 2);
}

/// As if each connection had been cut without a word: the server is there, but none of them answers any more.
#[tokio::test]
async fn connections_that_answer_no_more_are_given_up_with_all_they_held() {
    let server = PostgresServer::start();
    let database = open_impatiently(&server).await;
    // As many writers and readers as there may be.
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for number in 0..WRITERS_MAX {
        writers.push(database.write_for(&number.to_string()).await.unwrap());
    }
    for _ in 0..READERS_MAX {
        let mut reading = database.read().await.unwrap();
        query("SELECT 1").fetch_one::<(i32,)>(&mut reading).await.unwrap();
        readers.push(reading);
    }
    server.freeze_sessions();
    // Nobody waits for these: they are dropped with a transaction open, and with a connection to be returned.
    drop((writers, readers));
    let healed = async {
        while ended("a write", add(&database, "other")).await.is_err() {
            tokio::task::yield_now().await;
        }
        while database.read().await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, healed).await.expect("they hold their places for ever");
    assert!(count(&database).await >= 1);
}
