//! Bugs planted on purpose, to prove that the store's checker finds them. Only a build with the feature `planted-bugs`
//! has them, and only one that is named by the setting `planted-bug`. Never: part of a normal build.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_sdk::{Connection, Error, query};

use crate::{Settings, stock};

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// Stock is looked at first, and taken later, without another look; what is not there any more is booked as delivered, so that counters and
    /// ledger agree.
    CheckThenInsert,
    /// Reservations end some seconds before their time.
    FreedEarly,
    /// Fences are not looked at.
    NoFence,
}

/// How long stock that was looked at stays untaken.
pub const BETWEEN_CHECK_AND_INSERT: Duration = Duration::from_millis(50);
/// How much too early reservations end, in milliseconds.
pub const EARLY_MILLIS: i64 = 5_000;

impl Settings {
    /// Whether this bug was planted.
    pub fn has(&self, bug: PlantedBug) -> bool {
        cfg!(feature = "planted-bugs") && self.planted_bug == Some(bug)
    }
}

/// Puts on the shelf what a new order believes to lie there, and books it as delivered.
pub async fn believe(
    connection: &mut Connection,
    order_id: &str,
    lines: &BTreeMap<String, i64>,
    now: i64,
) -> Result<(), Error> {
    for (product_id, quantity) in lines {
        let missing: Option<(i64,)> = query(
            "SELECT $2 - on_hand FROM stock WHERE product_id = $1 AND on_hand < $2
             AND NOT EXISTS (SELECT 1 FROM reservations WHERE order_id = $3)",
        )
        .bind(product_id)
        .bind(*quantity)
        .bind(order_id)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some((missing,)) = missing {
            let key = format!("believed:{order_id}:{product_id}");
            stock::receive(&mut *connection, &key, product_id, missing, "", false, now).await?;
        }
    }
    Ok(())
}
