//! One request of one visitor: who it is (from the cookies), what they sent (checked), and the answer with the cookies it changes.
//! A handler that takes [`Posted`] cannot forget to check where a form came from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::{COOKIE, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Form, RequestPartsExt};
use maud::Markup;
use shoal_sdk::Call;

use crate::identity::Identity;
use crate::session::{self, Delivery, Session};
use crate::{Store, guard, pages};

/// Fields that a form may have at most.
const FIELDS_MAX: usize = 40;
/// Cookies longer than this are not looked at.
const COOKIES_LENGTH_MAX: usize = 16 << 10;

/// A request of a visitor.
pub struct Visit {
    /// What is remembered about the visitor. Change it through [`Visit::change`].
    session: Session,
    session_changed: bool,
    delivery: Option<Delivery>,
    delivery_changed: bool,
    secure: bool,
    /// What the customer service said for this very request, if it was asked.
    identity: Option<Identity>,
    is_over: bool,
    /// Carries deadline, trace and request id to the services asked.
    pub call: Call,
    /// Path and query of this page; empty for a form that was sent.
    pub here: String,
    /// The address's query; a part that comes twice counts as its last.
    pub params: Fields,
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Visit {
    fn read(parts: &Parts, store: &Store) -> Visit {
        let (headers, uri) = (&parts.headers, &parts.uri);
        let now = now_ms();
        let opened = cookie(headers, session::SESSION)
            .and_then(|text| store.sealer.open::<Session>(session::SESSION, text, session::SESSION_LIFE, now));
        let (mut session, mut session_changed) = match opened {
            Some(opened) => (opened.content, opened.aging),
            None => (Session::new(), true),
        };
        let is_over = session.signed_in.as_ref().is_some_and(|customer| customer.expires_at_ms <= now);
        if is_over {
            session.signed_in = None;
            session_changed = true;
        }
        let delivery = cookie(headers, session::DELIVERY).and_then(|text| {
            let opened = store.sealer.open::<Delivery>(session::DELIVERY, text, session::DELIVERY_LIFE, now);
            Some(opened?.content)
        });
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs);
        Visit {
            session,
            session_changed,
            delivery,
            delivery_changed: false,
            secure: guard::is_secure(headers),
            identity: None,
            is_over,
            call: call_of(parts),
            here: uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            // A query that is no list of pairs holds nothing a page could want.
            params: Fields(pairs.unwrap_or_default().into_iter().collect()),
        }
    }

    /// What is remembered about the visitor.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The same, to be changed: the answer carries it.
    pub fn change(&mut self) -> &mut Session {
        self.session_changed = true;
        &mut self.session
    }

    /// What the customer service said for this very request, if it was asked.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// The cookie came with a sign-in that has ended: this is a guest now.
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Takes note of what the customer service said about the sign-in.
    fn take_note(&mut self, identity: Option<Identity>) {
        if identity == Some(Identity::Over) {
            self.is_over = true;
            self.change().signed_in = None;
        }
        self.identity = identity;
    }

    /// Where the order goes, as typed so far.
    pub fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    /// Remembers where the order goes, or forgets it.
    pub fn set_delivery(&mut self, delivery: Option<Delivery>) {
        self.delivery = delivery;
        self.delivery_changed = true;
    }

    /// A page.
    pub fn page(self, store: &Store, status: StatusCode, page: &Markup) -> Response {
        let content_type = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        let body = page.0.clone();
        self.with_cookies(store, (status, content_type, body).into_response())
    }

    /// Sends the browser to a page of ours, with GET.
    pub fn redirect(self, store: &Store, path: &str) -> Response {
        let path = local_path(path);
        let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
        let answer = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
        self.with_cookies(store, answer)
    }

    /// Asks to sign in again, since the sign-in has ended; from there it goes on to `next`.
    pub fn sign_in_again(mut self, store: &Store, next: &str) -> Response {
        if self.session.signed_in.is_some() {
            self.change().signed_in = None;
        }
        let path = format!("/sign-in?next={}&done=session-over", pages::encoded(local_path(next)));
        self.redirect(store, &path)
    }

    fn with_cookies(self, store: &Store, mut response: Response) -> Response {
        let now = now_ms();
        let secure = if self.secure { "; Secure" } else { "" };
        let mut set = |name: &str, value: &str, age: u64| {
            let text = format!("{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Lax{secure}");
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        };
        if self.session_changed
            && let Some(text) = store.sealer.seal(session::SESSION, &self.session, now)
        {
            set(session::SESSION, &text, session::SESSION_LIFE.as_secs());
        }
        if self.delivery_changed {
            let text = self.delivery.and_then(|delivery| store.sealer.seal(session::DELIVERY, delivery, now));
            match text {
                Some(text) => set(session::DELIVERY, &text, session::DELIVERY_LIFE.as_secs()),
                None => set(session::DELIVERY, "", 0),
            }
        }
        response
    }
}

/// The path when it leads to a page of ours, the home page otherwise: a browser takes `//host` and `/\host` for other sites.
pub fn local_path(path: &str) -> &str {
    let ours = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 2_000
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { path } else { "/" }
}

