//! What waits to be written, and who writes it: one task drives each connection, and everybody who has something to say
//! appends it here. Never: a socket.

use std::task::Waker;

/// Frames that wait to be written, and the task that will.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: Vec<u8>,
    /// How many bytes were ever appended.
    appended: u64,
    /// Whether the driving task is running just now, and so will look again before it sleeps.
    driven: bool,
    driver: Option<Waker>,
}

impl Outbox {
    /// Appends; wake what is returned once no lock is held. `None` while the driver runs or has been woken.
    #[must_use]
    pub fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Option<Waker> {
        let before = self.bytes.len();
        write(&mut self.bytes);
        self.appended += (self.bytes.len() - before) as u64;
        self.rouse()
    }

    /// The waker of the driver, should it have to be woken to look again.
    #[must_use]
    pub fn rouse(&mut self) -> Option<Waker> {
        if self.driven { None } else { self.driver.take() }
    }

    /// The driver runs: nobody needs to wake it.
    pub fn begin(&mut self) {
        self.driven = true;
    }

    /// The driver sleeps; whoever appends wakes it.
    pub fn end(&mut self, waker: &Waker) {
        self.driven = false;
        self.driver = Some(waker.clone());
    }

    /// Swaps what waits with `empty`, which the driver has written.
    pub fn take(&mut self, empty: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, empty);
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many bytes wait here.
    pub fn waiting(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes were ever appended: where the next ones begin.
    pub fn appended(&self) -> u64 {
        self.appended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_driver_is_woken_once_and_a_running_one_never() {
        let mut outbox = Outbox::default();
        outbox.begin();
        assert!(outbox.append(|bytes| bytes.push(1)).is_none());
        outbox.end(Waker::noop());
        assert!(outbox.append(|bytes| bytes.push(2)).is_some());
        assert!(outbox.append(|bytes| bytes.push(3)).is_none(), "it was woken");
        let mut taken = Vec::new();
        outbox.take(&mut taken);
        assert_eq!((taken, outbox.is_empty(), outbox.appended()), (vec![1, 2, 3], true, 3));
    }
}
