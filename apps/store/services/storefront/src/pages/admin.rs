//! Minding the shop: every product with its price and stock, each with a small form.
//! Only an account that the customer service itself calls an administrator's gets here; the cookie alone is never enough.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use store_contracts::store::catalogue::v1::{Product, Sort};

use super::{encoded, missing};
use crate::Store;
use crate::backends::{Answer, ListQuery};
use crate::identity::Identity;
use crate::money::{self, Currency};
use crate::view::{Frame, Notice, card, field, icon, summary};
use crate::visit::{Visit, new_key};

/// Products on a page.
const ROWS: i32 = 25;

/// Lets an administrator in; for everyone else the answer says why not.
///
/// # Errors
/// That answer.
pub async fn admit(store: &Store, visit: Visit) -> Result<Visit, Response> {
    if visit.is_over() {
        return Err(visit.sign_in_again(store, "/admin"));
    }
    match store.identify(&visit).await {
        Identity::Customer(account) if account.admin => Ok(visit),
        Identity::Customer(_) => Err(missing::forbidden(store, visit).await),
        Identity::Guest => Err(visit.redirect(store, "/sign-in?next=/admin")),
        Identity::Over => Err(visit.sign_in_again(store, "/admin")),
        Identity::Silent => Err(closed(store, visit).await),
    }
}

async fn closed(store: &Store, visit: Visit) -> Response {
    let mut frame = store.frame(&visit, "Minding the shop").await;
    frame.here = "/admin".to_owned();
    frame.notices.push(Notice::customer_absent());
    let body = summary::blank(
        icon::person(),
        "We cannot see who you are",
        "Only those who mind the shop get in here, and accounts do not answer right now. Nothing was changed.",
        &[("/admin", "Try again"), ("/", "To the front page")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::OK, &page)
}

/// Shows the products.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let visit = match admit(&store, visit).await {
        Ok(visit) => visit,
        Err(answer) => return answer,
    };
    let query = ListQuery {
        category: String::new(),
        sort: Sort::SORT_NAME,
        currency: visit.session().currency(),
        token: visit.params.text("page", 500).unwrap_or_default(),
        size: ROWS,
    };
    let (list, mut frame) =
        tokio::join!(store.backends.list(&visit.call, &query), store.frame(&visit, "Minding the shop"),);
    let Ok(list) = list else {
        return missing::page(&store, visit).await;
    };
    frame.notices.extend(match &list {
        Answer::Fresh(_) => None,
        Answer::Stale(_) => Some(Notice::catalogue_stale()),
        Answer::Absent => Some(Notice::catalogue_absent()),
    });
    let listing = list.value().unwrap_or_default();
    let ids: Vec<String> = listing.products.iter().map(|product| product.id.clone()).collect();
    let stock = store.backends.stock(&visit.call, ids).await;
    if stock.is_none() {
        frame.notices.push(Notice::stock_unknown());
    }
    let body = View {
        frame: &frame,
        products: &listing.products,
        stock: stock.as_ref(),
        next: &listing.next,
        is_first: query.token.is_empty(),
        token: &query.token,
    };
    let page = frame.page(&body.body());
    visit.page(&store, StatusCode::OK, &page)
}

struct View<'a> {
    frame: &'a Frame,
    products: &'a [Product],
    stock: Option<&'a BTreeMap<String, i32>>,
    next: &'a str,
    is_first: bool,
    token: &'a str,
}

impl View<'_> {
    fn body(&self) -> Markup {
        let currency = self.frame.currency;
        let first = (!self.is_first).then_some("/admin");
        let next = (!self.next.is_empty()).then(|| format!("/admin?page={}", encoded(self.next)));
        html! {
            div class="inside" {
                div class="list-head" {
                    div {
                        h1 { "Minding the shop" }
                        p { "Prices are those in " (currency.code()) "; choose another currency at the top to change others." }
                    }
                    a class="button quiet" href="/admin/product" data-test="new-product" { "New product" }
                }
                table class="table" data-test="admin-products" {
                    thead {
                        tr {
                            th scope="col" { "Product" }
                            th scope="col" { "Price in " (currency.code()) }
                            th scope="col" { "Can be sold" }
                            th scope="col" { "Receive" }
                        }
                    }
                    tbody { @for product in self.products { (self.row(product, currency)) } }
                }
                (card::paging(first, next.as_deref()))
            }
        }
    }

    fn row(&self, product: &Product, currency: Currency) -> Markup {
        let stock = self.stock.and_then(|stock| stock.get(&product.id));
        html! {
            tr data-test="admin-product" data-product=(product.id) {
                td { a href={ "/admin/product?id=" (product.id) } { (product.name) } }
                td data-name={ "Price in " (currency.code()) } { (self.price_form(product, currency)) }
                td data-name="Can be sold" class="number" data-test="admin-stock" {
                    @match stock { Some(pieces) => (pieces), None => "unknown" }
                }
                td data-name="Receive" { (self.stock_form(product)) }
            }
        }
    }

    fn price_form(&self, product: &Product, currency: Currency) -> Markup {
        let code = currency.code();
        let price = product.prices.iter().find(|price| price.amount.currency == code);
        let amount = price.map(|price| money::plain(price.amount.minor, code));
        let version = price.map_or(0, |price| price.version);
        let id = format!("price-{}", product.id);
        html! {
            form action="/admin/price" method="post" {
                (self.shared(product))
                (field::hidden("currency", code))
                (field::hidden("version", &version.to_string()))
                label class="hidden-label" for=(id) { "Price of " (product.name) }
                input id=(id) name="amount" value=(amount.unwrap_or_default()) inputmode="decimal" required maxlength="16"
                    data-test="admin-price";
                button class="button quiet slim" data-test="admin-price-set" { "Set" }
            }
        }
    }

    fn stock_form(&self, product: &Product) -> Markup {
        let id = format!("receive-{}", product.id);
        html! {
            form action="/admin/stock" method="post" {
                (self.shared(product))
                label class="hidden-label" for=(id) { "Pieces received of " (product.name) }
                input id=(id) name="quantity" type="number" inputmode="numeric" min="1" max="100000" required data-test="admin-receive";
                button class="button quiet slim" data-test="admin-receive-book" { "Book" }
            }
        }
    }

    fn shared(&self, product: &Product) -> Markup {
        html! {
            (field::csrf(&self.frame.csrf))
            (field::hidden("product", &product.id))
            (field::hidden("key", &new_key()))
            (field::hidden("page", self.token))
        }
    }
}
