//! SQLite: one file, shared by all replicas of the service. Reads run side by side; writes take turns.
//! Never: lets a reader write.

use super::connection::{Connection, Place, Pooled};
use super::turns::Turns;
use super::{CONNECTION_WAIT_MAX, READERS_MAX, WRITE_WAIT_MAX, migrations};
use crate::{Error, StartError};
use sqlx::SqlitePool;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use std::path::Path;
use std::str::FromStr;

pub(super) struct File {
    readers: SqlitePool,
    writer: SqlitePool,
    turns: Turns,
}

impl File {
    /// Opens what a `sqlite://` address names, making it when it is new, and migrates it.
    pub async fn open(url: &str, migrator: Migrator) -> Result<Self, StartError> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|error| StartError::new(format!("DATABASE_URL=`{url}` is not understood")).because(error))?;
        let path = options.get_filename().to_owned();
        Self::open_path(&path, migrator).await
    }

    pub async fn open_path(path: &Path, migrator: Migrator) -> Result<Self, StartError> {
        let failed = |doing: &str| format!("cannot {doing} the database `{}`", path.display());
        let options = SqliteConnectOptions::new()
            .filename(path)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(CONNECTION_WAIT_MAX);
        let turns = Turns::start(path).map_err(|error| StartError::new(failed("queue for")).because(error))?;
        // Making the file and turning on its write-ahead log are writes, too.
        let turn = turns.wait(WRITE_WAIT_MAX).await?;
        let writer_options = options.clone().create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
        let writer = pool(1)
            .connect_with(writer_options)
            .await
            .map_err(|error| StartError::new(failed("open")).because(error))?;
        let mut connection = writer.acquire().await?;
        migrations::migrate(migrator, &mut *connection, &path.display().to_string()).await?;
        drop(connection);
        drop(turn);
        // A write that does not take its turn would starve the others, so readers cannot write at all.
        let readers = pool(READERS_MAX).connect_lazy_with(options.pragma("query_only", "1"));
        Ok(Self { readers, writer, turns })
    }

    pub async fn read(&self) -> Result<Connection, Error> {
        Ok(Connection::new(Pooled::Sqlite(self.readers.acquire().await?), Place::None))
    }

    pub async fn snapshot(&self) -> Result<Connection, Error> {
        let mut connection = self.read().await?;
        connection.begin("BEGIN").await?;
        Ok(connection)
    }

    /// Waits for this writer's turn among all replicas, first come first served, and begins a transaction.
    pub async fn write(&self) -> Result<Connection, Error> {
        let turn = self.turns.wait(WRITE_WAIT_MAX).await?;
        let pooled = Pooled::Sqlite(self.writer.acquire().await?);
        let mut connection = Connection::new(pooled, Place::Turn { _turn: turn });
        connection.begin("BEGIN IMMEDIATE").await?;
        Ok(connection)
    }
}

fn pool(connections_max: u32) -> SqlitePoolOptions {
    // A file does not hang up, so nothing is learned by asking a connection before each use whether it is still there.
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(CONNECTION_WAIT_MAX)
        .test_before_acquire(false)
}
