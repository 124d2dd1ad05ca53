//! What a failure of the database means to a caller. Never: tells one more than that; the cause is in the log.

use crate::Error;
use std::borrow::Cow;

/// Logs the cause. `unavailable` when the database is away, too busy or out of room: what was not acknowledged may be
/// sent again under the same key. `aborted` when two writers were in each other's way. `internal` for the rest.
impl From<sqlx::Error> for Error {
    fn from(cause: sqlx::Error) -> Self {
        let (error, known) = match kind(&cause) {
            Kind::Away => (Self::unavailable("the database is away, try again"), true),
            Kind::Busy => (Self::unavailable("the database is too busy, try again"), true),
            Kind::Full => (Self::unavailable("the database cannot write, its disk may be full; try again"), true),
            Kind::Collided => (Self::aborted("another change came in between, try again"), true),
            Kind::Other => (Self::internal("the database failed"), false),
        };
        if known {
            tracing::warn!(cause = %shoal_model::with_causes(&cause), "{error}");
        } else {
            tracing::error!(cause = %shoal_model::with_causes(&cause), "the database failed");
        }
        error
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Away,
    Busy,
    Full,
    Collided,
    Other,
}

/// Whether the connection is of no use any more, so that another may do better.
pub(super) fn is_away(cause: &sqlx::Error) -> bool {
    kind(cause) == Kind::Away
}

/// Whether it may be gone in a moment.
pub(super) fn passes(cause: &sqlx::Error) -> bool {
    matches!(kind(cause), Kind::Away | Kind::Busy)
}

/// The five letters that PostgreSQL, or the number that SQLite gave the failure.
pub(super) fn code(cause: &sqlx::Error) -> Option<String> {
    cause.as_database_error()?.code().map(Cow::into_owned)
}

fn kind(cause: &sqlx::Error) -> Kind {
    match cause {
        sqlx::Error::PoolTimedOut => Kind::Busy,
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::WorkerCrashed | sqlx::Error::PoolClosed => Kind::Away,
        // A server that dies in the middle of an answer.
        sqlx::Error::Protocol(_) => Kind::Away,
        sqlx::Error::Database(database) if database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() => {
            of_postgres(&database.code().unwrap_or_default())
        }
        sqlx::Error::Database(database) => of_sqlite(&database.code().unwrap_or_default()),
        _ => Kind::Other,
    }
}

/// See "PostgreSQL Error Codes" in its manual.
fn of_postgres(code: &str) -> Kind {
    match code {
        // Shut down by an administrator, crashed, starting up; the database dropped under it; a session that sat idle.
        "57P01" | "57P02" | "57P03" | "57P04" | "57P05" | "25P03" | "25P04" => Kind::Away,
        // Lock and statement timeouts; too many connections.
        "55P03" | "57014" | "53300" => Kind::Busy,
        "53100" | "58030" => Kind::Full,
        "40001" | "40P01" => Kind::Collided,
        code if code.starts_with("08") => Kind::Away,
        code if code.starts_with("53") => Kind::Busy,
        _ => Kind::Other,
    }
}

/// See "Result and Error Codes" in SQLite's manual; extended codes carry the plain one in their low byte.
fn of_sqlite(code: &str) -> Kind {
    const BUSY: u32 = 5;
    const LOCKED: u32 = 6;
    const READONLY: u32 = 8;
    const IOERR: u32 = 10;
    const FULL: u32 = 13;
    const CANTOPEN: u32 = 14;
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(BUSY | LOCKED) => Kind::Busy,
        Ok(IOERR | FULL | CANTOPEN) => Kind::Full,
        // What a reader tried to write is a mistake in the service.
        Ok(READONLY) | Ok(_) | Err(_) => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_told_apart() {
        assert_eq!(of_postgres("57P01"), Kind::Away);
        assert_eq!(of_postgres("08006"), Kind::Away);
        assert_eq!(of_postgres("53100"), Kind::Full);
        assert_eq!(of_postgres("53300"), Kind::Busy);
        assert_eq!(of_postgres("40P01"), Kind::Collided);
        assert_eq!(of_postgres("23505"), Kind::Other);
        // SQLITE_BUSY_SNAPSHOT, SQLITE_IOERR_WRITE, SQLITE_FULL, SQLITE_CONSTRAINT_UNIQUE.
        assert_eq!(of_sqlite("517"), Kind::Busy);
        assert_eq!(of_sqlite("778"), Kind::Full);
        assert_eq!(of_sqlite("13"), Kind::Full);
        assert_eq!(of_sqlite("2067"), Kind::Other);
        assert_eq!(of_sqlite("?"), Kind::Other);
    }
}
