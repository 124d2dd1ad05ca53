//! Shedding: when a service has as much under way as it can take, what matters less is turned away first. Never: waits.

use shoal_model::Priority;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The requests under way at one service, as one of its callers counts them.
#[derive(Clone, Debug, Default)]
pub struct Saturation {
    under_way: Arc<AtomicU64>,
}

impl Saturation {
    /// Nothing under way.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a request in, or says `None` when the service is too full for its priority: low gives way at 70 % of the
    /// capacity, normal at 90 %, high at all of it.
    ///
    /// `capacity` is how many the service takes at once, all its replicas together; with 0 there is nobody to be
    /// saturated, so that nothing is turned away, and what waits for a replica is bounded by [`Waiting`](crate::Waiting).
    #[must_use]
    pub fn admit(&self, capacity: u64, priority: Priority) -> Option<Admitted> {
        let limit = if capacity == 0 { u64::MAX } else { limit(capacity, priority) };
        let enter = |count: u64| (count < limit).then(|| count.saturating_add(1));
        self.under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, enter).ok()?;
        Some(Admitted { under_way: Arc::clone(&self.under_way) })
    }

    /// Requests under way.
    #[must_use]
    pub fn under_way(&self) -> u64 {
        self.under_way.load(Ordering::Relaxed)
    }
}

// Rounded up, so that the smallest capacity still serves every priority while it is idle.
fn limit(capacity: u64, priority: Priority) -> u64 {
    let percent: u128 = match priority {
        Priority::Low => 70,
        Priority::Normal => 90,
        Priority::High => 100,
    };
    u64::try_from((u128::from(capacity) * percent).div_ceil(100)).unwrap_or(u64::MAX)
}

/// A request under way at a service until this is dropped. Hold it until the end of the answer.
#[derive(Debug)]
#[must_use = "a request that is dropped at once counts for nothing"]
pub struct Admitted {
    under_way: Arc<AtomicU64>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_priority() -> impl Strategy<Value = Priority> {
        prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)]
    }

    fn fill(saturation: &Saturation, capacity: u64, priority: Priority) -> Vec<Admitted> {
        std::iter::from_fn(|| saturation.admit(capacity, priority)).take(10_000).collect()
    }

    #[test]
    fn what_matters_least_gives_way_first() {
        let saturation = Saturation::new();
        let low = fill(&saturation, 100, Priority::Low);
        let normal = fill(&saturation, 100, Priority::Normal);
        let high = fill(&saturation, 100, Priority::High);
        assert_eq!((low.len(), normal.len(), high.len()), (70, 20, 10));
        drop(low);
        assert_eq!(saturation.under_way(), 30);
        assert!(saturation.admit(100, Priority::Low).is_some());
    }

    #[test]
    fn an_idle_service_serves_every_priority_and_nobody_is_not_saturated() {
        for priority in [Priority::Low, Priority::Normal, Priority::High] {
            assert_eq!(fill(&Saturation::new(), 1, priority).len(), 1);
            assert_eq!(fill(&Saturation::new(), 0, priority).len(), 10_000);
        }
    }

    proptest! {
        #[test]
        fn the_more_it_matters_the_more_gets_in(capacity in 1..u64::MAX) {
            let limits = [Priority::Low, Priority::Normal, Priority::High].map(|priority| limit(capacity, priority));
            prop_assert!(limits.is_sorted() && limits[0] >= 1 && limits[2] == capacity);
        }

        #[test]
        fn never_more_than_the_capacity_and_none_forgotten(
            turns in prop::collection::vec((any_priority(), any::<bool>(), 0..10usize), 0..200), capacity in 1..20u64,
        ) {
            let saturation = Saturation::new();
            let mut running = Vec::new();
            for (priority, enters, which) in turns {
                if enters {
                    let room = (running.len() as u64) < limit(capacity, priority);
                    let admitted = saturation.admit(capacity, priority);
                    prop_assert_eq!(admitted.is_some(), room);
                    running.extend(admitted);
                } else if !running.is_empty() {
                    drop(running.swap_remove(which % running.len()));
                }
                prop_assert_eq!(saturation.under_way(), running.len() as u64);
                prop_assert!(saturation.under_way() <= capacity);
            }
        }
    }
}
