//! A shopper with a browser: the store's pages as people click through them.
//!
//! Never: judges what a page says, but for what it must say for the visit to go on.

use crate::application::Application;
use crate::browser::{Browser, Window};
use crate::wait::eventually;

/// Somebody who visits the store with a browser.
pub struct Visit {
    /// The browser.
    pub browser: Browser,
    address: String,
}

impl Visit {
    /// Starts a browser for this store.
    ///
    /// # Panics
    /// When there is no browser, or no gateway.
    #[track_caller]
    #[must_use]
    pub fn new(store: &Application, window: Window) -> Self {
        Self { browser: Browser::start(window), address: store.address() }
    }

    /// Opens a page.
    pub fn open(&self, path: &str) {
        self.browser.open(&format!("{}{path}", self.address));
    }

    /// Opens an account and signs in.
    ///
    /// # Panics
    /// When it is refused.
    #[track_caller]
    pub fn register(&self, email: &str) {
        self.open("/register");
        for (field, text) in [("name", "Ada"), ("email", email), ("password", "correct horse battery")] {
            self.browser.fill(&format!("[data-test=register-form] input[name={field}]"), text);
        }
        self.browser.click("[data-test=register-form] [data-test=register]");
        self.browser.until_at("/account");
        self.browser.until_text("h1", "Hello, Ada");
    }

    /// Puts pieces of a product into the basket.
    ///
    /// # Panics
    /// When they do not get there.
    #[track_caller]
    pub fn add(&self, product: &str, quantity: u32) {
        self.open(&format!("/product/{product}"));
        self.browser.fill("[data-test=quantity]", &quantity.to_string());
        self.browser.click("[data-test=add-to-basket]");
        self.browser.until_at("/basket?done=added");
        self.browser.until_text("[data-test=notice]", "Added to your basket.");
    }

    /// Goes from the basket to the payment.
    ///
    /// # Panics
    /// When the address is refused.
    #[track_caller]
    pub fn deliver(&self, email: &str) {
        self.open("/basket");
        self.browser.click("[data-test=checkout]");
        for (field, text) in [
            ("email", email),
            ("name", "Ada Lovelace"),
            ("line1", "12 Analytical Row"),
            ("postcode", "10115"),
            ("city", "Berlin"),
        ] {
            self.browser.fill(&format!("[data-test=delivery-form] [data-test={field}]"), text);
        }
        self.browser.click("[data-test=country] option[value=DE]");
        self.browser.click("[data-test=to-payment]");
        self.browser.until_at("/checkout/pay");
    }

    /// Sends the form of the payment.
    pub fn pay(&self, card: &str) {
        self.browser.fill("[data-test=card]", card);
        self.browser.click("[data-test=place-order]");
    }

    /// Waits until the browser shows the page of an order that was placed; answers its number.
    ///
    /// # Panics
    /// When it is not placed.
    #[track_caller]
    pub fn until_placed(&self) -> String {
        let address = self.browser.until_at("/orders/");
        self.browser.until_text("h1", "Thank you for your order");
        assert_eq!(self.browser.text("[data-test=order-state]"), "Confirmed");
        let number = self.browser.text("[data-test=order-number]");
        assert!(address.contains(&number), "{address} {number}");
        number
    }

    /// Loads a page again until a selector finds something there; answers its text.
    ///
    /// # Panics
    /// When it never shows.
    #[track_caller]
    pub fn reload_until(&self, path: &str, selector: &str) -> String {
        eventually(&format!("{path} shows {selector}"), || {
            self.open(path);
            self.browser.texts(selector).into_iter().next()
        })
    }

    /// How many pieces the page says are in the basket.
    #[must_use]
    pub fn pieces_in_basket(&self) -> String {
        let count = self.browser.text("[data-test=basket-count]");
        count.split_whitespace().next().unwrap_or_default().to_owned()
    }
}
