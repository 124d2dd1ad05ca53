//! The second step of the checkout: the quote, the card, and placing the order.
//! The form carries what the shopper saw (total and basket version) and a key, so that the order is placed once and at that price or not at all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::{Code, Error};
use store_contracts::store::checkout::v1::{PlaceRequest, PlaceResponse, PlaceState, QuoteResponse};
use store_contracts::store::types::v1::Money;

use super::delivery::{no_quote, quote, summary_panel};
use super::{address, missing, shown};
use crate::Store;
use crate::backends::{PLACE_LIMIT, within};
use crate::money::{self, Currency};
use crate::session::Delivery;
use crate::view::field::{self, Text};
use crate::view::notice::Tone;
use crate::view::{Frame, Notice, notice};
use crate::visit::{Fields, Posted, Visit, now_ms};

/// The simulated bank's cards, and what each does.
const TEST_CARDS: [(&str, &str); 8] = [
    ("4242 4242 4242 4242", "pays"),
    ("4000 0000 0000 0002", "is declined"),
    ("4000 0000 0000 9995", "lacks funds"),
    ("4000 0000 0000 0341", "is refused at the last moment"),
    ("4000 0000 0000 0119", "does not answer the first time"),
    ("4000 0000 0000 0127", "loses each first answer"),
    ("4000 0000 0000 0259", "answers twice"),
    ("4000 0000 0000 0077", "takes two seconds over each step"),
];

/// Shows the quote and asks for the card.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    if visit.is_over() {
        return visit.sign_in_again(&store, "/checkout");
    }
    let Some(delivery) = visit.delivery().cloned() else {
        return visit.redirect(&store, "/checkout?done=address-needed");
    };
    let (quote, mut frame) = tokio::join!(quote(&store, &visit, &delivery.country), store.frame(&visit, "Payment"),);
    let quote = match quote {
        Ok(quote) => quote,
        Err(error) => return no_quote(&store, visit, &error).await,
    };
    frame.here = "/checkout/pay".to_owned();
    // After an outcome nobody knows, the same key is used again: should the first try have arrived after all, it is not ordered twice. One
    // that comes with a stranger's link is not: they would know it.
    let key = match visit.params.raw("key") {
        key if store.sealer.is_order_key(visit.session(), key) => key.to_owned(),
        _ => store.sealer.order_key(visit.session()),
    };
    frame.notices.extend(changed_from(&visit.params, &quote));
    let body = view(&frame, &delivery, &quote, &key);
    let page = frame.page(&body);
    visit.page(&store, StatusCode::OK, &page)
}

/// What the total was when the shopper pressed the button, and what it is now.
fn changed_from(params: &Fields, quote: &QuoteResponse) -> Option<Notice> {
    let was = params.integer::<i64>("was")?;
    let same_currency = params.raw("in") == quote.total.currency;
    (was != quote.total.minor && same_currency).then(|| {
        let text = format!("It was {}, now it is {}.", money::format(was, &quote.total.currency), shown(&quote.total));
        Notice::new(Tone::Caution, "total-difference", "The total has changed.", text)
    })
}

/// Places the order.
pub async fn place(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { visit, fields } = posted;
    let Some(delivery) = visit.delivery() else {
        return visit.redirect(&store, "/checkout?done=address-needed");
    };
    let seen = (
        fields.key("key").filter(|key| store.sealer.is_order_key(visit.session(), key)),
        fields.integer::<i64>("total"),
        Currency::from_code(fields.raw("currency")),
        fields.integer::<i64>("basket_version"),
    );
    let (Some(key), Some(minor), Some(currency), Some(basket_version)) = seen else {
        return missing::refused(&store, visit, StatusCode::BAD_REQUEST).await;
    };
    let Some(card_number) = card_number(fields.raw("card")) else {
        return visit.redirect(&store, "/checkout/pay?done=card-invalid");
    };
    let before_ms = place_before(now_ms());
    let request = PlaceRequest {
        idempotency_key: key.clone(),
        shopper_id: visit.session().shopper(),
        basket_version,
        expected_total: Money { minor, currency: currency.code().to_owned(), ..Default::default() }.into(),
        address: address::message(delivery).into(),
        email: delivery.email.clone(),
        card_number,
        place_before_ms: before_ms,
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(PLACE_LIMIT);
    let answer = store.backends.checkout.place(&call, request);
    let answer = within(PLACE_LIMIT, "checkout", answer).await;
    let path = after(&answer, &Placing { key: &key, before_ms, minor, currency });
    visit.redirect(&store, &path)
}

/// From when on an order that is still on its way must not be placed any more: once the shopper may be told that it did not arrive.
fn place_before(now_ms: i64) -> i64 {
    now_ms.saturating_add(i64::try_from(PLACE_LIMIT.as_millis()).unwrap_or(i64::MAX))
}

/// What was asked for when an order was placed.
struct Placing<'a> {
    key: &'a str,
    before_ms: i64,
    minor: i64,
    currency: Currency,
}

