//! The store's catalogue service: products, versioned prices, pictures, search and related products. It knows no stock and no shopper.

mod checks;
mod commands;
pub mod picture;
mod products;
mod related;
mod search;
mod seed;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use shoal_sdk::{Call, Database, Environment, Error, Migrations, Service, StartError};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use store_contracts::store::catalogue::v1::{
    BatchGetProductsRequest, BatchGetProductsResponse, Catalogue, CatalogueServer, Category, GetPictureRequest,
    GetPictureResponse, ListProductsRequest, ListProductsResponse, PutProductRequest, PutProductResponse,
    RelatedRequest, RelatedResponse, SearchRequest, SearchResponse, SetPriceRequest, SetPriceResponse,
};

/// What `[services.catalogue.settings]` may say.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Settings {
    /// So many made-up products are added for load tests; at most 200,000.
    pub generated_products: u32,
}

/// The schema of the products' database.
#[must_use]
pub fn migrations() -> Migrations {
    shoal_sdk::migrations!()
}

/// The service, ready to run.
///
/// # Errors
/// When its database cannot be opened or filled, or a setting is wrong.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let products = Products::open(&environment).await?;
    Ok(Service::new().rpc(CatalogueServer::new(Arc::new(products))))
}

/// All products.
pub struct Products {
    database: Database,
}

impl Products {
    /// Opens the service's database, and fills it at the first start.
    ///
    /// # Errors
    /// When it cannot be opened, migrated or filled, or a setting is wrong.
    pub async fn open(environment: &Environment) -> Result<Self, StartError> {
        let settings: Settings = environment.settings()?;
        if settings.generated_products > seed::GENERATED_MAX {
            return Err(StartError::new(format!(
                "`generated-products` in [services.catalogue.settings] of shoal.toml must be at most {}",
                seed::GENERATED_MAX
            )));
        }
        let database = environment.database(migrations()).await?;
        seed::plant(&database, settings.generated_products, now_ms()).await?;
        Ok(Self { database })
    }
}

#[shoal_sdk::async_trait]
impl Catalogue for Products {
    async fn list_products(&self, _call: &Call, request: ListProductsRequest) -> Result<ListProductsResponse, Error> {
        let (category, sort, currency, after, size) = checks::list(&request)?;
        let mut connection = self.database.read().await?;
        // One more than asked for tells whether there is a next page.
        let mut ids = products::page(&mut connection, category, sort, currency, after, size + 1).await?;
        let shown = usize::try_from(size).unwrap_or(usize::MAX);
        let more = ids.len() > shown;
        ids.truncate(shown);
        let next_page_token = ids.last().filter(|_| more).cloned().unwrap_or_default();
        let counts = products::counts(&mut connection).await?;
        let count_of = |id: &str| i32::try_from(counts.get(id).copied().unwrap_or(0)).unwrap_or(i32::MAX);
        let categories: Vec<Category> = seed::CATEGORIES
            .iter()
            .map(|(id, title)| Category {
                id: (*id).to_owned(),
                title: (*title).to_owned(),
                products: count_of(id),
                ..Default::default()
            })
            .collect();
        let total = if category.is_empty() {
            categories.iter().fold(0_i32, |sum, category| sum.saturating_add(category.products))
        } else {
            count_of(category)
        };
        let products = products::by_ids(&mut connection, &ids).await?;
        Ok(ListProductsResponse { products, next_page_token, categories, total, ..Default::default() })
    }

    async fn batch_get_products(
        &self,
        _call: &Call,
        request: BatchGetProductsRequest,
    ) -> Result<BatchGetProductsResponse, Error> {
        if request.ids.is_empty() || request.ids.len() > 100 {
            return Err(Error::invalid_argument("`ids` must be 1 to 100 products"));
        }
        for id in &request.ids {
            checks::slug("ids", id, 64)?;
        }
        let mut connection = self.database.read().await?;
        let products = products::by_ids(&mut connection, &request.ids).await?;
        Ok(BatchGetProductsResponse { products, ..Default::default() })
    }

