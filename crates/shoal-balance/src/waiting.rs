//! The bound of requests that are held until a replica is ready. Never: holds or wakes any itself.

use std::sync::{Arc, Mutex, PoisonError};

/// How many requests, and how many bytes of them, may be held at once.
#[derive(Clone, Debug)]
pub struct Waiting {
    room: Arc<Room>,
}

#[derive(Debug)]
struct Room {
    requests_max: u64,
    bytes_max: u64,
    held: Mutex<Held>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Held {
    requests: u64,
    bytes: u64,
}

impl Waiting {
    /// Room for so many requests with so many bytes together.
    #[must_use]
    pub fn new(requests_max: u64, bytes_max: u64) -> Self {
        Self { room: Arc::new(Room { requests_max, bytes_max, held: Mutex::default() }) }
    }

    /// A place for a request of which `bytes` are kept in memory, or `None` when there is no room for it.
    #[must_use]
    pub fn enter(&self, bytes: u64) -> Option<Place> {
        self.room.change(|held, room| {
            let requests = held.requests.checked_add(1).filter(|requests| *requests <= room.requests_max)?;
            let bytes = held.bytes.checked_add(bytes).filter(|bytes| *bytes <= room.bytes_max)?;
            Some(Held { requests, bytes })
        })?;
        Some(Place { room: Arc::clone(&self.room), bytes })
    }

    /// How many requests are held.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.room.held.lock().unwrap_or_else(PoisonError::into_inner).requests
    }

    /// Whether no request is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Room {
    fn change(&self, next: impl FnOnce(Held, &Self) -> Option<Held>) -> Option<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held = next(*held, self)?;
        Some(())
    }
}

/// A held request's place, until this is dropped.
#[derive(Debug)]
#[must_use = "a place that is dropped at once holds nothing"]
pub struct Place {
    room: Arc<Room>,
    bytes: u64,
}

impl Place {
    /// Keeps so many bytes more; `false`, and none more, when there is no room for them.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let grown = self.room.change(|held, room| {
            let bytes = held.bytes.checked_add(bytes).filter(|bytes| *bytes <= room.bytes_max)?;
            Some(Held { bytes, ..held })
        });
        if grown.is_some() {
            self.bytes += bytes;
        }
        grown.is_some()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.room.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.requests = held.requests.saturating_sub(1);
        held.bytes = held.bytes.saturating_sub(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_bounds_hold() {
        let waiting = Waiting::new(2, 100);
        let first = waiting.enter(60);
        assert!(first.is_some() && waiting.enter(41).is_none());
        let mut second = waiting.enter(30);
        assert!(waiting.enter(0).is_none(), "two are held");
        assert!(second.as_mut().is_some_and(|place| place.grow(10) && !place.grow(1)));
        drop(first);
        assert!(second.as_mut().is_some_and(|place| place.grow(60)), "what another leaves is free again");
        drop(second);
        assert!(waiting.is_empty());
        assert!(waiting.enter(u64::MAX).is_none());
        assert!(waiting.enter(100).is_some());
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_room_for_and_none_forgotten(
            turns in prop::collection::vec((0..3u8, 0..40u64, 0..10usize), 0..200), requests_max in 0..8u64, bytes_max in 0..100u64,
        ) {
            let waiting = Waiting::new(requests_max, bytes_max);
            let mut held: Vec<(Place, u64)> = Vec::new();
            for (kind, bytes, which) in turns {
                let sum: u64 = held.iter().map(|(_, bytes)| bytes).sum();
                let fits = sum + bytes <= bytes_max;
                match kind {
                    0 => {
                        let place = waiting.enter(bytes);
                        prop_assert_eq!(place.is_some(), fits && (held.len() as u64) < requests_max);
                        held.extend(place.map(|place| (place, bytes)));
                    }
                    1 if !held.is_empty() => {
                        let index = which % held.len();
                        let grown = held[index].0.grow(bytes);
                        prop_assert_eq!(grown, fits);
                        held[index].1 += if grown { bytes } else { 0 };
                    }
                    2 if !held.is_empty() => drop(held.swap_remove(which % held.len())),
                    _ => {}
                }
                prop_assert_eq!(waiting.len(), held.len() as u64);
            }
        }
    }
}
