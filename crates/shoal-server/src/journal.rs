//! What happened, in order, for whoever watches: bounded, in memory. Holds no state that anything depends on.

use shoal_model::{Millis, ReplicaName, ServiceName};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How many entries are kept.
const ENTRIES_MAX: usize = 10_000;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Counts up from 1.
    pub place: u64,
    /// When.
    pub at: Millis,
    /// A word for programs: `build`, `ready`, `exited` …
    pub kind: &'static str,
    /// The service it concerns; `None` for the whole application.
    pub service: Option<ServiceName>,
    /// The replica it concerns.
    pub replica: Option<ReplicaName>,
    /// One sentence.
    pub text: String,
}

/// What happened lately. Cheap to clone; all clones share it.
#[derive(Clone, Default)]
pub struct Journal {
    inner: Arc<(Mutex<Entries>, Notify)>,
}

#[derive(Default)]
struct Entries {
    kept: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    /// Adds something that concerns the whole application.
    pub fn note(&self, at: Millis, kind: &'static str, text: impl Into<String>) {
        self.add(Entry { place: 0, at, kind, service: None, replica: None, text: text.into() });
    }

    /// Adds something that concerns one service.
    pub fn note_service(&self, at: Millis, kind: &'static str, service: &ServiceName, text: impl Into<String>) {
        self.add(Entry { place: 0, at, kind, service: Some(service.clone()), replica: None, text: text.into() });
    }

    /// Adds an entry; its place is given here.
    pub fn add(&self, mut entry: Entry) {
        let mut entries = self.entries();
        entries.last += 1;
        entry.place = entries.last;
        entries.kept.push_back(entry);
        if entries.kept.len() > ENTRIES_MAX {
            entries.kept.pop_front();
        }
        drop(entries);
        self.inner.1.notify_waiters();
    }

    /// The place of the newest entry; 0 before the first.
    #[must_use]
    pub fn last_place(&self) -> u64 {
        self.entries().last
    }

    /// What came after `place`, at most 1,000 entries; waits up to `patience` for the first.
    pub async fn after(&self, place: u64, patience: Duration) -> Vec<Entry> {
        let news = self.inner.1.notified();
        tokio::pin!(news);
        news.as_mut().enable(); // before looking, so that nothing slips in between
        let found = self.read(place);
        if !found.is_empty() {
            return found;
        }
        let _ = tokio::time::timeout(patience, news).await; // no news is an answer too
        self.read(place)
    }

    fn read(&self, place: u64) -> Vec<Entry> {
        self.entries().kept.iter().filter(|entry| entry.place > place).take(1000).cloned().collect()
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Entries> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reader_waits_for_news_and_misses_none() {
        let journal = Journal::default();
        let reader = tokio::spawn({
            let journal = journal.clone();
            async move { journal.after(0, Duration::from_secs(30)).await }
        });
        journal.note(Millis(1), "build", "one");
        assert_eq!(reader.await.unwrap()[0].text, "one");
        journal.note(Millis(2), "build", "two");
        let after = journal.after(1, Duration::ZERO).await;
        assert_eq!((after.len(), after[0].place), (1, 2));
        assert!(journal.after(2, Duration::ZERO).await.is_empty());
    }

    #[tokio::test]
    async fn old_entries_make_room() {
        let journal = Journal::default();
        for _ in 0..=ENTRIES_MAX {
            journal.note(Millis(1), "build", "x");
        }
        assert_eq!(journal.after(0, Duration::ZERO).await[0].place, 2);
    }
}
