//! Every call to another service, each with a time limit, and what stands in for its answer when there is none.
//! A page that uses these cannot fail because a service is down; it never retries, since callers choose an endpoint that works by themselves.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use shoal_sdk::{Call, Code, Environment, Error, StartError};
use store_contracts::store::basket::v1 as basket_v1;
use store_contracts::store::catalogue::v1 as catalogue_v1;
use store_contracts::store::inventory::v1 as inventory_v1;
use tracing::warn;

use crate::calls;
use crate::memory::{Memory, Picture};
use crate::money::Currency;

/// A page waits no longer than this for something it can do without.
pub const READ_LIMIT: Duration = Duration::from_millis(1_500);
/// A change waits longer: the shopper wants to know whether it was made.
pub const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// Placing an order asks a bank; what takes longer goes on by itself and is asked after.
pub const PLACE_LIMIT: Duration = Duration::from_secs(9);
/// Products on a page of a list.
pub const PAGE_SIZE: i32 = 24;
/// Products of a list that are shown from memory, where there are no further pages.
const STALE_LIST_MAX: usize = 100;
/// Pages of 100 products that the warm-up reads at most.
const WARM_PAGES_MAX: usize = 10;

/// The services behind the pages.
pub struct Backends {
    /// Products, prices and pictures.
    pub catalogue: Arc<dyn calls::Catalogue>,
    /// Lines per shopper.
    pub basket: Arc<dyn calls::Basket>,
    /// Accounts and sessions.
    pub customer: Arc<dyn calls::Customer>,
    /// Stock.
    pub inventory: Arc<dyn calls::Inventory>,
    /// Quotes and placing orders.
    pub checkout: Arc<dyn calls::Checkout>,
    /// Orders.
    pub orders: Arc<dyn calls::Orders>,
    /// Shipments.
    pub shipping: Arc<dyn calls::Shipping>,
    /// The mail log.
    pub notify: Arc<dyn calls::Notify>,
    /// What the catalogue last said.
    pub memory: Memory,
}

/// An answer of the catalogue, or what stands in for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<T> {
    /// As it is now.
    Fresh(T),
    /// As it was when the catalogue last answered.
    Stale(T),
    /// The catalogue is silent and nothing is remembered.
    Absent,
}

impl<T> Answer<T> {
    /// The answer, fresh or not.
    pub fn value(self) -> Option<T> {
        match self {
            Answer::Fresh(value) | Answer::Stale(value) => Some(value),
            Answer::Absent => None,
        }
    }

    /// True when the answer may be out of date.
    pub fn is_stale(&self) -> bool {
        matches!(self, Answer::Stale(_))
    }
}

/// A page of a list of products.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// In the order asked for.
    pub products: Vec<catalogue_v1::Product>,
    /// Where the next page starts; empty on the last one.
    pub next: String,
    /// How many products the whole list has.
    pub total: usize,
}

/// Which page of which list.
#[derive(Clone, Debug)]
pub struct ListQuery {
    /// Only this category; all when empty.
    pub category: String,
    /// The order.
    pub sort: catalogue_v1::Sort,
    /// The currency that prices are compared in.
    pub currency: Currency,
    /// From the page before; empty for the first one.
    pub token: String,
    /// How many at most.
    pub size: i32,
}

/// Whether an error means that the service is not there, as opposed to an answer that the shopper should hear.
pub fn is_absence(error: &Error) -> bool {
    error.code.is_failure() || matches!(error.code, Code::Unimplemented | Code::Canceled)
}

/// Awaits a call for at most `limit`.
///
/// # Errors
/// What the call answers, or `deadline_exceeded`. An absence is logged under the service's name.
pub async fn within<T>(
    limit: Duration,
    service: &'static str,
    answer: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let result = match tokio::time::timeout(limit, answer).await {
        Ok(result) => result,
        Err(_) => Err(Error::deadline_exceeded(format!("{service} did not answer within {} ms", limit.as_millis()))),
    };
    if let Err(error) = &result
        && is_absence(error)
    {
        warn!(service, code = ?error.code, "{}", error.message);
    }
    result
}