    async fn search(&self, _call: &Call, request: SearchRequest) -> Result<SearchResponse, Error> {
        let limit = checks::count("limit", request.limit, 24, checks::PAGE_MAX)?;
        let words = search::words(&request.query)?;
        if words.is_empty() {
            return Ok(SearchResponse::default());
        }
        let mut connection = self.database.read().await?;
        let ids = search::ids(&mut connection, &words, limit).await?;
        let products = products::by_ids(&mut connection, &ids).await?;
        Ok(SearchResponse { products, ..Default::default() })
    }

    async fn related(&self, _call: &Call, request: RelatedRequest) -> Result<RelatedResponse, Error> {
        let id = checks::slug("product_id", &request.product_id, 64)?;
        let limit = checks::count("limit", request.limit, 4, 24)?;
        let mut connection = self.database.read().await?;
        let ids = related::ids(&mut connection, id, limit).await?;
        let products = products::by_ids(&mut connection, &ids).await?;
        Ok(RelatedResponse { products, ..Default::default() })
    }

    async fn get_picture(&self, _call: &Call, request: GetPictureRequest) -> Result<GetPictureResponse, Error> {
        let id = checks::slug("product_id", &request.product_id, 64)?;
        let mut connection = self.database.read().await?;
        let product = products::by_id(&mut connection, id).await?;
        let not_modified = request.known_etag == product.picture_etag;
        let form = picture::form_of(id, &product.tags, &product.category);
        // A drawing takes well under a millisecond: less than sending it.
        let data = if not_modified { Vec::new() } else { picture::draw(id, form, &product.name).into_bytes() };
        Ok(GetPictureResponse {
            etag: product.picture_etag,
            content_type: "image/svg+xml".to_owned(),
            data,
            not_modified,
            ..Default::default()
        })
    }

    async fn put_product(&self, _call: &Call, request: PutProductRequest) -> Result<PutProductResponse, Error> {
        let key = checks::key(&request.idempotency_key)?;
        let expected = checks::expected_version(request.expected_version)?;
        let text = products::Text {
            id: request.id.clone(),
            name: request.name.trim().to_owned(),
            summary: request.summary.trim().to_owned(),
            // Browsers send two characters for a line break.
            description: request.description.replace("\r\n", "\n").trim().to_owned(),
            category: request.category.clone(),
            tags: request.tags.clone(),
        };
        checks::text(&text)?;
        let mut transaction = self.database.write().await?;
        if let Some(answer) = commands::answered(&mut transaction, key, &request).await? {
            return Ok(answer);
        }
        let current = products::version(&mut transaction, &text.id).await?.unwrap_or(0);
        if current != expected {
            return Err(Error::aborted(format!("the product is at version {current}: read it and try again")));
        }
        if current == 0 {
            products::insert(&mut transaction, &text, None).await?;
        } else {
            products::replace(&mut transaction, &text).await?;
        }
        let product = products::by_id(&mut transaction, &text.id).await?;
        let answer = PutProductResponse { product: product.into(), ..Default::default() };
        commands::remember(&mut transaction, key, &request, &answer, now_ms()).await?;
        transaction.commit().await?;
        Ok(answer)
    }

    async fn set_price(&self, _call: &Call, request: SetPriceRequest) -> Result<SetPriceResponse, Error> {
        let key = checks::key(&request.idempotency_key)?;
        let id = checks::slug("product_id", &request.product_id, 64)?;
        let expected = checks::expected_version(request.expected_version)?;
        let (currency, minor) = checks::price(&request.amount)?;
        let mut transaction = self.database.write().await?;
        if let Some(answer) = commands::answered(&mut transaction, key, &request).await? {
            return Ok(answer);
        }
        if products::version(&mut transaction, id).await?.is_none() {
            return Err(products::no_such_product(id));
        }
        let current = products::price_version(&mut transaction, id, currency).await?;
        if current != expected {
            return Err(Error::aborted(format!(
                "the price in {currency} is at version {current}: read it and try again"
            )));
        }
        products::add_price(&mut transaction, id, currency, minor, current.saturating_add(1), now_ms()).await?;
        let product = products::by_id(&mut transaction, id).await?;
        let answer = SetPriceResponse { product: product.into(), ..Default::default() };
        commands::remember(&mut transaction, key, &request, &answer, now_ms()).await?;
        transaction.commit().await?;
        Ok(answer)
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
