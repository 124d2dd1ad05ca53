//! Changing a price and booking a delivery. Each form carries a key, so that sending it twice changes nothing more.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use shoal_sdk::{Code, Error};
use store_contracts::store::catalogue::v1::SetPriceRequest;
use store_contracts::store::inventory::v1::ReceiveRequest;
use store_contracts::store::types::v1::Money;

use super::admin::admit;
use super::{encoded, missing};
use crate::Store;
use crate::backends::{WRITE_LIMIT, within};
use crate::money::{self, Currency};
use crate::visit::{Fields, Posted};

/// The contract's limits.
const AMOUNT_MAX: i64 = 100_000_000;
const PIECES_MAX: i32 = 100_000;

/// Sets a price.
pub async fn price(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let visit = match admit(&store, visit).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let known = (
        fields.key("key"),
        fields.slug("product"),
        Currency::from_code(fields.raw("currency")),
        fields.integer::<i64>("version"),
    );
    let (Some(key), Some(product), Some(currency), Some(version)) = known else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    let amount = money::parse(fields.raw("amount"), currency.code());
    let Some(minor) = amount.ok().filter(|minor| (1..=AMOUNT_MAX).contains(minor)) else {
        return visit.redirect(&store, &back(&fields, "price-invalid"));
    };
    let request = SetPriceRequest {
        idempotency_key: key,
        product_id: product,
        amount: Money { minor, currency: currency.code().to_owned(), ..Default::default() }.into(),
        expected_version: version,
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.catalogue.set_price(&call, request);
    let done = match within(WRITE_LIMIT, "catalogue", answer).await {
        Ok(answer) => {
            let products: Vec<_> = answer.product.into_option().into_iter().collect();
            store.backends.memory.keep_products(&products, None);
            "price-set"
        }
        Err(error) => refusal(&error, "price-invalid"),
    };
    visit.redirect(&store, &back(&fields, done))
}

/// Books a delivery.
pub async fn stock(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let visit = match admit(&store, visit).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let (Some(key), Some(product)) = (fields.key("key"), fields.slug("product")) else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    let pieces = fields.integer::<i32>("quantity");
    let Some(quantity) = pieces.filter(|pieces| (1..=PIECES_MAX).contains(pieces)) else {
        return visit.redirect(&store, &back(&fields, "receive-invalid"));
    };
    let request = ReceiveRequest {
        idempotency_key: key,
        product_id: product,
        quantity,
        note: "Booked in the storefront".to_owned(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.inventory.receive(&call, request);
    let done = match within(WRITE_LIMIT, "inventory", answer).await {
        Ok(_) => "received",
        Err(error) => refusal(&error, "receive-invalid"),
    };
    visit.redirect(&store, &back(&fields, done))
}

/// What to say about a refused change; `invalid` for one that cannot succeed as it is.
pub fn refusal(error: &Error, invalid: &'static str) -> &'static str {
    match error.code {
        Code::Aborted | Code::AlreadyExists => "version-conflict",
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition => invalid,
        _ => "admin-unavailable",
    }
}

/// The page of the list that the form was on.
fn back(fields: &Fields, done: &str) -> String {
    match fields.text("page", 500) {
        Some(token) if !token.is_empty() => format!("/admin?page={}&done={done}", encoded(&token)),
        _ => format!("/admin?done={done}"),
    }
}
