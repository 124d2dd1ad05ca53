//! Fencing: who lost an order to somebody newer may command it no longer, whether the order is open yet or not. Every
//! function works inside the caller's transaction. A fence of 0 is none.

use shoal_sdk::{Connection, Error, query};

/// Refuses a fence that is lower than one seen before for this order, and remembers a higher one.
pub async fn check(connection: &mut Connection, order_id: &str, fence: i64) -> Result<(), Error> {
    if fence == 0 {
        return Ok(());
    }
    let seen: Vec<(i64,)> =
        query("SELECT fence FROM orders WHERE order_id = $1 UNION ALL SELECT fence FROM fences WHERE order_id = $1")
            .bind(order_id)
            .fetch_all(&mut *connection)
            .await?;
    let seen = seen.into_iter().map(|(seen,)| seen).max().unwrap_or(0);
    if fence < seen {
        return Err(Error::aborted(format!("The order `{order_id}` is worked on by somebody newer (fence {seen}).")));
    }
    if fence > seen {
        query("UPDATE orders SET fence = $2 WHERE order_id = $1")
            .bind(order_id)
            .bind(fence)
            .execute(connection)
            .await?;
    }
    Ok(())
}

/// Refuses to open an order that was called off before it was open, by whoever has this fence or somebody newer: this
/// opening was still on its way.
pub async fn not_called_off(connection: &mut Connection, order_id: &str, fence: i64) -> Result<(), Error> {
    let called_off: Option<(i64,)> = query("SELECT fence FROM fences WHERE order_id = $1 AND fence >= $2")
        .bind(order_id)
        .bind(fence)
        .fetch_optional(connection)
        .await?;
    match called_off {
        Some((seen,)) if fence != 0 => {
            Err(Error::aborted(format!("The order `{order_id}` was called off before it was opened (fence {seen}).")))
        }
        _ => Ok(()),
    }
}

/// Remembers a fence that was checked, for an order that is not open.
pub async fn remember(connection: &mut Connection, order_id: &str, fence: i64) -> Result<(), Error> {
    if fence == 0 {
        return Ok(());
    }
    query(
        "INSERT INTO fences (order_id, fence) VALUES ($1, $2)
         ON CONFLICT (order_id) DO UPDATE SET fence = excluded.fence",
    )
    .bind(order_id)
    .bind(fence)
    .execute(connection)
    .await?;
    Ok(())
}
