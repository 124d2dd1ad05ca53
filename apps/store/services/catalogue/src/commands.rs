//! Commands that were carried out, kept for a week under their idempotency key, so that a repeat answers the same. Never: carries one out.

use shoal_sdk::{Connection, Error, Message, query};

/// How long a command is remembered, in milliseconds.
const KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The answer to the same command under the same key, if it was carried out; `already_exists` when the key belongs to another command.
pub async fn answered<Answer: Message>(
    connection: &mut Connection,
    key: &str,
    request: &impl Message,
) -> Result<Option<Answer>, Error> {
    let found: Option<(Vec<u8>, Vec<u8>)> = query("SELECT request, answer FROM commands WHERE idempotency_key = $1")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    let Some((remembered, answer)) = found else { return Ok(None) };
    if remembered != request.encode_to_vec() {
        return Err(Error::already_exists("this `idempotency_key` was used for another command: choose a new one"));
    }
    let answer = Answer::decode_from_slice(&answer).map_err(|cause| {
        tracing::error!(%cause, "a remembered answer cannot be read");
        Error::internal("a remembered answer cannot be read")
    })?;
    Ok(Some(answer))
}

/// Remembers a command and its answer, and forgets old ones.
pub async fn remember(
    connection: &mut Connection,
    key: &str,
    request: &impl Message,
    answer: &impl Message,
    now_ms: i64,
) -> Result<(), Error> {
    query("DELETE FROM commands WHERE at_ms < $1").bind(now_ms - KEPT_MS).execute(connection).await?;
    query("INSERT INTO commands (idempotency_key, request, answer, at_ms) VALUES ($1, $2, $3, $4)")
        .bind(key)
        .bind(request.encode_to_vec())
        .bind(answer.encode_to_vec())
        .bind(now_ms)
        .execute(connection)
        .await?;
    Ok(())
}
