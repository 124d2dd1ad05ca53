//! Stories of too much: a storm of retries, and a service with more requests than it can answer. Virtual time, fixed seeds.

#[path = "../examples/simulation/random.rs"]
mod random;

use random::Random;
use shoal_balance::{Admitted, Attempt, Moment, Outcome, RetryBudget, RetrySettings, Saturation, may_retry};
use shoal_model::Priority;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;
const PRIORITIES: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

/// First attempts, retries and failures of requests that break off with this chance at each try, three tries at most.
fn storm(seed: u64, rate: u64, broken: f64, settings: RetrySettings) -> (u64, u64, u64) {
    let (mut random, budget) = (Random(seed), RetryBudget::new(settings));
    let (mut firsts, mut retries, mut failures) = (0, 0, 0);
    for turn in 0..20 * rate {
        let now = Moment(turn * SECOND / rate);
        firsts += 1;
        budget.deposit(now);
        let mut tries = 1;
        while random.unit() < broken {
            let attempt = Attempt { sent: true, idempotent: true, answer_begun: false, outcome: Outcome::Unreachable };
            if tries == 3 || !may_retry(&attempt) || !budget.withdraw(now) {
                failures += 1;
                break;
            }
            tries += 1;
            retries += 1;
        }
    }
    (firsts, retries, failures)
}

#[test]
fn a_few_broken_requests_are_all_tried_again() {
    for (seed, rate) in [(1, 10), (2, 1000), (3, 10_000)] {
        let (firsts, retries, failures) = storm(seed, rate, 0.05, RetrySettings::default());
        assert!(retries > 0 && failures * 1000 < firsts, "{rate}/s: {failures} of {firsts}");
    }
}

#[test]
fn when_everything_breaks_retries_stay_a_fifth() {
    for (seed, rate) in [(1, 10), (2, 1000), (3, 10_000)] {
        let (firsts, retries, _) = storm(seed, rate, 1.0, RetrySettings::default());
        let allowed = firsts / 5 + 20 * 10 + 10;
        assert!(retries <= allowed, "{rate}/s: {retries} of {firsts}");
        assert!(retries * 10 >= allowed * 9, "and what is allowed is used: {retries}");
        // What it would be otherwise.
        let limitless = RetrySettings { share: 2.0, ..RetrySettings::default() };
        assert!(rate < 1000 || storm(seed, rate, 1.0, limitless).1 > firsts);
    }
}

/// What came of the requests of one priority.
#[derive(Debug, Default)]
struct Fate {
    answered: u64,
    refused: u64,
    slowest: u64,
}

/// A service with 10 workers of 10 ms each, so 1000 requests per second, and requests of three priorities at these rates.
fn overload(rates: [u64; 3], capacity: u64) -> BTreeMap<Priority, Fate> {
    let (mut random, saturation) = (Random(7), Saturation::new());
    let mut fates: BTreeMap<Priority, Fate> = BTreeMap::new();
    let mut arrivals: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    for (kind, rate) in rates.into_iter().enumerate().filter(|(_, rate)| *rate > 0) {
        let mut at = 0;
        while at < 10 * SECOND {
            at += (random.exponential() * SECOND as f64 / rate as f64) as u64;
            arrivals.push(Reverse((at, kind)));
        }
    }
    let mut workers: BinaryHeap<Reverse<u64>> = (0..10).map(|_| Reverse(0)).collect();
    let mut running: VecDeque<(u64, Admitted)> = VecDeque::new();
    while let Some(Reverse((now, kind))) = arrivals.pop() {
        while running.front().is_some_and(|(end, _)| *end <= now) {
            running.pop_front();
        }
        let fate = fates.entry(PRIORITIES[kind]).or_default();
        let Some(admitted) = saturation.admit(capacity, PRIORITIES[kind]) else {
            fate.refused += 1;
            continue;
        };
        // First come, first served, and all take as long: so they end in the order in which they came.
        let free = workers.pop().map_or(0, |Reverse(free)| free);
        let end = free.max(now) + 10 * MILLISECOND;
        workers.push(Reverse(end));
        running.push_back((end, admitted));
        fate.answered += 1;
        fate.slowest = fate.slowest.max(end - now);
    }
    fates
}

#[test]
fn in_an_overload_what_matters_gets_through_in_time() {
    let fates = overload([1500, 300, 300], 50);
    let [low, normal, high] = PRIORITIES.map(|priority| &fates[&priority]);
    assert!(high.refused == 0 && normal.refused * 1000 < normal.answered, "{fates:?}");
    assert!(low.refused > low.answered && low.answered > 0, "{fates:?}");
    // 50 at once on 10 workers of 10 ms.
    assert!(fates.values().all(|fate| fate.slowest <= 60 * MILLISECOND), "{fates:?}");
    let answered: u64 = fates.values().map(|fate| fate.answered).sum();
    assert!(answered >= 9_900, "the service is kept busy: {answered}");
    // Without a capacity everybody waits, and longer and longer.
    let endless = overload([1500, 300, 300], 0);
    assert!(endless[&Priority::High].slowest > 5 * SECOND, "{endless:?}");
}

#[test]
fn when_the_highest_alone_is_too_much_nothing_else_gets_in_its_way() {
    let fates = overload([500, 500, 1500], 50);
    let [low, normal, high] = PRIORITIES.map(|priority| &fates[&priority]);
    let part = |fate: &Fate| fate.answered as f64 / (fate.answered + fate.refused) as f64;
    assert!(part(low) < 0.01 && part(normal) < 0.05 && part(high) > 0.6, "{fates:?}");
}

#[test]
fn while_there_is_room_nobody_is_refused() {
    let fates = overload([200, 200, 200], 50);
    assert!(fates.values().all(|fate| fate.refused == 0), "{fates:?}");
}
