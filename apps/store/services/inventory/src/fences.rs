//! Fencing: who lost an order to somebody newer may command it no longer, whether the order has a reservation or not.
//! Every function works inside the caller's transaction. A fence of 0 is none.

use shoal_sdk::{Connection, Error, query};

/// Refuses a fence that is lower than one seen before for this order.
pub async fn check(connection: &mut Connection, order_id: &str, fence: i64) -> Result<(), Error> {
    if fence == 0 {
        return Ok(());
    }
    let seen: Vec<(i64,)> = query(
        "SELECT fence FROM reservations WHERE order_id = $1 UNION ALL SELECT fence FROM fences WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_all(connection)
    .await?;
    match seen.into_iter().map(|(seen,)| seen).max() {
        Some(seen) if fence < seen => {
            Err(Error::aborted(format!("The order `{order_id}` is worked on by somebody newer (fence {seen}).")))
        }
        _ => Ok(()),
    }
}

/// Remembers a fence that was checked, for an order without a reservation.
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
