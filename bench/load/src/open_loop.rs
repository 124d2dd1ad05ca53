//! Arrivals that wait for nobody. Never: skips one because it is behind; it starts late, and its lateness counts.

use crate::latency::Latency;
use crate::pace::Pace;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// Always the same time apart.
    Even,
    /// As independent users come: the times between them are exponential. The same seed gives the same times.
    Random(u64),
}

/// When work is due.
#[derive(Clone, Copy, Debug)]
pub struct OpenLoop {
    /// Arrivals a second.
    pub rate: f64,
    /// For how long they arrive.
    pub length: Duration,
    /// How they are spread.
    pub arrivals: Arrivals,
}

/// One arrival, done. Times count from the start of the load.
#[derive(Clone, Debug)]
pub struct Done<T> {
    /// Its number, from 0.
    pub number: u64,
    /// When it was due.
    pub due: Duration,
    /// When it was done.
    pub ended: Duration,
    /// What its work came to.
    pub value: T,
}

impl<T> Done<T> {
    /// How long it took, from when it was due.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.ended.saturating_sub(self.due)
    }
}

impl OpenLoop {
    /// Does `work(number)` at each arrival, and answers what came of all of them, in the order in which they were done.
    ///
    /// # Errors
    /// When the system gives no timer, or the work panicked.
    pub async fn run<T, W, F>(&self, work: W) -> io::Result<Vec<Done<T>>>
    where
        T: Send + 'static,
        W: FnMut(u64) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        self.run_until(std::future::pending(), work).await
    }

    /// The same, with no arrivals after `stop`.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn run_until<T, W, F>(&self, stop: impl Future<Output = ()>, mut work: W) -> io::Result<Vec<Done<T>>>
    where
        T: Send + 'static,
        W: FnMut(u64) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let pace = Pace::new()?;
        let start = Instant::now();
        let mut stop = pin!(stop);
        let mut working = JoinSet::new();
        let mut done = Vec::new();
        for (number, due) in (0..).zip(self.times().take_while(|due| *due < self.length)) {
            tokio::select! {
                biased;
                () = &mut stop => break,
                waited = pace.until(start + due) => waited?,
            }
            let work = work(number);
            working.spawn(async move { (number, due, work.await, start.elapsed()) });
            while let Some(ended) = working.try_join_next() {
                done.push(ended?.into());
            }
        }
        while let Some(ended) = working.join_next().await {
            done.push(ended?.into());
        }
        Ok(done)
    }

    /// When each arrival is due.
    fn times(&self) -> impl Iterator<Item = Duration> + use<> {
        let gap = 1.0 / self.rate.max(f64::MIN_POSITIVE);
        let mut random = match self.arrivals {
            Arrivals::Even => None,
            Arrivals::Random(seed) => Some(seed),
        };
        let mut sum = 0.0;
        (0_u32..).map(move |number| {
            let due = match &mut random {
                None => f64::from(number) * gap,
                Some(state) => {
                    sum -= uniform(state).ln() * gap;
                    sum
                }
            };
            Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX)
        })
    }
}

impl<T> From<(u64, Duration, T, Duration)> for Done<T> {
    fn from((number, due, value, ended): (u64, Duration, T, Duration)) -> Self {
        Self { number, due, ended, value }
    }
}

impl<T> FromIterator<Done<T>> for Latency {
    fn from_iter<I: IntoIterator<Item = Done<T>>>(done: I) -> Self {
        done.into_iter().map(|done| done.took()).collect()
    }
}

/// One step of SplitMix64, as a number over 0 and up to 1.
pub(crate) fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    // The upper 53 bits fill a float's digits.
    ((mixed >> 11) + 1) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::Barrier;

    fn load(rate: f64, arrivals: Arrivals) -> OpenLoop {
        OpenLoop { rate, length: Duration::from_secs(1), arrivals }
    }

    #[test]
    fn arrivals_are_spread_as_asked() {
        let even: Vec<_> = load(4.0, Arrivals::Even).times().take(3).collect();
        assert_eq!(even, [0, 250, 500].map(Duration::from_millis));
        let random = |seed| load(100.0, Arrivals::Random(seed)).times().take(10_000).collect::<Vec<_>>();
        assert_eq!(random(7), random(7));
        assert_ne!(random(7), random(8));
        let rate = 10_000.0 / random(7).last().unwrap().as_secs_f64();
        assert!((95.0..105.0).contains(&rate), "{rate}");
    }

    #[tokio::test]
    async fn no_arrival_waits_for_the_one_before() {
        // Each is done only when all have come.
        let all = Arc::new(Barrier::new(50));
        let load = load(50.0, Arrivals::Even);
        let done = load.run(|_| {
            let all = Arc::clone(&all);
            async move { all.wait().await.is_leader() }
        });
        let done = done.await.unwrap();
        assert_eq!(done.len(), 50);
        assert!(done.iter().all(|done| done.took() >= Duration::from_millis(980).saturating_sub(done.due)));
    }

    #[tokio::test]
    async fn nothing_arrives_after_it_was_stopped() {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let mut stop = Some(stop);
        let load = OpenLoop { length: Duration::from_secs(3600), ..load(1000.0, Arrivals::Even) };
        let done = load.run_until(async { stopped.await.unwrap() }, |number| {
            if number == 9 {
                stop.take().unwrap().send(()).unwrap();
            }
            std::future::ready(number)
        });
        assert_eq!(done.await.unwrap().len(), 10);
    }
}
