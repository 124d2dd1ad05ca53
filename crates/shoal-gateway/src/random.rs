//! Cheap random numbers for choosing replicas and naming requests. Not for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

thread_local! {
    // The standard library's hasher keys are random for each process and differ at each call.
    static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(std::process::id()));
}

/// The next number of this thread (SplitMix64).
pub(crate) fn next() -> u64 {
    STATE.with(|state| {
        let step = state.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        state.set(step);
        let mixed = (step ^ (step >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    })
}

/// A number in 16 lower-case hexadecimal digits.
pub(crate) fn hexadecimal(number: u64) -> [u8; 16] {
    let mut digits = [0; 16];
    for (index, digit) in digits.iter_mut().enumerate() {
        let half = (number >> (60 - 4 * index)) as u8 & 15;
        *digit = if half < 10 { b'0' + half } else { b'a' + half - 10 };
    }
    digits
}
