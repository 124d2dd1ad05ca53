//! Follows the events of orders and of shipping: asks again and again, at rest every two seconds, and slower while a source does not answer.
//! Each source is followed by a task of its own, so that one which is gone does not hold up the other.

use crate::letters::{Letter, about_order, about_shipment};
use crate::{Settings, calls, mails, now_ms, planted};
use shoal_sdk::{Call, Database, Error, Shutdown};
use std::sync::Arc;
use std::time::Duration;
use store_contracts::store::{orders, shipping};

/// Events taken at a time.
const BATCH: i32 = 100;
/// How soon to ask again after something happened; doubles while nothing does.
const PAUSE_SHORTEST: Duration = Duration::from_millis(250);
/// How long to wait at most while all is quiet.
const PAUSE_QUIET: Duration = Duration::from_secs(2);
/// How long to wait at most while the source does not answer.
const PAUSE_FAILED: Duration = Duration::from_secs(10);
/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where events come from.
pub enum Source {
    /// What happens to orders.
    Orders(Arc<dyn calls::Orders>),
    /// What happens to shipments.
    Shipping(Arc<dyn calls::Shipping>),
}

impl Source {
    fn name(&self) -> &'static str {
        match self {
            Source::Orders(_) => "orders",
            Source::Shipping(_) => "shipping",
        }
    }

    /// The sequences of the events after a place, each with the mail to write about it.
    async fn ask(&self, after: i64) -> Result<Vec<(i64, Option<Letter>)>, Error> {
        let call = Call::new().with_timeout(TIMEOUT);
        Ok(match self {
            Source::Orders(source) => {
                let request = orders::v1::EventsRequest { after, limit: BATCH, ..Default::default() };
                let answer = source.events(&call, request).await?;
                answer.events.iter().map(|event| (event.sequence, about_order(event))).collect()
            }
            Source::Shipping(source) => {
                let request = shipping::v1::EventsRequest { after, limit: BATCH, ..Default::default() };
                let answer = source.events(&call, request).await?;
                answer.events.iter().map(|event| (event.sequence, about_shipment(event))).collect()
            }
        })
    }
}

/// Takes a source's events until the shutdown is requested.
pub async fn follow(database: Database, source: Source, settings: Settings, shutdown: Shutdown) {
    let mut pause = PAUSE_SHORTEST;
    let mut failing = false;
    while !shutdown.is_requested() {
        pause = match take_batch(&database, &source, &settings).await {
            Ok(count) => {
                if failing {
                    tracing::info!(source = source.name(), "events can be taken again");
                    failing = false;
                }
                if count > 0 { PAUSE_SHORTEST } else { (pause * 2).min(PAUSE_QUIET) }
            }
            Err(error) => {
                // Once, not every ten seconds for as long as the source is gone.
                if !failing {
                    tracing::warn!(source = source.name(), %error, "events cannot be taken; trying again");
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
pub async fn take_batch(database: &Database, source: &Source, settings: &Settings) -> Result<usize, Error> {
    let mut taken = 0;
    loop {
        let after = {
            let mut connection = database.read().await?;
            mails::place(&mut connection, source.name()).await?
        };
        let events = source.ask(after).await?;
        let Some(last) = events.iter().map(|(sequence, _)| *sequence).max() else { return Ok(taken) };
        taken += events.len();
        let letters = events.into_iter().filter_map(|(_, letter)| letter);
        if let Some(bug) = settings.planted() {
            planted::take(database, source.name(), letters, last, bug).await?;
        } else {
            let mut transaction = database.write().await?;
            for letter in letters {
                mails::write(&mut transaction, &letter, now_ms()).await?;
            }
            mails::move_place(&mut transaction, source.name(), last).await?;
            transaction.commit().await?;
        }
        // A source that answers what was asked for moves the place on; anything else would go round for ever.
        if last <= after {
            return Ok(taken);
        }
    }
}
