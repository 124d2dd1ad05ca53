//! The mail log: every mail the store would have sent. This is a demonstration store, so everybody reads them all.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::notify::v1::{ListRequest, ListResponse};

use super::{encoded, moment};
use crate::Store;
use crate::backends::{READ_LIMIT, within};
use crate::view::{Notice, icon, summary};
use crate::visit::Visit;

/// Mails on a page, and the longest token for the next page.
const MAILS: i32 = 20;
const TOKEN_LENGTH_MAX: usize = 500;

/// Shows the mails, newest first.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let request = ListRequest {
        limit: MAILS,
        page_token: visit.params.text("page", TOKEN_LENGTH_MAX).unwrap_or_default(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(READ_LIMIT);
    let answer = store.backends.notify.list(&call, request);
    let (mails, mut frame) = tokio::join!(within(READ_LIMIT, "notify", answer), store.frame(&visit, "Mail log"),);
    let body = match mails {
        Ok(mails) => view(&mails),
        // A token that was tampered with leads to no mails.
        Err(error) if error.code == Code::InvalidArgument => view(&ListResponse::default()),
        Err(_) => {
            frame.notices.push(Notice::mail_late());
            summary::blank(
                icon::envelope(),
                "Mail arrives late",
                "The mail log does not answer right now. Mails are written from the orders, so that none is lost.",
                &[("/mail", "Try again")],
            )
        }
    };
    let page = frame.page(&body);
    visit.page(&store, StatusCode::OK, &page)
}

fn view(mails: &ListResponse) -> Markup {
    html! {
        div class="inside" {
            div class="page-head" {
                h1 { "Mail log" }
                p { "This is a demonstration store: instead of being sent, every mail is listed here, newest first, for everyone to read." }
            }
            @if mails.mails.is_empty() { p class="muted" { "No mail yet." } }
            ol data-test="mails" {
                @for mail in &mails.mails {
                    li class="panel letter" data-test="mail" data-order=(mail.order_id) {
                        header {
                            h2 { (mail.subject) }
                            p class="muted small" { "To " (mail.recipient) " · " (moment(mail.sent_at_ms)) }
                        }
                        pre { (mail.body) }
                    }
                }
            }
            @if !mails.next_page_token.is_empty() {
                nav class="paging" aria-label="Pages" {
                    a class="button quiet" href={ "/mail?page=" (encoded(&mails.next_page_token)) } rel="next" { "Older mails" }
                }
            }
        }
    }
}
