//! Which of two endpoints is the fuller one. Never: draws them, or knows more of them than these figures.

use crate::estimate::{CREDIT, Record};

/// What is compared of an endpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Requests under way.
    pub(crate) pending: u64,
    /// Its share of requests, above 0.
    pub(crate) weight: u64,
    /// How long an answer takes; `None` while that is not known.
    pub(crate) rtt: Option<Rtt>,
    /// How many of its recent requests failed.
    pub(crate) record: Record,
}

/// How long an answer takes, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rtt {
    pub(crate) measured: f64,
    /// What of that is still held against the endpoint; less with time.
    pub(crate) faded: f64,
}

/// Estimates that differ by less are held to be equal: they swing with what the requests happen to ask for, and weights
/// and queues should decide then.
const ALIKE: f64 = 2.0;

impl Load {
    /// Whether the request should go to `other` rather than to this one, which was drawn first.
    ///
    /// The load is max(rtt × (pending + 1), penalty), where the penalty, at most `penalty` nanoseconds, is for failing
    /// more than the other: what both do alike, since something behind them is broken, sends nobody away. It is in proportion
    /// to the square of the difference, so that a stray failure costs little.
    ///
    /// With unequal weights it is asked twice, and must hold both times: of the load for its weight with the next request,
    /// and of that without it. Only the first would send nothing to a small weight until the large one is full; only the
    /// second would send to an idle small weight whenever the large one has anything to do. Where the two disagree the
    /// first drawn stays: it was drawn by weight. With equal weights they are the same question.
    pub(crate) fn is_fuller_than(self, other: Self, penalty: f64) -> bool {
        let (rtt_a, rtt_b) = comparable(self.rtt, other.rtt);
        let excess = excess(self.record, other.record);
        let square = penalty * excess * excess;
        let (penalty_a, penalty_b) = if excess > 0.0 { (square, 0.0) } else { (0.0, square) };
        let (weight_a, weight_b) = (self.weight as f64, other.weight as f64);
        let (pending_a, pending_b) = (self.pending as f64, other.pending as f64);
        // Each for its weight, brought to one scale by multiplying with the other's.
        let with_next = (rtt_a * (pending_a + 1.0)).max(penalty_a) * weight_b
            > (rtt_b * (pending_b + 1.0)).max(penalty_b) * weight_a;
        // What is there already counts for its weight, the next request the same wherever it goes.
        let mean = (weight_a + weight_b) / 2.0;
        let queue_a = rtt_a * (pending_a * mean / weight_a + 1.0);
        let queue_b = rtt_b * (pending_b * mean / weight_b + 1.0);
        with_next && queue_a.max(penalty_a) > queue_b.max(penalty_b)
    }
}

/// By how much more of its requests the first fails than the second, from -1 to 1, as far as that is no accident: three
/// standard deviations are taken off.
fn excess(a: Record, b: Record) -> f64 {
    if a.failures == 0.0 && b.failures == 0.0 {
        return 0.0;
    }
    let both = a.and(b).ratio_known();
    let deviation = (both * (1.0 - both) * (1.0 / (a.requests + CREDIT) + 1.0 / (b.requests + CREDIT))).sqrt();
    let difference = a.ratio_known() - b.ratio_known();
    (difference.abs() - 3.0 * deviation).max(0.0).copysign(difference)
}

/// The two times to compare. Who is not known yet is taken to be as fast as the other; who was slow long ago becomes so
/// with time, and never faster: that nobody has asked is no merit, and a small weight is seldom asked.
fn comparable(a: Option<Rtt>, b: Option<Rtt>) -> (f64, f64) {
    match (a, b) {
        (Some(a), Some(b)) if a.measured > b.measured => apart(a.faded, b.measured),
        (Some(a), Some(b)) => {
            let (b, a) = apart(b.faded, a.measured);
            (a, b)
        }
        (Some(known), None) | (None, Some(known)) => (known.measured, known.measured),
        (None, None) => (1.0, 1.0),
    }
}

