//! The store's orders: records of what was ordered, their lifecycle, and the events about it. A change and its event
//! are stored in one transaction. It calls no other service and never moves stock or money.

mod api;
mod limits;
mod records;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use shoal_sdk::{Environment, Service, StartError};
use store_contracts::store::orders::v1::OrdersServer;

pub use api::OrdersApi;

/// The schema of the orders' database.
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
    let api = OrdersApi::new(database, Arc::new(wall_clock));
    Ok(Service::new().rpc(OrdersServer::new(Arc::new(api))))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
