//! Pages for what is not there, and for forms that are refused.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::Store;
use crate::view::{icon, summary};
use crate::visit::Visit;

/// Any address that no page has.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    page(&store, visit).await
}

/// There is no such page.
pub async fn page(store: &Store, visit: Visit) -> Response {
    let frame = store.frame(&visit, "Not found").await;
    let body = summary::blank(
        icon::glass(),
        "We looked everywhere",
        "There is no page at this address. Perhaps what was here has sold out for good.",
        &[("/", "To the front page"), ("/products", "Browse everything")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::NOT_FOUND, &page)
}

/// A page was asked for in a way it does not know.
pub async fn wrong_method(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    refused(&store, visit, StatusCode::METHOD_NOT_ALLOWED).await
}

/// Only those who mind the shop may see a page.
pub async fn forbidden(store: &Store, visit: Visit) -> Response {
    let frame = store.frame(&visit, "Not for you").await;
    let body = summary::blank(
        icon::person(),
        "This is behind the counter",
        "Your account may not mind the shop. Sign in with one that may.",
        &[("/", "To the front page")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::FORBIDDEN, &page)
}

/// A form that was refused unread.
pub async fn refused(store: &Store, visit: Visit, status: StatusCode) -> Response {
    let text = match status {
        StatusCode::FORBIDDEN => {
            "It did not come from one of our pages, or your session has changed since that page was loaded. Go back, load the page again, and \
             send it once more. Nothing was changed."
        }
        StatusCode::PAYLOAD_TOO_LARGE => "It is too long. Nothing was changed.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not take it. Nothing was changed.",
        _ => "It could not be read. Nothing was changed.",
    };
    let mut frame = store.frame(&visit, "Refused").await;
    frame.here = "/".to_owned();
    let body = summary::blank(
        icon::alert(),
        "This was not accepted",
        text,
        &[("/", "To the front page"), ("/basket", "To the basket")],
    );
    let page = frame.page(&body);
    let mut response = visit.page(store, status, &page);
    // The rest of a body that is too long was not read, so the connection cannot be used again.
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
