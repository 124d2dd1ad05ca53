//! A SQLite file that cannot grow: writers are told so, reads go on, and all is well once there is room.

use super::*;
use crate::Code;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::Command;

/// This test again, in a process whose files may grow to 256 KiB, and which is told of more by an error and not a signal.
#[test]
fn a_full_disk_is_told_and_heals() {
    const VARIABLE: &str = "SHOAL_SDK_TEST_FULL";
    if std::env::var_os(VARIABLE).is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        return runtime.block_on(fill());
    }
    let status = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -S -f 512; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "database::tests::full::a_full_disk_is_told_and_heals", "--nocapture", "--test-threads=1"])
        .env(VARIABLE, "1")
        .status();
    assert!(status.unwrap().success());
}

async fn fill() {
    let at = TestDatabase::new(Kind::Sqlite);
    let database = open(&at).await;
    let text = "x".repeat(10_000);
    let mut kept = 0;
    let refused = loop {
        let mut transaction = database.write().await.unwrap();
        let insert = query("INSERT INTO turns (ticket, writer) VALUES ($1, $2)").bind(kept).bind(&text);
        let done = match insert.execute(&mut transaction).await {
            Ok(_) => transaction.commit().await,
            Err(error) => Err(error),
        };
        match done {
            Ok(()) => kept += 1,
            Err(error) => break error,
        }
        assert!(kept < 1_000, "the limit does not work");
    };
    assert_eq!(refused.code, Code::Unavailable, "{refused}");
    assert!(kept > 3);
    assert_eq!(count(&database).await, kept);
    let maximum = getrlimit(Resource::Fsize).maximum;
    // Not a byte: not even the queue of writers can keep its number.
    setrlimit(Resource::Fsize, Rlimit { current: Some(0), maximum }).unwrap();
    for _ in 0..3 {
        assert_eq!(database.write().await.err().unwrap().code, Code::Unavailable);
        assert_eq!(count(&database).await, kept);
    }
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    for more in 0..20 {
        insert(&database, 1_000 + more, &text).await;
    }
    assert_eq!(count(&open(&at).await).await, kept + 20);
}
