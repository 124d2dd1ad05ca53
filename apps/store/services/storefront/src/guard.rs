//! What every answer and every form is held to: headers that tell a browser to run nothing and to be framed by no one, and the test whether
//! a form comes from one of our own pages.
//! It never looks into a form; the token inside it is checked where forms are read.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    // Not `no-referrer`: browsers then send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds the security headers to an answer, except where a handler set its own.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // Pages show one visitor's basket: no cache may give them to another.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-store"));
    response
}

/// Whether the browser says that a form was sent from another site. One that says nothing at all (a script, a very old browser) passes:
/// the token in the form is still asked for.
pub fn is_cross_site(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = text(header::ORIGIN) else {
        return false;
    };
    let host = text(HeaderName::from_static("x-forwarded-host")).or(text(header::HOST));
    let Some((_, origin_host)) = origin.split_once("://") else {
        return true;
    };
    host.is_none_or(|host| !host.eq_ignore_ascii_case(origin_host))
}

/// Whether the visitor's own connection is encrypted, as the gateway reports it.
pub fn is_secure(headers: &HeaderMap) -> bool {
    headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn tells_our_forms_from_others() {
        for (pairs, cross) in [
            (vec![], false),
            (vec![("sec-fetch-site", "same-origin")], false),
            (vec![("sec-fetch-site", "none")], false),
            (vec![("sec-fetch-site", "cross-site")], true),
            (vec![("sec-fetch-site", "same-site")], true),
            (vec![("origin", "http://a.example"), ("host", "a.example")], false),
            (vec![("origin", "https://evil.example"), ("host", "a.example")], true),
            (vec![("origin", "http://a.example:81"), ("host", "a.example")], true),
            (vec![("origin", "null"), ("host", "a.example")], true),
            (vec![("origin", "http://a.example")], true),
        ] {
            assert_eq!(is_cross_site(&headers(&pairs)), cross, "{pairs:?}");
        }
    }
}
