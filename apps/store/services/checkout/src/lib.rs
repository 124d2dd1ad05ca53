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
mod planted;
mod quote;
mod running;
mod saga;
mod steps;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use shoal_sdk::{Environment, Migrations, Service, StartError};
use store_contracts::store::checkout::v1::{CheckoutServer, PlaceResponse, PlaceState};

pub use api::CheckoutApi;
pub use drive::crash_points;
use planted::Planted;
pub use planted::PlantedBug;

/// How long a lease may be set to last, in milliseconds.
const LEASE_MILLIS: std::ops::RangeInclusive<u64> = 1_000..=600_000;

/// What the manifest may set under `[services.checkout.settings]`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// How long a replica may be silent about an order before another takes it over, in milliseconds: 1,000 to 600,000.
    /// One call of a step may take a third of it, and at most 3 s.
    pub lease_ms: u64,
    /// A bug that is switched on to see whether a checker finds it.
    #[cfg(feature = "planted-bugs")]
    pub planted_bug: Option<PlantedBug>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            lease_ms: 15_000,
            #[cfg(feature = "planted-bugs")]
            planted_bug: None,
        }
    }
}

impl Settings {
    fn lease(&self) -> Result<Duration, StartError> {
        if LEASE_MILLIS.contains(&self.lease_ms) {
            return Ok(Duration::from_millis(self.lease_ms));
        }
        let (min, max) = (LEASE_MILLIS.start(), LEASE_MILLIS.end());
        Err(StartError::new(format!("`lease-ms` in [services.checkout.settings] of shoal.toml must be {min} to {max}")))
    }
}

/// The schema of the checkout's database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
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
    /// When the database cannot be opened, a setting is wrong or a callee is not declared.
    pub async fn new(environment: &Environment, clock: Clock) -> Result<Parts, StartError> {
        let settings: Settings = environment.settings()?;
        let (lease, planted) = (settings.lease()?, Planted::of(&settings));
        let database = environment.database(migrations()).await?;
        let callees = steps::Callees::of(environment, lease, planted)?;
        let log = log::Log { database, clock, holder: environment.replica(), lease, planted };
        let driver = drive::Driver::new(log.clone(), callees.clone(), environment.faults(), lease);
        Ok(Parts { api: Arc::new(CheckoutApi::new(callees, log, driver.clone(), planted)), driver })
    }

    /// Shortens finished orders that are old enough; answers how many.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn shorten(&self) -> Result<u64, shoal_sdk::Error> {
        self.driver.shorten().await
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
/// When the database cannot be opened, a setting is wrong or a callee is not declared in the manifest.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let Parts { api, driver } = Parts::new(&environment, Arc::new(wall_clock)).await?;
    Ok(Service::new()
        .rpc(CheckoutServer::new(api))
        .crash_points(crash_points())
        .background("resume", move |shutdown| driver.adopt_for_ever(shutdown)))
}

/// What is told of an order.
fn answer(saga: log::Saga) -> PlaceResponse {
    let state = match saga.state {
        state if state.is_confirmed() => PlaceState::PLACE_STATE_CONFIRMED,
        state if state.is_refused() => PlaceState::PLACE_STATE_REFUSED,
        _ => PlaceState::PLACE_STATE_PENDING,
    };
    PlaceResponse {
        order_id: saga.order_id,
        state: state.into(),
        total: (!saga.total.currency.is_empty()).then_some(saga.total).into(),
        refusal: saga.refusal,
        ..Default::default()
    }
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
