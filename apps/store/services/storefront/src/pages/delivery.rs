//! The first step of the checkout: where the order goes. What is typed is kept in an encrypted cookie, so that nothing that goes wrong
//! later loses it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::{Code, Error};
use store_contracts::store::checkout::v1::{QuoteRequest, QuoteResponse};
use store_contracts::store::customer::v1::Account;

use super::address::{self, Errors, error_of};
use super::country::{self, COUNTRY_DEFAULT};
use super::register::is_email;
use super::sign_in::EMAIL_LENGTH_MAX;
use super::{postage, shown};
use crate::Store;
use crate::backends::{READ_LIMIT, within};
use crate::identity::Identity;
use crate::session::{self, Delivery};
use crate::view::field::{self, Text};
use crate::view::summary::{self, SlimLine, Sum};
use crate::view::{Frame, Notice, icon, notice};
use crate::visit::{Posted, Visit, now_ms};

/// Asks where the order goes.
pub async fn show(State(store): State<Arc<Store>>, mut visit: Visit) -> Response {
    if visit.is_over() {
        return visit.sign_in_again(&store, "/checkout");
    }
    if visit.session().merge_pending {
        store.merge_basket(&mut visit).await;
    }
    page(&store, visit, StatusCode::OK, None, Errors::new()).await
}

/// Keeps what was typed and leads to the payment.
pub async fn save(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    let (mut delivery, mut errors) = address::read(&fields);
    delivery.email = fields.text("email", EMAIL_LENGTH_MAX).unwrap_or_default();
    if !is_email(&delivery.email) {
        errors.push(("email", "Write an e-mail address, like ada@example.org."));
    }
    if errors.is_empty() && store.sealer.seal(session::DELIVERY, &delivery, now_ms()).is_none() {
        errors.push(("line1", "This address is too long altogether: please shorten it."));
    }
    if !errors.is_empty() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return page(&store, visit, status, Some(delivery), errors).await;
    }
    visit.set_delivery(Some(delivery));
    visit.redirect(&store, "/checkout/pay")
}

/// What the basket would cost.
///
/// # Errors
/// `failed_precondition` for an empty basket, or an absence.
pub async fn quote(store: &Store, visit: &Visit, country: &str) -> Result<QuoteResponse, Error> {
    let request = QuoteRequest {
        shopper_id: visit.session().shopper(),
        currency: visit.session().currency().code().to_owned(),
        country: country.to_owned(),
        ..Default::default()
    };
    // It asks three services in its turn.
    let limit = READ_LIMIT * 2;
    let call = visit.call.clone().with_timeout(limit);
    within(limit, "checkout", store.backends.checkout.quote(&call, request)).await
}

/// The page for when no quote can be had: an empty basket leads back to it, anything else says that the checkout is closed.
pub async fn no_quote(store: &Store, visit: Visit, error: &Error) -> Response {
    if error.code == Code::FailedPrecondition {
        return visit.redirect(store, "/basket");
    }
    let mut frame = store.frame(&visit, "Checkout is closed").await;
    // The page itself says it.
    frame.notices.retain(|notice| notice.name != "checkout-closed");
    frame.here = "/checkout".to_owned();
    let closed = Notice::checkout_closed();
    let body = summary::blank(
        icon::hourglass(),
        "Checkout is closed for a moment",
        &format!("{} {}", closed.lead, closed.text),
        &[("/checkout", "Try again"), ("/basket", "Back to the basket")],
    );
    let page = frame.page(&body);
    visit.page(store, StatusCode::OK, &page)
}

