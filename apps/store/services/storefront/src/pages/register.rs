//! Opening an account.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use maud::{Markup, html};
use shoal_sdk::Code;
use store_contracts::store::customer::v1::RegisterRequest;

use super::sign_in::{EMAIL_LENGTH_MAX, PASSWORD_LENGTH_MAX, next_of, take_on, with_done};
use crate::Store;
use crate::backends::{WRITE_LIMIT, within};
use crate::view::field::{self, Text};
use crate::view::notice::Tone;
use crate::view::{Notice, notice};
use crate::visit::{Posted, Visit, new_key};

const PASSWORD_LENGTH_MIN: usize = 8;
const NAME_LENGTH_MAX: usize = 100;

/// What was typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    key: String,
    next: String,
    name: String,
    email: String,
    name_error: &'static str,
    email_error: &'static str,
    password_error: &'static str,
    notice: Option<Notice>,
}

impl Typed {
    fn is_wrong(&self) -> bool {
        [self.name_error, self.email_error, self.password_error].iter().any(|error| !error.is_empty())
    }
}

/// Shows the form.
pub async fn show(State(store): State<Arc<Store>>, visit: Visit) -> Response {
    let next = next_of(visit.params.raw("next")).to_owned();
    if visit.session().signed_in.is_some() {
        return visit.redirect(&store, &next);
    }
    let typed = Typed { key: new_key(), next, ..Typed::default() };
    page(&store, visit, StatusCode::OK, &typed).await
}

/// Opens the account and signs in.
pub async fn register(State(store): State<Arc<Store>>, posted: Posted) -> Response {
    let Posted { mut visit, fields } = posted;
    let password = fields.raw("password");
    let mut typed = Typed {
        key: fields.key("key").unwrap_or_else(new_key),
        next: next_of(fields.raw("next")).to_owned(),
        name: fields.text("name", NAME_LENGTH_MAX).unwrap_or_default(),
        email: fields.text("email", EMAIL_LENGTH_MAX).unwrap_or_default(),
        ..Typed::default()
    };
    if typed.name.is_empty() {
        typed.name_error = "How shall we call you? At most 100 characters.";
    }
    if !is_email(&typed.email) {
        typed.email_error = "Write an e-mail address, like ada@example.org.";
    }
    if !(PASSWORD_LENGTH_MIN..=PASSWORD_LENGTH_MAX).contains(&password.chars().count()) {
        typed.password_error = "Use 8 to 200 characters.";
    }
    if typed.is_wrong() {
        return page(&store, visit, StatusCode::UNPROCESSABLE_ENTITY, &typed).await;
    }
    let request = RegisterRequest {
        idempotency_key: typed.key.clone(),
        email: typed.email.clone(),
        password: password.to_owned(),
        name: typed.name.clone(),
        ..Default::default()
    };
    let call = visit.call.clone().with_timeout(WRITE_LIMIT);
    let answer = store.backends.customer.register(&call, request);
    let error = match within(WRITE_LIMIT, "customer", answer).await {
        Ok(answer) => {
            take_on(&store, &mut visit, &answer.account, &answer.session).await;
            let path = with_done(&typed.next, "registered");
            return visit.redirect(&store, &path);
        }
        Err(error) => error,
    };
    let status = match error.code {
        // The latter: this very form opened it before, with another password.
        Code::AlreadyExists | Code::Unauthenticated => {
            typed.email_error = "This address has an account already: sign in instead.";
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::InvalidArgument | Code::ResourceExhausted => {
            typed.notice =
                Some(Notice::new(Tone::Bad, "register-refused", "Your account was not opened.", error.message));
            StatusCode::UNPROCESSABLE_ENTITY
        }
        _ => {
            typed.notice = Some(Notice::customer_absent());
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    page(&store, visit, status, &typed).await
}

/// Whether a text looks like an address that mail can be sent to; the mail itself is the only real test. What the services
/// behind would refuse, such as a second `@`, is no address here either: they could only say so later and worse.
pub fn is_email(text: &str) -> bool {
    let well_formed = |(name, host): (&str, &str)| {
        !name.is_empty() && host.contains('.') && !host.starts_with('.') && !host.ends_with('.') && !host.contains('@')
    };
    text.chars().count() <= EMAIL_LENGTH_MAX
        && !text.chars().any(|letter| letter.is_whitespace() || letter.is_control())
        && text.split_once('@').is_some_and(well_formed)
}

async fn page(store: &Store, visit: Visit, status: StatusCode, typed: &Typed) -> Response {
    let mut frame = store.frame(&visit, "Open an account").await;
    frame.here = "/register".to_owned();
    let body = view(&frame.csrf, typed);
    let page = frame.page(&body);
    visit.page(store, status, &page)
}

fn view(csrf: &str, typed: &Typed) -> Markup {
    html! {
        div class="inside narrow" {
            div class="page-head" {
                h1 { "Open an account" }
                p { "It keeps your addresses and your orders. Your basket comes along." }
            }
            form class="panel flow" action="/register" method="post" data-test="register-form" {
                (field::csrf(csrf))
                (field::hidden("key", &typed.key))
                (field::hidden("next", &typed.next))
                @if let Some(said) = &typed.notice { (notice::one(said)) }
                (Text {
                    autocomplete: "name", error: typed.name_error,
                    ..Text::new("name", "Name", &typed.name, 100)
                }.render())
                (Text {
                    kind: "email", autocomplete: "username", error: typed.email_error,
                    ..Text::new("email", "E-mail", &typed.email, 254)
                }.render())
                (Text {
                    kind: "password", autocomplete: "new-password", error: typed.password_error, hint: "At least 8 characters.",
                    ..Text::new("password", "Password", "", 200)
                }.render())
                button class="button full" data-test="register" { "Open the account" }
                p class="muted" { "Have one already? " a href={ "/sign-in?next=" (super::encoded(&typed.next)) } { "Sign in" } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_addresses_from_other_text() {
        for good in ["ada@example.org", "a.b+c@d.example"] {
            assert!(is_email(good), "{good}");
        }
        for bad in
            ["", "ada", "@example.org", "ada@", "ada@host", "ada@.org", "a b@c.d", "a@b.c\n", "\"a@b\"@c.example"]
        {
            assert!(!is_email(bad), "{bad}");
        }
    }
}
