//! Numbers for ids and for choices: even, cheap, and not the same in any two threads or processes. Never: for keys;
//! [`try_random`] asks the system for those.

use std::cell::Cell;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

thread_local! {
    /// One generator per thread, seeded once: asking the system for every id would cost more than a whole call in process.
    static STATE: Cell<[u64; 2]> = Cell::new(seed());
}

/// The next number of this thread's sequence (xoroshiro128++, by Blackman and Vigna).
pub(crate) fn number() -> u64 {
    STATE.with(|state| {
        let [low, high] = state.get();
        let number = low.wrapping_add(high).rotate_left(17).wrapping_add(low);
        let mixed = high ^ low;
        state.set([low.rotate_left(49) ^ mixed ^ (mixed << 21), mixed.rotate_left(28)]);
        number
    })
}

/// Eight bytes that are not all zero.
pub(crate) fn id8() -> [u8; 8] {
    number().max(1).to_le_bytes()
}

/// Sixteen bytes that are not all zero.
pub(crate) fn id16() -> [u8; 16] {
    (u128::from(number().max(1)) << 64 | u128::from(number())).to_le_bytes()
}

/// Random bytes from the system, good for keys.
pub(crate) fn try_random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::rand::getrandom(rest, rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

fn seed() -> [u64; 2] {
    let bytes = try_random::<16>().unwrap_or_else(|_| {
        // Should the system refuse, ids that are only likely to differ are better than none.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos());
        (clock ^ u128::from(std::process::id()) << 96).to_le_bytes()
    });
    let whole = u128::from_le_bytes(bytes).max(1);
    [whole as u64, (whole >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn numbers_differ_within_and_between_threads() {
        let draw = || (0..1000).map(|_| number()).collect::<Vec<u64>>();
        let threads: Vec<_> = (0..4).map(|_| std::thread::spawn(draw)).collect();
        let mut all: Vec<u64> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        all.extend(draw());
        let different: BTreeSet<u64> = all.iter().copied().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn every_bit_is_set_about_half_the_time() {
        let mut counts = [0_u32; 64];
        for _ in 0..10_000 {
            let number = number();
            for (bit, count) in counts.iter_mut().enumerate() {
                *count += u32::from(number >> bit & 1 == 1);
            }
        }
        // Ten standard deviations: 50 each.
        assert!(counts.iter().all(|count| (4_500..5_500).contains(count)), "{counts:?}");
    }
}
