//! Tests of the database: fairness, crash safety, and binaries of different age. In processes of their own where it matters.

use super::queue::Queue;
use super::*;
use sqlx::migrate::{Migration, MigrationType};
use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Mutex;

fn migrator(statements: &[(i64, &'static str)]) -> Migrator {
    let migrations = statements.iter().map(|(version, sql)| {
        Migration::new(*version, Cow::Borrowed("step"), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(migrations.collect())
}

const TABLE: (i64, &str) = (1, "CREATE TABLE turns (ticket INTEGER NOT NULL, writer TEXT NOT NULL)");

async fn write_some(path: &Path, writer: &str, count: usize) -> Vec<(u64, usize)> {
    let database = Database::open_file(path, migrator(&[TABLE])).await.unwrap();
    let mut turns = Vec::new();
    for _ in 0..count {
        let mut transaction = database.write().await.unwrap();
        let (number, ahead) = (transaction.turn().number, transaction.turn().ahead);
        sqlx::query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)")
            .bind(i64::try_from(number).unwrap())
            .bind(writer)
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        turns.push((number, ahead));
    }
    turns
}

/// What the table shows when writers took turns fairly: commits in the order of the tickets.
async fn assert_in_order(path: &Path, expected: usize) {
    let database = Database::open_file(path, migrator(&[TABLE])).await.unwrap();
    let tickets: Vec<(i64,)> =
        sqlx::query_as("SELECT ticket FROM turns ORDER BY rowid").fetch_all(database.pool()).await.unwrap();
    assert_eq!(tickets.len(), expected);
    assert!(tickets.windows(2).all(|pair| pair[0].0 < pair[1].0), "not first come first served: {tickets:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_handles_take_turns_and_wait_for_three_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a b.db");
    let writers = (0..4).map(|writer| {
        let path = path.clone();
        tokio::spawn(async move { write_some(&path, &writer.to_string(), 25).await })
    });
    let mut contended = false;
    for writer in futures::future::join_all(writers).await {
        for (_, ahead) in writer.unwrap() {
            assert!(ahead <= 3, "waited for {ahead} of 3 others");
            contended |= ahead > 0;
        }
    }
    assert!(contended, "nobody ever waited, so nothing was proved");
    assert_in_order(&path, 100).await;
}

/// This test's own executable, running only `name`, with a variable that makes it act as another process.
fn other_process(name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("database::tests::{name}"), "--nocapture", "--test-threads=1"])
        .env("SHOAL_SDK_TEST_DATABASE", path);
    command
}

fn acts_as_other_process() -> Option<std::path::PathBuf> {
    std::env::var_os("SHOAL_SDK_TEST_DATABASE").map(Into::into)
}

#[test]
fn four_processes_take_turns_and_wait_for_three_at_most() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    if let Some(path) = acts_as_other_process() {
        let turns = runtime.block_on(write_some(&path, &std::process::id().to_string(), 25));
        assert!(turns.iter().all(|(_, ahead)| *ahead <= 3), "{turns:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shared.db");
    let name = "four_processes_take_turns_and_wait_for_three_at_most";
    let children: Vec<_> = (0..4).map(|_| other_process(name, &path).stdout(Stdio::null()).spawn().unwrap()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    runtime.block_on(assert_in_order(&path, 100));
}

#[test]
fn the_dead_hold_nobody_up() {
    if let Some(path) = acts_as_other_process() {
        let mut queue = Queue::open(&path).unwrap();
        let _ticket = queue.enter().unwrap();
        println!("\nheld");
        // The parent kills this process; it holds its ticket till then.
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("killed.db");
    let mut holder = other_process("the_dead_hold_nobody_up", &path).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let order = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for name in ["first", "second"] {
            let mut queue = Queue::open(&path).unwrap();
            let before = std::fs::read_dir(queue_folder(&path)).unwrap().count();
            let order = &order;
            scope.spawn(move || {
                let ticket = queue.enter().unwrap();
                order.lock().unwrap().push((name, ticket.ahead()));
            });
            // The second takes its ticket only once the first has its own.
            while std::fs::read_dir(queue_folder(&path)).unwrap().count() == before {
                std::thread::yield_now();
            }
        }
        assert!(order.lock().unwrap().is_empty(), "somebody overtook the holder");
        holder.kill().unwrap();
        holder.wait().unwrap();
    });
    assert_eq!(*order.lock().unwrap(), [("first", 1), ("second", 2)]);
    let left: Vec<_> =
        std::fs::read_dir(queue_folder(&path)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["next"]);
}

fn queue_folder(database: &Path) -> std::path::PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-writers");
    name.into()
}

#[tokio::test]
async fn who_gives_up_gives_up_the_turn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let database = Database::open_file(&path, migrator(&[TABLE])).await.unwrap();
    let held = database.write().await.unwrap();
    let given_up = tokio::time::timeout(Duration::from_millis(20), database.write()).await;
    assert!(given_up.is_err());
    drop(held);
    // Nothing was committed, and nothing is left locked.
    let mut transaction = database.write().await.unwrap();
    sqlx::query("INSERT INTO turns VALUES (1, 'a')").execute(&mut *transaction).await.unwrap();
    transaction.rollback().await.unwrap();
    let (count,): (i64,) = sqlx::query_as("SELECT count(*) FROM turns").fetch_one(database.pool()).await.unwrap();
    assert_eq!(count, 0);
}

