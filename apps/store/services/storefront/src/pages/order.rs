//! One order: what was bought, what was paid, where the parcel is. Only whoever ordered it sees it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::orders::v1::{GetRequest, Order, OrderState};
use store_contracts::store::shipping::v1::{Shipment, ShipmentState, TrackRequest};
use uuid::Uuid;

use super::{account, address, day, missing, moment, postage, shown};
use crate::Store;
use crate::backends::{READ_LIMIT, within};
use crate::view::summary::{self, Sum};
use crate::view::{Notice, icon};
use crate::visit::Visit;

/// Where the parcel is, as far as shipping says.
enum Tracking {
    Shipped(Box<Shipment>),
    NotYet,
    Silent,
}

/// Shows the order.
pub async fn show(State(store): State<Arc<Store>>, Path(id): Path<String>, visit: Visit) -> Response {
    if visit.is_over() {
        let here = visit.here.clone();
        return visit.sign_in_again(&store, &here);
    }
    let Ok(id) = id.parse::<Uuid>() else {
        return missing::page(&store, visit).await;
    };
    let id = id.to_string();
    let call = visit.call.clone().with_timeout(READ_LIMIT);
    let request = GetRequest { order_id: id.clone(), ..Default::default() };
    let order = store.backends.orders.get(&call, request);
    let (order, tracking, mut frame) = tokio::join!(
        within(READ_LIMIT, "orders", order),
        track(&store, &visit, &id),
        store.frame(&visit, "Your order"),
    );
    let order = match order {
        Ok(answer) => answer.order.into_option().unwrap_or_default(),
        Err(error) if matches!(error.code, Code::NotFound | Code::InvalidArgument) => {
            return missing::page(&store, visit).await;
        }
        Err(_) => {
            frame.notices.push(Notice::orders_absent());
            let page = frame.page(&unavailable(&id));
            return visit.page(&store, StatusCode::OK, &page);
        }
    };
    // A stranger must not learn that the order exists.
    let session = visit.session();
    if order.shopper_id != session.shopper() && order.shopper_id != session.guest_shopper() {
        return missing::page(&store, visit).await;
    }
    if matches!(tracking, Tracking::Silent) {
        frame.notices.push(Notice::shipment_unknown());
    }
    let page = frame.page(&view(&order, &tracking));
    visit.page(&store, StatusCode::OK, &page)
}

async fn track(store: &Store, visit: &Visit, id: &str) -> Tracking {
    let request = TrackRequest { order_id: id.to_owned(), ..Default::default() };
    let call = visit.call.clone().with_timeout(READ_LIMIT);
    let answer = store.backends.shipping.track(&call, request);
    match within(READ_LIMIT, "shipping", answer).await {
        Ok(answer) => match answer.shipment.into_option() {
            Some(shipment) => Tracking::Shipped(Box::new(shipment)),
            None => Tracking::NotYet,
        },
        Err(error) if error.code == Code::NotFound => Tracking::NotYet,
        Err(_) => Tracking::Silent,
    }
}

fn unavailable(id: &str) -> Markup {
    html! {
        div class="inside blank" {
            (icon::parcel())
            h1 { "Order details cannot be shown right now" }
            p { "Your order number is " strong data-test="order-number" { (id) } "." }
            div class="actions" { a class="button" href={ "/orders/" (id) } { "Try again" } }
        }
    }
}

fn view(order: &Order, tracking: &Tracking) -> Markup {
    html! {
        div class="inside" {
            div class="page-head" {
                h1 { (title(order)) }
                p {
                    "Order " code data-test="order-number" { (order.order_id) } " · " (moment(order.opened_at_ms)) " · "
                    (account::state(order.state.as_known()))
                }
                @if !order.cancel_reason.is_empty() { p { (order.cancel_reason) } }
            }
            div class="columns" {
                div {
                    (shipment_panel(order, tracking))
                    (lines_panel(order))
                }
                aside {
                    section class="panel" aria-labelledby="paid" {
                        h2 id="paid" { "What it costs" }
                        (summary::sums(&sums(order)))
                    }
                    section class="panel" aria-labelledby="to" {
                        h2 id="to" { "It goes to" }
                        p { (address::lines(&address::delivery(&order.address, &order.email))) }
                        p class="muted small" { (order.email) }
                    }
                }
            }
        }
    }
}

fn title(order: &Order) -> &'static str {
    match order.state.as_known() {
        Some(OrderState::ORDER_STATE_CONFIRMED) => "Thank you for your order",
        Some(OrderState::ORDER_STATE_CANCELLED) => "This order was cancelled",
        _ => "Your order is being decided",
    }
}

fn sums(order: &Order) -> [Sum; 3] {
    let row = |name, amount, grand, test| Sum { name, amount, grand, test };
    [
        row("Subtotal", shown(&order.subtotal), false, "subtotal"),
        row("Shipping", postage(&order.shipping), false, "shipping"),
        row("Total", shown(&order.total), true, "total"),
    ]
}

fn lines_panel(order: &Order) -> Markup {
    html! {
        section class="panel" aria-labelledby="lines" {
            h2 id="lines" { "What you ordered" }
            ul class="lines" data-test="order-lines" {
                @for line in &order.lines {
                    li data-test="order-line" data-product=(line.product_id) {
                        // An order keeps the names of its products, not their pictures: this is the product's picture of today.
                        div class="plate" {
                            img src={ "/pictures/" (super::encoded(&line.product_id)) } alt="" width="160" height="160" loading="lazy";
                        }
                        div {
                            h3 { a href={ "/product/" (super::encoded(&line.product_id)) } { (line.name) } }
                            p class="muted small number" { (line.quantity) " × " (shown(&line.unit_price)) }
                        }
                        p class="total" { (shown(&line.total)) }
                    }
                }
            }
        }
    }
}

fn shipment_panel(order: &Order, tracking: &Tracking) -> Markup {
    let confirmed = order.state == OrderState::ORDER_STATE_CONFIRMED;
    html! {
        @if confirmed {
            section class="panel flow" aria-labelledby="parcel" data-test="shipment" {
                h2 id="parcel" { "Your parcel" }
                @match tracking {
                    Tracking::Shipped(shipment) => (shipment_view(shipment)),
                    Tracking::NotYet => {
                        (journey(0))
                        p class="muted" { "We are about to pack it. The tracking number appears here." }
                    }
                    Tracking::Silent => p class="muted" { "The shipment follows later." },
                }
            }
        }
    }
}

fn shipment_view(shipment: &Shipment) -> Markup {
    let steps = match shipment.state.as_known() {
        Some(ShipmentState::SHIPMENT_STATE_DELIVERED) => 3,
        Some(ShipmentState::SHIPMENT_STATE_DISPATCHED) => 2,
        _ => 1,
    };
    html! {
        (journey(steps))
        dl class="facts" {
            div { dt { "Carrier" } dd { (shipment.carrier) } }
            div { dt { "Tracking number" } dd { code data-test="tracking-number" { (shipment.tracking_number) } } }
            div { dt { "Expected" } dd { (day(shipment.expected_at_ms)) } }
        }
    }
}

/// How far the parcel is: so many of four stages lie behind it.
fn journey(steps: usize) -> Markup {
    html! {
        ol class="journey" {
            @for (place, stage) in ["Ordered", "Packed", "On its way", "Arrived"].into_iter().enumerate() {
                li data-done[place <= steps] {
                    (stage)
                    @if place <= steps { span class="hidden-label" { " (done)" } }
                }
            }
        }
    }
}