/// Where the browser goes next. Wherever the outcome is not known for sure, that is the page that finds it out.
fn after(answer: &Result<PlaceResponse, Error>, placing: &Placing<'_>) -> String {
    let Placing { key, before_ms, minor, currency } = placing;
    let outcome = format!("/checkout/outcome/{key}?before={before_ms}");
    match answer {
        Ok(placed) if placed.state == PlaceState::PLACE_STATE_CONFIRMED => {
            format!("/orders/{}?done=placed", placed.order_id)
        }
        Ok(_) => outcome,
        Err(error) => match error.code {
            Code::FailedPrecondition if error.detail::<QuoteResponse>().is_some() => {
                let code = currency.code();
                format!("/checkout/pay?done=total-changed&was={minor}&in={code}")
            }
            Code::FailedPrecondition => match error.detail::<PlaceResponse>() {
                Some(other) if other.state == PlaceState::PLACE_STATE_CONFIRMED => {
                    format!("/orders/{}?done=already-placed", other.order_id)
                }
                Some(_) => "/basket?done=being-placed".to_owned(),
                None => "/basket?done=basket-bought".to_owned(),
            },
            // The card was looked at above, and the address when it was typed.
            Code::InvalidArgument => "/checkout?done=order-invalid".to_owned(),
            _ => outcome,
        },
    }
}

/// The digits of a card's number.
fn card_number(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|letter| *letter != ' ' && *letter != '-').collect();
    let is_number = (12..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then_some(digits)
}

fn view(frame: &Frame, delivery: &Delivery, quote: &QuoteResponse, key: &str) -> Markup {
    let short: Vec<&str> = quote.lines.iter().filter(|line| line.short).map(|line| line.name.as_str()).collect();
    let blocked = !short.is_empty() || !quote.unavailable_product_ids.is_empty();
    html! {
        div class="inside" {
            div class="page-head" {
                h1 { "Payment" }
                p { "Step 2 of 2" }
            }
            div class="columns" {
                div {
                    section class="panel" aria-labelledby="to" {
                        h2 id="to" { "It goes to" }
                        p { (address::lines(delivery)) }
                        p class="muted small" { (delivery.email) " · " a href="/checkout" { "Change" } }
                    }
                    @if blocked {
                        (blocked_view(&short, quote))
                    } @else {
                        (card_form(&frame.csrf, quote, key))
                    }
                }
                (summary_panel(quote, &delivery.country))
            }
        }
    }
}

fn blocked_view(short: &[&str], quote: &QuoteResponse) -> Markup {
    let gone = &quote.unavailable_product_ids;
    let names = if short.is_empty() { gone.join(", ") } else { short.join(", ") };
    let text = if short.is_empty() {
        format!("{names}: not sold any more, or not in this currency. Please take it out, or choose another currency.")
    } else {
        format!("{names}: there are fewer left than your basket holds. Please take some out.")
    };
    html! {
        section class="panel flow" data-test="blocked" {
            (notice::one(&Notice::new(Tone::Caution, "out-of-stock", "This cannot be ordered as it is.", text)))
            a class="button full" href="/basket" { "Change the basket" }
        }
    }
}

fn card_form(csrf: &str, quote: &QuoteResponse, key: &str) -> Markup {
    html! {
        form class="panel flow" action="/checkout/pay" method="post" data-test="payment-form" {
            h2 { "Your card" }
            (field::csrf(csrf))
            (field::hidden("key", key))
            (field::hidden("total", &quote.total.minor.to_string()))
            (field::hidden("currency", &quote.total.currency))
            (field::hidden("basket_version", &quote.basket_version.to_string()))
            (Text {
                autocomplete: "cc-number", keyboard: "numeric",
                ..Text::new("card", "Card number", "", 23)
            }.render())
            div class="test-cards" {
                p { strong { "No card is really charged." } " The simulated bank knows these:" }
                ul {
                    @for (number, does) in TEST_CARDS { li { code { (number) } span class="muted" { (does) } } }
                }
            }
            button class="button full" data-test="place-order" { "Place the order and pay " (shown(&quote.total)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn card_numbers_are_digits() {
        assert_eq!(card_number("4242 4242-4242 4242").as_deref(), Some("4242424242424242"));
        for bad in ["", "4242", "4242 4242 4242 424x", "42424242424242424242", "٤٢٤٢٤٢٤٢٤٢٤٢"] {
            assert_eq!(card_number(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_a_definite_answer_leaves_the_key_behind() {
        let placing = Placing { key: "key-12345", before_ms: 7, minor: 100, currency: Currency::Eur };
        let place = |answer: Result<PlaceResponse, Error>| after(&answer, &placing);
        assert_eq!(
            place(Ok(PlaceResponse {
                order_id: "o-1".to_owned(),
                state: PlaceState::PLACE_STATE_CONFIRMED.into(),
                ..Default::default()
            })),
            "/orders/o-1?done=placed"
        );
        let changed = Error::failed_precondition("changed").with_detail(&QuoteResponse::default());
        assert_eq!(place(Err(changed)), "/checkout/pay?done=total-changed&was=100&in=EUR");
        assert_eq!(place(Err(Error::failed_precondition("empty"))), "/basket?done=basket-bought");
        let other = |state: PlaceState| {
            let other = PlaceResponse { order_id: "o-1".to_owned(), state: state.into(), ..Default::default() };
            Error::failed_precondition("another one").with_detail(&other)
        };
        assert_eq!(place(Err(other(PlaceState::PLACE_STATE_CONFIRMED))), "/orders/o-1?done=already-placed");
        assert_eq!(place(Err(other(PlaceState::PLACE_STATE_PENDING))), "/basket?done=being-placed");
        assert_eq!(place(Err(Error::invalid_argument("no"))), "/checkout?done=order-invalid");
        for error in [
            Error::unavailable("gone"),
            Error::deadline_exceeded("late"),
            Error::internal("bug"),
            Error::already_exists("another body"),
        ] {
            assert_eq!(place(Err(error)), "/checkout/outcome/key-12345?before=7");
        }
    }
}
