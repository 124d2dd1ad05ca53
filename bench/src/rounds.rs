//! Turns and rounds: who is measured when, and what comes of it. Never: measures.

use crate::{Failure, interrupt};
use std::time::Duration;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How often each contender has its turn.
    pub rounds: u32,
    /// How long a turn is.
    pub length: Duration,
}

/// What each contender came to in each round: `N` numbers.
#[derive(Debug)]
pub struct Contest<const N: usize> {
    /// By round, then by contender.
    rounds: Vec<Vec<[f64; N]>>,
}

impl<const N: usize> Contest<N> {
    /// Lets `contenders` have their turns. Who begins moves on from round to round, so that none always follows the same one.
    pub fn hold(
        settings: &Settings,
        contenders: usize,
        mut turn: impl FnMut(usize) -> Result<[f64; N], Failure>,
    ) -> Result<Self, Failure> {
        let mut rounds = Vec::new();
        for round in 0..settings.rounds as usize {
            let mut results = vec![[0.0; N]; contenders];
            for place in 0..contenders {
                interrupt::check()?;
                let contender = (place + round) % contenders;
                results[contender] = turn(contender)?;
            }
            rounds.push(results);
        }
        Ok(Self { rounds })
    }

    /// The median over the rounds of something that is computed of one round: its results, by contender.
    pub fn median(&self, of: impl Fn(&[[f64; N]]) -> f64) -> f64 {
        median(self.rounds.iter().map(|round| of(round)).collect())
    }

    /// The median of one number of a contender.
    pub fn value(&self, contender: usize, number: usize) -> f64 {
        self.median(|round| round[contender][number])
    }

    /// The median of how many times the other's number a contender's is, each within one round.
    pub fn ratio(&self, contender: usize, other: usize, number: usize) -> f64 {
        self.median(|round| round[contender][number] / round[other][number])
    }
}

/// The middle one; of an even number, the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_made_within_a_round() {
        let settings = Settings { rounds: 3, length: Duration::ZERO };
        let mut order = Vec::new();
        // The machine is slower in each round, for everyone alike.
        let contest = Contest::hold(&settings, 2, |contender| {
            order.push(contender);
            Ok([(contender + 1) as f64 * order.len().div_ceil(2) as f64])
        });
        let contest = contest.unwrap();
        assert_eq!(order, [0, 1, 1, 0, 0, 1]);
        assert!((contest.ratio(1, 0, 0) - 2.0).abs() < 1e-9);
        assert!((contest.value(0, 0) - 2.0).abs() < 1e-9);
        assert!((median(vec![4.0, 1.0, 3.0, 2.0]) - 2.5).abs() < 1e-9);
    }
}
