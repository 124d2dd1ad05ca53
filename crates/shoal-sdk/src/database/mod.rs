//! A service's database: SQLite, shared by all replicas of the service. Reads run side by side; writes take turns.
//! Never: knows a table.

mod queue;
#[cfg(test)]
mod tests;
mod turns;

use crate::{Error, StartError};
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool, Transaction};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use turns::{Turn, Turns};

/// The most connections for reading.
const READERS_MAX: u32 = 4;
/// How long to wait for a connection, or for SQLite's own lock where the write queue does not reach: recovery after a
/// crash, and the rollback of a transaction that was dropped.
const BUSY_MAX: Duration = Duration::from_secs(5);
/// How long a write may wait for its turn.
const TURN_MAX: Duration = Duration::from_secs(60);

/// The database of a service. Cheap to clone.
///
/// Every commit is on disk before it is acknowledged (`synchronous=FULL`, write-ahead log). Writers of all replicas take
/// turns in the order in which they came; plain SQLite lets one of them starve.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

struct Shared {
    readers: SqlitePool,
    writer: SqlitePool,
    turns: Turns,
}

impl Database {
    /// Opens the file that a `sqlite://` address names, making it when it is new, and migrates it.
    pub(crate) async fn open(url: &str, migrator: Migrator) -> Result<Self, StartError> {
        if !url.starts_with("sqlite:") {
            let scheme = url.split(':').next().unwrap_or_default();
            return Err(StartError::new(format!(
                "DATABASE_URL names a `{scheme}` database; only `sqlite` is supported"
            )));
        }
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| StartError::new(format!("DATABASE_URL=`{url}` is not understood")).because(error))?;
        let path = options.get_filename().to_owned();
        Self::open_file(&path, migrator).await
    }

    /// Opens a database in this file, making it when it is new, and migrates it.
    ///
    /// # Errors
    /// When the file cannot be opened, or a migration fails.
    pub async fn open_file(path: &Path, mut migrator: Migrator) -> Result<Self, StartError> {
        let failed = |doing: &str| format!("cannot {doing} the database `{}`", path.display());
        let options = SqliteConnectOptions::new()
            .filename(path)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_MAX);
        let turns = Turns::start(path).map_err(|error| StartError::new(failed("queue for")).because(error))?;
        // Making the file and turning on its write-ahead log are writes, too.
        let turn = turns.wait(TURN_MAX).await?;
        let writer_options = options.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(BUSY_MAX)
            .connect_with(writer_options)
            .await
            .map_err(|error| StartError::new(failed("open")).because(error))?;
        // Another revision may have migrated further: what it added is not this one's business.
        migrator.set_ignore_missing(true);
        migrator.run(&writer).await.map_err(|error| StartError::new(failed("migrate")).because(error))?;
        drop(turn);
        // A write that does not take its turn would starve the others, so readers cannot write at all.
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .acquire_timeout(BUSY_MAX)
            .connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Self { shared: Arc::new(Shared { readers, writer, turns }) })
    }

    /// Connections for reading. What they write is refused; see [`write`](Self::write).
    #[must_use]
    pub fn pool(&self) -> &SqlitePool {
        &self.shared.readers
    }

    /// Waits for this writer's turn among all replicas, first come first served, and begins a transaction. Dropped
    /// without [`commit`](WriteTransaction::commit), it is rolled back.
    ///
    /// Do nothing slow in it: everybody else waits.
    ///
    /// # Errors
    /// `unavailable` when the turn did not come within a minute, `resource_exhausted` when too many wait already,
    /// `internal` when the database fails.
    pub async fn write(&self) -> Result<WriteTransaction, Error> {
        let turn = self.shared.turns.wait(TURN_MAX).await?;
        let transaction = self.shared.writer.begin_with("BEGIN IMMEDIATE").await?;
        Ok(WriteTransaction { transaction, turn })
    }
}

/// A transaction that may write, and the turn to do so. Use it as a connection: `query.execute(&mut *transaction)`.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct WriteTransaction {
    // Dropped in this order: first the transaction, then the turn.
    transaction: Transaction<'static, Sqlite>,
    turn: Turn,
}

impl WriteTransaction {
    /// Makes the changes durable, and lets the next writer have its turn.
    ///
    /// # Errors
    /// When the database fails; then it is not known whether the changes were made.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await?;
        drop(self.turn);
        Ok(())
    }

    /// Undoes the changes, and lets the next writer have its turn.
    ///
    /// # Errors
    /// When the database fails; the changes are undone nevertheless.
    pub async fn rollback(self) -> Result<(), Error> {
        self.transaction.rollback().await?;
        drop(self.turn);
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn turn(&self) -> &Turn {
        &self.turn
    }
}

impl Deref for WriteTransaction {
    type Target = SqliteConnection;

    fn deref(&self) -> &SqliteConnection {
        &self.transaction
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }
}
