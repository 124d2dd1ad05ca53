//! The store's invariants under a seeded schedule of every kind of fault, judged from outside, on each database, by the program that
//! `cargo xtask chaos` runs. The seeds are fixed: what they find in somebody's change is found again by `cargo xtask chaos --seed`.

use std::process::Command;

/// Two rounds of faults from this seed on, with a bank that treats everybody so.
#[track_caller]
fn holds(database: &str, seed: &str, bank: [&str; 2]) {
    let mut chaos = Command::new(env!("CARGO_BIN_EXE_store-chaos"));
    let length = ["--rounds", "2", "--seconds", "12", "--buyers", "4", "--patience", "120"];
    let output = chaos.args([database, "--seed", seed]).args(bank).args(length).output().expect("store-chaos runs");
    let (said, complaints) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{said}\n{complaints}");
    assert!(!said.contains(" 0 orders placed"), "nothing was bought: {said}");
}

#[test]
fn invariants_hold_on_sqlite() {
    holds("sqlite", "41", ["--bank-lost-answers", "0.2"]);
}

#[test]
fn invariants_hold_on_postgresql() {
    // Longer than the checkout waits for an answer.
    holds("postgres", "51", ["--bank-delay-ms", "1500"]);
}
