//! A visitor without a browser: keeps cookies, sends forms, and reads what pages say. Follows no redirect by itself, since where one leads is
//! what became of a form.

use std::collections::BTreeMap;
use std::time::Duration;

/// How long a visitor waits for a page: longer than the store ever takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// Where it leads; empty when it does not.
    pub location: String,
    /// Its text.
    pub body: String,
}

/// Somebody who visits.
#[derive(Clone)]
pub struct Visitor {
    address: String,
    agent: ureq::Agent,
    cookies: BTreeMap<String, String>,
    csrf: String,
}

impl Visitor {
    /// A new guest of the store at this address.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), agent: agent(PATIENCE), cookies: BTreeMap::new(), csrf: String::new() }
    }

    /// Gets a page.
    ///
    /// # Errors
    /// When there is no whole answer, or one that the store itself would not give.
    pub fn get(&mut self, path: &str) -> Result<Page, String> {
        let request = self.agent.get(format!("{}{path}", self.address)).header("cookie", self.cookies());
        let page = self.take(request.call())?;
        if let Some(csrf) = page.field("csrf") {
            self.csrf = csrf;
        }
        Ok(page)
    }

    /// Sends a form, with the token that the last page gave.
    ///
    /// # Errors
    /// See [`Visitor::get`]: it may have arrived all the same.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Result<Page, String> {
        if self.csrf.is_empty() {
            self.get("/robots.txt")?;
            self.get("/basket")?;
        }
        let csrf = self.csrf.clone();
        let pairs = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied());
        let form: Vec<String> = pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let request = self.agent.post(format!("{}{path}", self.address)).header("cookie", self.cookies());
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.take(request.send(form.join("&")))
    }

    fn cookies(&self) -> String {
        let pairs: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    fn take(&mut self, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Page, String> {
        let mut answer = answer.map_err(|error| error.to_string())?;
        let header = |name: &str| {
            answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (status, location) = (answer.status().as_u16(), header("location"));
        for set in answer.headers().get_all("set-cookie") {
            let pair = set.to_str().ok().and_then(|text| text.split(';').next()?.split_once('='));
            if let Some((name, value)) = pair {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if status >= 500 {
            return Err(format!("status {status}"));
        }
        Ok(Page { status, location, body })
    }
}

/// Takes any status for an answer, follows nothing, and keeps no connection that a fault could break between two requests.
pub fn agent(patience: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_idle_connections(0)
        .timeout_global(Some(patience))
        .build()
        .into()
}

impl Page {
    /// What the page put into the first field of this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let tag = self.body.split("<input ").find(|tag| attribute(tag, "name").as_deref() == Some(name))?;
        attribute(tag, "value")
    }

    /// The text of the first element that has `data-test=name`.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        let rest = self.body.split(&format!("data-test=\"{name}\"")).nth(1)?;
        Some(plain(rest.split_once('>')?.1.split('<').next()?))
    }

    /// The parts of the page that begin with `data-test=name`, each up to the next.
    pub fn parts<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> + use<'a> {
        let mark = format!("data-test=\"{name}\"");
        let parts: Vec<&str> = self.body.split(mark.as_str()).skip(1).collect();
        parts.into_iter()
    }
}

/// The text of an attribute in the first tag of `html`.
#[must_use]
pub fn attribute(html: &str, name: &str) -> Option<String> {
    let tag = html.split('>').next()?;
    let tag = format!(" {tag}");
    Some(plain(tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?))
}

/// A text without the escapes of HTML.
#[must_use]
pub fn plain(text: &str) -> String {
    text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

/// A text as part of a form or an address.
#[must_use]
pub fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_texts_and_parts() {
        let body = "<form><input type=\"hidden\" name=\"csrf\" value=\"a&amp;b\"><input name=\"card\" value=\"\"></form>\
            <dd data-test=\"total\">€1.50</dd><li data-test=\"line\" data-product=\"mug\">1</li><li data-test=\"line\" data-product=\"bowl\">";
        let page = Page { status: 200, location: String::new(), body: body.to_owned() };
        assert_eq!(page.field("csrf").as_deref(), Some("a&b"));
        assert_eq!(page.field("card").as_deref(), Some(""));
        assert_eq!(page.field("key"), None);
        assert_eq!(page.text("total").as_deref(), Some("€1.50"));
        let products: Vec<_> = page.parts("line").filter_map(|part| attribute(part, "data-product")).collect();
        assert_eq!(products, ["mug", "bowl"]);
        assert_eq!(encoded("a b&ü"), "a%20b%26%C3%BC");
    }
}
