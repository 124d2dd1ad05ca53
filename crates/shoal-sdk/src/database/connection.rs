//! A connection to either database, alone or inside a transaction. Never: returns one to its pool inside a transaction,
//! or waits for a server without a bound.

use super::turns::Turn;
use super::{Dialect, failure};
use crate::Error;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres, Sqlite};
use std::io;
use std::ops::{Deref, DerefMut};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// A connection to the service's database: what [`query`](crate::query) runs on.
pub struct Connection {
    /// `None` once its server was found to be away.
    pub(super) pooled: Option<Pooled>,
    dialect: Dialect,
    state: State,
    place: Place,
    /// Whether a statement has failed: PostgreSQL then undoes the whole transaction, and calls that a success.
    has_failed: bool,
}

pub(super) enum Pooled {
    Sqlite(PoolConnection<Sqlite>),
    /// With how long the server may take to answer.
    Postgres(PoolConnection<Postgres>, Duration),
}

/// What a writer holds beside its connection, so that not too many write at once.
#[derive(Debug)]
pub(super) enum Place {
    None,
    Turn { _turn: Turn },
    Permit { _permit: OwnedSemaphorePermit },
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// In no transaction.
    Plain,
    /// A statement that begins or ends one is under way.
    Unsure,
    /// In a transaction.
    Open,
}

/// Waits for a server's answer, but not for ever: one that has vanished, or that sleeps, says nothing at all.
pub(super) async fn within<T>(
    most: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(most, answer).await.unwrap_or_else(late)
}

impl Pooled {
    async fn run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        let statement = sqlx::raw_sql(AssertSqlSafe(sql));
        match self {
            Self::Sqlite(connection) => statement.execute(&mut **connection).await.map(drop),
            Self::Postgres(connection, most) => within(*most, statement.execute(&mut **connection)).await.map(drop),
        }
    }

    /// Returns it to its pool, which asks it first whether it still works.
    async fn give_back(self) {
        if let Self::Postgres(mut connection, most) = self {
            let returned = tokio::time::timeout(most, connection.return_to_pool()).await;
            if returned.is_err() {
                tracing::warn!("a connection is thrown away, since the database does not answer");
            }
        }
    }

    async fn close(self) {
        let closed = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection, most) => within(most, connection.close()).await,
        };
        if let Err(error) = closed {
            tracing::debug!(%error, "a database connection did not close cleanly");
        }
    }
}

impl Connection {
    pub(super) fn new(pooled: Pooled, place: Place) -> Self {
        let dialect = match pooled {
            Pooled::Sqlite(_) => Dialect::Sqlite,
            Pooled::Postgres(..) => Dialect::Postgres,
        };
        Self { pooled: Some(pooled), dialect, state: State::Plain, place, has_failed: false }
    }

    /// Which database this is, for the few statements that must differ.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Begins a transaction by these statements.
    pub(super) async fn begin(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        self.turn_by(sql, State::Open).await
    }

    /// Remembers when a statement has failed.
    pub(super) fn noted<T>(&mut self, done: Result<T, sqlx::Error>) -> Result<T, Error> {
        self.has_failed |= done.is_err();
        self.leave_if_away(&done);
        Ok(done?)
    }

    /// Of a server that is away nothing more is to be had: not even the end of the connection is waited for.
    fn leave_if_away<T>(&mut self, done: &Result<T, sqlx::Error>) {
        if done.as_ref().is_err_and(failure::is_away)
            && let Some(Pooled::Postgres(connection, _)) = self.pooled.take_if(|_| self.dialect == Dialect::Postgres)
        {
            drop(connection.detach());
        }
    }

    async fn turn_by(&mut self, sql: &str, after: State) -> Result<(), sqlx::Error> {
        let Some(pooled) = &mut self.pooled else {
            return Err(sqlx::Error::PoolClosed);
        };
        self.state = State::Unsure;
        let done = pooled.run(sql).await;
        self.leave_if_away(&done);
        done?;
        self.state = after;
        Ok(())
    }

    /// Takes the writer's place back from a transaction that did not begin.
    pub(super) fn take_place(mut self) -> Place {
        std::mem::replace(&mut self.place, Place::None)
    }

    #[cfg(test)]
    pub(super) fn turn(&self) -> Option<&Turn> {
        match &self.place {
            Place::Turn { _turn } => Some(_turn),
            Place::None | Place::Permit { .. } => None,
        }
    }
}

/// Rolls back what is open, and only then lets the next writer go on.
impl Drop for Connection {
    fn drop(&mut self) {
        let Some(mut pooled) = self.pooled.take() else { return };
        let place = std::mem::replace(&mut self.place, Place::None);
        let state = self.state;
        if state == State::Plain && matches!(pooled, Pooled::Sqlite(_)) {
            return;
        }
        // Without a runtime the process is about to end, and the database rolls back what it did not commit.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // SQLite has rolled back by itself when the disk was full, and then says so.
            if state == State::Unsure || state == State::Open && pooled.run("ROLLBACK").await.is_err() {
                pooled.close().await;
                drop(place);
            } else {
                drop(place);
                pooled.give_back().await;
            }
        });
    }
}

/// A connection for reading, until dropped: from `Database::read` or `Database::snapshot`.
pub struct Reading {
    connection: Connection,
}

impl Reading {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }
}

impl Deref for Reading {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Reading {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

/// A transaction that may write. Use it as a connection: `query.execute(&mut transaction)`. Dropped without
/// [`commit`](Self::commit), it is rolled back.
#[must_use = "a transaction that is dropped is rolled back"]
pub struct WriteTransaction {
    connection: Connection,
}

impl WriteTransaction {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Makes the changes durable, and lets the next writer go on.
    ///
    /// # Errors
    /// When the database fails; then it is not known whether the changes were made. `internal` when a statement has failed
    /// before, whatever became of its error; then all changes are undone.
    pub async fn commit(self) -> Result<(), Error> {
        if self.connection.has_failed {
            self.rollback().await?;
            return Err(Error::internal("a part of the change was refused, so nothing was changed"));
        }
        self.end("COMMIT").await
    }

    /// Undoes the changes, and lets the next writer go on.
    ///
    /// # Errors
    /// When the database fails; the changes are undone nevertheless.
    pub async fn rollback(self) -> Result<(), Error> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, sql: &str) -> Result<(), Error> {
        Ok(self.connection.turn_by(sql, State::Plain).await?)
    }
}

impl Deref for WriteTransaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