impl Backends {
    /// Connects to every service; none of them has to be there yet.
    ///
    /// # Errors
    /// When the manifest does not declare one of the calls.
    pub fn connect(environment: &Environment) -> Result<Backends, StartError> {
        Ok(Backends {
            catalogue: calls::catalogue(environment)?,
            basket: calls::basket(environment)?,
            customer: calls::customer(environment)?,
            inventory: calls::inventory(environment)?,
            checkout: calls::checkout(environment)?,
            orders: calls::orders(environment)?,
            shipping: calls::shipping(environment)?,
            notify: calls::notify(environment)?,
            memory: Memory::default(),
        })
    }

    /// A page of a list.
    ///
    /// # Errors
    /// `invalid_argument` when the page's token is not one of this list's.
    pub async fn list(&self, call: &Call, query: &ListQuery) -> Result<Answer<Listing>, Error> {
        let call = call.clone().with_timeout(READ_LIMIT);
        let request = catalogue_v1::ListProductsRequest {
            category: query.category.clone(),
            page_size: query.size,
            page_token: query.token.clone(),
            sort: query.sort.into(),
            currency: query.currency.code().to_owned(),
            ..Default::default()
        };
        let answer = self.catalogue.list_products(&call, request);
        match within(READ_LIMIT, "catalogue", answer).await {
            Ok(answer) => {
                self.memory.keep_categories(&answer.categories);
                self.memory.keep_products(&answer.products, None);
                Ok(Answer::Fresh(Listing {
                    products: answer.products,
                    next: answer.next_page_token,
                    total: usize::try_from(answer.total).unwrap_or(0),
                }))
            }
            Err(error) if error.code == Code::InvalidArgument => Err(error),
            Err(_) => {
                let limit =
                    if query.size < PAGE_SIZE { usize::try_from(query.size).unwrap_or(0) } else { STALE_LIST_MAX };
                let (products, total) = self.memory.list(&query.category, query.sort, query.currency, limit);
                Ok(stale(products).map(|products| Listing { products, next: String::new(), total }))
            }
        }
    }

    /// Products by id; those that do not exist are missing from the answer.
    pub async fn products(&self, call: &Call, ids: Vec<String>) -> Answer<Vec<catalogue_v1::Product>> {
        if ids.is_empty() {
            return Answer::Fresh(Vec::new());
        }
        let call = call.clone().with_timeout(READ_LIMIT);
        let request = catalogue_v1::BatchGetProductsRequest { ids: ids.clone(), ..Default::default() };
        let answer = self.catalogue.batch_get_products(&call, request);
        match within(READ_LIMIT, "catalogue", answer).await {
            Ok(answer) => {
                self.memory.keep_products(&answer.products, None);
                Answer::Fresh(answer.products)
            }
            Err(_) => stale(self.memory.products(&ids)),
        }
    }

    /// What matches some words.
    pub async fn search(&self, call: &Call, query: &str) -> Answer<Vec<catalogue_v1::Product>> {
        let call = call.clone().with_timeout(READ_LIMIT);
        let request =
            catalogue_v1::SearchRequest { query: query.to_owned(), limit: PAGE_SIZE * 2, ..Default::default() };
        let answer = self.catalogue.search(&call, request);
        match within(READ_LIMIT, "catalogue", answer).await {
            Ok(answer) => {
                self.memory.keep_products(&answer.products, None);
                Answer::Fresh(answer.products)
            }
            Err(_) => Answer::Stale(self.memory.search(query, STALE_LIST_MAX)),
        }
    }

    /// Products like this one; none when the catalogue is silent and nothing is remembered.
    pub async fn related(&self, call: &Call, id: &str) -> Vec<catalogue_v1::Product> {
        const LIMIT: usize = 4;
        let call = call.clone().with_timeout(READ_LIMIT);
        let request =
            catalogue_v1::RelatedRequest { product_id: id.to_owned(), limit: LIMIT as i32, ..Default::default() };
        let answer = self.catalogue.related(&call, request);
        match within(READ_LIMIT, "catalogue", answer).await {
            Ok(answer) => answer.products,
            Err(error) if is_absence(&error) => self.memory.related(id, LIMIT),
            Err(_) => Vec::new(),
        }
    }

