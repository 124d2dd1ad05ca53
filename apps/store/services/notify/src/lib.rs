//! The store's notify service: the mail log. It writes one mail per event of orders and shipping, and reaches no mail server.

mod follow;
mod letters;
mod mails;
mod planted;
#[cfg(test)]
mod tests;

/// What this service calls.
pub mod calls {
    shoal_sdk::include_calls!();
}

use follow::{Source, follow};
pub use planted::PlantedBug;
use shoal_sdk::{Call, Database, Environment, Error, Migrations, Service, StartError};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store_contracts::store::notify::v1::{ListRequest, ListResponse, Notify, NotifyServer};

/// Mails in one answer, at most.
const MAILS_MAX: i32 = 100;

/// The schema of the mail log's database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// What the manifest may set under `[services.notify.settings]`: nothing, in a normal build.
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
/// When its settings cannot be read, its database cannot be opened, or the manifest does not let it call orders and shipping.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let orders = Source::Orders(calls::orders(&environment)?);
    let shipping = Source::Shipping(calls::shipping(&environment)?);
    let settings: Settings = environment.settings()?;
    let database = environment.database(migrations()).await?;
    let log = MailLog::new(database.clone());
    let (same_database, same_settings) = (database.clone(), settings.clone());
    Ok(Service::new()
        .rpc(NotifyServer::new(Arc::new(log)))
        .background("orders' events", |shutdown| follow(database, orders, settings, shutdown))
        .background("shipping's events", |shutdown| follow(same_database, shipping, same_settings, shutdown)))
}

/// All mails.
pub struct MailLog {
    database: Database,
}

impl MailLog {
    /// The mail log in `database`, which other replicas may share.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[shoal_sdk::async_trait]
impl Notify for MailLog {
    async fn list(&self, _call: &Call, request: ListRequest) -> Result<ListResponse, Error> {
        let limit = if request.limit == 0 { 50 } else { request.limit };
        if !(1..=MAILS_MAX).contains(&limit) {
            return Err(Error::invalid_argument(format!("`limit` must be 1 to {MAILS_MAX}, or 0 for 50")));
        }
        if request.recipient.len() > 254 {
            return Err(Error::invalid_argument("`recipient` must be at most 254 characters long"));
        }
        if request.recipient.chars().any(char::is_control) {
            return Err(Error::invalid_argument("`recipient` must not contain line breaks or control characters"));
        }
        let before = match request.page_token.as_str() {
            "" => i64::MAX,
            token => token.parse().ok().filter(|before| *before > 0).ok_or_else(|| {
                Error::invalid_argument("`page_token` must be empty or a `next_page_token` of an earlier answer")
            })?,
        };
        let mut connection = self.database.read().await?;
        let recipient = request.recipient.trim().to_lowercase();
        let (mails, next) = mails::list(&mut connection, &recipient, before, i64::from(limit)).await?;
        let next_page_token = next.map(|next| next.to_string()).unwrap_or_default();
        Ok(ListResponse { mails, next_page_token, ..Default::default() })
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
