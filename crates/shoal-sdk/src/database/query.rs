//! One statement with its values, for either database. Never: builds SQL out of values.

use super::Connection;
use super::connection::{Pooled, within};
use crate::Error;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

/// A statement with `$1`, `$2`, … where its values belong; [`bind`](Query::bind) gives them in this order.
pub fn query(sql: &'static str) -> Query {
    Query { sql, values: Vec::new() }
}

/// A statement and its values.
#[must_use = "a statement does nothing until it is run"]
#[derive(Clone, Debug)]
pub struct Query {
    sql: &'static str,
    values: Vec<Value>,
}

/// A value of a statement: a 64-bit integer, a text or bytes; or nothing in place of one.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// For a column of type BIGINT or INTEGER.
    Integer(Option<i64>),
    /// For a column of type TEXT.
    Text(Option<String>),
    /// For a column of type BLOB (SQLite) or BYTEA (PostgreSQL).
    Bytes(Option<Vec<u8>>),
}

/// What a row becomes: a tuple of `i64`, `i32` (only where the type is INTEGER), `String`, `Vec<u8>` and options of them,
/// or a struct of such fields that derives `sqlx::FromRow`.
pub trait Row: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

impl<T> Row for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

macro_rules! bound {
    ($query:expr, $values:expr) => {{
        let mut query = $query;
        for value in $values {
            query = match value {
                Value::Integer(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query
    }};
}

impl Query {
    /// Gives the next value.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// PostgreSQL's texts cannot hold a NUL character, so nobody's can.
    fn check(&self) -> Result<(), Error> {
        let has_nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
        if self.values.iter().any(has_nul) {
            return Err(Error::invalid_argument("a text must not contain the NUL character"));
        }
        Ok(())
    }

    /// Runs it, and returns the number of rows it changed.
    ///
    /// # Errors
    /// When the database fails or refuses.
    pub async fn execute(self, connection: &mut Connection) -> Result<u64, Error> {
        self.check()?;
        let done = match &mut connection.pooled {
            Some(Pooled::Sqlite(connection)) => {
                let done = bound!(sqlx::query(self.sql), self.values).execute(&mut **connection).await;
                done.map(|done| done.rows_affected())
            }
            Some(Pooled::Postgres(connection, most)) => {
                let done = bound!(sqlx::query(self.sql), self.values).execute(&mut **connection);
                within(*most, done).await.map(|done| done.rows_affected())
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        connection.noted(done)
    }

    /// Runs it, and returns its first row, if there is one.
    ///
    /// # Errors
    /// When the database fails or refuses, or the row is not of this type.
    pub async fn fetch_optional<R: Row>(self, connection: &mut Connection) -> Result<Option<R>, Error> {
        self.check()?;
        let done = match &mut connection.pooled {
            Some(Pooled::Sqlite(connection)) => {
                bound!(sqlx::query_as(self.sql), self.values).fetch_optional(&mut **connection).await
            }
            Some(Pooled::Postgres(connection, most)) => {
                within(*most, bound!(sqlx::query_as(self.sql), self.values).fetch_optional(&mut **connection)).await
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        connection.noted(done)
    }

    /// Runs it, and returns its first row.
    ///
    /// # Errors
    /// When the database fails or refuses, there is no row, or it is not of this type.
    pub async fn fetch_one<R: Row>(self, connection: &mut Connection) -> Result<R, Error> {
        self.fetch_optional(connection).await?.ok_or_else(|| sqlx::Error::RowNotFound.into())
    }

    /// Runs it, and returns all of its rows.
    ///
    /// # Errors
    /// When the database fails or refuses, or a row is not of this type.
    pub async fn fetch_all<R: Row>(self, connection: &mut Connection) -> Result<Vec<R>, Error> {
        self.check()?;
        let done = match &mut connection.pooled {
            Some(Pooled::Sqlite(connection)) => {
                bound!(sqlx::query_as(self.sql), self.values).fetch_all(&mut **connection).await
            }
            Some(Pooled::Postgres(connection, most)) => {
                within(*most, bound!(sqlx::query_as(self.sql), self.values).fetch_all(&mut **connection)).await
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        connection.noted(done)
    }
}

macro_rules! values {
    ($($type:ty => $variant:ident, $into:expr;)+) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(Some($into(value)))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::$variant(value.map($into))
            }
        }
    )+};
}

values! {
    i64 => Integer, i64::from;
    i32 => Integer, i64::from;
    u32 => Integer, i64::from;
    bool => Integer, i64::from;
    String => Text, String::from;
    &String => Text, String::clone;
    &str => Text, str::to_owned;
    Vec<u8> => Bytes, Vec::from;
    &Vec<u8> => Bytes, Vec::clone;
    &[u8] => Bytes, <[u8]>::to_vec;
}