#[tokio::test]
async fn an_older_binary_starts_on_a_newer_schema() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let newer = [TABLE, (2, "ALTER TABLE turns ADD COLUMN note TEXT")];
    drop(Database::open_file(&path, migrator(&newer)).await.unwrap());
    let older = Database::open_file(&path, migrator(&[TABLE])).await.unwrap();
    let mut transaction = older.write().await.unwrap();
    sqlx::query("INSERT INTO turns (ticket, writer) VALUES (1, 'old')").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    let newest = [TABLE, newer[1], (3, "ALTER TABLE turns ADD COLUMN more TEXT")];
    let newest = Database::open_file(&path, migrator(&newest)).await.unwrap();
    let row: (i64, String, Option<String>) =
        sqlx::query_as("SELECT ticket, writer, more FROM turns").fetch_one(newest.pool()).await.unwrap();
    assert_eq!(row, (1, "old".to_owned(), None));
}

#[tokio::test]
async fn many_that_start_at_once_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let opened = (0..6).map(|_| Database::open_file(&path, migrator(&[TABLE])));
    for database in futures::future::join_all(opened).await {
        let database = database.unwrap();
        let (applied,): (i64,) =
            sqlx::query_as("SELECT count(*) FROM _sqlx_migrations").fetch_one(database.pool()).await.unwrap();
        assert_eq!(applied, 1);
    }
}

#[tokio::test]
async fn settings_are_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_file(&folder.path().join("t.db"), migrator(&[TABLE])).await.unwrap();
    let mut writer = database.write().await.unwrap();
    let mut reader = database.pool().acquire().await.unwrap();
    for connection in [&mut *writer, &mut *reader] {
        let (journal,): (String,) = sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut *connection).await.unwrap();
        let (synchronous,): (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(&mut *connection).await.unwrap();
        let (keys,): (i64,) = sqlx::query_as("PRAGMA foreign_keys").fetch_one(&mut *connection).await.unwrap();
        assert_eq!((journal.as_str(), synchronous, keys), ("wal", 2, 1));
    }
    let refused = sqlx::query("INSERT INTO turns VALUES (1, 'a')").execute(&mut *reader).await;
    assert!(refused.is_err(), "a reader wrote");
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder.db");
    let error = Database::open_file(&missing, migrator(&[])).await.err().unwrap().to_string();
    assert!(error.contains("folder.db"), "{error}");
    let error = Database::open("postgres://localhost/x", migrator(&[])).await.err().unwrap().to_string();
    assert_eq!(error, "DATABASE_URL names a `postgres` database; only `sqlite` is supported");
    let bad = migrator(&[(1, "CREATE NONSENSE")]);
    let error = Database::open_file(&folder.path().join("t.db"), bad).await.err().unwrap().to_string();
    assert!(error.contains("cannot migrate") && error.contains("NONSENSE"), "{error}");
}
