//! The store's orders: records of what was ordered, their lifecycle, and the events about it. A change and its event
//! are stored in one transaction. It calls no other service and never moves stock or money.

mod api;
mod fences;
mod limits;
mod planted;
mod records;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use shoal_sdk::{Environment, Migrations, Service, StartError};
use store_contracts::store::orders::v1::OrdersServer;

pub use api::OrdersApi;
pub use planted::PlantedBug;

/// Where the service can be made to die on purpose: a command is durable and not answered yet.
pub const CRASH_POINTS: [&str; 3] = ["open.committed", "confirm.committed", "cancel.committed"];

/// What the manifest may set under `[services.orders.settings]`: nothing, in a normal build.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// `planted-bug = "no-fence"`: see [`PlantedBug`].
    #[cfg_attr(not(feature = "planted-bugs"), serde(skip))]
    pub planted_bug: Option<PlantedBug>,
}

/// The schema of the orders' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// Milliseconds since the Unix epoch. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Builds the service.
///
/// # Errors
/// When the settings cannot be read or the database cannot be opened.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let settings: Settings = environment.settings()?;
    let database = environment.database(migrations()).await?;
    let api = OrdersApi::new(database, settings, Arc::new(wall_clock), environment.faults());
    Ok(Service::new().rpc(OrdersServer::new(Arc::new(api))).crash_points(CRASH_POINTS))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