async fn page(store: &Store, visit: Visit, status: StatusCode, typed: Option<Delivery>, errors: Errors) -> Response {
    let country = typed.as_ref().or(visit.delivery()).map_or(COUNTRY_DEFAULT, |delivery| {
        if delivery.country.is_empty() { COUNTRY_DEFAULT } else { &delivery.country }
    });
    let (quote, identity, mut frame) =
        tokio::join!(quote(store, &visit, country), store.identify(&visit), store.frame(&visit, "Delivery"),);
    frame.here = "/checkout".to_owned();
    let account = match identity {
        Identity::Customer(account) => Some(account),
        Identity::Guest => None,
        Identity::Over => return visit.sign_in_again(store, "/checkout"),
        Identity::Silent => {
            frame.notices.push(Notice::customer_absent());
            None
        }
    };
    let quote = match quote {
        Ok(quote) => quote,
        Err(error) => return no_quote(store, visit, &error).await,
    };
    let delivery = typed.unwrap_or_else(|| prefilled(&visit, account.as_deref()));
    let body = view(&frame, &delivery, &errors, account.as_deref(), &quote);
    let page = frame.page(&body);
    visit.page(store, status, &page)
}

/// What the form starts with: the saved address that was asked for, else what was typed before, else the account's first address.
fn prefilled(visit: &Visit, account: Option<&Account>) -> Delivery {
    let wanted = visit.params.raw("address");
    let saved = |account: &Account| {
        let mut addresses = account.addresses.iter();
        let chosen = addresses.find(|saved| saved.address_id == wanted);
        chosen.map(|saved| address::delivery(&saved.address, &account.email))
    };
    if let Some(delivery) = account.and_then(saved) {
        return delivery;
    }
    if let Some(delivery) = visit.delivery() {
        return delivery.clone();
    }
    let Some(account) = account else {
        return Delivery::default();
    };
    match account.addresses.first() {
        Some(first) => address::delivery(&first.address, &account.email),
        None => Delivery { email: account.email.clone(), name: account.name.clone(), ..Delivery::default() },
    }
}

fn view(
    frame: &Frame,
    delivery: &Delivery,
    errors: &Errors,
    account: Option<&Account>,
    quote: &QuoteResponse,
) -> Markup {
    let saved = account.map_or(&[][..], |account| &account.addresses);
    html! {
        div class="inside" {
            div class="page-head" {
                h1 { "Where should it go?" }
                p { "Step 1 of 2" }
            }
            div class="columns" {
                div {
                    @if !saved.is_empty() {
                        nav class="panel" aria-label="Saved addresses" {
                            ul class="slim-lines" {
                                @for saved in saved {
                                    li {
                                        span { (saved.address.name) ", " (saved.address.line1) ", " (saved.address.city) }
                                        a href={ "/checkout?address=" (saved.address_id) } { "Use this one" }
                                    }
                                }
                            }
                        }
                    }
                    form class="panel flow" action="/checkout" method="post" data-test="delivery-form" {
                        (field::csrf(&frame.csrf))
                        (Text {
                            kind: "email", autocomplete: "email", error: error_of(errors, "email"),
                            hint: "For the confirmation and the tracking number.",
                            ..Text::new("email", "E-mail", &delivery.email, 254)
                        }.render())
                        (address::inputs(delivery, errors))
                        button class="button full" data-test="to-payment" { "On to payment" }
                    }
                }
                (summary_panel(quote, &delivery.country))
            }
        }
    }
}

/// What is being bought, and what it costs.
pub fn summary_panel(quote: &QuoteResponse, country: &str) -> Markup {
    let country = if country.is_empty() { COUNTRY_DEFAULT } else { country };
    let lines: Vec<SlimLine> = quote
        .lines
        .iter()
        .map(|line| SlimLine { name: line.name.clone(), quantity: line.quantity, total: shown(&line.total) })
        .collect();
    let row = |name, amount, grand, test| Sum { name, amount, grand, test };
    html! {
        aside class="panel" aria-labelledby="sum" data-test="summary" {
            h2 id="sum" { "Your order" }
            (summary::slim_lines(&lines))
            (summary::sums(&[
                row("Subtotal", shown(&quote.subtotal), false, "subtotal"),
                row("Shipping", postage(&quote.shipping), false, "shipping"),
                row("Total", shown(&quote.total), true, "total"),
            ]))
            p class="muted small" { "Tax included, sent to " (country::name(country)) ". " a href="/basket" { "Change the basket" } }
            @if quote.shipping_is_flat_rate { (notice::one(&Notice::flat_rate())) }
        }
    }
}
