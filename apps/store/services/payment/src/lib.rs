//! The store's payments: a double-entry ledger over a simulated bank. At every read each currency's accounts sum to
//! zero, and an order is captured at most once. It calls no other service, and never stores or logs a card number.

mod api;
mod audit;
mod bank;
mod card;
mod checks;
mod ledger;
mod lifecycle;
mod planted;
mod records;
mod settle;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use shoal_sdk::{Environment, Migrations, Service, StartError};
use store_contracts::store::payment::v1::PaymentServer;

pub use api::{CRASH_POINTS, PaymentApi};
pub use planted::PlantedBug;

/// The longest that the bank may be told to take, in milliseconds.
const BANK_DELAY_MAX: u64 = 10_000;

/// The largest share of the bank's answers that may get lost: some must arrive.
const BANK_LOST_ANSWERS_MAX: f64 = 0.9;

/// What the manifest may set under `[services.payment.settings]`: how the simulated bank treats every card.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// How long after its effect an answer of the bank leaves, in milliseconds: at most 10,000. It may be longer than
    /// any caller waits: the answer is recorded all the same.
    pub bank_delay_ms: u64,
    /// The share of the bank's answers that get lost after their effect: 0 to 0.9.
    pub bank_lost_answers: f64,
    /// A bug that is switched on to see whether a checker finds it.
    #[cfg(feature = "planted-bugs")]
    pub planted_bug: Option<PlantedBug>,
}

impl Settings {
    fn manners(&self) -> Result<bank::Manners, StartError> {
        let wrong = |setting: &str, may: String| {
            StartError::new(format!("`{setting}` in [services.payment.settings] of shoal.toml must be {may}"))
        };
        if self.bank_delay_ms > BANK_DELAY_MAX {
            return Err(wrong("bank-delay-ms", format!("0 to {BANK_DELAY_MAX}")));
        }
        if !(0.0..=BANK_LOST_ANSWERS_MAX).contains(&self.bank_lost_answers) {
            return Err(wrong("bank-lost-answers", format!("0 to {BANK_LOST_ANSWERS_MAX}")));
        }
        Ok(bank::Manners { delay: Duration::from_millis(self.bank_delay_ms), lost_answers: self.bank_lost_answers })
    }
}

/// The schema of the payments' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// Milliseconds since the Unix epoch. Tests pass their own.
pub type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

/// Builds the service.
///
/// # Errors
/// When the database cannot be opened or a setting is wrong.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let api = PaymentApi::open(&environment, Arc::new(wall_clock)).await?;
    Ok(Service::new().rpc(PaymentServer::new(Arc::new(api))).crash_points(CRASH_POINTS))
}

fn wall_clock() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
