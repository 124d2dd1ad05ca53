//! The basket: its lines with today's prices and stock, and the way to the checkout.
//! Prices shown here are a preview; what is paid is what the checkout quotes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use store_contracts::store::basket::v1::BasketContents;
use store_contracts::store::catalogue::v1::Product;

use super::picture_path;
use crate::Store;
use crate::identity::LINES_MAX;
use crate::memory::price_minor;
use crate::money::{self, Currency};
use crate::view::summary::{self, Sum};
use crate::view::{Notice, field, icon};
use crate::visit::Visit;

/// Shows the basket.
pub async fn show(State(store): State<Arc<Store>>, mut visit: Visit) -> Response {
    if visit.is_over() {
        return visit.sign_in_again(&store, "/basket");
    }
    if visit.session().merge_pending {
        store.merge_basket(&mut visit).await;
    }
    let shopper = visit.session().shopper();
    let Some(basket) = store.backends.basket(&visit.call, &shopper).await else {
        return unavailable(&store, visit);
    };
    let mut frame = store.frame_with(&visit, "Your basket", Some(&basket));
    if visit.session().merge_pending {
        frame.notices.push(Notice::basket_waits(basket.lines.len() >= LINES_MAX));
    }
    if basket.lines.is_empty() {
        let body = summary::blank(
            icon::bag(),
            "Your basket is empty",
            "Whatever you put in stays here, also when you come back another day.",
            &[("/products", "Browse everything")],
        );
        let page = frame.page(&body);
        return visit.page(&store, StatusCode::OK, &page);
    }
    let ids: Vec<String> = basket.lines.iter().map(|line| line.product_id.clone()).collect();
    let (products, stock) =
        tokio::join!(store.backends.products(&visit.call, ids.clone()), store.backends.stock(&visit.call, ids),);
    if products.is_stale() {
        frame.notices.push(Notice::catalogue_stale());
    }
    if stock.is_none() {
        frame.notices.push(Notice::stock_unknown());
    }
    let products = products.value();
    if products.is_none() {
        frame.notices.push(Notice::catalogue_absent());
    }
    let currency = visit.session().currency();
    let lines = lines(&basket, products.as_deref(), stock.as_ref(), currency);
    let view = View {
        lines: &lines,
        version: basket.version,
        currency,
        csrf: &frame.csrf,
        catalogue_answers: products.is_some(),
    };
    let page = frame.page(&view.body());
    visit.page(&store, StatusCode::OK, &page)
}

fn unavailable(store: &Store, visit: Visit) -> Response {
    let frame = store.frame_with(&visit, "Your basket", None);
    let body = summary::blank(
        icon::bag(),
        "Basket unavailable",
        "What you put in is kept and will be here again in a moment.",
        &[("/basket", "Try again"), ("/products", "Have a look around")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::OK, &page)
}

/// A line as the page shows it.
struct Line {
    id: String,
    quantity: i32,
    /// None when the product is not sold any more, or the catalogue is silent and it is not remembered.
    product: Option<Shown>,
    /// What to say about its stock; empty for nothing.
    warning: String,
}

struct Shown {
    name: String,
    picture: String,
    /// Per piece, in minor units; none when it is not sold in this currency.
    unit: Option<i64>,
    /// The whole line.
    total: Option<i64>,
}

fn lines(
    basket: &BasketContents,
    products: Option<&[Product]>,
    stock: Option<&BTreeMap<String, i32>>,
    currency: Currency,
) -> Vec<Line> {
    let known: BTreeMap<&str, &Product> =
        products.unwrap_or_default().iter().map(|product| (product.id.as_str(), product)).collect();
    basket
        .lines
        .iter()
        .map(|line| {
            let pieces = stock.and_then(|stock| stock.get(&line.product_id));
            let warning = match pieces {
                Some(0) => "Sold out".to_owned(),
                Some(pieces) if *pieces < line.quantity => format!("Only {pieces} left"),
                _ => String::new(),
            };
            let product = known.get(line.product_id.as_str()).map(|product| {
                let unit = price_minor(product, currency.code());
                Shown {
                    name: product.name.clone(),
                    picture: picture_path(product),
                    unit,
                    total: unit.and_then(|unit| unit.checked_mul(i64::from(line.quantity))),
                }
            });
            Line { id: line.product_id.clone(), quantity: line.quantity, product, warning }
        })
        .collect()
}

/// The sum of the lines; none when one of them has no price.
fn subtotal(lines: &[Line]) -> Option<i64> {
    lines.iter().try_fold(0_i64, |sum, line| sum.checked_add(line.product.as_ref()?.total?))
}

struct View<'a> {
    lines: &'a [Line],
    version: i64,
    currency: Currency,
    csrf: &'a str,
    /// False when nothing at all is known about the products.
    catalogue_answers: bool,
}

