//! What callers rely on: the choice, the shares, and the counts.

#![allow(clippy::unwrap_used)] // a test that panics is a test that fails

use proptest::prelude::*;
use shoal_balance::{Balancer, Moment, Pick};
use shoal_model::{Address, Endpoint, ReplicaName, RevisionId};
use std::collections::BTreeMap;
use std::sync::Arc;

const NOW: Moment = Moment(1);

fn endpoint(serial: u64, weight: u32) -> Endpoint {
    Endpoint {
        replica: ReplicaName { service: "shop".parse().unwrap(), serial },
        revision: RevisionId("abc".to_owned()),
        address: Address::Tcp(([127, 0, 0, 1], 9000).into()),
        weight,
        identity: None,
    }
}

fn endpoints(weights: &[u32]) -> Vec<Endpoint> {
    weights.iter().enumerate().map(|(index, weight)| endpoint(index as u64, *weight)).collect()
}

fn balancer(weights: &[u32]) -> Balancer {
    let balancer = Balancer::default();
    balancer.replace(&endpoints(weights), NOW);
    balancer
}

fn serial(pick: &Pick) -> u64 {
    pick.endpoint().replica.serial
}

fn pending(balancer: &Balancer, serial: u64) -> u64 {
    balancer.pending().into_iter().find(|(replica, _)| replica.serial == serial).map_or(0, |(_, count)| count)
}

/// A seeded random source.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

fn shares(balancer: &Balancer, requests: usize, in_flight: usize) -> BTreeMap<u64, f64> {
    let mut random = Random(42);
    let mut running = std::collections::VecDeque::new();
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        if running.len() >= in_flight {
            // Any one of them ends, not always the oldest.
            let which = random.next() as usize % running.len();
            drop(running.swap_remove_back(which));
        }
        let pick = balancer.pick(NOW, random.next()).unwrap();
        *counts.entry(serial(&pick)).or_insert(0.0) += 1.0 / requests as f64;
        running.push_back(pick);
    }
    counts
}

#[test]
fn a_pick_can_be_held_across_awaits_by_any_thread() {
    fn is_send<T: Send + 'static>() {}
    fn is_shared<T: Send + Sync + 'static>() {}
    is_send::<Pick>();
    is_shared::<Pick>();
    is_shared::<Balancer>();
}

#[test]
fn without_endpoints_there_is_no_pick() {
    let balancer = Balancer::default();
    assert!(balancer.is_empty());
    assert!(balancer.pick(NOW, 7).is_none());
    balancer.replace(&endpoints(&[100]), NOW);
    assert_eq!((balancer.is_empty(), balancer.len()), (false, 1));
    assert!(balancer.pick(NOW, 7).is_some());
    balancer.replace(&[], NOW);
    assert!(balancer.pick(NOW, 7).is_none());
}

#[test]
fn shares_follow_weights_whether_busy_or_idle() {
    for weights in [&[100, 300][..], &[100, 100, 100], &[10, 90], &[1, 2, 3, 4], &[100, 0, 50]] {
        let total: u32 = weights.iter().sum();
        for in_flight in [1, 3, 10, 100] {
            let counts = shares(&balancer(weights), 40_000, in_flight);
            for (index, weight) in weights.iter().enumerate() {
                let share = counts.get(&(index as u64)).copied().unwrap_or(0.0);
                let expected = f64::from(*weight) / f64::from(total);
                // Idle, the draw decides alone and is exact; with a few in flight, whole requests are coarse.
                let tolerance = if in_flight == 1 || in_flight == 100 { 0.03 } else { 0.1 };
                assert!(
                    (share - expected).abs() < tolerance,
                    "weights {weights:?}, {in_flight} in flight: {index} got {share:.3}, not {expected:.3}"
                );
            }
        }
    }
}

#[test]
fn a_counter_serves_as_random_source() {
    let balancer = balancer(&[100; 4]);
    let mut counts = BTreeMap::new();
    for count in 0..8_000 {
        *counts.entry(serial(&balancer.pick(NOW, count).unwrap())).or_insert(0) += 1;
    }
    assert!(counts.values().all(|count| (1_800..2_200).contains(count)), "{counts:?}");
}

#[test]
fn a_stuck_endpoint_gets_hardly_anything() {
    let balancer = balancer(&[100; 3]);
    let mut random = Random(9);
    let mut stuck = Vec::new();
    for _ in 0..1_000 {
        let pick = balancer.pick(NOW, random.next()).unwrap();
        if serial(&pick) == 1 {
            stuck.push(pick);
        }
    }
    assert!(stuck.len() < 5, "{}", stuck.len());
}

#[test]
fn what_an_endpoint_that_left_still_answers_is_counted_until_it_is_answered_or_back() {
    let balancer = balancer(&[100]);
    let (first, second) = (balancer.pick(NOW, 1).unwrap(), balancer.pick(NOW, 2).unwrap());
    assert_eq!(balancer.leaving(), 0, "it has not left");
    balancer.replace(&[endpoint(7, 100)], NOW);
    let elsewhere = balancer.pick(NOW, 3).unwrap();
    assert_eq!(balancer.leaving(), 2);
    balancer.replace(&[endpoint(8, 100)], NOW);
    assert_eq!(balancer.leaving(), 3, "those that left earlier stay counted");
    drop(first);
    assert_eq!(balancer.leaving(), 2);
    balancer.replace(&endpoints(&[50]), NOW);
    assert_eq!((balancer.leaving(), pending(&balancer, 0)), (1, 1), "back, at another weight");
    drop((second, elsewhere));
    assert_eq!(balancer.leaving(), 0);
}

