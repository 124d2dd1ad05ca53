//! Sessions that somebody signed out of. A token is known by its sum, so that what is stored here is no token. Never: looks
//! into one.

use sha2::{Digest, Sha256};
use shoal_sdk::{Connection, Error, query};

/// Whether somebody signed out of this token's session.
pub async fn is_ended(connection: &mut Connection, token: &str) -> Result<bool, Error> {
    let found: Option<(i32,)> =
        query("SELECT 1 FROM ended_sessions WHERE token_sum = $1").bind(sum(token)).fetch_optional(connection).await?;
    Ok(found.is_some())
}

/// Ends the session of a token that would be over at `expires_at_ms`, and forgets those that are over by now.
pub async fn end(connection: &mut Connection, token: &str, expires_at_ms: i64, now_ms: i64) -> Result<(), Error> {
    query("DELETE FROM ended_sessions WHERE expires_at_ms <= $1").bind(now_ms).execute(&mut *connection).await?;
    query("INSERT INTO ended_sessions (token_sum, expires_at_ms) VALUES ($1, $2) ON CONFLICT (token_sum) DO NOTHING")
        .bind(sum(token))
        .bind(expires_at_ms)
        .execute(connection)
        .await?;
    Ok(())
}

fn sum(token: &str) -> String {
    format!("{:x}", Sha256::digest(token))
}
