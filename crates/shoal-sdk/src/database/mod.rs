//! A service's database, shared by all of its replicas: a SQLite file or a database of a PostgreSQL server. The service's
//! code and its SQL are the same for both. Never: knows a table.

mod connection;
mod failure;
mod migrations;
mod postgres;
mod query;
mod queue;
mod sqlite;
#[cfg(test)]
mod tests;
mod turns;

pub use connection::{Connection, Reading, WriteTransaction};
pub use migrations::Migrations;
pub use query::{Query, Row, Value, query};

use crate::{Error, StartError};
use postgres::Server;
use sqlite::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The most connections for reading.
const READERS_MAX: u32 = 4;
/// The most connections for writing, where writers do not all take turns.
const WRITERS_MAX: u32 = 4;
/// The most writers of one replica that wait at once.
const WRITERS_WAITING_MAX: usize = 1_000;
/// How long to wait for a connection, for a server that restarts, and for SQLite's own lock where the write queue does
/// not reach: recovery after a crash.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(5);
/// How long a write may wait for its turn.
const WRITE_WAIT_MAX: Duration = Duration::from_secs(60);

/// The database of a service. Cheap to clone.
///
/// Every commit is on disk before it is acknowledged. On SQLite writers of all replicas take turns in the order in which
/// they came; plain SQLite lets one of them starve. On PostgreSQL a writer holds an advisory lock instead.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Backend>,
}

enum Backend {
    Sqlite(File),
    Postgres(Server),
}

/// Which of the two databases; for the few statements that must differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

impl Database {
    /// Opens the database at a `sqlite://` or `postgres://` address, making it when it is new, and migrates it.
    ///
    /// # Errors
    /// When the address is not understood, the database cannot be opened or made, or a migration fails.
    pub async fn open(url: &str, migrations: Migrations) -> Result<Self, StartError> {
        let backend = match url.split(':').next().unwrap_or_default() {
            "sqlite" => Backend::Sqlite(File::open(url, migrations.sqlite).await?),
            "postgres" | "postgresql" => {
                Backend::Postgres(Server::open(url, migrations.postgres, postgres::ANSWER_MAX).await?)
            }
            scheme => {
                return Err(StartError::new(format!(
                    "DATABASE_URL names a `{scheme}` database; Shoal knows `sqlite` and `postgres`"
                )));
            }
        };
        Ok(Self { shared: Arc::new(backend) })
    }

    /// Opens a PostgreSQL database whose server is given up when it does not answer for so long.
    #[cfg(test)]
    async fn open_impatiently(url: &str, migrations: Migrations, answer_max: Duration) -> Result<Self, StartError> {
        let server = Server::open(url, migrations.postgres, answer_max).await?;
        Ok(Self { shared: Arc::new(Backend::Postgres(server)) })
    }

    /// Opens a SQLite database in this file.
    pub(crate) async fn open_file(path: &Path, migrations: Migrations) -> Result<Self, StartError> {
        let file = File::open_path(path, migrations.sqlite).await?;
        Ok(Self { shared: Arc::new(Backend::Sqlite(file)) })
    }

    /// Which of the two databases it is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match *self.shared {
            Backend::Sqlite(_) => Dialect::Sqlite,
            Backend::Postgres(_) => Dialect::Postgres,
        }
    }

    /// A connection for single reads: each statement sees what is committed when it starts. What it writes is refused.
    ///
    /// # Errors
    /// `unavailable` when no connection is to be had within seconds.
    pub async fn read(&self) -> Result<Reading, Error> {
        let connection = match &*self.shared {
            Backend::Sqlite(file) => file.read().await,
            Backend::Postgres(server) => server.read().await,
        };
        connection.map(Reading::new)
    }

    /// A connection for reads that must fit together: all that is read through it is of one moment.
    ///
    /// # Errors
    /// `unavailable` when no connection is to be had within seconds.
    pub async fn snapshot(&self) -> Result<Reading, Error> {
        let connection = match &*self.shared {
            Backend::Sqlite(file) => file.snapshot().await,
            Backend::Postgres(server) => server.snapshot().await,
        };
        connection.map(Reading::new)
    }

    /// Begins a transaction alone: nobody else, in any replica, writes to this database until it ends.
    ///
    /// Do nothing slow in it, call no other service, and begin no other one in the same task: everybody else waits.
    ///
    /// # Errors
    /// `unavailable` when the database is away or the turn does not come in time, `resource_exhausted` when too many
    /// wait already, `internal` when the database fails.
    pub async fn write(&self) -> Result<WriteTransaction, Error> {
        let connection = match &*self.shared {
            Backend::Sqlite(file) => file.write().await,
            Backend::Postgres(server) => server.write().await,
        };
        connection.map(WriteTransaction::new)
    }

    /// Begins a transaction alone for this key, such as an order's id: on PostgreSQL, writers for other keys run beside
    /// it; on SQLite this is [`write`](Self::write). What is true of either: nobody in a [`write`](Self::write), or in
    /// a `write_for` the same key, runs at the same time.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_for(&self, key: &str) -> Result<WriteTransaction, Error> {
        let connection = match &*self.shared {
            Backend::Sqlite(file) => file.write().await,
            Backend::Postgres(server) => server.write_for(key).await,
        };
        connection.map(WriteTransaction::new)
    }
}
