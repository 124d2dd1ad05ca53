//! The store's inventory: a ledger of stock movements, and reservations that expire. At every read and for each
//! product: on hand + live reservations + confirmed = received + restocked. It calls no other service, and a read
//! never writes.

mod api;
mod audit;
mod demo;
mod fences;
mod limits;
mod planted;
mod reservations;
mod stock;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shoal_sdk::{Environment, Migrations, Service, StartError};
use store_contracts::store::inventory::v1::InventoryServer;

pub use api::InventoryApi;
pub use demo::first_receipt;
pub use planted::PlantedBug;

/// The schema of the inventory's database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// Where the service can be made to die on purpose: a command is durable and not answered yet.
pub const CRASH_POINTS: [&str; 4] = ["reserve.committed", "commit.committed", "release.committed", "restock.committed"];

/// How often reservations that ran out are looked for. A sale does not wait for it: reads and reservations count
/// them as free at once.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Milliseconds since the Unix epoch. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// What the manifest may set under `[services.inventory.settings]`.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// `demo-stock = true`: a product nobody has received before starts with the pieces that
    /// `seed/stock.csv` lists, or 20 to 120 when it is not listed, instead of none.
    pub demo_stock: bool,
    /// `planted-bug = "check-then-insert"`, `"freed-early"` or `"no-fence"`: see [`PlantedBug`].
    #[cfg_attr(not(feature = "planted-bugs"), serde(skip))]
    pub planted_bug: Option<PlantedBug>,
}

/// Builds the service.
///
/// # Errors
/// When the settings cannot be read or the database cannot be opened.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let settings: Settings = environment.settings()?;
    let database = environment.database(migrations()).await?;
    let api = Arc::new(InventoryApi::new(database, settings, Arc::new(wall_clock), environment.faults()));
    let sweeper = Arc::clone(&api);
    Ok(Service::new().rpc(InventoryServer::new(api)).crash_points(CRASH_POINTS).background(
        "sweep",
        move |shutdown| async move {
            loop {
                tokio::select! {
                    () = shutdown.requested() => return,
                    () = tokio::time::sleep(SWEEP_EVERY) => {}
                }
                if let Err(error) = sweeper.sweep().await {
                    tracing::warn!(%error, "could not put expired reservations back on sale; trying again");
                }
            }
        },
    ))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
