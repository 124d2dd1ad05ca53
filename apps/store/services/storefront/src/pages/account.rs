//! The account: addresses, orders, signing out, and deleting everything.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::customer::v1::{Account, EraseRequest};
use store_contracts::store::orders::v1::{ListRequest, ListResponse, OrderState};

use super::address::{self, Errors};
use super::sign_in::PASSWORD_LENGTH_MAX;
use super::{day, encoded, shown};
use crate::Store;
use crate::backends::{READ_LIMIT, WRITE_LIMIT, within};
use crate::identity::Identity;
use crate::session::Delivery;
use crate::view::field::{self, Text};
use crate::view::{Frame, Notice};
use crate::visit::{Posted, Visit, new_key};

/// Orders on a page of the history, and the longest token for its next page.
const ORDERS: i32 = 10;
const TOKEN_LENGTH_MAX: usize = 500;

/// Shows the account.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    page(&store, visit, StatusCode::OK, Delivery::default(), Errors::new()).await
}

/// Shows the account, with an address that was typed and what is wrong with it.
pub async fn page(store: &Store, visit: Visit, status: StatusCode, typed: Delivery, errors: Errors) -> Response {
    if visit.is_over() {
        return visit.sign_in_again(store, "/account");
    }
    if visit.session().signed_in.is_none() {
        return visit.redirect(store, "/sign-in?next=/account");
    }
    let (identity, orders, mut frame) =
        tokio::join!(store.identify(&visit), orders(store, &visit), store.frame(&visit, "Your account"),);
    frame.here = "/account".to_owned();
    let account = match identity {
        Identity::Guest | Identity::Over => return visit.sign_in_again(store, "/account"),
        Identity::Silent => {
            frame.notices.push(Notice::customer_absent());
            None
        }
        Identity::Customer(account) => Some(account),
    };
    if orders.is_none() {
        frame.notices.push(Notice::orders_absent());
    }
    let body = view(&frame, account.as_deref(), orders.as_ref(), &typed, &errors);
    let page = frame.page(&body);
    visit.page(store, status, &page)
}

