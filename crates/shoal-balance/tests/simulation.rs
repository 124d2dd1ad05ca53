//! The stories of the table as relations, and the guide's table as it is printed. Time is virtual and the seeds are fixed,
//! so that nothing here depends on the machine.

#![allow(clippy::unwrap_used)] // a test that panics is a test that fails

#[path = "../examples/simulation/random.rs"]
mod random;
#[path = "../examples/simulation/scenarios.rs"]
mod scenarios;
#[path = "../examples/simulation/strategy.rs"]
mod strategy;
#[path = "../examples/simulation/world.rs"]
mod world;

use scenarios::{ODD, stories};
use shoal_balance::BalanceSettings;
use std::collections::BTreeMap;
use strategy::Shoal;
use world::{Behaviour, MILLISECOND, Replica, SECOND, Story, World, run};

const MEAN: u64 = 2 * MILLISECOND;

fn shoal(world: &World) -> Story {
    run(world, &mut Shoal::new(BalanceSettings::default()))
}

fn world(odd: Vec<(u64, Behaviour)>, rate: u64, seed: u64) -> World {
    let mut replicas = vec![Replica::sound(MEAN); ODD];
    replicas.push(Replica::with(odd));
    World { replicas, rate, end: 15 * SECOND, seed }
}

fn serves(mean: u64) -> Behaviour {
    Behaviour::Serves { mean }
}

#[test]
fn the_guide_shows_the_table_that_is_printed() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/balancing.md");
    let guide = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- table -->\n", "<!-- end of the table -->");
    let (before, rest) = guide.split_once(begin).unwrap();
    let (shown, after) = rest.split_once(end).unwrap();
    let printed = scenarios::table();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(path, format!("{before}{begin}{printed}{end}{after}")).unwrap();
    } else {
        assert_eq!(shown, printed, "BLESS=1 writes what is printed now");
    }
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let world = world(vec![(0, Behaviour::Fails { mean: MEAN, part: 0.5 })], 300, 9);
    let (one, other) = (shoal(&world), shoal(&world));
    assert_eq!(one.tries, other.tries);
    let elsewhere = shoal(&World { seed: 10, ..world });
    assert_ne!(one.tries, elsewhere.tries);
}

#[test]
fn a_slow_replica_gets_little_and_the_slowest_answers_are_faster_than_otherwise() {
    for (seed, rate) in [(1, 100), (2, 500), (3, 3000)] {
        let world = world(vec![(0, serves(10 * MEAN))], rate, seed);
        let [round_robin, least_pending, shoal] = stories(&world);
        let share = shoal.share(ODD, 0, u64::MAX);
        assert!(share < 0.01, "seed {seed}: {share}");
        assert!(share < least_pending.share(ODD, 0, u64::MAX) / 2.0, "seed {seed}");
        assert!(shoal.quantile(0.99) < least_pending.quantile(0.99), "seed {seed}");
        assert!(shoal.quantile(0.99) * 2 < round_robin.quantile(0.99), "seed {seed}");
    }
}

#[test]
fn one_that_fails_fast_does_not_look_best() {
    for (seed, rate) in [(1, 100), (2, 1500), (3, 3000)] {
        let [round_robin, least_pending, shoal] =
            stories(&world(vec![(0, Behaviour::Fails { mean: MEAN, part: 1.0 })], rate, seed));
        // That is the trap: what fails at once is never busy.
        assert!(least_pending.failed() >= round_robin.failed() * 0.95, "seed {seed}");
        assert!(shoal.failed() < round_robin.failed() / 20.0, "seed {seed}: {}", shoal.failed());
    }
}

#[test]
fn where_all_fail_alike_the_work_is_still_shared() {
    let failing = Replica::with(vec![(0, Behaviour::Fails { mean: MEAN, part: 0.5 })]);
    for seed in 1..4 {
        let story = shoal(&World { replicas: vec![failing.clone(); 5], rate: 1000, end: 15 * SECOND, seed });
        for replica in 0..5 {
            let share = story.share(replica, 0, u64::MAX);
            assert!((0.1..0.3).contains(&share), "seed {seed}, {replica}: {share}");
        }
    }
}

#[test]
fn most_may_fail_and_the_rest_is_not_crushed_nor_left_alone() {
    // Three of five fail half of their requests; no more than two may be ejected, and all are better than none.
    let mut replicas = vec![Replica::sound(MEAN); 2];
    replicas.extend(vec![Replica::with(vec![(0, Behaviour::Fails { mean: MEAN, part: 0.5 })]); 3]);
    let story = shoal(&World { replicas, rate: 1000, end: 20 * SECOND, seed: 5 });
    assert!(story.failed() < 0.02, "{}", story.failed());
    assert!(story.quantile(0.99) < 15 * MILLISECOND, "{}", story.quantile(0.99));
}

