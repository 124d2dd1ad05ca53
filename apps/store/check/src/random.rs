//! Random numbers from a seed (SplitMix64), so that a seed names a choice for good. Never: reads a clock or the system's own.

/// A sequence of random numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for the part of a run called `name`, the same whatever other parts draw.
    #[must_use]
    pub fn of(seed: u64, name: &str) -> Self {
        // FNV-1a: short, and the same on every machine.
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let name = name.bytes().fold(0xcbf2_9ce4_8422_2325, step);
        let mut random = Self(seed ^ name);
        Self(random.next())
    }

    /// The next number, drawn evenly from all.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `least` up to and including `most`; `least` when that is not below `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        match most.saturating_sub(least).checked_add(1) {
            Some(span) => least + self.next() % span,
            None => self.next(),
        }
    }

    /// True in so many of a hundred draws.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.between(0, 99) < percent
    }

    /// One of `all`, or nothing when there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let last = all.len().checked_sub(1)?;
        let place = self.between(0, u64::try_from(last).unwrap_or(u64::MAX));
        all.get(usize::try_from(place).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_always_the_same_sequence() {
        let draw = |seed, name| {
            (0..4)
                .map({
                    let mut random = Random::of(seed, name);
                    move |_| random.next()
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(draw(1, "faults"), draw(1, "faults"));
        assert_ne!(draw(1, "faults"), draw(2, "faults"));
        assert_ne!(draw(1, "faults"), draw(1, "buyer 1"));
        // The published first outputs of SplitMix64 for the seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn draws_keep_their_limits() {
        let mut random = Random(7);
        for _ in 0..1_000 {
            assert!((3..=5).contains(&random.between(3, 5)));
        }
        assert_eq!(random.between(5, 5), 5);
        assert!(random.pick(&[] as &[u8]).is_none());
        assert!(random.pick(&[1, 2]).is_some_and(|one| [1, 2].contains(one)));
    }
}
