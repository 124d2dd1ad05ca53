//! The frame around every page: head, masthead, shelves, notices, footer.
//! It shows who visits and what is in the basket; it never decides either.

use maud::{DOCTYPE, Markup, html};

use super::notice::{self, Notice};
use super::{field, icon};
use crate::assets;
use crate::money::Currency;

/// What the store is called.
pub const NAME: &str = "Saltmarsh";

/// How many pieces the visitor's basket holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// So many.
    Pieces(u32),
    /// The basket did not answer.
    Unknown,
}

/// Who visits, as far as the masthead cares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visitor {
    /// Not signed in.
    Guest,
    /// Signed in.
    Customer {
        /// As the customer wishes to be called.
        name: String,
        /// May mind the shop.
        admin: bool,
    },
}

/// A category in the row under the masthead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shelf {
    /// Its slug.
    pub id: String,
    /// As shown to people.
    pub title: String,
    /// How many products it has.
    pub products: u32,
}

/// Everything the frame shows.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The page's own title, without the store's name.
    pub title: String,
    /// The chosen currency.
    pub currency: Currency,
    /// What the basket holds.
    pub basket: Count,
    /// Who visits.
    pub visitor: Visitor,
    /// The token every form carries.
    pub csrf: String,
    /// Path and query of this page, where forms of the frame lead back to.
    pub here: String,
    /// What the search box holds.
    pub search: String,
    /// The categories.
    pub shelves: Vec<Shelf>,
    /// The category this page belongs to.
    pub shelf: Option<String>,
    /// What there is to say.
    pub notices: Vec<Notice>,
    /// Load the page again after so many seconds.
    pub reload_seconds: Option<u32>,
}

impl Frame {
    /// A whole page.
    pub fn page(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { (self.title) " · " (NAME) }
                    meta name="description" content="Useful things for house and garden, made to be kept.";
                    meta name="theme-color" media="(prefers-color-scheme: light)" content="#f6f2ea";
                    meta name="theme-color" media="(prefers-color-scheme: dark)" content="#111716";
                    @if let Some(seconds) = self.reload_seconds {
                        meta http-equiv="refresh" content=(seconds);
                    }
                    link rel="icon" type="image/svg+xml" href=(assets::icon_path());
                    link rel="stylesheet" href=(assets::stylesheet_path());
                }
                body {
                    a class="skip" href="#main" { "Skip to the content" }
                    (self.masthead())
                    (self.shelf_row())
                    main id="main" tabindex="-1" {
                        (notice::list(&self.notices))
                        (body)
                    }
                    (footer())
                }
            }
        }
    }

    fn masthead(&self) -> Markup {
        html! {
            p class="ribbon" { "A demonstration store: nothing is really sold or charged." }
            header class="masthead" {
                div class="inside bar" {
                    a class="brand" href="/" { (icon::mark()) (NAME) }
                    form class="search" role="search" action="/search" method="get" {
                        label class="hidden-label" for="search" { "Search the store" }
                        input id="search" name="q" type="search" value=(self.search) maxlength="200"
                            placeholder="Mugs, lamps, a tent for two …" autocomplete="off" data-test="search-box";
                        button type="submit" data-test="search-button" {
                            span class="hidden-label" { "Search" }
                            (icon::glass())
                        }
                    }
                    nav class="tools" aria-label="Your shopping" {
                        (self.currency_menu())
                        (self.person_link())
                        a href="/basket" data-test="basket-link" {
                            (icon::bag())
                            span class="word" { "Basket" }
                            (basket_count(self.basket))
                        }
                    }
                }
            }
        }
    }

    fn currency_menu(&self) -> Markup {
        html! {
            details class="menu" data-test="currency-menu" {
                summary {
                    span class="hidden-label" { "Currency: " }
                    (self.currency.code())
                }
                form action="/currency" method="post" {
                    (field::csrf(&self.csrf))
                    input type="hidden" name="back" value=(self.here);
                    @for currency in Currency::ALL {
                        button name="currency" value=(currency.code())
                            aria-current=[(currency == self.currency).then_some("true")]
                            data-test={ "currency-" (currency.code()) } {
                            span aria-hidden="true" { (currency.symbol()) }
                            span { (currency.name()) }
                        }
                    }
                }
            }
        }
    }

    fn person_link(&self) -> Markup {
        html! {
            @match &self.visitor {
                Visitor::Guest => {
                    a href="/sign-in" data-test="sign-in-link" { (icon::person()) span class="word" { "Sign in" } }
                }
                Visitor::Customer { name, .. } => {
                    a href="/account" data-test="account-link" {
                        (icon::person())
                        span class="word" { span class="hidden-label" { "Account of " } (name) }
                    }
                }
            }
        }
    }

    fn shelf_row(&self) -> Markup {
        html! {
            @if !self.shelves.is_empty() {
                nav class="shelves" aria-label="Categories" {
                    ul class="inside" {
                        li {
                            a href="/products" aria-current=[(self.shelf.as_deref() == Some("")).then_some("page")] {
                                "Everything"
                            }
                        }
                        @for shelf in &self.shelves {
                            li {
                                a href={ "/products/in/" (shelf.id) }
                                    aria-current=[(self.shelf.as_deref() == Some(shelf.id.as_str())).then_some("page")] {
                                    (shelf.title)
                                }
                            }
                        }
                        @if matches!(self.visitor, Visitor::Customer { admin: true, .. }) {
                            li { a href="/admin" data-test="admin-link" { "Mind the shop" } }
                        }
                    }
                }
            }
        }
    }
}

fn basket_count(count: Count) -> Markup {
    html! {
        @match count {
            Count::Pieces(pieces) => {
                span class="count" data-test="basket-count" {
                    (pieces) span class="hidden-label" { " pieces" }
                }
            }
            Count::Unknown => {
                span class="count" data-unknown data-test="basket-count" {
                    span aria-hidden="true" { "–" } span class="hidden-label" { "unavailable" }
                }
            }
        }
    }
}

fn footer() -> Markup {
    html! {
        footer class="footer" {
            div class="inside" {
                div {
                    p class="word" { (NAME) }
                    p { "Useful things for house and garden, made to be kept." }
                }
                nav aria-label="Shop" {
                    h2 { "Shop" }
                    ul {
                        li { a href="/products" { "Everything" } }
                        li { a href="/products?sort=price" { "Small prices first" } }
                        li { a href="/basket" { "Your basket" } }
                    }
                }
                nav aria-label="Service" {
                    h2 { "Service" }
                    ul {
                        li { a href="/account" { "Account and orders" } }
                        li { a href="/mail" { "Mail log" } }
                        li { a href="/admin" { "Mind the shop" } }
                    }
                }
                div {
                    h2 { "How this works" }
                    p { "Ten small services make this store. When one of them is away, the rest carries on and the page says what is missing." }
                }
            }
        }
    }
}