#[test]
fn a_fresh_replica_starts_slowly_and_gets_its_full_share() {
    let joins = 2 * SECOND;
    let stories: Vec<Story> =
        (0..5).map(|seed| shoal(&world(vec![(0, Behaviour::Away), (joins, serves(MEAN))], 1500, seed))).collect();
    let share = |from, to| stories.iter().map(|story| story.share(ODD, from, to)).sum::<f64>() / stories.len() as f64;
    let shares: Vec<f64> = (0..6).map(|turn| share(joins + turn * SECOND, joins + (turn + 1) * SECOND)).collect();
    assert!(shares[0] < 0.08, "{shares:?}");
    assert!(shares.is_sorted_by(|earlier, later| earlier < later), "{shares:?}");
    let full = share(joins + 6 * SECOND, u64::MAX);
    assert!((0.18..0.22).contains(&full), "{full}");
}

#[test]
fn a_fresh_cold_replica_costs_less_than_otherwise() {
    let cold = vec![(0, Behaviour::Away), (2 * SECOND, serves(12 * MEAN)), (6 * SECOND, serves(MEAN))];
    let [round_robin, least_pending, shoal] = stories(&world(cold, 1000, 7));
    assert!(shoal.quantile(0.99) < least_pending.quantile(0.99));
    assert!(shoal.quantile(0.99) < round_robin.quantile(0.99));
    let late = shoal.share(ODD, 12 * SECOND, u64::MAX);
    assert!((0.15..0.25).contains(&late), "warm at last: {late}");
}

#[test]
fn a_flapping_replica_harms_few() {
    for (seed, rate) in [(1, 100), (2, 1500)] {
        let phases = (0..8).flat_map(|turn| {
            let from = turn * 2 * SECOND;
            [(from, serves(MEAN)), (from + SECOND, Behaviour::Breaks { after: 50 * MILLISECOND })]
        });
        let [round_robin, least_pending, shoal] = stories(&world(phases.collect(), rate, seed));
        assert!(shoal.failed() < least_pending.failed() / 5.0, "seed {seed}: {}", shoal.failed());
        assert!(shoal.failed() < round_robin.failed() / 20.0, "seed {seed}: {}", shoal.failed());
    }
}

#[test]
fn a_dead_replica_is_tried_now_and_then_only() {
    let story = shoal(&world(vec![(0, Behaviour::Refuses)], 1500, 8));
    let tries = story.tries.iter().filter(|(_, replica)| *replica == ODD).count();
    // Until the breaker opens, then once for each time that it does: 0.1 s, 0.2 s, … 2 s.
    assert!((10..=30).contains(&tries), "{tries}");
    assert!(story.failed() == 0.0);
}

#[test]
fn once_all_is_well_again_the_shares_are_too() {
    let faults = [
        Behaviour::Serves { mean: 20 * MEAN },
        Behaviour::Fails { mean: MEAN, part: 1.0 },
        Behaviour::Refuses,
        Behaviour::Breaks { after: 20 * MILLISECOND },
    ];
    for (seed, fault) in faults.into_iter().enumerate() {
        let phases = vec![(0, serves(MEAN)), (2 * SECOND, fault), (7 * SECOND, serves(MEAN))];
        let world = World { end: 45 * SECOND, ..world(phases, 500, seed as u64) };
        let late = shoal(&world).share(ODD, 35 * SECOND, u64::MAX);
        assert!((0.15..0.25).contains(&late), "{fault:?}: {late}");
    }
}

#[test]
fn a_single_replica_that_comes_back_costs_time_and_no_errors() {
    // Nothing was sent while it refused, so nothing need fail: what came meanwhile waits for the breaker's next trial.
    let replica = Replica::with(vec![(0, serves(MEAN)), (5 * SECOND, Behaviour::Refuses), (6 * SECOND, serves(MEAN))]);
    let story = shoal(&World { replicas: vec![replica], rate: 200, end: 12 * SECOND, seed: 9 });
    assert!(story.failed() == 0.0);
    let longest = story.quantile(1.0);
    assert!((SECOND / 2..2 * SECOND).contains(&longest), "{longest}");
    let tries = story.tries.iter().filter(|(at, _)| (5 * SECOND..6 * SECOND).contains(at)).count();
    assert!(tries < 20, "what waits does not knock: {tries}");
}

#[test]
fn weights_hold_while_times_vary() {
    let weights = [100, 100, 50, 10];
    for rate in [100, 1000, 4000] {
        let mut strategy = Shoal::new(BalanceSettings::default());
        strategy.weights = weights.into_iter().enumerate().collect::<BTreeMap<usize, u32>>();
        let world = World { replicas: vec![Replica::sound(MEAN); 4], rate, end: 15 * SECOND, seed: rate };
        let story = run(&world, &mut strategy);
        for (replica, weight) in weights.into_iter().enumerate() {
            let (share, expected) = (story.share(replica, 0, u64::MAX), f64::from(weight) / 260.0);
            assert!((share - expected).abs() < 0.25 * expected + 0.01, "{rate}/s, {weight}: {share}, not {expected}");
        }
    }
}
