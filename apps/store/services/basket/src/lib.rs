//! The store's basket service: lines per shopper, versioned, never doubled by a repeat. It knows no product and no price.

mod checks;
mod keys;
mod lines;
mod parts;
mod planted;
#[cfg(test)]
mod tests;

use shoal_sdk::{Call, Database, Environment, Error, Migrations, Service, StartError};
use std::sync::Arc;
use store_contracts::store::basket::v1::{
    Basket, BasketContents, BasketServer, ClearRequest, ClearResponse, GetRequest, GetResponse, MergeRequest,
    MergeResponse, SetItemRequest, SetItemResponse,
};

pub use planted::PlantedBug;

/// The schema of the baskets' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// What the manifest may set under `[services.basket.settings]`: nothing, in a normal build.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Settings {
    /// `planted-bug = "clear-any-version"`: see [`PlantedBug`].
    #[cfg_attr(not(feature = "planted-bugs"), serde(skip))]
    pub planted_bug: Option<PlantedBug>,
}

/// The service, ready to run.
///
/// # Errors
/// When its settings cannot be read or its database cannot be opened.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let settings = environment.settings()?;
    let baskets = Baskets::new(environment.database(migrations()).await?, settings);
    Ok(Service::new().rpc(BasketServer::new(Arc::new(baskets))))
}

/// All baskets.
pub struct Baskets {
    database: Database,
    settings: Settings,
}

impl Baskets {
    /// The baskets in `database`, which other replicas may share.
    #[must_use]
    pub fn new(database: Database, settings: Settings) -> Self {
        Self { database, settings }
    }

    async fn read(&self, shopper: &str) -> Result<BasketContents, Error> {
        let mut connection = self.database.read().await?;
        lines::read(&mut connection, shopper).await
    }
}

#[shoal_sdk::async_trait]
impl Basket for Baskets {
    async fn get(&self, _call: &Call, request: GetRequest) -> Result<GetResponse, Error> {
        let basket = self.read(checks::shopper("shopper_id", &request.shopper_id)?).await?;
        Ok(GetResponse { basket: basket.into(), ..Default::default() })
    }

    async fn set_item(&self, _call: &Call, request: SetItemRequest) -> Result<SetItemResponse, Error> {
        let shopper = checks::shopper("shopper_id", &request.shopper_id)?;
        let product = checks::product(&request.product_id)?;
        let quantity = checks::quantity(request.quantity)?;
        if let Some(version) = request.expected_version {
            checks::version("expected_version", version)?;
        }
        let key = request.idempotency_key.as_deref().map(checks::key).transpose()?;
        let change = (product, quantity);
        let mut transaction = self.database.write_for(shopper).await?;
        let happened = match key {
            Some(key) => keys::is_known(&mut transaction, shopper, key, change).await?,
            None => false,
        };
        if !happened {
            lines::set(&mut transaction, shopper, change, request.expected_version).await?;
            if let Some(key) = key {
                keys::remember(&mut transaction, shopper, key, change).await?;
            }
        }
        let basket = lines::read(&mut transaction, shopper).await?;
        transaction.commit().await?;
        Ok(SetItemResponse { basket: basket.into(), ..Default::default() })
    }

    async fn merge(&self, _call: &Call, request: MergeRequest) -> Result<MergeResponse, Error> {
        let guest = checks::shopper_of("guest:", "guest_shopper_id", &request.guest_shopper_id)?;
        let customer = checks::shopper_of("customer:", "customer_shopper_id", &request.customer_shopper_id)?;
        // Alone, since it changes two baskets.
        let mut transaction = self.database.write().await?;
        lines::merge(&mut transaction, guest, customer).await?;
        let basket = lines::read(&mut transaction, customer).await?;
        transaction.commit().await?;
        Ok(MergeResponse { basket: basket.into(), ..Default::default() })
    }

    async fn clear(&self, _call: &Call, request: ClearRequest) -> Result<ClearResponse, Error> {
        let shopper = checks::shopper("shopper_id", &request.shopper_id)?;
        let version = checks::version("version", request.version)?;
        let version = if self.settings.has(PlantedBug::ClearAnyVersion) { i64::MAX } else { version };
        // Alone, since it may change the baskets that this one was merged into.
        let mut transaction = self.database.write().await?;
        lines::clear(&mut transaction, shopper, version).await?;
        let basket = lines::read(&mut transaction, shopper).await?;
        transaction.commit().await?;
        Ok(ClearResponse { basket: basket.into(), ..Default::default() })
    }
}
