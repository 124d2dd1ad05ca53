//! What holds on either database.

use super::*;
use crate::{Code, Error};
use futures::future::join_all;
use rstest::rstest;
use std::time::Duration;

#[rstest]
#[tokio::test]
async fn values_come_back_as_they_were(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let bytes = if matches!(kind, Kind::Sqlite) {
        "CREATE TABLE facts (fact_id TEXT PRIMARY KEY, n BIGINT, small INTEGER, data BLOB)"
    } else {
        "CREATE TABLE facts (fact_id TEXT PRIMARY KEY, n BIGINT, small INTEGER, data BYTEA)"
    };
    let database = Database::open(at.url(), migrations(&[(1, bytes)])).await.unwrap();
    let mut transaction = database.write().await.unwrap();
    let insert = || query("INSERT INTO facts (fact_id, n, small, data) VALUES ($1, $2, $3, $4)");
    let all = insert().bind("all ⋆ '").bind(i64::MIN).bind(-7).bind(&b"\0\xff"[..]).execute(&mut transaction).await;
    assert_eq!(all.unwrap(), 1);
    let none = insert().bind("none").bind(None::<i64>).bind(None::<i32>).bind(None::<Vec<u8>>);
    none.execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
    type Fact = (String, Option<i64>, Option<i32>, Option<Vec<u8>>);
    let mut reading = database.read().await.unwrap();
    let facts: Vec<Fact> = query("SELECT * FROM facts ORDER BY fact_id").fetch_all(&mut reading).await.unwrap();
    let expected = ("all ⋆ '".to_owned(), Some(i64::MIN), Some(-7), Some(b"\0\xff".to_vec()));
    assert_eq!(facts, [expected, ("none".to_owned(), None, None, None)]);
    let one: Option<(i64,)> =
        query("SELECT n FROM facts WHERE fact_id = $1").bind("gone").fetch_optional(&mut reading).await.unwrap();
    assert_eq!(one, None);
}

#[rstest]
#[tokio::test]
async fn a_text_with_a_nul_is_the_callers_fault(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let database = open(&at).await;
    let found = query("SELECT ticket FROM turns WHERE writer = $1").bind("a\0b");
    let refused = found.fetch_all::<(i64,)>(&mut database.read().await.unwrap()).await.unwrap_err();
    assert_eq!(refused.code, Code::InvalidArgument);
}

#[rstest]
#[tokio::test]
async fn a_reader_cannot_write(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let database = open(&at).await;
    for mut reading in [database.read().await.unwrap(), database.snapshot().await.unwrap()] {
        let refused = query("INSERT INTO turns VALUES (1, 'a')").execute(&mut reading).await;
        assert_eq!(refused.unwrap_err().code, Code::Internal);
    }
    assert_eq!(count(&database).await, 0);
}

#[rstest]
#[tokio::test]
async fn a_snapshot_is_of_one_moment(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let database = open(&at).await;
    insert(&database, 1, "a").await;
    let mut snapshot = database.snapshot().await.unwrap();
    let counted = || query("SELECT COUNT(*) FROM turns");
    let before: (i64,) = counted().fetch_one(&mut snapshot).await.unwrap();
    insert(&open(&at).await, 2, "b").await;
    let after: (i64,) = counted().fetch_one(&mut snapshot).await.unwrap();
    assert_eq!((before, after), ((1,), (1,)));
    drop(snapshot);
    assert_eq!(count(&database).await, 2);
}

