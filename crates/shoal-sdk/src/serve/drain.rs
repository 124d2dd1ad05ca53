//! Counts requests that are being answered, and waits until none is. Never: refuses one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// How many requests are being answered. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct InFlight {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    count: AtomicUsize,
    /// The count has reached 0.
    none: Notify,
}

/// One of them, until dropped.
pub(crate) struct Held {
    shared: Arc<Shared>,
}

impl InFlight {
    pub fn begin(&self) -> Held {
        self.shared.count.fetch_add(1, Ordering::Relaxed);
        Held { shared: Arc::clone(&self.shared) }
    }

    pub fn count(&self) -> usize {
        self.shared.count.load(Ordering::Acquire)
    }

    /// Waits until no request is being answered.
    pub async fn none(&self) {
        loop {
            // Enlisted before the count is read, so that its last change is not missed.
            let mut reached = std::pin::pin!(self.shared.none.notified());
            reached.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            reached.await;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.shared.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.none.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn none_waits_for_the_last_one() {
        let in_flight = InFlight::default();
        in_flight.none().await;
        let (first, second) = (in_flight.begin(), in_flight.clone().begin());
        assert_eq!(in_flight.count(), 2);
        drop(first);
        let waiting = tokio::spawn({
            let in_flight = in_flight.clone();
            async move { in_flight.none().await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }
}
