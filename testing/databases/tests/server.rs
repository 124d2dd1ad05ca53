//! The server itself: it starts, stops, comes back with its data, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use test_databases::{Kind, PostgresServer, TestDatabase};

fn folder_of(server: &PostgresServer) -> PathBuf {
    let url = server.url("x");
    let (_, folder) = url.split_once("?host=").expect("an address names a folder");
    folder.into()
}

fn process_of(folder: &Path) -> PathBuf {
    let file = std::fs::read_to_string(folder.join("data/postmaster.pid")).expect("a server runs");
    Path::new("/proc").join(file.lines().next().expect("the file begins with a process id"))
}

fn wait_until_gone(path: &Path) {
    let until = Instant::now() + Duration::from_secs(60);
    while path.exists() {
        assert!(Instant::now() < until, "{} is still there", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_stops_dies_and_comes_back_and_is_gone_after_all() {
    let server = PostgresServer::start();
    let folder = folder_of(&server);
    let first = process_of(&folder);
    server.stop();
    assert!(!first.exists());
    server.restart();
    let second = process_of(&folder);
    server.kill();
    assert!(!second.exists());
    server.restart();
    let third = process_of(&folder);
    assert!(third.exists());
    // Also while it sleeps.
    server.freeze();
    drop(server);
    assert!(!third.exists() && !folder.exists());
}

/// This very test again, in a process that is killed: what it had started goes, too.
#[test]
fn a_server_ends_with_a_test_that_is_killed() {
    const NAME: &str = "a_server_ends_with_a_test_that_is_killed";
    if std::env::var_os("TEST_DATABASES_DIES").is_some() {
        let database = TestDatabase::new(Kind::Postgres);
        println!("\nat {}", database.url());
        // The parent kills this process.
        std::thread::sleep(Duration::from_secs(600));
        return;
    }
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
        .env("TEST_DATABASES_DIES", "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.find_map(|line| line.unwrap().strip_prefix("at ").map(str::to_owned)).unwrap();
    let (_, folder) = url.split_once("?host=").unwrap();
    let process = process_of(Path::new(folder));
    assert!(process.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until_gone(&process);
    wait_until_gone(Path::new(folder));
}

#[test]
fn databases_are_each_of_their_own() {
    let (one, two) = (TestDatabase::new(Kind::Postgres), TestDatabase::new(Kind::Postgres));
    assert_ne!(one.url(), two.url());
    let (one, two) = (TestDatabase::new(Kind::Sqlite), TestDatabase::new(Kind::Sqlite));
    assert_ne!(one.url(), two.url());
    let folder = PathBuf::from(one.url().strip_prefix("sqlite://").unwrap()).parent().unwrap().to_owned();
    assert!(folder.exists());
    drop(one);
    assert!(!folder.exists());
}
