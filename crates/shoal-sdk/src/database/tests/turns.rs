//! SQLite's queue of writers: fairness and crash safety, in processes of their own where it matters; and its settings.

use super::super::queue::Queue;
use super::{TABLE, migrations};
use crate::database::{Database, query};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

async fn write_some(path: &Path, writer: &str, count: usize) -> Vec<(u64, usize)> {
    let database = Database::open_file(path, migrations(&[TABLE])).await.unwrap();
    let mut turns = Vec::new();
    for _ in 0..count {
        let mut transaction = database.write().await.unwrap();
        let (number, ahead) = (transaction.turn().unwrap().number, transaction.turn().unwrap().ahead);
        let insert = query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)");
        insert.bind(i64::try_from(number).unwrap()).bind(writer).execute(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
        turns.push((number, ahead));
    }
    turns
}

/// What the table shows when writers took turns fairly: commits in the order of the tickets.
async fn assert_in_order(path: &Path, expected: usize) {
    let database = Database::open_file(path, migrations(&[TABLE])).await.unwrap();
    let tickets: Vec<(i64,)> =
        query("SELECT ticket FROM turns ORDER BY rowid").fetch_all(&mut database.read().await.unwrap()).await.unwrap();
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
        .args(["--exact", &format!("database::tests::turns::{name}"), "--nocapture", "--test-threads=1"])
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
async fn settings_are_as_promised() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open_file(&folder.path().join("t.db"), migrations(&[TABLE])).await.unwrap();
    let mut writer = database.write().await.unwrap();
    let mut reader = database.read().await.unwrap();
    for connection in [&mut *writer, &mut *reader] {
        let (journal,): (String,) = query("PRAGMA journal_mode").fetch_one(connection).await.unwrap();
        let (synchronous,): (i64,) = query("PRAGMA synchronous").fetch_one(connection).await.unwrap();
        let (keys,): (i64,) = query("PRAGMA foreign_keys").fetch_one(connection).await.unwrap();
        assert_eq!((journal.as_str(), synchronous, keys), ("wal", 2, 1));
    }
}

#[tokio::test]
async fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("no/such/folder.db");
    let error = Database::open_file(&missing, migrations(&[])).await.err().unwrap().to_string();
    assert!(error.contains("folder.db"), "{error}");
    let error = Database::open("mysql://localhost/x", migrations(&[])).await.err().unwrap().to_string();
    assert_eq!(error, "DATABASE_URL names a `mysql` database; Shoal knows `sqlite` and `postgres`");
}
