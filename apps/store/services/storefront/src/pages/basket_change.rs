//! Changing the basket: putting something in, and setting a line's quantity.
//! Both say which version they saw, so that a change from another tab is noticed instead of overwritten.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use shoal_sdk::{Code, Error};
use store_contracts::store::basket::v1::{BasketContents, SetItemRequest};

use super::missing;
use crate::Store;
use crate::backends::{WRITE_LIMIT, is_absence, within};
use crate::identity::LINES_MAX;
use crate::visit::{Posted, Visit, new_key};

/// More pieces of one product a basket does not hold.
const QUANTITY_MAX: i32 = 99;
/// How often adding reads the basket again when other tabs are faster.
const ADD_ATTEMPTS: usize = 4;

/// Adds pieces of a product to what the basket holds of it.
pub async fn add(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    let quantity = fields.integer("quantity").filter(|quantity| (1..=QUANTITY_MAX).contains(quantity));
    let (Some(product), Some(quantity)) = (fields.slug("product"), quantity) else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    if visit.session().merge_pending {
        store.merge_basket(&mut visit).await;
    }
    for _ in 0..ADD_ATTEMPTS {
        let shopper = visit.session().shopper();
        let Some(basket) = store.backends.basket(&visit.call, &shopper).await else {
            break;
        };
        let quantity = pieces(&basket, &product).saturating_add(quantity).min(QUANTITY_MAX);
        match set_item(&store, &visit, &product, quantity, basket.version).await {
            Ok(()) => return visit.redirect(&store, "/basket?done=added"),
            Err(error) if error.code == Code::Aborted => {}
            Err(error) => return failed(&store, visit, &product, &error).await,
        }
    }
    let path = format!("/product/{product}?done=basket-unavailable");
    visit.redirect(&store, &path)
}

/// Sets a line's quantity, 0 to take it out, when the basket is still as the shopper saw it.
pub async fn set(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let quantity = fields.integer("quantity").filter(|quantity| (0..=QUANTITY_MAX).contains(quantity));
    let version = fields.integer::<i64>("version");
    let (Some(product), Some(quantity), Some(version)) = (fields.slug("product"), quantity, version) else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    let result = match set_item(&store, &visit, &product, quantity, version).await {
        // Somebody was impatient: what is asked for is so already.
        Err(error) if error.code == Code::Aborted && held(&store, &visit, &product).await == Some(quantity) => Ok(()),
        result => result,
    };
    match result {
        Ok(()) if quantity == 0 => visit.redirect(&store, "/basket?done=removed"),
        Ok(()) => visit.redirect(&store, "/basket?done=updated"),
        Err(error) => failed(&store, visit, &product, &error).await,
    }
}

async fn set_item(store: &Store, visit: &Visit, product: &str, quantity: i32, version: i64) -> Result<(), Error> {
    let request = SetItemRequest {
        shopper_id: visit.session().shopper(),
        product_id: product.to_owned(),
        quantity,
        expected_version: Some(version),
        // A call that is repeated on the way after its answer was lost must not look like another tab's change.
        idempotency_key: Some(new_key()),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.basket.set_item(&call, request);
    within(WRITE_LIMIT, "basket", answer).await.map(|_| ())
}

async fn failed(store: &Store, visit: Visit, product: &str, error: &Error) -> Response {
    match error.code {
        Code::Aborted => visit.redirect(store, "/basket?done=basket-changed"),
        Code::ResourceExhausted if is_full(store, &visit, product).await => {
            visit.redirect(store, "/basket?done=basket-full")
        }
        // So many write at once that this change did not get its turn.
        Code::ResourceExhausted => visit.redirect(store, "/basket?done=basket-unavailable"),
        _ if is_absence(error) => visit.redirect(store, "/basket?done=basket-unavailable"),
        _ => missing::refused(store, visit, StatusCode::BAD_REQUEST).await,
    }
}

/// Whether the basket holds as many different products as it can, and none of this one.
async fn is_full(store: &Store, visit: &Visit, product: &str) -> bool {
    let basket = store.backends.basket(&visit.call, &visit.session().shopper()).await;
    basket.is_some_and(|basket| basket.lines.len() >= LINES_MAX && pieces(&basket, product) == 0)
}

/// How many pieces of a product the basket holds now, when it says so.
async fn held(store: &Store, visit: &Visit, product: &str) -> Option<i32> {
    let basket = store.backends.basket(&visit.call, &visit.session().shopper()).await?;
    Some(pieces(&basket, product))
}

fn pieces(basket: &BasketContents, product: &str) -> i32 {
    basket.lines.iter().find(|line| line.product_id == product).map_or(0, |line| line.quantity)
}
