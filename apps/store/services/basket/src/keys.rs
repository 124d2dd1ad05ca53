//! The keys of the last changes of each basket: a change that comes again has happened already, whatever changed since.
//! Every function runs inside the caller's write transaction.

use shoal_sdk::{Connection, Error, query};

/// So many keys of each basket are remembered: more than a shopper's retries that can be under way at once.
const KEPT: i64 = 32;

/// Whether the change under this key has happened. Another change under the same key is refused.
pub async fn is_known(
    connection: &mut Connection,
    shopper: &str,
    key: &str,
    change: (&str, i64),
) -> Result<bool, Error> {
    let earlier: Option<(String, i64)> =
        query("SELECT product_id, quantity FROM keys WHERE shopper_id = $1 AND idempotency_key = $2")
            .bind(shopper)
            .bind(key)
            .fetch_optional(connection)
            .await?;
    match earlier {
        None => Ok(false),
        Some((product, quantity)) if (product.as_str(), quantity) == change => Ok(true),
        Some(_) => Err(Error::already_exists(format!("the key `{key}` already made another change: choose a new one"))),
    }
}

/// Remembers the key of a change, and forgets the oldest.
pub async fn remember(
    connection: &mut Connection,
    shopper: &str,
    key: &str,
    (product, quantity): (&str, i64),
) -> Result<(), Error> {
    let (place,): (i64,) = query("SELECT COALESCE(MAX(place), 0) + 1 FROM keys WHERE shopper_id = $1")
        .bind(shopper)
        .fetch_one(&mut *connection)
        .await?;
    query("INSERT INTO keys (shopper_id, idempotency_key, place, product_id, quantity) VALUES ($1, $2, $3, $4, $5)")
        .bind(shopper)
        .bind(key)
        .bind(place)
        .bind(product)
        .bind(quantity)
        .execute(&mut *connection)
        .await?;
    query("DELETE FROM keys WHERE shopper_id = $1 AND place <= $2")
        .bind(shopper)
        .bind(place.saturating_sub(KEPT))
        .execute(connection)
        .await?;
    Ok(())
}