/// The call that a request belongs to: the server adds it, and without one the headers say.
fn call_of(parts: &Parts) -> Call {
    let given = parts.extensions.get::<Call>().cloned();
    given.unwrap_or_else(|| Call::from_headers(&parts.headers))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(COOKIE).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .filter(|line| line.len() <= COOKIES_LENGTH_MAX)
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim_start().strip_prefix(name)?.strip_prefix('='))
}

impl FromRequestParts<Arc<Store>> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, store: &Arc<Store>) -> Result<Visit, Self::Rejection> {
        let mut visit = Visit::read(parts, store);
        let identity = store.check_sign_in(&visit.call, visit.session()).await;
        visit.take_note(identity);
        Ok(visit)
    }
}

/// A form that one of our own pages sent.
pub struct Posted {
    /// Who sent it.
    pub visit: Visit,
    /// What it holds.
    pub fields: Fields,
}

impl FromRequest<Arc<Store>> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request, store: &Arc<Store>) -> Result<Posted, Response> {
        let (mut parts, body) = request.into_parts();
        let mut visit = match parts.extract_with_state::<Visit, _>(store).await {
            Ok(visit) => visit,
            Err(never) => match never {},
        };
        visit.here = String::new();
        let cross_site = guard::is_cross_site(&parts.headers);
        let request = Request::from_parts(parts, body);
        let refuse = async |visit: Visit, status| pages::missing::refused(store, visit, status).await;
        if cross_site {
            return Err(refuse(visit, StatusCode::FORBIDDEN).await);
        }
        let pairs = match Form::<Vec<(String, String)>>::from_request(request, &()).await {
            Ok(Form(pairs)) if pairs.len() <= FIELDS_MAX => pairs,
            Ok(_) => return Err(refuse(visit, StatusCode::PAYLOAD_TOO_LARGE).await),
            Err(rejection) => return Err(refuse(visit, rejection.status()).await),
        };
        let fields = Fields(pairs.into_iter().collect());
        if !visit.session().owns_form(fields.raw("csrf")) {
            return Err(refuse(visit, StatusCode::FORBIDDEN).await);
        }
        // It was filled in as a customer: it does nothing as a guest.
        if visit.is_over() {
            return Err(visit.sign_in_again(store, "/"));
        }
        Ok(Posted { visit, fields })
    }
}

/// What a form or a query holds, by name.
pub struct Fields(BTreeMap<String, String>);

impl Fields {
    /// A field as it was sent; empty when it was not.
    pub fn raw(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// A field without blanks around it, when it is no longer than `length_max` characters and holds no control characters.
    pub fn text(&self, name: &str, length_max: usize) -> Option<String> {
        let text = self.raw(name).trim();
        (text.chars().count() <= length_max && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }

    /// The same for a field of several lines, whose line ends become single ones.
    pub fn lines(&self, name: &str, length_max: usize) -> Option<String> {
        let text = self.raw(name).replace("\r\n", "\n");
        let text = text.trim();
        let is_bad = |letter: char| letter.is_control() && letter != '\n';
        (text.chars().count() <= length_max && !text.chars().any(is_bad)).then(|| text.to_owned())
    }

    /// A whole number.
    pub fn integer<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.raw(name).trim().parse().ok()
    }

    /// A key that one of our pages made: 8 to 64 characters of `[A-Za-z0-9_-]`.
    pub fn key(&self, name: &str) -> Option<String> {
        let text = self.raw(name);
        is_key(text).then(|| text.to_owned())
    }

    /// A slug: 1 to 64 characters of `[a-z0-9-]`.
    pub fn slug(&self, name: &str) -> Option<String> {
        let text = self.raw(name).trim();
        is_slug(text).then(|| text.to_owned())
    }
}

/// Whether a text can be an idempotency key.
pub fn is_key(text: &str) -> bool {
    (8..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Whether a text can be a product's or category's id.
pub fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A new idempotency key.
pub fn new_key() -> String {
    uuid::Uuid::new_v4().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leads_only_to_our_own_pages() {
        assert_eq!(local_path("/basket?done=added"), "/basket?done=added");
        for path in ["", "basket", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nx: y", "/ä"] {
            assert_eq!(local_path(path), "/", "{path}");
        }
    }

    #[test]
    fn finds_its_cookie_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("my-session=no; session=yes"));
        headers.append(COOKIE, HeaderValue::from_static("delivery=there"));
        assert_eq!(cookie(&headers, "session"), Some("yes"));
        assert_eq!(cookie(&headers, "delivery"), Some("there"));
        assert_eq!(cookie(&headers, "other"), None);
    }

    #[test]
    fn fields_keep_their_limits() {
        let fields = Fields(
            [("a", " x "), ("b", "a\nb"), ("n", " 7 "), ("k", "12345678")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        assert_eq!(fields.text("a", 1).as_deref(), Some("x"));
        assert_eq!(fields.text("a", 0), None);
        assert_eq!(fields.text("b", 9), None);
        assert_eq!(fields.lines("b", 9).as_deref(), Some("a\nb"));
        assert_eq!(fields.integer::<i32>("n"), Some(7));
        assert_eq!(fields.text("absent", 9).as_deref(), Some(""));
        assert!(fields.key("k").is_some() && fields.key("a").is_none());
        assert!(fields.slug("n").is_some() && fields.slug("b").is_none());
    }
}
