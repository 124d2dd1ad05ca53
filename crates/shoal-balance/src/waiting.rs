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
        let room = &self.room;
        let mut held = room.held.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = held.requests.checked_add(1).filter(|requests| *requests <= room.requests_max)?;
        let all = held.bytes.checked_add(bytes).filter(|bytes| *bytes <= room.bytes_max)?;
        *held = Held { requests, bytes: all };
        Some(Place { room: Arc::clone(room), bytes })
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

/// A held request's place, until this is dropped.
#[derive(Debug)]
#[must_use = "a place that is dropped at once holds nothing"]
pub struct Place {
    room: Arc<Room>,
    bytes: u64,
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
        let second = waiting.enter(40);
        assert!(second.is_some() && waiting.enter(0).is_none(), "two are held");
        drop(first);
        let third = waiting.enter(60);
        assert!(third.is_some(), "what another leaves is free again");
        drop((second, third));
        assert!(waiting.is_empty());
        assert!(waiting.enter(u64::MAX).is_none());
        assert!(waiting.enter(100).is_some());
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_room_for_and_none_forgotten(
            turns in prop::collection::vec((any::<bool>(), 0..40u64, 0..10usize), 0..200), requests_max in 0..8u64, bytes_max in 0..100u64,
        ) {
            let waiting = Waiting::new(requests_max, bytes_max);
            let mut held: Vec<(Place, u64)> = Vec::new();
            for (enters, bytes, which) in turns {
                let sum: u64 = held.iter().map(|(_, bytes)| bytes).sum();
                if enters {
                    let place = waiting.enter(bytes);
                    let fits = sum + bytes <= bytes_max && (held.len() as u64) < requests_max;
                    prop_assert_eq!(place.is_some(), fits);
                    held.extend(place.map(|place| (place, bytes)));
                } else if !held.is_empty() {
                    drop(held.swap_remove(which % held.len()));
                }
                prop_assert_eq!(waiting.len(), held.len() as u64);
            }
        }
    }
}
