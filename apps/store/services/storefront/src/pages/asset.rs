//! The stylesheet, the icon and `robots.txt`.

use axum::extract::Path;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::assets;

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const A_DAY: &str = "public, max-age=86400";

/// A file under its address of the moment; an address of another release is unknown, so that no browser keeps the wrong content under it.
pub async fn show(Path(file): Path<String>) -> Response {
    let path = format!("/assets/{file}");
    if path == assets::stylesheet_path() {
        answer("text/css; charset=utf-8", FOR_EVER, assets::STYLESHEET)
    } else if path == assets::icon_path() {
        answer("image/svg+xml", FOR_EVER, assets::ICON)
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

/// The icon where browsers look for it unasked.
pub async fn icon() -> Response {
    answer("image/svg+xml", A_DAY, assets::ICON)
}

/// Nothing that depends on a visitor is for search engines.
pub async fn robots() -> Response {
    answer(
        "text/plain; charset=utf-8",
        A_DAY,
        "User-agent: *\nDisallow: /basket\nDisallow: /checkout\nDisallow: /account\nDisallow: /admin\nDisallow: /mail\n",
    )
}

fn answer(kind: &'static str, keep: &'static str, content: &'static str) -> Response {
    let headers: [(HeaderName, &str); 2] = [(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep)];
    (headers, content).into_response()
}
