//! The example store's pages in the proportion in which shops see them: thirteen product views for each checkout.
//!
//! Never: a browser; it reads just enough of a page to send its form.

use crate::client::Client;
use crate::connection::{Failure, Response};
use crate::request::Request;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Instant;

/// Of so many visits one is a checkout.
pub const VISITS_PER_CHECKOUT: u64 = 14;
/// Redirects that are followed one after another at most.
const REDIRECTS_MAX: usize = 5;
/// Pages of the product list that are read at most.
const LISTS_MAX: usize = 20;

/// The store, as its visitors see it. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    client: Client,
    host: Arc<str>,
    products: Arc<[String]>,
    /// Those that could be bought at the start.
    stocked: Arc<[String]>,
}

/// One request of a visit.
#[derive(Clone, Debug)]
pub struct Step {
    /// What it asked for: `GET /product`, `POST /basket/add`.
    pub name: String,
    /// Whether it may be asked twice.
    pub idempotent: bool,
    /// When it was sent.
    pub started: Instant,
    /// When its answer was read.
    pub ended: Instant,
    /// The status of the answer, and of a failed page its words.
    pub outcome: Result<(u16, String), Failure>,
    /// What the page has to say beside what was asked for, by its stable name: `added`, `stock-unknown`.
    pub notice: Option<String>,
}

impl Step {
    /// Whether it was answered as it should be.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.outcome.as_ref().is_ok_and(|(status, _)| *status < 400)
    }
}

/// What a visit came to.
#[derive(Clone, Debug, Default)]
pub struct Visit {
    /// Its requests; after one that failed there are no more.
    pub steps: Vec<Step>,
    /// Of a checkout: the number of its order, or why there is none although each request succeeded.
    pub order: Option<Result<String, String>>,
}

impl Store {
    /// The store behind this client, once its list of products was read.
    ///
    /// # Errors
    /// When the list cannot be read, or names no product.
    pub async fn open(client: Client, host: &str) -> io::Result<Self> {
        let mut products = Vec::new();
        let mut next = Some("/products".to_owned());
        for _ in 0..LISTS_MAX {
            let Some(path) = next.take() else { break };
            let page = client.send(&Request::get(host, &path, &[])).await.map_err(io::Error::other)?;
            let html = page.text();
            let links = html.split("href=\"/product/").skip(1).filter_map(|rest| rest.split('"').next());
            products.extend(links.map(|id| id.split(['?', '#']).next().unwrap_or(id).to_owned()));
            let more = html.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next());
            next = more.map(unescaped).find(|link| link.starts_with("/products?") && link.contains("page="));
        }
        products.sort_unstable();
        products.dedup();
        if products.is_empty() {
            return Err(io::Error::other("the store's list names no product"));
        }
        let mut store = Self { client, host: host.into(), products: products.into(), stocked: Arc::default() };
        store.stocked = store.find_stocked().await?.into();
        Ok(store)
    }

    /// The products that can be bought now.
    async fn find_stocked(&self) -> io::Result<Vec<String>> {
        let mut stocked = Vec::new();
        for product in self.products.iter() {
            let request = Request::get(&self.host, &format!("/product/{product}"), &[]);
            let page = self.client.send(&request).await.map_err(io::Error::other)?.text();
            if page.contains("action=\"/basket/add\"") && !page.contains(">Sold out<") {
                stocked.push(product.clone());
            }
        }
        if stocked.is_empty() {
            return Err(io::Error::other("nothing in the store can be bought"));
        }
        Ok(stocked)
    }

    /// The visit of this number: a checkout each fourteenth time, else a product's page.
    pub async fn visit(&self, number: u64) -> Visit {
        if number % VISITS_PER_CHECKOUT == VISITS_PER_CHECKOUT - 1 {
            self.check_out(number).await
        } else {
            self.view(number).await
        }
    }

    /// Looks at a product.
    pub async fn view(&self, number: u64) -> Visit {
        let mut visitor = Visitor::new(self);
        // Whether it succeeded is in the step.
        drop(visitor.get(&format!("/product/{}", nth(&self.products, number))).await);
        visitor.visit
    }

    /// Buys a product, as a guest: five pages and three forms.
    pub async fn check_out(&self, number: u64) -> Visit {
        let mut visitor = Visitor::new(self);
        let order = visitor.buy(nth(&self.stocked, number / VISITS_PER_CHECKOUT), number).await;
        // What a step says already is not said again.
        visitor.visit.order = if visitor.visit.steps.iter().all(Step::succeeded) { order } else { None };
        visitor.visit
    }
}

/// Some product; neighbours look at different ones, and all get their turn.
fn nth(products: &[String], number: u64) -> &str {
    let index = usize::try_from(number).unwrap_or_default().checked_rem(products.len()).unwrap_or_default();
    products.get(index).map_or("", String::as_str)
}

/// One guest with cookies.
struct Visitor<'a> {
    store: &'a Store,
    cookies: BTreeMap<String, String>,
    visit: Visit,
}

impl<'a> Visitor<'a> {
    fn new(store: &'a Store) -> Self {
        Self { store, cookies: BTreeMap::new(), visit: Visit::default() }
    }

