//! What becomes of endpoints that fail, come and go: breakers, slow starts, ejections, seen from outside.

#![allow(clippy::unwrap_used)] // a test that panics is a test that fails

use proptest::prelude::*;
use shoal_balance::{BalanceSettings, Balancer, Moment, Outcome, Pick};
use shoal_model::{Address, Endpoint, ReplicaName, RevisionId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1000 * MILLISECOND;

fn name(serial: u64) -> ReplicaName {
    ReplicaName { service: "shop".parse().unwrap(), serial }
}

fn endpoint(serial: u64, weight: u32) -> Endpoint {
    Endpoint {
        replica: name(serial),
        revision: RevisionId("abc".to_owned()),
        address: Address::Tcp(([127, 0, 0, 1], 9000).into()),
        weight,
        identity: None,
    }
}

fn moved(endpoint: Endpoint) -> Endpoint {
    Endpoint { address: Address::Tcp(([127, 0, 0, 1], 9001).into()), ..endpoint }
}

fn balancer(count: u64) -> Balancer {
    let balancer = Balancer::default();
    replace(&balancer, &(0..count).map(|serial| endpoint(serial, 100)).collect::<Vec<_>>(), 0);
    balancer
}

fn replace(balancer: &Balancer, endpoints: &[Endpoint], now: u64) {
    balancer.replace(endpoints, Moment(now));
}

fn pick(balancer: &Balancer, now: u64) -> Option<Pick> {
    balancer.pick(Moment(now), now)
}

fn serial(pick: &Pick) -> u64 {
    pick.endpoint().replica.serial
}

fn end(balancer: &Balancer, now: u64, outcome: Outcome) -> bool {
    pick(balancer, now).unwrap().finish(Moment(now), outcome)
}

/// The part of many picks at this moment that each gets; none is finished.
fn shares(balancer: &Balancer, now: u64) -> BTreeMap<u64, f64> {
    let mut shares = BTreeMap::new();
    for random in 0..4000 {
        let pick = balancer.pick(Moment(now), random).unwrap();
        *shares.entry(serial(&pick)).or_insert(0.0) += 1.0 / 4000.0;
    }
    shares
}

fn opened(now: u64) -> Balancer {
    let balancer = balancer(1);
    for _ in 0..BalanceSettings::default().breaker_failures {
        assert!(!end(&balancer, now, Outcome::Unreachable));
    }
    balancer
}

#[test]
fn an_open_breaker_says_when_and_lets_one_try() {
    let balancer = opened(SECOND);
    assert!(pick(&balancer, SECOND).is_none() && !balancer.is_empty());
    let at = balancer.next_at(Moment(SECOND)).unwrap();
    assert_eq!(at.since(Moment(SECOND)), Duration::from_millis(100));
    assert!(pick(&balancer, at.0 - 1).is_none());
    let trial = pick(&balancer, at.0).unwrap();
    assert!(pick(&balancer, at.0 + 1).is_none(), "one at a time");
    assert!(trial.finish(Moment(at.0 + 2), Outcome::Succeeded), "it says that it closed the breaker");
    assert!(!end(&balancer, at.0 + 3, Outcome::Succeeded));
}

#[test]
fn each_failed_trial_doubles_the_time() {
    let balancer = opened(0);
    let mut now = 0;
    for milliseconds in [100, 200, 400, 800, 1600, 2000, 2000] {
        let at = balancer.next_at(Moment(now)).unwrap();
        assert_eq!(at.since(Moment(now)), Duration::from_millis(milliseconds));
        now = at.0;
        assert!(!end(&balancer, now, Outcome::Unreachable));
    }
}

#[test]
fn a_cancelled_trial_says_nothing_and_the_next_may_try_at_once() {
    let balancer = opened(0);
    drop(pick(&balancer, SECOND).unwrap());
    assert!(pick(&balancer, SECOND).is_some());
}

#[test]
fn an_endless_trial_keeps_nobody_out_for_ever() {
    let balancer = opened(0);
    let stream = pick(&balancer, SECOND).unwrap();
    let soon = balancer.next_at(Moment(SECOND)).unwrap().since(Moment(SECOND));
    assert!(soon > Duration::ZERO && soon <= Duration::from_millis(10), "it may end at any time: {soon:?}");
    let at = Moment(SECOND + 1).after(BalanceSettings::default().breaker_patience);
    assert!(pick(&balancer, at.0 - 2).is_none());
    let second = pick(&balancer, at.0).unwrap();
    assert!(second.answered(at), "the head of an answer is enough");
    assert!(pick(&balancer, at.0).is_some());
    assert!(!stream.finish(at, Outcome::Unreachable));
    assert!(pick(&balancer, at.0).is_some(), "one failure among good news opens nothing");
}

#[test]
fn a_replica_that_answers_with_errors_is_no_unreachable_one() {
    let balancer = balancer(1);
    for now in 0..1000 {
        assert!(!end(&balancer, now, Outcome::Failed));
    }
    let balancer = opened(0);
    assert!(end(&balancer, SECOND, Outcome::Failed), "it can be reached again");
}

#[test]
fn what_succeeds_between_starts_the_count_anew() {
    let balancer = balancer(1);
    for now in 0..1000 {
        let outcome = if now % 5 == 4 { Outcome::Succeeded } else { Outcome::Unreachable };
        assert!(!end(&balancer, now, outcome));
    }
}

#[test]
fn a_changed_weight_keeps_the_breaker_and_another_address_is_another_chance() {
    let balancer = opened(0);
    replace(&balancer, &[endpoint(0, 50)], 1);
    assert!(pick(&balancer, 1).is_none());
    replace(&balancer, &[moved(endpoint(0, 50))], 1);
    assert!(pick(&balancer, 1).is_some());
}

#[test]
fn where_all_are_open_the_first_that_is_due_is_tried() {
    let balancer = balancer(3);
    let mut now = 0;
    while let Some(pick) = pick(&balancer, now) {
        pick.finish(Moment(now), Outcome::Unreachable);
        now += MILLISECOND;
    }
    let at = balancer.next_at(Moment(now)).unwrap();
    assert!(at.0 > now && pick(&balancer, at.0 - 1).is_none());
    let trial = pick(&balancer, at.0).unwrap();
    assert!(balancer.pick_except(at, 3, std::slice::from_ref(&trial.endpoint().replica)).is_none());
    let reached = serial(&trial);
    trial.finish(at, Outcome::Succeeded);
    assert!((0..10).all(|turn| serial(&balancer.pick(at, turn).unwrap()) == reached));
}

#[test]
fn an_open_endpoint_gets_nothing_while_others_do() {
    // Without a penalty, so that it is the breaker that is seen.
    let balancer = Balancer::new(BalanceSettings { penalty: Duration::ZERO, ..BalanceSettings::default() });
    replace(&balancer, &[endpoint(0, 100), endpoint(1, 100), endpoint(2, 100)], 0);
    for turn in 0..200 {
        let pick = pick(&balancer, turn).unwrap();
        let outcome = if serial(&pick) == 1 { Outcome::Unreachable } else { Outcome::Succeeded };
        pick.finish(Moment(turn), outcome);
    }
    assert_eq!(shares(&balancer, 200).get(&1), None);
    // Its trial comes soon once it is due, and there is only one.
    let held: Vec<Pick> = (0..100).filter_map(|random| balancer.pick(Moment(SECOND), random)).collect();
    assert_eq!(held.iter().filter(|pick| serial(pick) == 1).count(), 1);
}

#[test]
fn a_weight_of_zero_is_used_when_all_others_are_open() {
    let balancer = Balancer::default();
    replace(&balancer, &[endpoint(0, 100), endpoint(1, 0)], 0);
    for turn in 0..5 {
        let pick = pick(&balancer, turn).unwrap();
        assert_eq!(serial(&pick), 0);
        pick.finish(Moment(turn), Outcome::Unreachable);
    }
    assert_eq!(serial(&pick(&balancer, 6).unwrap()), 1);
}

#[test]
fn new_ones_start_slowly_beside_old_ones_and_the_first_at_once() {
    let balancer = balancer(2);
    assert!(shares(&balancer, 1).values().all(|share| (share - 0.5).abs() < 0.05));
    replace(&balancer, &[endpoint(0, 100), endpoint(1, 100), endpoint(2, 100)], SECOND);
    let growing: Vec<f64> = [1, 2, 3, 4, 5, 6]
        .iter()
        .map(|second| shares(&balancer, second * SECOND).get(&2).copied().unwrap_or(0.0))
        .collect();
    assert!(growing[0] < 0.08, "{growing:?}");
    assert!(growing.is_sorted_by(|earlier, later| earlier < later), "{growing:?}");
    assert!((growing[5] - 1.0 / 3.0).abs() < 0.02, "{growing:?}");
    // Where all are new, all start as slowly: nobody is to be spared at another's cost.
    replace(&balancer, &[endpoint(3, 100), endpoint(4, 300)], 10 * SECOND);
    let new = shares(&balancer, 10 * SECOND);
    assert!((new[&4] - 0.75).abs() < 0.03, "{new:?}");
}

/// Four endpoints without a penalty, so that it is the ejection that is seen; and nothing is forgotten but what is paid for.
fn four() -> Balancer {
    let failure_half_life = Duration::from_secs(3600);
    let settings = BalanceSettings { penalty: Duration::ZERO, failure_half_life, ..BalanceSettings::default() };
    let balancer = Balancer::new(settings);
    replace(&balancer, &(0..4).map(|serial| endpoint(serial, 100)).collect::<Vec<_>>(), 0);
    balancer
}

fn feed(balancer: &Balancer, from: u64, bad: &[u64]) {
    for turn in 0..400 {
        let pick = pick(balancer, from + turn).unwrap();
        let outcome = if bad.contains(&serial(&pick)) { Outcome::Failed } else { Outcome::Succeeded };
        pick.finish(Moment(from + turn), outcome);
    }
}

#[test]
fn an_outlier_is_left_out_for_a_while_and_then_starts_slowly() {
    let balancer = four();
    feed(&balancer, 0, &[2]);
    assert_eq!(shares(&balancer, 500).get(&2), None);
    let back = 5 * SECOND + 500;
    let share = shares(&balancer, back).get(&2).copied().unwrap_or(0.0);
    assert!(share > 0.0 && share < 0.08, "{share}");
    feed(&balancer, back, &[2]);
    assert_eq!(shares(&balancer, back + 9 * SECOND).get(&2), None, "longer the second time");
}

#[test]
fn when_most_fail_half_stay_in_use_and_when_all_do_all() {
    for (bad, used) in [(&[0][..], 3), (&[0, 1], 2), (&[0, 1, 2], 2), (&[0, 1, 2, 3], 4)] {
        let balancer = four();
        feed(&balancer, 0, bad);
        assert_eq!(shares(&balancer, 500).len(), used, "{bad:?}");
    }
}

#[test]
fn a_slow_one_is_asked_once_after_a_while_and_no_crowd_follows() {
    let balancer = balancer(2);
    for turn in 0..20 {
        let pick = pick(&balancer, turn).unwrap();
        let took = if serial(&pick) == 0 { MILLISECOND } else { SECOND };
        pick.finish(Moment(turn + took), Outcome::Succeeded);
    }
    assert_eq!(shares(&balancer, 2 * SECOND).get(&1), None);
    let much_later = 60 * SECOND;
    let held: Vec<Pick> = (0..50).filter_map(|random| balancer.pick(Moment(much_later), random)).collect();
    assert_eq!(held.iter().filter(|pick| serial(pick) == 1).count(), 1);
}

#[test]
fn a_trial_comes_first_and_what_it_brings_back_starts_slowly() {
    let balancer = opened(0);
    replace(&balancer, &[endpoint(0, 100), endpoint(1, 100)], 1);
    let later = 10 * SECOND;
    let trial = pick(&balancer, later).unwrap();
    assert_eq!(serial(&trial), 0, "its failures do not keep it from being tried");
    assert!(trial.finish(Moment(later), Outcome::Succeeded));
    let share = shares(&balancer, later).get(&0).copied().unwrap_or(0.0);
    assert!(share < 0.15, "{share}");
}

#[test]
fn of_many_threads_one_gets_the_trial_and_the_others_another() {
    for round in 1..100 {
        let balancer = Arc::new(opened(0));
        if round % 2 == 0 {
            replace(&balancer, &[endpoint(0, 100), endpoint(1, 100)], 1);
        }
        let picks: Vec<Pick> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| pick(&balancer, round * SECOND))).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(picks.iter().filter(|pick| serial(pick) == 0).count(), 1);
        assert_eq!(picks.len(), if round % 2 == 0 { 4 } else { 1 });
        drop(picks);
        assert!(balancer.pending().iter().all(|(_, count)| *count == 0));
    }
}