/// Reads a number and writes the next one, as no statement of its own does: two at once would lose one.
async fn add_one(database: &Database, key: Option<&str>) -> Result<(), Error> {
    let mut transaction = match key {
        Some(key) => database.write_for(key).await?,
        None => database.write().await?,
    };
    let writer = key.unwrap_or("a");
    let found = query("SELECT ticket FROM turns WHERE writer = $1").bind(writer);
    let (ticket,): (i64,) = found.fetch_one(&mut transaction).await?;
    tokio::task::yield_now().await;
    let update = query("UPDATE turns SET ticket = $1 WHERE writer = $2");
    update.bind(ticket + 1).bind(writer).execute(&mut transaction).await?;
    transaction.commit().await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_a_key_and_writers_of_all_keep_out_of_each_others_way(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let at = TestDatabase::new(kind);
    let replicas = [open(&at).await, open(&at).await, open(&at).await];
    insert(&replicas[0], 0, "a").await;
    insert(&replicas[0], 0, "b").await;
    let writers = (0..12).map(|writer| {
        let database = replicas[writer % 3].clone();
        tokio::spawn(async move {
            for turn in 0..10 {
                let key = [Some("a"), Some("b"), None][(writer + turn) % 3];
                add_one(&database, key).await.unwrap();
            }
        })
    });
    join_all(writers).await.into_iter().for_each(Result::unwrap);
    let mut reading = replicas[0].read().await.unwrap();
    let rows: Vec<(i64,)> = query("SELECT ticket FROM turns ORDER BY writer").fetch_all(&mut reading).await.unwrap();
    // Who writes alone writes to "a".
    assert_eq!(rows, [(80,), (40,)]);
}

#[tokio::test]
async fn writers_of_other_keys_run_beside_each_other_on_postgres() {
    let at = TestDatabase::new(Kind::Postgres);
    let (database, other) = (open(&at).await, open(&at).await);
    let held = database.write_for("a").await.unwrap();
    other.write_for("b").await.unwrap().commit().await.unwrap();
    let brief = Duration::from_millis(50);
    assert!(tokio::time::timeout(brief, other.write_for("a")).await.is_err(), "two wrote for one key");
    assert!(tokio::time::timeout(brief, other.write()).await.is_err(), "one wrote beside who wants to be alone");
    held.commit().await.unwrap();
    other.write().await.unwrap().commit().await.unwrap();
}

#[rstest]
#[tokio::test]
async fn who_gives_up_gives_up_the_turn(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let database = open(&at).await;
    let held = database.write().await.unwrap();
    // More than there are connections.
    for _ in 0..6 {
        let given_up = tokio::time::timeout(Duration::from_millis(20), database.write()).await;
        assert!(given_up.is_err());
    }
    drop(held);
    // Nothing was committed, and nothing is left locked.
    for _ in 0..6 {
        let mut transaction = database.write().await.unwrap();
        query("INSERT INTO turns VALUES (1, 'a')").execute(&mut transaction).await.unwrap();
    }
    let mut transaction = database.write().await.unwrap();
    query("INSERT INTO turns VALUES (1, 'a')").execute(&mut transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    assert_eq!(count(&database).await, 0);
}

/// However far a writer came when its caller went away, what it did is there in full or not at all.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_is_dropped_half_way_leaves_nothing_behind(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let database = open(&at).await;
    let mut acknowledged = 0;
    for round in 0..60_u64 {
        let both = async {
            let mut transaction = database.write_for("key").await?;
            for half in ["left", "right"] {
                let insert = query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)");
                insert.bind(i64::try_from(round).unwrap_or(0)).bind(half).execute(&mut transaction).await?;
            }
            transaction.commit().await
        };
        match tokio::time::timeout(Duration::from_micros(round * 100), both).await {
            Ok(done) => {
                done.unwrap();
                acknowledged += 1;
            }
            Err(_) => tokio::task::yield_now().await,
        }
    }
    insert(&database, 1_000, "left").await;
    insert(&database, 1_000, "right").await;
    let mut reading = database.read().await.unwrap();
    let halves: Vec<(i64, i64)> =
        query("SELECT ticket, COUNT(*) FROM turns GROUP BY ticket").fetch_all(&mut reading).await.unwrap();
    assert!(halves.iter().all(|(_, count)| *count == 2), "{halves:?}");
    assert!(halves.len() > acknowledged, "{acknowledged} were acknowledged, {} are there", halves.len() - 1);
}

#[rstest]
#[tokio::test]
async fn an_older_binary_starts_on_a_newer_schema(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let newer = [TABLE, (2, "ALTER TABLE turns ADD COLUMN note TEXT")];
    drop(Database::open(at.url(), migrations(&newer)).await.unwrap());
    insert(&open(&at).await, 1, "old").await;
    let newest = [TABLE, newer[1], (3, "ALTER TABLE turns ADD COLUMN more TEXT")];
    let newest = Database::open(at.url(), migrations(&newest)).await.unwrap();
    let mut reading = newest.read().await.unwrap();
    let row: (i64, String, Option<String>) =
        query("SELECT ticket, writer, more FROM turns").fetch_one(&mut reading).await.unwrap();
    assert_eq!(row, (1, "old".to_owned(), None));
}

#[tokio::test]
async fn a_database_may_be_opened_in_a_task_of_its_own() {
    let at = TestDatabase::new(Kind::Sqlite);
    let environment = crate::Environment::for_tests(std::path::Path::new("/nowhere")).with_database(at.url());
    let opened = tokio::spawn(async move { environment.database(migrations(&[TABLE])).await });
    assert_eq!(count(&opened.await.unwrap().unwrap()).await, 0);
}

#[rstest]
#[tokio::test]
async fn many_that_start_at_once_migrate_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    for database in join_all((0..6).map(|_| open(&at))).await {
        let mut reading = database.read().await.unwrap();
        let applied: (i64,) = query("SELECT COUNT(*) FROM _sqlx_migrations").fetch_one(&mut reading).await.unwrap();
        assert_eq!(applied, (1,));
    }
}

#[rstest]
#[tokio::test]
async fn a_migration_that_fails_is_named_and_leaves_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let bad = migrations(&[(1, "CREATE TABLE half (n BIGINT); CREATE NONSENSE")]);
    let error = Database::open(at.url(), bad).await.err().unwrap().to_string();
    assert!(error.contains("cannot migrate") && error.contains("NONSENSE"), "{error}");
    // The next try begins where this one did.
    Database::open(at.url(), migrations(&[(1, "CREATE TABLE half (n BIGINT)")])).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn a_broken_constraint_is_the_services_fault_and_undoes_all(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let unique = migrations(&[(1, "CREATE TABLE ones (one BIGINT PRIMARY KEY CHECK (one = 1))")]);
    let database = Database::open(at.url(), unique).await.unwrap();
    for values in ["INSERT INTO ones VALUES (2)", "INSERT INTO ones VALUES (1), (1)"] {
        let mut transaction = database.write().await.unwrap();
        query("INSERT INTO ones VALUES (1)").execute(&mut transaction).await.unwrap();
        assert_eq!(query(values).execute(&mut transaction).await.unwrap_err().code, Code::Internal);
        // Who forgets that error must not be told that all is well.
        assert_eq!(transaction.commit().await.unwrap_err().code, Code::Internal);
        let mut reading = database.read().await.unwrap();
        assert_eq!(query("SELECT COUNT(*) FROM ones").fetch_one::<(i64,)>(&mut reading).await.unwrap(), (0,));
    }
    let mut transaction = database.write().await.unwrap();
    query("INSERT INTO ones VALUES (1)").execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();
}
