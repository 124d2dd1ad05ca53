//! Bugs planted on purpose, to prove that the store's checker finds them. Only a build with the feature `planted-bugs`
//! has them, and only one that is named by the setting `planted-bug`. Never: part of a normal build.

use crate::{Settings, now_ms, shipments};
use shoal_sdk::{Database, Error, query};
use std::time::Duration;
use store_contracts::store::orders::v1::OrderEvent;

/// Which bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlantedBug {
    /// The place is moved behind events that are not dealt with yet.
    PlaceBeforeEffect,
    /// Events that were dealt with are not known again, and the place is moved later than what they bring about.
    NoInbox,
}

/// Between the place and the effect: time to die in.
const HALFWAY: Duration = Duration::from_secs(1);

impl Settings {
    /// The bug that was planted, if any.
    pub fn planted(&self) -> Option<PlantedBug> {
        self.planted_bug.filter(|_| cfg!(feature = "planted-bugs"))
    }
}

/// Deals with events as the bug has it.
pub async fn take(database: &Database, events: &[OrderEvent], bug: PlantedBug) -> Result<(), Error> {
    if bug == PlantedBug::PlaceBeforeEffect {
        move_place(database, events).await?;
        tokio::time::sleep(HALFWAY).await;
    }
    let mut transaction = database.write().await?;
    for order in events.iter().filter_map(shipments::to_ship) {
        let new = shipments::create(&mut transaction, order, now_ms()).await?;
        if !new && bug == PlantedBug::NoInbox {
            query("INSERT INTO events (event_id, shipment_id, at_ms) SELECT $1, shipment_id, $2 FROM shipments WHERE order_id = $3")
                .bind(uuid::Uuid::now_v7().to_string())
                .bind(now_ms())
                .bind(&order.order_id)
                .execute(&mut transaction)
                .await?;
        }
    }
    transaction.commit().await?;
    if bug == PlantedBug::NoInbox {
        tokio::time::sleep(HALFWAY).await;
        move_place(database, events).await?;
    }
    Ok(())
}

async fn move_place(database: &Database, events: &[OrderEvent]) -> Result<(), Error> {
    let mut transaction = database.write().await?;
    shipments::move_place(&mut transaction, events).await?;
    transaction.commit().await
}
