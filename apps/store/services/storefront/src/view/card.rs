//! Products in a grid, and pages of them.
//! A card shows what it is given; it never asks for a price or a picture itself.

use maud::{Markup, html};

/// A product as a grid shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The product's slug.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its price, formatted; none when it is not sold in the chosen currency.
    pub price: Option<String>,
    /// Where its picture is.
    pub picture: String,
    /// What the picture shows.
    pub picture_alt: String,
}

impl Card {
    /// The address of the product's page.
    pub fn href(&self) -> String {
        format!("/product/{}", self.id)
    }
}

/// Cards in a grid.
pub fn grid(cards: &[Card]) -> Markup {
    html! {
        ul class="grid" data-test="products" {
            @for (place, card) in cards.iter().enumerate() { (one(card, place < 8)) }
        }
    }
}

fn one(card: &Card, early: bool) -> Markup {
    html! {
        li class="card" data-test="product-card" data-product=(card.id) {
            div class="plate" {
                // The name beside it says what it is, so the picture itself is an ornament here.
                img src=(card.picture) alt="" width="480" height="480" loading=(if early { "eager" } else { "lazy" });
            }
            h3 { a href=(card.href()) { (card.name) } }
            p class="price" data-test="card-price" { (price(card.price.as_deref())) }
        }
    }
}

/// A price, or that there is none in this currency.
pub fn price(price: Option<&str>) -> Markup {
    html! {
        @match price {
            Some(price) => (price),
            None => span class="muted small" { "Not sold in this currency" },
        }
    }
}

/// Links to the first and the next page of a list.
pub fn paging(first: Option<&str>, next: Option<&str>) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav class="paging" aria-label="Pages" {
                @if let Some(first) = first {
                    a class="button quiet" href=(first) rel="first" data-test="first-page" { "Back to the start" }
                }
                @if let Some(next) = next {
                    a class="button" href=(next) rel="next" data-test="next-page" { "Show more" }
                }
            }
        }
    }
}