async fn orders(store: &Store, visit: &Visit) -> Option<ListResponse> {
    let request = ListRequest {
        shopper_id: visit.session().shopper(),
        limit: ORDERS,
        page_token: visit.params.text("page", TOKEN_LENGTH_MAX).unwrap_or_default(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(READ_LIMIT);
    let answer = store.backends.orders.list(&call, request);
    match within(READ_LIMIT, "orders", answer).await {
        Ok(orders) => Some(orders),
        // A token that was tampered with leads to no orders.
        Err(error) if error.code == Code::InvalidArgument => Some(ListResponse::default()),
        Err(_) => None,
    }
}

/// Deletes the account.
pub async fn erase(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    let Some(customer) = visit.session().signed_in.clone() else {
        return visit.redirect(&store, "/sign-in?next=/account");
    };
    // Asked before, since "unauthenticated" afterwards means that a repeated call had deleted it already.
    if store.identify(&visit).await == Identity::Over {
        return visit.sign_in_again(&store, "/account");
    }
    if visit.session().merge_pending && !store.has_guest_lines(&visit).await {
        visit.change().merge_pending = false;
    }
    let password = fields.raw("password");
    if password.chars().count() > PASSWORD_LENGTH_MAX {
        return visit.redirect(&store, "/account?done=not-erased");
    }
    let request = EraseRequest { token: customer.token.clone(), password: password.to_owned(), ..Default::default() };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.customer.erase(&call, request);
    match within(WRITE_LIMIT, "customer", answer).await.map_err(|error| error.code) {
        Ok(_) | Err(Code::Unauthenticated) => {
            store.vouched.is_over(&customer.token);
            visit.change().sign_out();
            visit.set_delivery(None);
            visit.redirect(&store, "/?done=erased")
        }
        Err(Code::PermissionDenied | Code::InvalidArgument) => visit.redirect(&store, "/account?done=not-erased"),
        Err(_) => visit.redirect(&store, "/account?done=customer-unavailable"),
    }
}

fn view(
    frame: &Frame,
    account: Option<&Account>,
    orders: Option<&ListResponse>,
    typed: &Delivery,
    errors: &Errors,
) -> Markup {
    html! {
        div class="inside" {
            div class="page-head" {
                h1 { @match account { Some(account) => { "Hello, " (account.name) } None => "Your account" } }
                @if let Some(account) = account { p { (account.email) } }
            }
            div class="columns" {
                div {
                    @if let Some(orders) = orders { (orders_view(orders)) }
                    @if let Some(account) = account { (addresses_view(&frame.csrf, account, typed, errors)) }
                }
                aside {
                    div class="panel flow" {
                        form action="/sign-out" method="post" {
                            (field::csrf(&frame.csrf))
                            button class="button quiet full" data-test="sign-out" { "Sign out" }
                        }
                    }
                    @if account.is_some() { (erase_view(&frame.csrf)) }
                }
            }
        }
    }
}

fn orders_view(orders: &ListResponse) -> Markup {
    html! {
        section class="panel" aria-labelledby="orders" data-test="orders" {
            h2 id="orders" { "Your orders" }
            @if orders.orders.is_empty() {
                p class="muted" { "Nothing yet." }
            } @else {
                table class="table" {
                    thead {
                        tr { th scope="col" { "Order" } th scope="col" { "Day" } th scope="col" { "State" } th scope="col" class="end" { "Total" } }
                    }
                    tbody {
                        @for order in &orders.orders {
                            tr data-test="order" data-order=(order.order_id) {
                                td data-name="Order" { a href={ "/orders/" (order.order_id) } { (short(&order.order_id)) } }
                                td data-name="Day" { (day(order.opened_at_ms)) }
                                td data-name="State" { (state(order.state.as_known())) }
                                td data-name="Total" class="end number" { (shown(&order.total)) }
                            }
                        }
                    }
                }
            }
            @if !orders.next_page_token.is_empty() {
                p { a href={ "/account?page=" (encoded(&orders.next_page_token)) } { "Older orders" } }
            }
        }
    }
}

/// The last part of an order's number, enough to tell one's own orders apart.
pub fn short(order_id: &str) -> String {
    let tail = order_id.rsplit('-').next().unwrap_or(order_id);
    format!("…{tail}")
}

/// Where an order stands, in a word.
pub fn state(state: Option<OrderState>) -> Markup {
    let (class, word) = match state {
        Some(OrderState::ORDER_STATE_CONFIRMED) => ("pill good", "Confirmed"),
        Some(OrderState::ORDER_STATE_CANCELLED) => ("pill bad", "Cancelled"),
        _ => ("pill caution", "Pending"),
    };
    html! { span class=(class) data-test="order-state" { (word) } }
}

fn addresses_view(csrf: &str, account: &Account, typed: &Delivery, errors: &Errors) -> Markup {
    html! {
        section class="panel" aria-labelledby="addresses" {
            h2 id="addresses" { "Addresses" }
            @if !account.addresses.is_empty() {
                ul class="tiles" data-test="addresses" {
                    @for saved in &account.addresses {
                        li class="panel flow" data-test="address" {
                            p { (address::lines(&address::delivery(&saved.address, ""))) }
                            form action="/account/addresses" method="post" {
                                (field::csrf(csrf))
                                (field::hidden("address_id", &saved.address_id))
                                (field::hidden("remove", "true"))
                                button class="link-button" { "Remove" span class="hidden-label" { " " (saved.address.line1) } }
                            }
                        }
                    }
                }
            }
            details open[!errors.is_empty() || account.addresses.is_empty()] {
                summary { "Add an address" }
                form class="flow" action="/account/addresses" method="post" data-test="address-form" {
                    (field::csrf(csrf))
                    (field::hidden("key", &new_key()))
                    (address::inputs(typed, errors))
                    button class="button" data-test="address-save" { "Save the address" }
                }
            }
        }
    }
}

fn erase_view(csrf: &str) -> Markup {
    html! {
        details class="panel" {
            summary { "Delete the account" }
            form class="flow" action="/account/erase" method="post" {
                (field::csrf(csrf))
                p class="muted small" { "Your name, addresses and password are deleted for good. Orders are kept, as the law asks." }
                (Text {
                    kind: "password", autocomplete: "current-password",
                    ..Text::new("password", "Your password once more", "", 200)
                }.render())
                button class="button quiet" { "Delete for good" }
            }
        }
    }
}
