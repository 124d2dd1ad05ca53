//! Whether the same pieces are ordered already. A basket is cleared only once it is bought, and until then it can still
//! be ordered from another page, or from the account's basket into which a sign-in merged it.

use shoal_sdk::{Connection, Error, query};
use store_contracts::store::basket::v1::MergedFrom;
use store_contracts::store::checkout::v1::PlaceRequest;

use super::stored::{Stored, columns};
use super::{KEPT, millis};
use crate::answer;

/// The orders that are not turned back, for which something more holds. The names are of the refused states.
macro_rules! standing {
    ($more:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM sagas
              WHERE state NOT IN ('refused', 'undo-restock', 'undo-void', 'undo-release', 'undo-cancel') AND ",
            $more,
            " ORDER BY opened_millis DESC LIMIT 1"
        )
    };
}

/// Refuses to order what is being ordered, or was bought at this version or a later one: the basket itself, pieces that
/// were merged from it into another one, or pieces that were merged into it from one that was ordered there.
///
/// Inside the transaction in which the order is logged. With `merged_from` that must be alone among all writers.
pub(super) async fn not_ordered_yet(
    connection: &mut Connection,
    request: &PlaceRequest,
    merged_from: &[MergedFrom],
    now: i64,
) -> Result<(), Error> {
    let since = now.saturating_sub(millis(KEPT));
    let same_basket = standing!("shopper_id = $1 AND (finished = 0 OR (basket_version >= $2 AND opened_millis > $3))");
    let merged_into_another = standing!(
        "order_id IN (SELECT order_id FROM merged_pieces
                      WHERE shopper_id = $1 AND first_version <= $2 AND until_version > $2)
         AND (finished = 0 OR opened_millis > $3)"
    );
    let own = [same_basket, merged_into_another]
        .map(|others| query(others).bind(&request.shopper_id).bind(request.basket_version).bind(since));
    let merged = merged_from.iter().map(|from| {
        query(standing!(
            "shopper_id = $1 AND basket_version >= $2 AND basket_version < $4 AND (finished = 0 OR opened_millis > $3)"
        ))
        .bind(&from.shopper_id)
        .bind(from.first_version)
        .bind(since)
        .bind(until(from))
    });
    for others in own.into_iter().chain(merged) {
        if let Some(other) = Stored::find(others, connection).await? {
            let why = "This basket was ordered already, from another page: please look at that order.";
            return Err(Error::failed_precondition(why).with_detail(&answer(other)));
        }
    }
    Ok(())
}

/// Logs what an order buys of other baskets' pieces.
pub(super) async fn remember(
    connection: &mut Connection,
    order_id: &str,
    merged_from: &[MergedFrom],
) -> Result<(), Error> {
    for from in merged_from {
        query(
            "INSERT INTO merged_pieces (order_id, shopper_id, first_version, until_version) VALUES ($1, $2, $3, $4)
             ON CONFLICT (order_id, shopper_id, until_version) DO NOTHING",
        )
        .bind(order_id)
        .bind(&from.shopper_id)
        .bind(from.first_version)
        .bind(until(from))
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Forgets it, once the order is old enough.
pub(super) async fn forget(connection: &mut Connection, order_id: &str) -> Result<(), Error> {
    query("DELETE FROM merged_pieces WHERE order_id = $1").bind(order_id).execute(connection).await?;
    Ok(())
}

/// Below which version of the other basket its orders bought some of these pieces.
fn until(from: &MergedFrom) -> i64 {
    if from.until_version == 0 { i64::MAX } else { from.until_version }
}