    /// `None` once a request failed.
    async fn buy(&mut self, product: &str, number: u64) -> Option<Result<String, String>> {
        let page = self.get(&format!("/product/{product}")).await?;
        let Some(filled) = form(&page, "/basket/add", &[("quantity", "1")]) else { return Some(no_form(&page)) };
        self.post("/basket/add", &filled).await?;
        let page = self.get("/checkout").await?;
        let email = format!("guest-{number}@example.org");
        let fields = [
            ("email", email.as_str()),
            ("name", "Ada Lovelace"),
            ("line1", "12 Analytical Row"),
            ("postcode", "10115"),
            ("city", "Berlin"),
            ("country", "DE"),
        ];
        let Some(filled) = form(&page, "/checkout", &fields) else { return Some(no_form(&page)) };
        let page = self.post("/checkout", &filled).await?;
        let paying = [("card", "4242 4242 4242 4242")];
        let Some(filled) = form(&page, "/checkout/pay", &paying) else { return Some(no_form(&page)) };
        let page = self.post("/checkout/pay", &filled).await?;
        let order = page.split("data-test=\"order-number\"").nth(1).and_then(|rest| rest.split(['>', '<']).nth(1));
        Some(order.map(str::to_owned).ok_or_else(|| format!("the order is not placed: {}", words(&page))))
    }

    async fn get(&mut self, path: &str) -> Option<String> {
        self.ask("GET", path, None).await
    }

    async fn post(&mut self, path: &str, form: &str) -> Option<String> {
        self.ask("POST", path, Some(form)).await
    }

    /// A page, after the redirects that lead to it; `None` once a request failed.
    async fn ask(&mut self, method: &str, path: &str, form: Option<&str>) -> Option<String> {
        let mut answer = self.step(method, path, form).await?;
        for _ in 0..REDIRECTS_MAX {
            let Some(next) = answer.header("location").map(str::to_owned) else { break };
            answer = self.step("GET", &next, None).await?;
        }
        Some(answer.text())
    }

    async fn step(&mut self, method: &str, path: &str, form: Option<&str>) -> Option<Response> {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = Vec::new();
        if !cookies.is_empty() {
            headers.push(("cookie", cookies.as_str()));
        }
        if form.is_some() {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let body = form.unwrap_or_default().as_bytes();
        let request = Request::new(method, &self.store.host, path, &headers, body);
        let started = Instant::now();
        let answer = self.store.client.send(&request).await;
        let first = path.split(['?', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        let shown = if method == "POST" { path } else { first };
        let name = format!("{method} /{}", shown.trim_start_matches('/'));
        let outcome = answer.as_ref().map_err(Clone::clone).map(|answer| {
            let said = if answer.status < 400 { String::new() } else { words(&answer.text()) };
            (answer.status, said)
        });
        let ended = Instant::now();
        let notice = answer.as_ref().ok().and_then(|answer| notice(&answer.text()));
        let idempotent = request.is_idempotent();
        self.visit.steps.push(Step { name, idempotent, started, ended, outcome, notice });
        let answer = answer.ok().filter(|answer| answer.status < 400)?;
        let set = answer.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
        self.cookies.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Some(answer)
    }
}

/// The name of a page's first notice; a basket whose content is not known is one, too.
fn notice(html: &str) -> Option<String> {
    let named = html.split("data-notice=\"").nth(1).and_then(|rest| rest.split('"').next());
    named.or(html.contains("data-unknown").then_some("basket-unknown")).map(str::to_owned)
}

fn no_form(page: &str) -> Result<String, String> {
    Err(format!("a form is missing: {}", words(page)))
}

/// The form of a page that goes to `action`, filled in and encoded. Fields that are not named keep what the page put there.
fn form(html: &str, action: &str, fields: &[(&str, &str)]) -> Option<String> {
    let start = html.find(&format!("action=\"{action}\""))?;
    let form = html.get(start..)?.split("</form>").next()?;
    let inputs = form.split("<input ").skip(1).filter_map(|input| {
        let tag = input.split('>').next()?;
        Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
    });
    let mut filled: BTreeMap<String, String> = inputs.collect();
    filled.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let pairs: Vec<String> =
        filled.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    Some(pairs.join("&"))
}

/// The text of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {tag}");
    let text = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(unescaped(text))
}

fn unescaped(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

/// The first words of a page, without its tags.
fn words(html: &str) -> String {
    let body = html.split_once("<main").map_or(html, |(_, body)| body);
    let texts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text).trim());
    let words: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_filled_in() {
        let page = r#"<form action="/a"><input name="x" value="1"></form>
            <form method="post" action="/b"><input type="hidden" name="csrf" value="a&amp;b"><input name="n"></form>"#;
        let filled = form(page, "/b", &[("n", "é 1")]);
        assert_eq!(filled.as_deref(), Some("csrf=a%26b&n=%C3%A9%201"));
        assert_eq!(form(page, "/c", &[]), None);
    }

    #[test]
    fn a_notice_is_found() {
        assert_eq!(notice("<div data-notice=\"flat-rate\">").as_deref(), Some("flat-rate"));
        assert_eq!(notice("<span data-unknown>").as_deref(), Some("basket-unknown"));
        assert_eq!(notice("<p>hello"), None);
    }

    #[test]
    fn a_page_is_told_in_words() {
        assert_eq!(words("<html><title>x</title><main><h1>Sorry</h1> <p>Not now.</p></main>"), "Sorry Not now.");
    }
}
