//! The store's invariants under a seeded schedule of every kind of fault, judged from outside, on each database. The seeds are fixed: what
//! they find in somebody's change is found again by `store-check --seed`.

use shoal_e2e::{CheckedStore, Programs, programs, services};
use std::path::Path;
use std::sync::OnceLock;
use test_databases::PostgresServer;

/// The programs as users have them, built once; they stay in the target folder, as everything that is built.
fn built() -> &'static Programs {
    static BUILT: OnceLock<Programs> = OnceLock::new();
    BUILT.get_or_init(|| programs(&services(), &[], &Path::new(env!("CARGO_TARGET_TMPDIR")).join("store")))
}

/// What the checker is asked for: the seed, and so many seconds of faults.
#[track_caller]
fn holds(store: &CheckedStore, arguments: &[&str]) {
    let patience = ["--buyers", "4", "--patience", "120"];
    let output = store.check(&[arguments, &patience].concat());
    assert_eq!(output.code, Some(0), "{}\n{}", output.stdout, output.stderr);
    assert!(!output.stdout.contains(" 0 orders placed"), "nothing was bought: {}", output.stdout);
}

const QUICK: (&str, &str) = ("checkout", "lease-ms = 3000");

#[test]
fn invariants_hold_on_sqlite() {
    let store = CheckedStore::start(built(), None, &[QUICK]);
    holds(&store, &["--seed", "41", "--rounds", "2", "--seconds", "12"]);
}

#[test]
fn invariants_hold_on_postgresql() {
    let server = PostgresServer::start();
    let store = CheckedStore::start(built(), Some(server.url("")), &[QUICK]);
    holds(&store, &["--seed", "51", "--rounds", "2", "--seconds", "12"]);
    drop(store);
    drop(server);
}
