//! A browser as far as the tests need one: it keeps cookies, follows redirects, and fills in the forms of the page it shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use axum::response::Response;
use storefront::Store;
use tower::ServiceExt;

/// One visitor.
pub struct Browser {
    pub store: Arc<Store>,
    pub cookies: BTreeMap<String, String>,
    /// The page it shows.
    pub page: Page,
}

/// An answer, read to its end.
#[derive(Clone, Default)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
    pub path: String,
}

impl Browser {
    pub fn new(store: Arc<Store>) -> Browser {
        Browser { store, cookies: BTreeMap::new(), page: Page::default() }
    }

    /// Sends one request and keeps the cookies of its answer.
    pub async fn send(&mut self, mut request: Request<Body>) -> Response {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            let value = cookies.join("; ").parse().unwrap();
            request.headers_mut().insert(header::COOKIE, value);
        }
        let response = self.store.router().oneshot(request).await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let text = cookie.to_str().unwrap();
            let (pair, attributes) = text.split_once(';').unwrap();
            for wanted in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                assert!(attributes.contains(wanted), "{text}");
            }
            let (name, value) = pair.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }

    /// Shows a page, and where it redirects, the page it leads to.
    pub async fn get(&mut self, path: &str) -> &Page {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = self.send(request).await;
        self.follow(path, response).await
    }

    async fn follow(&mut self, path: &str, mut response: Response) -> &Page {
        let mut path = path.to_owned();
        for _ in 0..5 {
            let Some(location) = response.headers().get(header::LOCATION) else {
                break;
            };
            assert_eq!(response.status(), StatusCode::SEE_OTHER);
            path = location.to_str().unwrap().to_owned();
            let request = Request::get(&path).body(Body::empty()).unwrap();
            response = self.send(request).await;
        }
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 16 << 20).await.unwrap();
        self.page = Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
            path,
        };
        &self.page
    }

    /// Sends the form of the shown page whose action is `action`, with its hidden fields and these.
    pub async fn submit(&mut self, action: &str, typed: &[(&str, &str)]) -> &Page {
        self.submit_where(action, "", typed).await
    }

    /// The same for the form that also contains `mark`.
    pub async fn submit_where(&mut self, action: &str, mark: &str, typed: &[(&str, &str)]) -> &Page {
        let mut fields = self.page.hidden(action, mark);
        for (name, value) in typed {
            fields.insert((*name).to_owned(), (*value).to_owned());
        }
        let request = form(action, &fields).body(body_of(&fields)).unwrap();
        let response = self.send(request).await;
        self.follow(action, response).await
    }

    /// Puts a product into the basket.
    pub async fn add(&mut self, product: &str, quantity: &str) {
        self.get(&format!("/product/{product}")).await;
        self.submit("/basket/add", &[("quantity", quantity)]).await;
        assert_eq!(self.page.status, StatusCode::OK);
        assert!(self.page.path.starts_with("/basket?done=added"), "{}", self.page.path);
    }

    /// Fills in where the order goes.
    pub async fn fill_in_delivery(&mut self) -> &Page {
        self.get("/checkout").await;
        self.submit("/checkout", &DELIVERY).await
    }
}

/// A delivery that is accepted.
pub const DELIVERY: [(&str, &str); 8] = [
    ("email", "ada@example.org"),
    ("name", "Ada Lovelace"),
    ("line1", "St James's Square 12"),
    ("line2", ""),
    ("postcode", "SW1Y 4JH"),
    ("city", "London"),
    ("region", ""),
    ("country", "GB"),
];

/// A POST as a browser sends it from our own page.
pub fn form(action: &str, _: &BTreeMap<String, String>) -> axum::http::request::Builder {
    Request::post(action)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
}

/// Fields as a form's body.
pub fn body_of(fields: &BTreeMap<String, String>) -> Body {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(name, value)| format!("{}={}", storefront::pages::encoded(name), storefront::pages::encoded(value)))
        .collect();
    Body::from(pairs.join("&"))
}

impl Page {
    /// The hidden fields of the first form with this action that contains `mark`.
    pub fn hidden(&self, action: &str, mark: &str) -> BTreeMap<String, String> {
        let open = format!("action=\"{action}\"");
        let form = self
            .text
            .split("<form")
            .skip(1)
            .map(|rest| rest.split("</form>").next().unwrap())
            .find(|form| form.contains(&open) && form.contains(mark))
            .unwrap_or_else(|| panic!("no form {action} {mark} on {}:\n{}", self.path, self.text));
        form.split("<input type=\"hidden\" name=\"")
            .skip(1)
            .map(|rest| {
                let (name, rest) = rest.split_once('"').unwrap();
                let value = rest.strip_prefix(" value=\"").unwrap();
                let value = value.split('"').next().unwrap();
                (name.to_owned(), value.replace("&amp;", "&"))
            })
            .collect()
    }

    /// The text of the first element with this `data-test`, without tags.
    pub fn element(&self, test: &str) -> Option<String> {
        let mark = format!("data-test=\"{test}\"");
        let rest = self.text.split_once(&mark)?.1;
        let rest = rest.split_once('>')?.1;
        Some(rest.split('<').next()?.trim().to_owned())
    }

    #[track_caller]
    pub fn assert_says(&self, sentence: &str) {
        assert!(self.text.contains(sentence), "`{sentence}` is missing on {}:\n{}", self.path, self.text);
    }

    #[track_caller]
    pub fn assert_silent(&self, sentence: &str) {
        assert!(!self.text.contains(sentence), "`{sentence}` is on {}", self.path);
    }
}
