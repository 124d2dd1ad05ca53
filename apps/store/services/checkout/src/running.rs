//! The orders whose sagas run in this process, each with the fence under which it is held, and since when its lease was
//! not extended. It never touches the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The orders that run here. Cheap to clone.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<BTreeMap<String, Held>>>);

struct Held {
    fence: i64,
    extended: Instant,
}

/// Counts one of them for as long as it lives.
pub struct Runs {
    running: Running,
    order_id: String,
}

impl Running {
    /// Counts an order until what it returns is dropped.
    pub fn enter(&self, order_id: &str, fence: i64) -> Runs {
        self.held().insert(order_id.to_owned(), Held { fence, extended: Instant::now() });
        Runs { running: self.clone(), order_id: order_id.to_owned() }
    }

    /// All of them, with their fences.
    pub fn orders(&self) -> BTreeMap<String, i64> {
        self.held().iter().map(|(order_id, held)| (order_id.clone(), held.fence)).collect()
    }

    /// Those whose lease was last extended this long ago or longer, with their fences.
    pub fn silent_for(&self, span: Duration) -> BTreeMap<String, i64> {
        let held = self.held();
        let silent = held.iter().filter(|(_, held)| held.extended.elapsed() >= span);
        silent.map(|(order_id, held)| (order_id.clone(), held.fence)).collect()
    }

    /// Notes that these leases were extended just now.
    pub fn extended<'a>(&self, orders: impl IntoIterator<Item = &'a String>) {
        let mut all = self.held();
        for order_id in orders {
            if let Some(held) = all.get_mut(order_id) {
                held.extended = Instant::now();
            }
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.held().len()
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<String, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runs {
    /// The order that is counted.
    pub fn order_id(&self) -> &str {
        &self.order_id
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.running.held().remove(&self.order_id);
    }
}
