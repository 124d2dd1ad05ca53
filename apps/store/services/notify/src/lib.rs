//! The store's notify service: the mail log. It writes one mail per event of orders and shipping, and reaches no mail server.

mod follow;
mod letters;
mod mails;
#[cfg(test)]
mod tests;

/// What this service calls.
pub mod calls {
    shoal_sdk::include_calls!();
}

use follow::{Source, follow};
use shoal_sdk::{Call, Database, Environment, Error, Service, StartError};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store_contracts::store::notify::v1::{ListRequest, ListResponse, Notify, NotifyServer};

/// Mails in one answer, at most.
const MAILS_MAX: i32 = 100;

/// The service, ready to run.
///
/// # Errors
/// When its database cannot be opened, or the manifest does not let it call orders and shipping.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let orders = Source::Orders(calls::orders(&environment)?);
    let shipping = Source::Shipping(calls::shipping(&environment)?);
    let log = MailLog::open(&environment).await?;
    let (database, same_database) = (log.database.clone(), log.database.clone());
    Ok(Service::new()
        .rpc(NotifyServer::new(Arc::new(log)))
        .background("orders' events", |shutdown| follow(database, orders, shutdown))
        .background("shipping's events", |shutdown| follow(same_database, shipping, shutdown)))
}

/// All mails.
pub struct MailLog {
    database: Database,
}

impl MailLog {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub async fn open(environment: &Environment) -> Result<Self, StartError> {
        Ok(Self { database: environment.database(sqlx::migrate!()).await? })
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
        let before = match request.page_token.as_str() {
            "" => i64::MAX,
            token => token.parse().ok().filter(|before| *before > 0).ok_or_else(|| {
                Error::invalid_argument("`page_token` must be empty or a `next_page_token` of an earlier answer")
            })?,
        };
        let mut connection = self.database.pool().acquire().await?;
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
