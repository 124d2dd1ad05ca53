//! Signing in and out. What the guest collected moves into the customer's basket.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::customer::v1::{Account, Session as CustomerSession, SignInRequest};

use crate::Store;
use crate::backends::{WRITE_LIMIT, within};
use crate::session::SignedIn;
use crate::view::field::{self, Text};
use crate::view::notice::Tone;
use crate::view::{Notice, notice};
use crate::visit::{Posted, Visit, local_path};

/// The contract's limits.
pub const EMAIL_LENGTH_MAX: usize = 254;
/// See [`EMAIL_LENGTH_MAX`].
pub const PASSWORD_LENGTH_MAX: usize = 200;

/// Shows the form; who is signed in already is led on.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let next = next_of(visit.params.raw("next")).to_owned();
    if visit.session().signed_in.is_some() {
        return visit.redirect(&store, &next);
    }
    page(&store, visit, StatusCode::OK, "", &next, None).await
}

/// Where to go after signing in.
pub fn next_of(next: &str) -> &str {
    if next.is_empty() { "/account" } else { local_path(next) }
}

/// Signs in.
pub async fn sign_in(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    let next = next_of(fields.raw("next")).to_owned();
    let email = fields.text("email", EMAIL_LENGTH_MAX).unwrap_or_default();
    let password = fields.raw("password");
    if email.is_empty() || password.is_empty() || password.len() > 4 * PASSWORD_LENGTH_MAX {
        return page(&store, visit, UNPROCESSABLE, &email, &next, Some(wrong())).await;
    }
    let request = SignInRequest { email: email.clone(), password: password.to_owned(), ..Default::default() };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.customer.sign_in(&call, request);
    match within(WRITE_LIMIT, "customer", answer).await {
        Ok(answer) => {
            take_on(&store, &mut visit, &answer.account, &answer.session).await;
            let path = with_done(&next, "signed-in");
            visit.redirect(&store, &path)
        }
        Err(error) => {
            let (status, notice) = match error.code {
                Code::Unauthenticated | Code::InvalidArgument => (UNPROCESSABLE, wrong()),
                Code::ResourceExhausted => (StatusCode::TOO_MANY_REQUESTS, too_many()),
                _ => (StatusCode::SERVICE_UNAVAILABLE, Notice::customer_absent()),
            };
            page(&store, visit, status, &email, &next, Some(notice)).await
        }
    }
}

const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

fn wrong() -> Notice {
    Notice::new(Tone::Bad, "sign-in-wrong", "That did not match.", "The e-mail address or the password is wrong.")
}

fn too_many() -> Notice {
    Notice::new(
        Tone::Bad,
        "sign-in-too-often",
        "That was wrong too often.",
        "Please wait a quarter of an hour and try again.",
    )
}

/// Remembers who signed in, and moves the guest's basket over.
pub async fn take_on(store: &Store, visit: &mut Visit, account: &Account, session: &CustomerSession) {
    visit.change().sign_in(SignedIn {
        customer_id: account.customer_id.clone(),
        name: account.name.clone(),
        admin: account.admin,
        token: session.token.clone(),
        expires_at_ms: session.expires_at_ms,
    });
    store.vouched.holds(&session.token, Instant::now());
    store.merge_basket(visit).await;
    // What another tab puts into the guest's basket meanwhile comes along with the next look at it.
    visit.change().merge_pending = true;
}

/// A path with what to say there.
pub fn with_done(path: &str, done: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}done={done}")
}

/// Signs out.
pub async fn sign_out(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let mut visit = posted.visit;
    if visit.session().merge_pending {
        store.merge_basket(&mut visit).await;
    }
    store.end_sign_in(&visit).await;
    let done = if visit.session().merge_pending { "signed-out-waits" } else { "signed-out" };
    visit.change().sign_out();
    visit.set_delivery(None);
    let path = with_done("/", done);
    visit.redirect(&store, &path)
}

async fn page(
    store: &Store,
    visit: Visit,
    status: StatusCode,
    email: &str,
    next: &str,
    said: Option<Notice>,
) -> Response {
    let mut frame = store.frame(&visit, "Sign in").await;
    // A refused form has no address that could be loaded again.
    frame.here = "/sign-in".to_owned();
    let body = view(&frame.csrf, email, next, said.as_ref());
    let page = frame.page(&body);
    visit.page(store, status, &page)
}

fn view(csrf: &str, email: &str, next: &str, said: Option<&Notice>) -> Markup {
    html! {
        div class="inside narrow" {
            div class="page-head" {
                h1 { "Sign in" }
                p { "Your basket comes along." }
            }
            form class="panel flow" action="/sign-in" method="post" data-test="sign-in-form" {
                (field::csrf(csrf))
                (field::hidden("next", next))
                @if let Some(said) = said { (notice::one(said)) }
                (Text { kind: "email", autocomplete: "username", ..Text::new("email", "E-mail", email, 254) }.render())
                (Text { kind: "password", autocomplete: "current-password", ..Text::new("password", "Password", "", 200) }.render())
                button class="button full" data-test="sign-in" { "Sign in" }
                p class="muted" {
                    "New here? " a href={ "/register?next=" (super::encoded(next)) } data-test="register-link" { "Open an account" }
                }
            }
        }
    }
}
