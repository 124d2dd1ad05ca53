//! The limit on signing in: five failures for one address within a quarter of an hour. An attempt is noted before the password is looked at, so
//! that many at once do not slip through. Never: looks at an account.

use shoal_sdk::{Database, Error, query};

/// How long an attempt counts, in milliseconds.
const WINDOW_MS: i64 = 15 * 60 * 1000;
/// Failures within the window, at most.
const FAILED_MAX: i64 = 5;
/// Failures and attempts that are still being looked at, at most.
const BEGUN_MAX: i64 = 25;

/// An attempt that was noted and not yet decided.
pub struct Attempt {
    id: String,
    email: String,
}

/// Notes an attempt; `resource_exhausted` when there were too many.
pub async fn begin(database: &Database, email: &str, now_ms: i64) -> Result<Attempt, Error> {
    let mut transaction = database.write().await?;
    query("DELETE FROM attempts WHERE at_ms <= $1").bind(now_ms - WINDOW_MS).execute(&mut transaction).await?;
    let (begun, failed): (i64, i64) =
        query("SELECT COUNT(*), CAST(COALESCE(SUM(failed), 0) AS BIGINT) FROM attempts WHERE email = $1")
            .bind(email)
            .fetch_one(&mut transaction)
            .await?;
    if failed >= FAILED_MAX || begun >= BEGUN_MAX {
        return Err(Error::resource_exhausted(
            "too many failed attempts to sign in to this account: wait a quarter of an hour",
        ));
    }
    let attempt = Attempt { id: uuid::Uuid::now_v7().to_string(), email: email.to_owned() };
    query("INSERT INTO attempts (attempt_id, email, failed, at_ms) VALUES ($1, $2, 0, $3)")
        .bind(&attempt.id)
        .bind(email)
        .bind(now_ms)
        .execute(&mut transaction)
        .await?;
    transaction.commit().await?;
    Ok(attempt)
}

/// The attempt failed and counts.
pub async fn failed(database: &Database, attempt: Attempt) -> Result<(), Error> {
    let mut transaction = database.write_for(&attempt.email).await?;
    query("UPDATE attempts SET failed = 1 WHERE attempt_id = $1").bind(&attempt.id).execute(&mut transaction).await?;
    transaction.commit().await
}

/// The attempt succeeded: it and the failures before it are forgotten.
pub async fn succeeded(database: &Database, attempt: Attempt) -> Result<(), Error> {
    let mut transaction = database.write_for(&attempt.email).await?;
    query("DELETE FROM attempts WHERE email = $1 AND (failed = 1 OR attempt_id = $2)")
        .bind(&attempt.email)
        .bind(&attempt.id)
        .execute(&mut transaction)
        .await?;
    transaction.commit().await
}