    /// A product's picture. `wanted` is the etag in the address, empty when it names none: what it names never changes, so that memory
    /// answers at once.
    ///
    /// # Errors
    /// `not_found` for an unknown product; an absence when nothing is remembered either.
    pub async fn picture(&self, call: &Call, id: &str, wanted: &str) -> Result<Picture, Error> {
        let remembered = self.memory.picture(id);
        if let Some(picture) = &remembered
            && picture.etag == wanted
        {
            return Ok(picture.clone());
        }
        let known = remembered.as_ref().map(|picture| picture.etag.clone()).unwrap_or_default();
        let call = call.clone().with_timeout(READ_LIMIT);
        let request =
            catalogue_v1::GetPictureRequest { product_id: id.to_owned(), known_etag: known, ..Default::default() };
        let answer = self.catalogue.get_picture(&call, request);
        match (within(READ_LIMIT, "catalogue", answer).await, remembered) {
            (Ok(answer), Some(picture)) if answer.not_modified => Ok(picture),
            (Ok(answer), _) => {
                let picture =
                    Picture { etag: answer.etag, content_type: answer.content_type, data: answer.data.to_vec() };
                self.memory.keep_picture(id, &picture);
                Ok(picture)
            }
            (Err(error), Some(picture)) if is_absence(&error) => Ok(picture),
            (Err(error), _) => Err(error),
        }
    }

    /// Pieces that can be sold, by product id; nothing when the inventory is silent.
    pub async fn stock(&self, call: &Call, ids: Vec<String>) -> Option<BTreeMap<String, i32>> {
        if ids.is_empty() {
            return Some(BTreeMap::new());
        }
        let call = call.clone().with_timeout(READ_LIMIT);
        let request = inventory_v1::AvailableRequest { product_ids: ids, ..Default::default() };
        let answer = self.inventory.available(&call, request);
        let answer = within(READ_LIMIT, "inventory", answer).await.ok()?;
        let pairs = answer.stock.into_iter().map(|line| (line.product_id, line.quantity));
        Some(pairs.collect())
    }

    /// A shopper's basket; nothing when the basket service is silent.
    pub async fn basket(&self, call: &Call, shopper: &str) -> Option<basket_v1::BasketContents> {
        let call = call.clone().with_timeout(READ_LIMIT);
        let request = basket_v1::GetRequest { shopper_id: shopper.to_owned(), ..Default::default() };
        let answer = within(READ_LIMIT, "basket", self.basket.get(&call, request)).await;
        Some(answer.ok()?.basket.into_option().unwrap_or_default())
    }

    /// Reads the catalogue's first pages and missing pictures into memory, so that a replica that has served nobody yet can stand in for it.
    ///
    /// # Errors
    /// When the catalogue does not answer; what was read until then is kept.
    pub async fn warm(&self) -> Result<(), Error> {
        let call = Call::new().with_timeout(WRITE_LIMIT);
        let mut token = String::new();
        let mut place = 0;
        for _ in 0..WARM_PAGES_MAX {
            let request = catalogue_v1::ListProductsRequest { page_size: 100, page_token: token, ..Default::default() };
            let answer = self.catalogue.list_products(&call, request);
            let answer = within(WRITE_LIMIT, "catalogue", answer).await?;
            self.memory.keep_categories(&answer.categories);
            self.memory.keep_products(&answer.products, Some(place));
            place += answer.products.len();
            token = answer.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        for id in self.memory.pictures_missing() {
            let call = Call::new();
            match self.picture(&call, &id, "").await {
                Ok(_) => {}
                Err(error) if is_absence(&error) => return Err(error),
                Err(error) => warn!(product = id, "no picture: {}", error.message),
            }
        }
        Ok(())
    }
}

impl<T> Answer<T> {
    /// The same answer in another form.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Answer::Fresh(value) => Answer::Fresh(change(value)),
            Answer::Stale(value) => Answer::Stale(change(value)),
            Answer::Absent => Answer::Absent,
        }
    }
}

fn stale<T>(remembered: Vec<T>) -> Answer<Vec<T>> {
    if remembered.is_empty() { Answer::Absent } else { Answer::Stale(remembered) }
}
