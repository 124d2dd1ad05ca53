//! What became of an order that was placed: confirmed, refused, still being decided, or never received.
//! It only asks; it never places anything.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::Markup;
use shoal_sdk::Code;
use store_contracts::store::checkout::v1::{PlaceResponse, PlaceState, StatusRequest};

use super::missing;
use crate::Store;
use crate::backends::{READ_LIMIT, within};
use crate::view::{icon, summary};
use crate::visit::{Visit, now_ms};

/// A page that waits for a decision loads itself again after this many seconds.
const RELOAD_SECONDS: u32 = 3;

/// Shows where the order of a key stands, to the visitor for whom the key was made: anybody else learns nothing.
pub async fn show(State(store): State<Arc<Store>>, Path(key): Path<String>, visit: Visit) -> Response {
    if visit.is_over() {
        let here = visit.here.clone();
        return visit.sign_in_again(&store, &here);
    }
    if !store.sealer.is_order_key(visit.session(), &key) {
        return missing::page(&store, visit).await;
    }
    // Until then the order may still arrive; from then on the checkout refuses it. The clock is read before the checkout is asked.
    let is_final = visit.params.integer::<i64>("before").is_none_or(|before| before <= now_ms());
    let request = StatusRequest { idempotency_key: key.clone(), ..Default::default() };
    let call = visit.call.clone().with_timeout(READ_LIMIT);
    let answer = store.backends.checkout.status(&call, request);
    let answer = within(READ_LIMIT, "checkout", answer).await;
    let order = answer.map(|status| status.order.into_option().unwrap_or_default()).map_err(|error| error.code);
    if let Ok(order) = &order
        && order.state == PlaceState::PLACE_STATE_CONFIRMED
    {
        let path = format!("/orders/{}?done=placed", order.order_id);
        return visit.redirect(&store, &path);
    }
    let mut frame = store.frame(&visit, "Your order").await;
    let again = format!("/checkout/outcome/{key}{}", query(&visit));
    let (waits, body) = view(&order, &key, &again, is_final);
    frame.reload_seconds = waits.then_some(RELOAD_SECONDS);
    let page = frame.page(&body);
    visit.page(&store, StatusCode::OK, &page)
}

/// The moment that the address carries, to be carried on.
fn query(visit: &Visit) -> String {
    visit.params.integer::<i64>("before").map_or_else(String::new, |before| format!("?before={before}"))
}

/// Whether the page waits for something, and what it says.
fn view(order: &Result<PlaceResponse, Code>, key: &str, again: &str, is_final: bool) -> (bool, Markup) {
    let same_key = format!("/checkout/pay?key={key}");
    match order {
        Ok(order) if order.state == PlaceState::PLACE_STATE_REFUSED => {
            let reason = match order.refusal.as_str() {
                "" => "It could not be placed.",
                reason => reason,
            };
            let text = format!("{reason} You pay nothing, and your basket and address are kept.");
            let body = summary::blank(
                icon::alert(),
                "Your order was not placed",
                &text,
                &[("/checkout/pay", "Try another card"), ("/basket", "Change the basket")],
            );
            (false, body)
        }
        Ok(order) => {
            let text = format!(
                "We have your order and are waiting for the bank. It goes on by itself, also when you close this page. Your order number is {}.",
                order.order_id
            );
            let body = summary::blank(
                icon::hourglass(),
                "Your order is on its way to being placed",
                &text,
                &[(again, "Look again")],
            );
            (true, body)
        }
        Err(Code::NotFound) if is_final => {
            let body = summary::blank(
                icon::alert(),
                "Your order did not reach us",
                "Nothing was charged, and your basket and address are kept. Please place it once more; it cannot be ordered twice.",
                &[(&same_key, "Place it once more"), ("/basket", "Look at the basket")],
            );
            (false, body)
        }
        Err(Code::NotFound) => {
            let body = summary::blank(
                icon::hourglass(),
                "Your order has not reached us yet",
                "It may still be on its way. In a few seconds we know for sure: this page looks by itself, and you pay once at most.",
                &[(again, "Look again")],
            );
            (true, body)
        }
        Err(_) => {
            let body = summary::blank(
                icon::hourglass(),
                "Your basket is safe, checkout is closed",
                "We do not know yet whether your order was placed, and find out as soon as the checkout answers. You need not place it again: \
                 this page looks by itself, and you pay once at most.",
                &[(again, "Look again")],
            );
            (true, body)
        }
    }
}
