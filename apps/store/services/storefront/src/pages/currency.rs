//! Choosing a currency.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;

use crate::Store;
use crate::money::Currency;
use crate::visit::{Posted, local_path};

/// Remembers the currency and leads back to where it was chosen; an unknown one changes nothing.
pub async fn choose(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    if let Some(currency) = Currency::from_code(fields.raw("currency")) {
        visit.change().currency = currency.code().to_owned();
    }
    let back = local_path(fields.raw("back")).to_owned();
    visit.redirect(&store, &back)
}
