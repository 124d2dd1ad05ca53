//! Follows the orders' events: asks again and again, at rest every two seconds, and slower while the orders do not answer.

use crate::{Settings, calls, now_ms, planted, shipments};
use shoal_sdk::{Call, Database, Error, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use store_contracts::store::orders::v1::EventsRequest;

/// Events taken at a time.
const BATCH: i32 = 100;
/// How soon to ask again after something happened; doubles while nothing does.
const PAUSE_SHORTEST: Duration = Duration::from_millis(250);
/// How long to wait at most while all is quiet.
const PAUSE_QUIET: Duration = Duration::from_secs(2);
/// How long to wait at most while the orders do not answer.
const PAUSE_FAILED: Duration = Duration::from_secs(10);
/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Takes events until the shutdown is requested.
pub async fn follow(database: Database, orders: Arc<dyn calls::Orders>, settings: Settings, shutdown: Shutdown) {
    let mut pause = PAUSE_SHORTEST;
    let mut failing = false;
    while !shutdown.is_requested() {
        pause = match take_batch(&database, orders.as_ref(), &settings).await {
            Ok(count) => {
                if failing {
                    tracing::info!("the orders answer again");
                    failing = false;
                }
                if count > 0 { PAUSE_SHORTEST } else { (pause * 2).min(PAUSE_QUIET) }
            }
            Err(error) => {
                // Once, not every ten seconds for as long as the orders are gone.
                if !failing {
                    tracing::warn!(%error, "the orders' events cannot be taken; trying again");
                    failing = true;
                }
                (pause * 2).min(PAUSE_FAILED)
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
}

/// Takes events until there are no more; how many it took.
pub async fn take_batch(database: &Database, orders: &dyn calls::Orders, settings: &Settings) -> Result<usize, Error> {
    let mut taken = 0;
    loop {
        let after = {
            let mut connection = database.read().await?;
            shipments::place(&mut connection).await?
        };
        let request = EventsRequest { after, limit: BATCH, ..Default::default() };
        let events = orders.events(&Call::new().with_timeout(TIMEOUT), request).await?.events;
        if events.is_empty() {
            return Ok(taken);
        }
        if let Some(bug) = settings.planted() {
            planted::take(database, &events, bug).await?;
        } else {
            // Alone, so that the sequences of what it writes grow in the order in which readers come to see them.
            let mut transaction = database.write().await?;
            shipments::take(&mut transaction, &events, now_ms()).await?;
            transaction.commit().await?;
        }
        taken += events.len();
        // A source that answers what was asked for moves the place on; anything else would go round for ever.
        if events.iter().all(|event| event.sequence <= after) {
            return Ok(taken);
        }
    }
}
