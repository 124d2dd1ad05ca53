//! A bounded number of histories, which hold; and the same with planted faults, which must not.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that panics is a test that fails

use shoal_sim::{Planted, play};

/// Histories in each of the tests, which run side by side.
const HISTORIES: u64 = 100;

/// A planted fault must be noticed within so many.
const NOTICED_WITHIN: u64 = 100;

fn hold(seeds: impl IntoIterator<Item = u64>) {
    for seed in seeds {
        if let Err(failure) = play(seed, None) {
            let replay = format!("replay it with `cargo xtask sim --seed {seed}`");
            panic!("{}seed {seed}: {}; {replay}", failure.story, failure.what);
        }
    }
}

#[test]
fn histories_are_safe_and_settle() {
    hold(0..HISTORIES);
}

#[test]
fn other_histories_are_safe_and_settle() {
    hold(1_000..1_000 + HISTORIES);
}

/// In each, replicas that a reboot had ended still counted as ready, and a living one left in their favour.
#[test]
fn nobody_leaves_in_favour_of_who_ended_unseen() {
    hold([50_168, 60_886, 80_547, 100_084, 100_773, 102_406]);
}

/// In each, a replica hung while one supervisor followed another, and counted as ready for ever.
#[test]
fn who_hangs_as_the_supervisor_dies_is_replaced() {
    hold([200_877, 200_928, 201_151]);
}

#[test]
fn a_seed_is_the_same_history_each_time() {
    assert_eq!(play(7, None).unwrap(), play(7, None).unwrap());
    assert_ne!(play(7, None).unwrap(), play(8, None).unwrap());
}

fn noticed(planted: Planted) {
    let seen = (0..NOTICED_WITHIN).any(|seed| play(seed, Some(planted)).is_err());
    assert!(seen, "{planted:?} goes unnoticed");
}

#[test]
fn a_disk_that_lies_is_noticed() {
    noticed(Planted::LyingDisk);
}

#[test]
fn signals_by_pid_are_noticed() {
    noticed(Planted::SignalsByPid);
}

#[test]
fn a_supervisor_that_adopts_nothing_is_noticed() {
    noticed(Planted::AdoptsNothing);
}

#[test]
fn an_acknowledgement_too_soon_is_noticed() {
    noticed(Planted::AcknowledgesTooSoon);
}

#[test]
fn a_probe_that_passes_too_soon_is_noticed() {
    noticed(Planted::PassesTooSoon);
}

#[test]
fn an_end_that_is_not_reported_is_noticed() {
    noticed(Planted::HidesExits);
}

#[test]
fn a_holder_that_forgets_its_requests_is_noticed() {
    noticed(Planted::ForgetsRequests);
}

#[test]
fn a_supervisor_that_takes_its_own_silence_for_that_of_others_is_noticed() {
    noticed(Planted::TakesItselfForOthers);
}
