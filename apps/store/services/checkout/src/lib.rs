//! The store's checkout: quotes a basket and places an order exactly once, by a saga over the services that own stock,
//! money, orders and baskets. It owns only the saga's log, and never stores or logs a card number.

/// Clients of the services that checkout calls, with only the methods it calls.
pub mod calls {
    shoal_sdk::include_calls!();
}

mod api;
mod drive;
mod limits;
mod log;
mod quote;
mod saga;
mod steps;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use shoal_sdk::{Environment, Service, StartError};
use store_contracts::store::checkout::v1::CheckoutServer;

pub use api::CheckoutApi;

/// The schema of the checkout's database.
#[must_use]
pub fn migrator() -> sqlx::migrate::Migrator {
    sqlx::migrate!()
}

/// Milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The checkout and what drives its orders on, for tests that serve it in their own process.
pub struct Parts {
    /// The API.
    pub api: Arc<CheckoutApi>,
    driver: drive::Driver,
}

impl Parts {
    /// Builds both from an environment.
    ///
    /// # Errors
    /// When the database cannot be opened or a callee is not declared.
    pub async fn new(environment: &Environment, clock: Clock) -> Result<Parts, StartError> {
        let database = environment.database(migrator()).await?;
        let callees = steps::Callees::of(environment)?;
        let log = log::Log::new(database, clock, environment.replica());
        let driver = drive::Driver::new(log.clone(), callees.clone());
        Ok(Parts { api: Arc::new(CheckoutApi::new(callees, log, driver.clone())), driver })
    }

    /// Adopts the orders that nobody drives now; answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn resume(&self) -> Result<usize, shoal_sdk::Error> {
        self.driver.adopt_once().await
    }
}

/// Builds the service.
///
/// # Errors
/// When the database cannot be opened or a callee is not declared in the manifest.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let Parts { api, driver } = Parts::new(&environment, Arc::new(wall_clock)).await?;
    Ok(Service::new()
        .rpc(CheckoutServer::new(api))
        .background("resume", move |shutdown| driver.adopt_for_ever(shutdown)))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
