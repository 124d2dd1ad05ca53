//! Pictures, passed on from the catalogue under addresses that name their content, so that browsers ask once.
//! They are served as pictures only: a drawing can run no script, whatever it holds.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use shoal_sdk::{Call, Code};

use crate::Store;
use crate::visit::is_slug;

/// The media types that are passed on.
const KINDS: [&str; 5] = ["image/svg+xml", "image/png", "image/jpeg", "image/webp", "image/avif"];

/// The address's query.
#[derive(Debug, Default, Deserialize)]
pub struct Wanted {
    /// The picture's etag.
    #[serde(default)]
    v: String,
}

/// Shows a picture.
pub async fn show(
    State(store): State<Arc<Store>>,
    Path(id): Path<String>,
    wanted: Result<Query<Wanted>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if !is_slug(&id) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let Query(Wanted { v: wanted }) = wanted.unwrap_or_default();
    let call = Call::from_headers(&headers);
    let picture = match store.backends.picture(&call, &id, &wanted).await {
        Ok(picture) => picture,
        Err(error) if error.code == Code::NotFound => {
            return StatusCode::NOT_FOUND.into_response();
        }
        Err(_) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    let Some(kind) = KINDS.into_iter().find(|kind| *kind == picture.content_type) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let etag = format!("\"{}\"", picture.etag);
    let Ok(etag_value) = HeaderValue::from_str(&etag) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let keep = if wanted == picture.etag { "public, max-age=31536000, immutable" } else { "public, max-age=60" };
    let answer_headers = [
        (header::ETAG, etag_value),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    ];
    if holds(&headers, &etag) {
        return (StatusCode::NOT_MODIFIED, answer_headers).into_response();
    }
    (answer_headers, picture.data).into_response()
}

/// Whether the browser holds this already.
fn holds(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|value| value.trim().trim_start_matches("W/"))
        .any(|value| value == etag || value == "*")
}
