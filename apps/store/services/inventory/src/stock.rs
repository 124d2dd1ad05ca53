//! Stock on the shelf and the movements that change it. Every function works inside the caller's transaction; counters
//! and ledger are written together. It knows nothing of requests.

use std::collections::BTreeMap;

use shoal_sdk::{Connection, Error, query};

use crate::{demo, limits};

/// One row of the ledger, before it is written.
pub struct Movement<'a> {
    pub product_id: &'a str,
    pub kind: &'static str,
    pub quantity: i64,
    pub order_id: Option<&'a str>,
    pub command_key: Option<&'a str>,
    pub note: &'a str,
}

/// Appends to the ledger.
pub async fn record(connection: &mut Connection, movement: Movement<'_>, now: i64) -> Result<(), Error> {
    query(
        "INSERT INTO movements (product_id, kind, quantity, order_id, command_key, note, at_millis)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(movement.product_id)
    .bind(movement.kind)
    .bind(movement.quantity)
    .bind(movement.order_id)
    .bind(movement.command_key)
    .bind(movement.note)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Products looked up by one statement.
const PRODUCTS_AT_ONCE: usize = 10;

/// What lies free on the shelf, of those of the products that were ever seen.
pub async fn free(connection: &mut Connection, product_ids: &[String]) -> Result<Vec<(String, i64)>, Error> {
    let mut found = Vec::new();
    for ids in product_ids.chunks(PRODUCTS_AT_ONCE) {
        let mut statement = query(
            "SELECT product_id, on_hand FROM stock WHERE product_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        );
        for place in 0..PRODUCTS_AT_ONCE {
            // No product has an empty id.
            statement = statement.bind(ids.get(place).map_or("", String::as_str));
        }
        found.extend(statement.fetch_all::<(String, i64)>(connection).await?);
    }
    Ok(found)
}

/// What is held for longer than it may be, by product: nobody has put it back yet.
pub async fn overdue(connection: &mut Connection, now: i64) -> Result<BTreeMap<String, i64>, Error> {
    let pieces: Vec<(String, i64)> = query(
        "SELECT line.product_id, CAST(SUM(line.quantity) AS BIGINT)
         FROM reservations JOIN reservation_lines AS line ON line.order_id = reservations.order_id
         WHERE reservations.state = 'held' AND reservations.expires_millis <= $1 GROUP BY line.product_id",
    )
    .bind(now)
    .fetch_all(connection)
    .await?;
    Ok(pieces.into_iter().collect())
}

/// Pieces of `product_id` that lie free on the shelf; makes its row, with the demo receipt if there is one, when the
/// product was never seen.
pub async fn ensure(connection: &mut Connection, product_id: &str, demo: bool, now: i64) -> Result<i64, Error> {
    let known: Option<(i64,)> = query("SELECT on_hand FROM stock WHERE product_id = $1")
        .bind(product_id)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some((on_hand,)) = known {
        return Ok(on_hand);
    }
    let first = if demo { demo::first_receipt(product_id) } else { 0 };
    query("INSERT INTO stock (product_id, on_hand) VALUES ($1, $2)")
        .bind(product_id)
        .bind(first)
        .execute(&mut *connection)
        .await?;
    if first > 0 {
        let key = format!("demo:{product_id}");
        let movement = Movement {
            product_id,
            kind: "receive",
            quantity: first,
            order_id: None,
            command_key: Some(&key),
            note: "demo stock",
        };
        record(connection, movement, now).await?;
    }
    Ok(first)
}

/// A delivery, at most once per key. Answers the pieces on the shelf.
pub async fn receive(
    connection: &mut Connection,
    key: &str,
    product_id: &str,
    quantity: i64,
    note: &str,
    demo: bool,
    now: i64,
) -> Result<i64, Error> {
    let earlier: Option<(String, i64, String)> =
        query("SELECT product_id, quantity, note FROM movements WHERE command_key = $1 AND kind = 'receive'")
            .bind(key)
            .fetch_optional(&mut *connection)
            .await?;
    let on_hand = ensure(&mut *connection, product_id, demo, now).await?;
    if let Some((earlier_product, earlier_quantity, earlier_note)) = earlier {
        if (earlier_product.as_str(), earlier_quantity, earlier_note.as_str()) == (product_id, quantity, note) {
            return Ok(on_hand);
        }
        return Err(Error::already_exists(format!(
            "The key `{key}` already received another delivery: choose a new key."
        )));
    }
    let after = on_hand.checked_add(quantity).filter(|after| *after <= limits::PIECES_MAX);
    let Some(after) = after else {
        return Err(Error::failed_precondition(format!(
            "`{product_id}` cannot have more than a thousand million pieces."
        )));
    };
    query("UPDATE stock SET on_hand = $2 WHERE product_id = $1")
        .bind(product_id)
        .bind(after)
        .execute(&mut *connection)
        .await?;
    let movement = Movement { product_id, kind: "receive", quantity, order_id: None, command_key: Some(key), note };
    record(connection, movement, now).await?;
    Ok(after)
}

/// Moves pieces between the shelf and the reserved ones: both changes may be negative.
pub async fn shift(connection: &mut Connection, product_id: &str, on_hand: i64, reserved: i64) -> Result<(), Error> {
    query("UPDATE stock SET on_hand = on_hand + $2, reserved = reserved + $3 WHERE product_id = $1")
        .bind(product_id)
        .bind(on_hand)
        .bind(reserved)
        .execute(connection)
        .await?;
    Ok(())
}
