//! The supervisor's state on disk: one embedded transactional store. Never decides; a commit is durable when it returns.

use redb::{Database, ReadableDatabase, TableDefinition};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

/// One row per thing that is kept, as JSON that carries its own version.
const KEPT: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("kept");

/// The store, open for one supervisor.
pub struct Store {
    database: Database,
}

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
        let failed =
            |error: redb::Error| StoreError::Open { path: path.display().to_string(), source: Box::new(error) };
        let database = Database::create(path).map_err(|error| failed(error.into()))?;
        let transaction = database.begin_write().map_err(|error| failed(error.into()))?;
        transaction.open_table(KEPT).map_err(|error| failed(error.into()))?;
        transaction.commit().map_err(|error| failed(error.into()))?;
        Ok(Self { database })
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
        let table = self.database.begin_read()?.open_table(KEPT)?;
        Ok(table.get(key)?.map(|row| row.value().to_vec()))
    }

    fn write(&self, key: &str, bytes: &[u8]) -> Result<(), redb::Error> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(KEPT)?.insert(key, bytes)?;
        transaction.commit()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
