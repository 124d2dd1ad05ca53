//! The stories of the table: five replicas, of which the last is odd. Never: tuned to flatter; each strategy gets the same
//! requests.

use crate::strategy::{LeastPending, RoundRobin, Shoal, Strategy};
use crate::world::{Behaviour, MILLISECOND, Replica, SECOND, Story, World, run};
use shoal_balance::BalanceSettings;
use std::fmt::Write;

/// A story with an odd replica.
pub struct Scenario {
    pub title: &'static str,
    pub world: World,
    /// When its oddness shows, for the share of the tries that it gets.
    pub odd_from: u64,
    pub odd_to: u64,
}

/// The number of the odd replica.
pub const ODD: usize = 4;
const MEAN: u64 = 2 * MILLISECOND;
const END: u64 = 20 * SECOND;

fn scenario(title: &'static str, odd: Replica, (odd_from, odd_to): (u64, u64)) -> Scenario {
    let mut replicas = vec![Replica::sound(MEAN); ODD];
    replicas.push(odd);
    Scenario { title, world: World { replicas, rate: 1000, end: END, seed: 1 }, odd_from, odd_to }
}

/// All stories.
pub fn scenarios() -> Vec<Scenario> {
    let fresh = vec![
        (0, Behaviour::Away),
        (5 * SECOND, Behaviour::Serves { mean: 12 * MEAN }),
        (7 * SECOND, Behaviour::Serves { mean: 6 * MEAN }),
        (9 * SECOND, Behaviour::Serves { mean: MEAN }),
    ];
    let flapping = (0..10).flat_map(|turn| {
        let from = turn * 2 * SECOND;
        [(from, Behaviour::Serves { mean: MEAN }), (from + SECOND, Behaviour::Breaks { after: 50 * MILLISECOND })]
    });
    vec![
        scenario("is as the others", Replica::sound(MEAN), (0, END)),
        scenario("is ten times slower", Replica::sound(10 * MEAN), (0, END)),
        scenario(
            "fails at once, always",
            Replica::with(vec![(0, Behaviour::Fails { mean: MEAN, part: 1.0 })]),
            (0, END),
        ),
        scenario(
            "fails at once, every fifth time",
            Replica::with(vec![(0, Behaviour::Fails { mean: MEAN, part: 0.2 })]),
            (0, END),
        ),
        scenario("is new, and slow for its first 4 s", Replica::with(fresh), (5 * SECOND, 9 * SECOND)),
        scenario("is down every other second", Replica::with(flapping.collect()), (0, END)),
        scenario("refuses every connection", Replica::with(vec![(0, Behaviour::Refuses)]), (0, END)),
    ]
}

/// What the strategies make of a story: round robin, least pending, the balancer.
pub fn stories(world: &World) -> [Story; 3] {
    let mut strategies: [Box<dyn Strategy>; 3] = [
        Box::new(RoundRobin::default()),
        Box::new(LeastPending::default()),
        Box::new(Shoal::new(BalanceSettings::default())),
    ];
    strategies.each_mut().map(|strategy| run(world, strategy.as_mut()))
}

/// The table, as Markdown.
pub fn table() -> String {
    let mut table = String::from(
        "| the fifth replica | its part of all tries, % | p99, ms | failed, % |\n\
         |---|---:|---:|---:|\n",
    );
    for scenario in scenarios() {
        let stories = stories(&scenario.world);
        let three = |figure: &dyn Fn(&Story) -> String| stories.each_ref().map(figure).join(" / ");
        let share = three(&|story| format!("{:.1}", story.share(ODD, scenario.odd_from, scenario.odd_to) * 100.0));
        let slow = three(&|story| format!("{:.1}", story.quantile(0.99) as f64 / MILLISECOND as f64));
        let failed = three(&|story| format!("{:.2}", story.failed() * 100.0));
        // Writing to a text cannot fail.
        let _written = writeln!(table, "| {} | {share} | {slow} | {failed} |", scenario.title);
    }
    table
}
