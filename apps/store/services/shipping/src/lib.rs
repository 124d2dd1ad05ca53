//! The store's shipping service: rates, and one shipment per confirmed order. It follows the orders' events and waits for nobody.

mod follow;
mod planted;
mod rates;
mod shipments;
#[cfg(test)]
mod tests;

/// What this service calls.
pub mod calls {
    shoal_sdk::include_calls!();
}

pub use planted::PlantedBug;
use shoal_sdk::{Call, Database, Environment, Error, Migrations, Service, StartError};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store_contracts::store::shipping::v1::{
    EventsRequest, EventsResponse, QuoteRequest, QuoteResponse, Shipping, ShippingServer, TrackRequest, TrackResponse,
};

/// Events in one answer, at most.
const EVENTS_MAX: i32 = 500;

/// The schema of the shipments' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// What the manifest may set under `[services.shipping.settings]`: nothing, in a normal build.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// `planted-bug = "place-before-effect"` or `"no-inbox"`: see [`PlantedBug`].
    #[cfg_attr(not(feature = "planted-bugs"), serde(skip))]
    pub planted_bug: Option<PlantedBug>,
}

/// The service, ready to run.
///
/// # Errors
/// When its settings cannot be read, its database cannot be opened, or the manifest does not let it call the orders.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let orders = calls::orders(&environment)?;
    let settings: Settings = environment.settings()?;
    let database = environment.database(migrations()).await?;
    let shipments = Shipments::new(database.clone());
    Ok(Service::new()
        .rpc(ShippingServer::new(Arc::new(shipments)))
        .background("orders' events", |shutdown| follow::follow(database, orders, settings, shutdown)))
}

/// All shipments.
pub struct Shipments {
    database: Database,
}

impl Shipments {
    /// The shipments in `database`, which other replicas may share.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[shoal_sdk::async_trait]
impl Shipping for Shipments {
    async fn quote(&self, _call: &Call, request: QuoteRequest) -> Result<QuoteResponse, Error> {
        rates::quote(&request.country, &request.subtotal, request.pieces)
    }

    async fn track(&self, _call: &Call, request: TrackRequest) -> Result<TrackResponse, Error> {
        let letters = request.order_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if request.order_id.is_empty() || request.order_id.len() > 64 || !letters {
            return Err(Error::invalid_argument("`order_id` must be 1 to 64 characters of A-Z, a-z, 0-9, `-` and `_`"));
        }
        let mut connection = self.database.read().await?;
        let shipment = shipments::of_order(&mut connection, &request.order_id, now_ms()).await?;
        let shipment = shipment.ok_or_else(|| Error::not_found("there is no shipment for this order yet"))?;
        Ok(TrackResponse { shipment: shipment.into(), ..Default::default() })
    }

    async fn events(&self, _call: &Call, request: EventsRequest) -> Result<EventsResponse, Error> {
        let limit = if request.limit == 0 { 100 } else { request.limit };
        if request.after < 0 || !(1..=EVENTS_MAX).contains(&limit) {
            return Err(Error::invalid_argument(format!(
                "`after` must not be negative, and `limit` must be 1 to {EVENTS_MAX}, or 0 for 100"
            )));
        }
        let mut connection = self.database.read().await?;
        let events = shipments::events(&mut connection, request.after, i64::from(limit)).await?;
        Ok(EventsResponse { events, ..Default::default() })
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
