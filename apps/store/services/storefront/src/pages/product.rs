//! One product: picture, price, stock, and what is like it.
//! Four calls, made at once: product, related, stock, basket.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use store_contracts::store::catalogue::v1::Product;

use super::{card as card_of, cards, missing};
use crate::Store;
use crate::backends::Answer;
use crate::view::{Card, Notice, Shelf, card, field, icon, summary};
use crate::visit::{Visit, is_slug};

/// Fewer pieces than this are said as a number.
const FEW: i32 = 6;
/// More pieces of one product a basket does not hold.
const QUANTITY_MAX: i32 = 99;

/// Shows the page.
pub async fn show(State(store): State<Arc<Store>>, Path(id): Path<String>, visit: Visit) -> Response {
    if !is_slug(&id) {
        return missing::page(&store, visit).await;
    }
    let backends = &store.backends;
    let (products, related, stock, mut frame) = tokio::join!(
        backends.products(&visit.call, vec![id.clone()]),
        backends.related(&visit.call, &id),
        backends.stock(&visit.call, vec![id.clone()]),
        store.frame(&visit, ""),
    );
    if products.is_stale() {
        frame.notices.push(Notice::catalogue_stale());
    }
    let product = match products {
        Answer::Absent => return unavailable(&store, visit, frame),
        Answer::Fresh(products) | Answer::Stale(products) => products.into_iter().next(),
    };
    let Some(product) = product else {
        return missing::page(&store, visit).await;
    };
    frame.title.clone_from(&product.name);
    frame.shelf = Some(product.category.clone());
    let currency = visit.session().currency();
    let shelf = frame.shelves.iter().find(|shelf| shelf.id == product.category);
    let view = View {
        card: card_of(&product, currency),
        related: cards(&related, currency),
        stock: stock.and_then(|stock| stock.get(&id).copied()),
        csrf: &frame.csrf,
        shelf,
        product: &product,
    };
    let page = frame.page(&view.body());
    visit.page(&store, StatusCode::OK, &page)
}

fn unavailable(store: &Store, visit: Visit, mut frame: crate::view::Frame) -> Response {
    frame.title = "Unavailable right now".to_owned();
    frame.notices.push(Notice::catalogue_absent());
    let body = summary::blank(
        icon::hourglass(),
        "This product cannot be shown right now",
        "It has not been looked at for a while, and our catalogue does not answer. Please try again in a moment.",
        &[("/products", "Browse what we remember")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::SERVICE_UNAVAILABLE, &page)
}

struct View<'a> {
    product: &'a Product,
    card: Card,
    shelf: Option<&'a Shelf>,
    related: Vec<Card>,
    /// Pieces that can be sold; none when the inventory is silent.
    stock: Option<i32>,
    csrf: &'a str,
}

impl View<'_> {
    fn body(&self) -> Markup {
        html! {
            div class="inside" {
                (self.trail())
                article class="product" data-test="product" data-product=(self.card.id) {
                    div class="plate" {
                        img src=(self.card.picture) alt=(self.card.picture_alt) width="900" height="900";
                    }
                    div class="about flow" {
                        h1 { (self.product.name) }
                        p class="lead" { (self.product.summary) }
                        p class="price" data-test="price" { (card::price(self.card.price.as_deref())) }
                        p { (stock_pill(self.stock)) }
                        (self.buy())
                        (paragraphs(&self.product.description))
                        (facts())
                    }
                }
                @if !self.related.is_empty() {
                    section class="section" aria-labelledby="related" {
                        div class="section-head" { h2 id="related" { "Goes well with it" } }
                        (card::grid(&self.related))
                    }
                }
            }
        }
    }

    fn trail(&self) -> Markup {
        html! {
            nav class="trail" aria-label="Breadcrumb" {
                ol {
                    li { a href="/products" { "Everything" } }
                    @if let Some(shelf) = self.shelf {
                        li { a href={ "/products/in/" (shelf.id) } { (shelf.title) } }
                    }
                    li aria-current="page" { (self.product.name) }
                }
            }
        }
    }

    fn buy(&self) -> Markup {
        let sold_out = self.stock.is_some_and(|pieces| pieces <= 0);
        let most = self.stock.map_or(QUANTITY_MAX, |pieces| pieces.clamp(1, QUANTITY_MAX));
        html! {
            @if self.stock.is_none() { (crate::view::notice::one(&Notice::stock_unknown())) }
            @if self.card.price.is_some() {
                form class="buy" action="/basket/add" method="post" {
                    (field::csrf(self.csrf))
                    (field::hidden("product", &self.card.id))
                    div class="field" {
                        label for="quantity" { "Quantity" }
                        input id="quantity" name="quantity" type="number" inputmode="numeric" min="1" max=(most) value="1"
                            required disabled[sold_out] data-test="quantity";
                    }
                    button class="button" disabled[sold_out] data-test="add-to-basket" {
                        (if sold_out { "Sold out" } else { "Add to basket" })
                    }
                }
            } @else {
                p class="muted" { "Choose another currency at the top of the page to buy it." }
            }
        }
    }
}

/// How many pieces there are, in words.
fn stock_pill(stock: Option<i32>) -> Markup {
    let (class, text) = match stock {
        None => ("pill", "Stock is checked at checkout".to_owned()),
        Some(pieces) if pieces <= 0 => ("pill bad", "Sold out".to_owned()),
        Some(pieces) if pieces < FEW => ("pill caution", format!("Only {pieces} left")),
        Some(_) => ("pill good", "In stock".to_owned()),
    };
    html! { span class=(class) data-test="stock" { (text) } }
}

fn paragraphs(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            p { (paragraph) }
        }
    }
}

fn facts() -> Markup {
    html! {
        dl class="facts" {
            div {
                dt { "Delivery" }
                dd { "Packed by hand, in paper and card. The price of sending is shown before you pay." }
            }
            div {
                dt { "Price" }
                dd { "Tax included. You pay what is shown, or we ask you first." }
            }
        }
    }
}