impl View<'_> {
    fn body(&self) -> Markup {
        html! {
            div class="inside" {
                div class="page-head" { h1 { "Your basket" } }
                div class="columns" {
                    ul class="lines" data-test="basket-lines" {
                        @for line in self.lines { (self.line(line)) }
                    }
                    aside class="panel flow" aria-labelledby="sum" {
                        h2 id="sum" { "Summary" }
                        @match subtotal(self.lines) {
                            Some(minor) => (self.sum(minor)),
                            None => p class="muted" { "The sum is shown at checkout." },
                        }
                        a class="button full" href="/checkout" data-test="checkout" { "Go to checkout" }
                    }
                }
            }
        }
    }

    fn sum(&self, minor: i64) -> Markup {
        html! {
            (summary::sums(&[Sum {
                name: "Subtotal",
                amount: self.amount(minor),
                grand: true,
                test: "subtotal",
            }]))
            p class="muted small" { "Tax included. The price of sending comes with your address." }
        }
    }

    fn amount(&self, minor: i64) -> String {
        money::format(minor, self.currency.code())
    }

    fn line(&self, line: &Line) -> Markup {
        let product = line.product.as_ref();
        let name = product.map_or(line.id.as_str(), |product| product.name.as_str());
        html! {
            li data-test="basket-line" data-product=(line.id) {
                div class="plate" {
                    @if let Some(product) = product { img src=(product.picture) alt="" width="160" height="160"; }
                }
                div {
                    h3 { a href={ "/product/" (line.id) } { (name) } }
                    p class="muted small number" {
                        @match product.map(|product| product.unit) {
                            Some(Some(unit)) => { (self.amount(unit)) " each" }
                            Some(None) => "Not sold in this currency",
                            None if self.catalogue_answers => "Not sold any more",
                            None => "Its price cannot be shown right now",
                        }
                    }
                    @if !line.warning.is_empty() { span class="pill caution" data-test="line-warning" { (line.warning) } }
                }
                p class="total" data-test="line-total" {
                    @if let Some(total) = product.and_then(|product| product.total) { (self.amount(total)) }
                }
                (self.change(line, name))
            }
        }
    }

    fn change(&self, line: &Line, name: &str) -> Markup {
        let quantity_id = format!("quantity-{}", line.id);
        let shared = html! {
            (field::csrf(self.csrf))
            (field::hidden("product", &line.id))
            (field::hidden("version", &self.version.to_string()))
        };
        html! {
            div class="change" {
                form action="/basket/set" method="post" {
                    (shared)
                    label class="hidden-label" for=(quantity_id) { "Quantity of " (name) }
                    input id=(quantity_id) name="quantity" type="number" inputmode="numeric" min="0" max="99" required
                        value=(line.quantity) data-test="line-quantity";
                    button class="button quiet slim" data-test="line-update" { "Update" span class="hidden-label" { " " (name) } }
                }
                form action="/basket/set" method="post" {
                    (shared)
                    (field::hidden("quantity", "0"))
                    button class="link-button" data-test="line-remove" { "Remove" span class="hidden-label" { " " (name) } }
                }
            }
        }
    }
}