#[derive(Clone, Debug)]
enum Turn {
    Replace(BTreeMap<u64, u32>),
    Pick(u64),
    PickExcept(u64, BTreeSet<u64>),
    Finish(usize, Outcome),
    Answered(usize),
    Cancel(usize),
    Pass(u64),
}

fn any_turn() -> impl Strategy<Value = Turn> {
    let outcome =
        prop_oneof![1 => Just(Outcome::Succeeded), 1 => Just(Outcome::Failed), 3 => Just(Outcome::Unreachable)];
    prop_oneof![
        1 => prop::collection::btree_map(0..5u64, 0..200u32, 0..5).prop_map(Turn::Replace),
        8 => any::<u64>().prop_map(Turn::Pick),
        2 => (any::<u64>(), prop::collection::btree_set(0..5u64, 0..3)).prop_map(|(random, avoided)| Turn::PickExcept(random, avoided)),
        8 => (any::<usize>(), outcome).prop_map(|(which, outcome)| Turn::Finish(which, outcome)),
        1 => any::<usize>().prop_map(Turn::Answered),
        1 => any::<usize>().prop_map(Turn::Cancel),
        2 => (0..3000 * MILLISECOND).prop_map(Turn::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    // Whatever happens: a pick is had exactly when `next_at` says "now", is one of those listed and not avoided, is of
    // weight 0 only beside its like, and every count is right.
    #[test]
    fn the_rules_hold_in_any_story(turns in prop::collection::vec(any_turn(), 1..200)) {
        let settings = BalanceSettings { breaker_failures: 2, ejection_requests_min: 3, ..BalanceSettings::default() };
        let balancer = Balancer::new(settings);
        let mut listed: BTreeMap<u64, u32> = BTreeMap::new();
        let mut held: Vec<Pick> = Vec::new();
        let mut now = 0;
        for turn in turns {
            match turn {
                Turn::Replace(weights) => {
                    replace(&balancer, &weights.iter().map(|(serial, weight)| endpoint(*serial, *weight)).collect::<Vec<_>>(), now);
                    listed = weights;
                }
                Turn::Pick(random) => {
                    let due = balancer.next_at(Moment(now)).is_some_and(|at| at.0 <= now);
                    let picked = balancer.pick(Moment(now), random);
                    prop_assert_eq!(picked.is_some(), due);
                    prop_assert!(picked.iter().all(|pick| listed.contains_key(&serial(pick))));
                    held.extend(picked);
                }
                Turn::PickExcept(random, avoided) => {
                    let avoided_names: Vec<ReplicaName> = avoided.iter().map(|serial| name(*serial)).collect();
                    let picked = balancer.pick_except(Moment(now), random, &avoided_names);
                    prop_assert!(picked.iter().all(|pick| listed.contains_key(&serial(pick)) && !avoided.contains(&serial(pick))));
                    held.extend(picked);
                }
                Turn::Finish(which, outcome) if !held.is_empty() => {
                    held.swap_remove(which % held.len()).finish(Moment(now), outcome);
                }
                Turn::Answered(which) if !held.is_empty() => {
                    held[which % held.len()].answered(Moment(now));
                }
                Turn::Cancel(which) if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                Turn::Pass(span) => now += span,
                Turn::Finish(..) | Turn::Answered(_) | Turn::Cancel(_) => {}
            }
            prop_assert_eq!(balancer.next_at(Moment(now)).is_none(), listed.is_empty());
            let pending = balancer.pending();
            prop_assert_eq!(pending.len(), listed.len());
            for (replica, count) in pending {
                prop_assert_eq!(count, held.iter().filter(|pick| pick.endpoint().replica == replica).count() as u64);
            }
            let left = held.iter().filter(|pick| !listed.contains_key(&serial(pick))).count();
            prop_assert_eq!(balancer.leaving(), left as u64);
        }
        // Once faults stop, all that is listed is in use again.
        drop(held);
        for turn in 0..400 {
            now += 200 * MILLISECOND;
            if let Some(pick) = balancer.pick(Moment(now), turn) {
                pick.finish(Moment(now + MILLISECOND), Outcome::Succeeded);
            }
        }
        if let Some(least) = listed.values().filter(|weight| **weight > 0).min() {
            let share = f64::from(*least) / listed.values().map(|weight| f64::from(*weight)).sum::<f64>();
            let used = listed.values().filter(|weight| **weight > 0).count();
            prop_assert!(share < 0.01 || shares(&balancer, now).len() == used);
        }
    }
}
