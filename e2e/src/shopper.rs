//! A shopper without a browser: keeps cookies, follows redirects, and sends the forms of pages as a browser would.

use crate::application::Application;
use crate::page::{Page, agent, answer};
use std::collections::BTreeMap;

/// Redirects that are followed one after another at most.
const REDIRECTS_MAX: usize = 5;

/// The fields of a form.
pub type Form = BTreeMap<String, String>;

/// Somebody who shops by plain HTTP.
#[derive(Clone)]
pub struct Shopper {
    address: String,
    agent: ureq::Agent,
    cookies: BTreeMap<String, String>,
}

impl Shopper {
    /// A new guest.
    ///
    /// # Panics
    /// When the application has no gateway.
    #[track_caller]
    #[must_use]
    pub fn new(application: &Application) -> Self {
        Self { address: application.address(), agent: agent(), cookies: BTreeMap::new() }
    }

    /// Goes on, with the same cookies, where the application listens now.
    ///
    /// # Panics
    /// When it has no gateway.
    #[track_caller]
    pub fn moves_to(&mut self, application: &Application) {
        self.address = application.address();
    }

    /// Gets a page, and where it redirects, the page it leads to.
    ///
    /// # Errors
    /// When nobody answers.
    pub fn try_get(&mut self, path: &str) -> Result<Page, String> {
        let page = self.send(path, None)?;
        self.follow(page)
    }

    /// The same for a page that must be there.
    ///
    /// # Panics
    /// When the answer is not 200.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Page {
        let page = self.try_get(path).expect("the gateway answers");
        assert_eq!(page.status, 200, "{path}: {page:?}");
        page
    }

    /// The form of the page at `path` that goes to `action`: its fields, with what the page put there.
    ///
    /// # Panics
    /// When there is no such form.
    #[track_caller]
    pub fn form(&mut self, path: &str, action: &str) -> Form {
        let page = self.get(path);
        form(&page.body, action).unwrap_or_else(|| panic!("{path} has no form to {action}: {page:?}"))
    }

    /// Sends a form, and shows the page that this leads to.
    ///
    /// # Panics
    /// When nobody answers.
    #[track_caller]
    pub fn post(&mut self, action: &str, form: &Form) -> Page {
        let pairs: Vec<String> =
            form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
        let answer = self.send(action, Some(&pairs.join("&"))).expect("the gateway answers");
        self.follow(answer).expect("the gateway answers")
    }

    /// Fills in the form of the page at `path` that goes to `action`, and sends it. Fields that are not named keep what the page put there.
    ///
    /// # Panics
    /// When there is no such form, or nobody answers.
    #[track_caller]
    pub fn submit(&mut self, path: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = self.form(path, action);
        form.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(action, &form)
    }

    /// Opens an account and signs in.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn register(&mut self, email: &str) {
        let page =
            self.submit("/register", "/register", &[("name", "Ada"), ("email", email), ("password", "correct horse")]);
        assert!(page.body.contains("data-notice=\"registered\""), "{page:?}");
    }

    /// Puts a product into the basket.
    ///
    /// # Panics
    /// When it does not get there.
    #[track_caller]
    pub fn add(&mut self, product: &str, quantity: u32) {
        let page = self.submit(&format!("/product/{product}"), "/basket/add", &[("quantity", &quantity.to_string())]);
        assert!(page.body.contains("data-notice=\"added\""), "{page:?}");
    }

    /// Says where an order goes: the step before the payment. Answers the payment's page.
    ///
    /// # Panics
    /// When the address is refused.
    #[track_caller]
    pub fn deliver(&mut self, email: &str) -> Page {
        let fields = [
            ("email", email),
            ("name", "Ada Lovelace"),
            ("line1", "12 Analytical Row"),
            ("postcode", "10115"),
            ("city", "Berlin"),
            ("country", "DE"),
        ];
        let page = self.submit("/checkout", "/checkout", &fields);
        assert!(page.body.contains("data-test=\"payment-form\""), "{page:?}");
        page
    }

    /// Pays with a card. Answers the page that this leads to.
    ///
    /// # Panics
    /// When the payment's page is not there.
    #[track_caller]
    pub fn pay(&mut self, card: &str) -> Page {
        self.submit("/checkout/pay", "/checkout/pay", &[("card", card)])
    }

    /// Pays with a card that is good. Answers the number of the order.
    ///
    /// # Panics
    /// When the order is not placed.
    #[track_caller]
    pub fn buy(&mut self) -> String {
        let page = self.pay("4242 4242 4242 4242");
        page.order().unwrap_or_else(|| panic!("the order is not placed: {page:?}"))
    }

    fn send(&mut self, path: &str, form: Option<&str>) -> Result<Page, String> {
        let url = format!("{}{path}", self.address);
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let page = match form {
            None => answer(self.agent.get(&url).header("cookie", cookies).call()),
            Some(form) => {
                let request = self.agent.post(&url).header("cookie", cookies);
                answer(request.header("content-type", "application/x-www-form-urlencoded").send(form))
            }
        }?;
        let set = page.headers.iter().filter(|(name, _)| name == "set-cookie");
        let pairs = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
        self.cookies.extend(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(page)
    }

    fn follow(&mut self, mut page: Page) -> Result<Page, String> {
        for _ in 0..REDIRECTS_MAX {
            let Some(location) = page.header("location").map(str::to_owned) else { return Ok(page) };
            page = self.send(&location, None)?;
        }
        Err(format!("more than {REDIRECTS_MAX} redirects, the last: {page:?}"))
    }
}

/// The fields of the first form that goes to `action`, with what the page put there.
fn form(html: &str, action: &str) -> Option<Form> {
    let start = html.find(&format!("action=\"{action}\""))?;
    let form = html[start..].split("</form>").next()?;
    let inputs = form.split("<input ").skip(1).filter_map(|input| {
        let tag = input.split('>').next()?;
        Some((attribute(tag, "name")?, attribute(tag, "value").unwrap_or_default()))
    });
    Some(inputs.collect())
}

/// The text of an attribute of a tag.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let tag = format!(" {tag}");
    let text = tag.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?;
    Some(text.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
}

fn encoded(text: &str) -> String {
    let letter = |byte: u8| match byte {
        byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(letter).collect()
}