fn apart(slower: f64, faster: f64) -> (f64, f64) {
    if slower > faster * ALIKE { (slower, faster) } else { (faster, faster) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PENALTY: f64 = 5e9;

    fn load(pending: u64, weight: u64) -> Load {
        Load { pending, weight, rtt: None, record: Record::default() }
    }

    fn rtt(measured: f64) -> Option<Rtt> {
        Some(Rtt { measured, faded: measured })
    }

    fn record(failures: f64, requests: f64) -> Record {
        Record { failures, requests }
    }

    fn any_record() -> impl Strategy<Value = Record> {
        (0.0..=1.0f64, 0.0..100.0f64).prop_map(|(part, requests)| record(part * requests, requests))
    }

    fn any_load() -> impl Strategy<Value = Load> {
        (0..1000u64, 1..500u64, prop::option::of((1.0..1e10f64, 0.0..=1.0f64)), any_record()).prop_map(
            |(pending, weight, rtt, record)| {
                let rtt = rtt.map(|(measured, kept)| Rtt { measured, faded: measured * kept });
                Load { pending, weight, rtt, record }
            },
        )
    }

    proptest! {
        #[test]
        fn of_two_alike_the_one_with_more_requests_is_fuller(a in 0..1000u64, b in 0..1000u64, weight in 1..=u64::from(u32::MAX), time in prop::option::of(1.0..1e10f64)) {
            let (a_load, b_load) = (Load { rtt: time.and_then(rtt), ..load(a, weight) }, Load { rtt: time.and_then(rtt), ..load(b, weight) });
            prop_assert_eq!(a_load.is_fuller_than(b_load, PENALTY), a > b);
        }

        #[test]
        fn never_both_are_fuller(a in any_load(), b in any_load()) {
            prop_assert!(!(a.is_fuller_than(b, PENALTY) && b.is_fuller_than(a, PENALTY)));
        }

        #[test]
        fn with_equal_weights_it_is_the_formula(a in any_load(), b in any_load()) {
            let (a, b) = (Load { weight: 7, ..a }, Load { weight: 7, ..b });
            let (rtt_a, rtt_b) = comparable(a.rtt, b.rtt);
            let excess = |one: Load, other: Load| PENALTY * excess(one.record, other.record).max(0.0).powi(2);
            let load_a = (rtt_a * (a.pending as f64 + 1.0)).max(excess(a, b));
            let load_b = (rtt_b * (b.pending as f64 + 1.0)).max(excess(b, a));
            prop_assume!((load_a - load_b).abs() > 1e-6 * load_a);
            prop_assert_eq!(a.is_fuller_than(b, PENALTY), load_a > load_b);
        }

        #[test]
        fn more_requests_never_make_it_emptier(a in any_load(), b in any_load(), more in 0..100u64) {
            prop_assume!(a.is_fuller_than(b, PENALTY));
            let fuller = Load { pending: a.pending + more, ..a };
            prop_assert!(fuller.is_fuller_than(b, PENALTY));
        }

        #[test]
        fn a_longer_time_never_makes_it_emptier(a in any_load(), b in any_load(), times in 1.0..100.0f64) {
            // A time that is not known, or a penalty, would be compared with the longer time too.
            let (a, b) = (Load { record: Record::default(), ..a }, Load { record: Record::default(), ..b });
            prop_assume!(b.rtt.is_some() && a.is_fuller_than(b, PENALTY));
            let longer = Load { rtt: a.rtt.map(|rtt| Rtt { measured: rtt.measured * times, faded: rtt.faded * times }), ..a };
            prop_assert!(longer.is_fuller_than(b, PENALTY));
        }

        #[test]
        fn what_fails_is_fuller_than_an_idle_peer_that_does_not(time in 1.0..1e8f64) {
            let failing = Load { rtt: rtt(time / 100.0), record: record(30.0, 60.0), ..load(0, 100) };
            let sound = Load { rtt: rtt(time), record: record(0.0, 60.0), ..load(0, 100) };
            prop_assert!(failing.is_fuller_than(sound, PENALTY));
        }
    }

    #[test]
    fn idle_and_alike_the_draw_decides_whatever_the_weights() {
        for (first, second) in [(100, 1), (1, 100)] {
            let (first, second) =
                (Load { rtt: rtt(1e6), ..load(0, first) }, Load { rtt: rtt(1.9e6), ..load(0, second) });
            assert!(!first.is_fuller_than(second, PENALTY) && !second.is_fuller_than(first, PENALTY));
        }
    }

    #[test]
    fn who_was_not_asked_for_long_is_no_slower_but_no_faster_either() {
        let asked = Load { rtt: rtt(1e6), ..load(0, 100) };
        for measured in [1e6, 1e8] {
            let forgotten = Load { rtt: Some(Rtt { measured, faded: 1.0 }), ..load(0, 100) };
            assert!(!asked.is_fuller_than(forgotten, PENALTY) && !forgotten.is_fuller_than(asked, PENALTY));
        }
    }

    #[test]
    fn what_all_do_alike_sends_nobody_away() {
        let (one, other) =
            (Load { record: record(54.0, 90.0), ..load(3, 100) }, Load { record: record(45.0, 90.0), ..load(4, 100) });
        assert!(other.is_fuller_than(one, PENALTY) && !one.is_fuller_than(other, PENALTY));
    }

    #[test]
    fn what_fails_more_costs_more_and_chance_costs_nothing() {
        let sound = record(0.0, 100.0);
        let excesses = [0.0, 5.0, 10.0, 20.0, 50.0, 100.0].map(|failures| excess(record(failures, 100.0), sound));
        assert!(excesses.is_sorted() && excesses[1] < 0.01 && excesses[3] > 0.05 && excesses[5] > 0.7, "{excesses:?}");
        assert!(excess(record(1.0, 1.0), sound) < 0.15, "one failure is no verdict");
        assert_eq!(excess(sound, record(50.0, 100.0)), -excess(record(50.0, 100.0), sound));
    }
}
