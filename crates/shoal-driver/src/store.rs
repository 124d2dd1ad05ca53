//! The supervisor's state on disk: one embedded transactional store. Never decides; a commit is durable when it returns.

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// One row per thing that is kept, as JSON that carries its own version.
const KEPT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kept");

/// The store, open for one supervisor.
pub struct Store {
    open: Mutex<Option<Database>>,
    again: Reopen,
    path: PathBuf,
}

/// Opens a store's database.
pub type Reopen = Box<dyn Fn() -> Result<Database, redb::Error> + Send>;

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened.
    #[error("failed to open {path}; if it is damaged, move it away: running replicas are found again without it")]
    Open {
        /// The store's file.
        path: String,
        /// Why.
        source: Box<redb::Error>,
    },
    /// A read failed.
    #[error("failed to read the application's state")]
    Read(#[source] Box<redb::Error>),
    /// A write failed; what was there before still is.
    #[error("failed to write the application's state, so nothing was changed; see that the disk of .shoal/ has room")]
    Write(#[source] Box<redb::Error>),
    /// A row is not what it should be.
    #[error("the application's state has an unreadable `{key}`")]
    Decode {
        /// The row.
        key: &'static str,
        /// Why.
        source: serde_json::Error,
    },
}

impl Store {
    /// Opens the store, or makes an empty one.
    ///
    /// # Errors
    /// When the file cannot be opened or repaired.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let file = path.to_path_buf();
        Self::open_with(path, Box::new(move || Ok(Database::create(&file)?)))
    }

    /// As [`Store::open`], on whatever `again` opens, now and after each failure; `path` is its name in errors.
    ///
    /// # Errors
    /// When that cannot be opened or repaired.
    pub fn open_with(path: &Path, again: Reopen) -> Result<Self, StoreError> {
        let store = Self { open: Mutex::new(None), again, path: path.to_path_buf() };
        let failed = |source| StoreError::Open { path: store.path.display().to_string(), source: Box::new(source) };
        store.with(|_| Ok(())).map_err(failed)?;
        Ok(store)
    }

    /// What is kept under `key`, if anything is.
    ///
    /// # Errors
    /// When the store cannot be read or the row is not a `T`.
    pub fn get<T: DeserializeOwned>(&self, key: &'static str) -> Result<Option<T>, StoreError> {
        let Some(bytes) = self.read(key).map_err(|error| StoreError::Read(Box::new(error)))? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| StoreError::Decode { key, source })
    }

    /// Keeps `value` under `key`; durable when this returns.
    ///
    /// # Errors
    /// When it could not be written; then what was kept before still is.
    pub fn put<T: Serialize>(&self, key: &'static str, value: &T) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(value).map_err(|source| StoreError::Decode { key, source })?;
        self.write(key, &bytes).map_err(|error| StoreError::Write(Box::new(error)))
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, redb::Error> {
        self.with(|database| {
            let table = database.begin_read()?.open_table(KEPT)?;
            Ok(table.get(key)?.map(|row| row.value().to_vec()))
        })
    }

    fn write(&self, key: &str, bytes: &[u8]) -> Result<(), redb::Error> {
        self.with(|database| {
            let transaction = database.begin_write()?;
            transaction.open_table(KEPT)?.insert(key, bytes)?;
            Ok(transaction.commit()?)
        })
    }

    /// Does something with the database. After an error it is closed, and opened for the next that comes: once a disk was
    /// full, an open database refuses everything, even when there is room again.
    fn with<T>(&self, act: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open.take() {
            Some(database) => database,
            None => self.prepared()?,
        };
        let done = act(&database);
        if done.is_ok() {
            *open = Some(database);
        }
        done
    }

    fn prepared(&self) -> Result<Database, redb::Error> {
        let database = (self.again)()?;
        let transaction = database.begin_write()?;
        transaction.open_table(KEPT)?;
        transaction.commit()?;
        Ok(database)
    }
}

#[cfg(test)]
pub mod full_disk {
    //! A store on a disk that is full when a test says so.

    use super::{Database, Path, Store};
    use redb::StorageBackend;
    use redb::backends::FileBackend;
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// Whether the disk is full now.
    #[derive(Clone, Debug, Default)]
    pub struct Disk(Arc<AtomicBool>);

    impl Disk {
        /// Makes it full, or gives it room again.
        pub fn set_full(&self, full: bool) {
            self.0.store(full, Ordering::SeqCst);
        }

        /// A store on it.
        pub fn store(&self, path: &Path) -> Store {
            let (disk, file) = (self.clone(), path.to_path_buf());
            let again = move || {
                let file =
                    std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&file)?;
                Ok(Database::builder()
                    .create_with_backend(Backend { file: FileBackend::new(file)?, disk: disk.clone() })?)
            };
            Store::open_with(path, Box::new(again)).unwrap()
        }
    }

    #[derive(Debug)]
    struct Backend {
        file: FileBackend,
        disk: Disk,
    }

    impl Backend {
        fn room(&self) -> io::Result<()> {
            if self.disk.0.load(Ordering::SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        }
    }

    impl StorageBackend for Backend {
        fn len(&self) -> io::Result<u64> {
            self.file.len()
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.file.read(offset, out)
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.room().and_then(|()| self.file.set_len(len))
        }

        fn sync_data(&self) -> io::Result<()> {
            self.file.sync_data()
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            self.room().and_then(|()| self.file.write(offset, data))
        }

        fn close(&self) -> io::Result<()> {
            self.file.close()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_a_full_disk_has_room_again_it_writes_again() {
        let folder = tempfile::tempdir().unwrap();
        let disk = full_disk::Disk::default();
        let store = disk.store(&folder.path().join("state.redb"));
        store.put("a", &1).unwrap();
        disk.set_full(true);
        for _ in 0..3 {
            assert!(store.put("a", &2).unwrap_err().to_string().contains("nothing was changed"));
        }
        disk.set_full(false);
        assert_eq!(store.get::<u32>("a").unwrap(), Some(1), "what was there still is");
        store.put("a", &3).unwrap();
        assert_eq!(store.get::<u32>("a").unwrap(), Some(3));
    }

    #[test]
    fn what_was_put_is_there_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        let store = Store::open(&path).unwrap();
        assert_eq!(store.get::<u32>("a").unwrap(), None);
        store.put("a", &7).unwrap();
        drop(store);
        assert_eq!(Store::open(&path).unwrap().get::<u32>("a").unwrap(), Some(7));
    }

    #[test]
    fn a_row_of_another_shape_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        store.put("a", &"text").unwrap();
        assert!(store.get::<u32>("a").unwrap_err().to_string().contains("`a`"));
    }

    #[test]
    fn a_file_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.redb");
        std::fs::write(&path, b"not a store").unwrap();
        assert!(Store::open(&path).err().unwrap().to_string().contains("state.redb"));
        assert_eq!(std::fs::read(&path).unwrap(), b"not a store");
    }
}
