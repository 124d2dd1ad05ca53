//! The store's basket service: lines per shopper, versioned, never doubled by a repeat. It knows no product and no price.

mod checks;
mod lines;
#[cfg(test)]
mod tests;

use shoal_sdk::{Call, Database, Environment, Error, Service, StartError};
use std::sync::Arc;
use store_contracts::store::basket::v1::{
    Basket, BasketContents, BasketServer, ClearRequest, ClearResponse, GetRequest, GetResponse, MergeRequest,
    MergeResponse, SetItemRequest, SetItemResponse,
};

/// The service, ready to run.
///
/// # Errors
/// When its database cannot be opened.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let baskets = Baskets::open(&environment).await?;
    Ok(Service::new().rpc(BasketServer::new(Arc::new(baskets))))
}

/// All baskets.
pub struct Baskets {
    database: Database,
}

impl Baskets {
    /// Opens the service's database.
    ///
    /// # Errors
    /// When it cannot be opened or migrated.
    pub async fn open(environment: &Environment) -> Result<Self, StartError> {
        Ok(Self { database: environment.database(sqlx::migrate!()).await? })
    }

    async fn read(&self, shopper: &str) -> Result<BasketContents, Error> {
        let mut connection = self.database.pool().acquire().await?;
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
        let mut transaction = self.database.write().await?;
        lines::set(&mut transaction, shopper, product, quantity, request.expected_version).await?;
        let basket = lines::read(&mut transaction, shopper).await?;
        transaction.commit().await?;
        Ok(SetItemResponse { basket: basket.into(), ..Default::default() })
    }

    async fn merge(&self, _call: &Call, request: MergeRequest) -> Result<MergeResponse, Error> {
        let guest = checks::shopper_of("guest:", "guest_shopper_id", &request.guest_shopper_id)?;
        let customer = checks::shopper_of("customer:", "customer_shopper_id", &request.customer_shopper_id)?;
        let mut transaction = self.database.write().await?;
        lines::merge(&mut transaction, guest, customer).await?;
        let basket = lines::read(&mut transaction, customer).await?;
        transaction.commit().await?;
        Ok(MergeResponse { basket: basket.into(), ..Default::default() })
    }

    async fn clear(&self, _call: &Call, request: ClearRequest) -> Result<ClearResponse, Error> {
        let shopper = checks::shopper("shopper_id", &request.shopper_id)?;
        let version = checks::version("version", request.version)?;
        let mut transaction = self.database.write().await?;
        lines::clear(&mut transaction, shopper, version).await?;
        let basket = lines::read(&mut transaction, shopper).await?;
        transaction.commit().await?;
        Ok(ClearResponse { basket: basket.into(), ..Default::default() })
    }
}
