//! The store's payments: a double-entry ledger over a simulated bank. At every read each currency's accounts sum to
//! zero, and an order is captured at most once. It calls no other service, and never stores or logs a card number.

mod api;
mod audit;
mod bank;
mod card;
mod ledger;
mod records;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use shoal_sdk::{Environment, Service, StartError};
use store_contracts::store::payment::v1::PaymentServer;

pub use api::PaymentApi;

/// The schema of the payments' database.
#[must_use]
pub fn migrator() -> sqlx::migrate::Migrator {
    sqlx::migrate!()
}

/// Milliseconds since the Unix epoch. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Builds the service.
///
/// # Errors
/// When the database cannot be opened.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let database = environment.database(migrator()).await?;
    let api = PaymentApi::new(database, Arc::new(wall_clock));
    Ok(Service::new().rpc(PaymentServer::new(Arc::new(api))))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
