//! Counts requests that are being answered, and waits until none is. Never: refuses one.

use tokio::sync::watch;

/// How many requests are being answered. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    count: watch::Sender<usize>,
}

/// One of them, until dropped.
pub(crate) struct Held {
    count: watch::Sender<usize>,
}

impl InFlight {
    pub fn new() -> Self {
        Self { count: watch::Sender::new(0) }
    }

    pub fn begin(&self) -> Held {
        self.count.send_modify(|count| *count += 1);
        Held { count: self.count.clone() }
    }

    pub fn count(&self) -> usize {
        *self.count.borrow()
    }

    /// Waits until no request is being answered.
    pub async fn none(&self) {
        let mut count = self.count.subscribe();
        // The sender lives in `self`, so the channel cannot close before this returns.
        let _ = count.wait_for(|count| *count == 0).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.send_modify(|count| *count = count.saturating_sub(1));
    }
}