#[test]
fn a_failed_replica_can_be_avoided() {
    let balancer = balancer(&[100, 0]);
    let first = balancer.pick(NOW, 3).unwrap();
    let name = first.endpoint().replica.clone();
    let second = balancer.pick_except(NOW, 3, std::slice::from_ref(&name)).unwrap();
    assert_ne!(second.endpoint().replica, name);
    assert!(balancer.pick_except(NOW, 3, &[name, second.endpoint().replica.clone()]).is_none());
    drop((first, second));
    assert!(balancer.pending().iter().all(|(_, count)| *count == 0));
}

#[test]
fn many_threads_leave_no_count_behind() {
    let balancer = Arc::new(balancer(&[100, 50, 10]));
    let threads: Vec<_> = (1..=4)
        .map(|seed| {
            let balancer = Arc::clone(&balancer);
            std::thread::spawn(move || {
                let mut random = Random(seed);
                for round in 0..5_000 {
                    let _first = balancer.pick(NOW, random.next());
                    let _second = balancer.pick(NOW, random.next());
                    if round % 100 == 0 {
                        balancer.replace(
                            &endpoints(&[100, (random.next() % 100) as u32, 10][..(round / 100) % 3 + 1]),
                            NOW,
                        );
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    balancer.replace(&endpoints(&[100, 50, 10]), NOW);
    assert!(balancer.pending().iter().all(|(_, count)| *count == 0), "{:?}", balancer.pending());
}

proptest! {
    #[test]
    fn of_two_the_less_loaded_is_picked(busy in 1..20u64, random: u64) {
        let balancer = balancer(&[100, 100]);
        // Fill both evenly, then let go of one endpoint's picks.
        let picks: Vec<Pick> = (0..busy * 2).filter_map(|count| balancer.pick(NOW, count)).collect();
        let (zero, one): (Vec<Pick>, Vec<Pick>) = picks.into_iter().partition(|pick| serial(pick) == 0);
        drop(zero);
        prop_assert!(pending(&balancer, 1) > 0);
        prop_assert_eq!(serial(&balancer.pick(NOW, random).unwrap()), 0);
        drop(one);
    }

    #[test]
    fn weight_zero_gets_nothing_unless_all_are_zero(weights in prop::collection::vec(0..3u32, 1..8), randoms in prop::collection::vec(any::<u64>(), 1..50)) {
        let balancer = balancer(&weights);
        let all_zero = weights.iter().all(|weight| *weight == 0);
        let mut held = Vec::new();
        for random in randoms {
            let pick = balancer.pick(NOW, random).unwrap();
            prop_assert!(all_zero || pick.endpoint().weight > 0);
            held.push(pick);
        }
    }

    #[test]
    fn counts_survive_replacement_and_return_to_zero(
        sets in prop::collection::vec(prop::collection::btree_map(0..6u64, 0..200u32, 0..6), 1..8),
        randoms in prop::collection::vec(any::<u64>(), 0..20),
    ) {
        let balancer = Balancer::default();
        let mut held: Vec<Pick> = Vec::new();
        for set in &sets {
            let wanted: Vec<Endpoint> = set.iter().map(|(serial, weight)| endpoint(*serial, *weight)).collect();
            balancer.replace(&wanted, NOW);
            prop_assert_eq!(balancer.len(), wanted.len());
            held.extend(randoms.iter().filter_map(|random| balancer.pick(NOW, *random)));
            for (replica, count) in balancer.pending() {
                let expected = held.iter().filter(|pick| pick.endpoint().replica == replica).count();
                prop_assert_eq!(count, expected as u64, "{}", replica);
            }
        }
        held.clear();
        prop_assert!(balancer.pending().iter().all(|(_, count)| *count == 0));
    }

    // Holders acknowledge that an endpoint is gone when this says 0: it may never be too low, nor stay up for ever.
    #[test]
    fn leaving_counts_exactly_what_is_in_flight_at_endpoints_that_left(
        turns in prop::collection::vec(
            (prop::collection::btree_map(0..5u64, 0..200u32, 0..5), prop::collection::vec(any::<u64>(), 0..8), 0..8usize),
            1..12,
        ),
    ) {
        let balancer = Balancer::default();
        let mut held: Vec<Pick> = Vec::new();
        for (set, randoms, ended) in &turns {
            let wanted: Vec<Endpoint> = set.iter().map(|(serial, weight)| endpoint(*serial, *weight)).collect();
            balancer.replace(&wanted, NOW);
            held.extend(randoms.iter().filter_map(|random| balancer.pick(NOW, *random)));
            // The oldest end first, so that some of those at endpoints that left do.
            held.drain(..(*ended).min(held.len()));
            let gone = held.iter().filter(|pick| !set.contains_key(&serial(pick))).count();
            prop_assert_eq!(balancer.leaving(), gone as u64);
        }
        held.clear();
        prop_assert_eq!(balancer.leaving(), 0);
    }
}
