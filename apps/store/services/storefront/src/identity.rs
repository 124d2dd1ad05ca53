//! Who visits, asked of the customer service, and the frame of a page for that visitor.
//! An answer of that service goes before the cookie; its silence never does.

use std::time::Instant;

use shoal_sdk::{Call, Code};
use store_contracts::store::basket::v1::{BasketContents, MergeRequest};
use store_contracts::store::customer::v1::{Account, SignOutRequest, VerifyRequest};
use tracing::warn;

use crate::Store;
use crate::backends::{READ_LIMIT, WRITE_LIMIT, within};
use crate::session::Session;
use crate::view::{Count, Frame, Notice, Shelf, Visitor};
use crate::visit::Visit;

/// More different products a basket does not hold.
pub const LINES_MAX: usize = 50;

/// What the customer service says about the visitor.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// Not signed in.
    Guest,
    /// Signed in.
    Customer(Box<Account>),
    /// The cookie says signed in, and the customer service says no more.
    Over,
    /// The cookie says signed in, and the customer service says nothing.
    Silent,
}

impl Store {
    /// Asks the customer service who visits, unless it was asked for this very page; a guest costs no call.
    pub async fn identify(&self, visit: &Visit) -> Identity {
        let Some(customer) = &visit.session().signed_in else {
            return Identity::Guest;
        };
        match visit.identity() {
            Some(identity) => identity.clone(),
            None => self.ask_about(&visit.call, &customer.token).await,
        }
    }

    /// What the customer service says about the sign-in of a cookie, when it has to be asked: nothing for a guest, and while it counts what it
    /// said a moment ago.
    pub async fn check_sign_in(&self, call: &Call, session: &Session) -> Option<Identity> {
        let token = &session.signed_in.as_ref()?.token;
        if !self.vouched.must_ask(token, Instant::now()) {
            return None;
        }
        Some(self.ask_about(call, token).await)
    }

    async fn ask_about(&self, call: &Call, token: &str) -> Identity {
        let call = call.clone().with_timeout(READ_LIMIT);
        let request = VerifyRequest { token: token.to_owned(), ..Default::default() };
        let answer = self.backends.customer.verify(&call, request);
        match within(READ_LIMIT, "customer", answer).await.map(|answer| answer.account.into_option()) {
            Ok(Some(account)) => {
                self.vouched.holds(token, Instant::now());
                Identity::Customer(Box::new(account))
            }
            Err(error) if error.code == Code::Unauthenticated => {
                self.vouched.is_over(token);
                Identity::Over
            }
            Ok(None) | Err(_) => {
                self.vouched.is_silent(Instant::now());
                Identity::Silent
            }
        }
    }

    /// Ends the visitor's sign-in at the customer service, so that a copy of the cookie is worth nothing. While that service is silent only
    /// this browser forgets it.
    pub async fn end_sign_in(&self, visit: &Visit) {
        let Some(customer) = &visit.session().signed_in else {
            return;
        };
        self.vouched.is_over(&customer.token);
        let call = visit.call.clone().with_timeout(WRITE_LIMIT);
        let request = SignOutRequest { token: customer.token.clone(), ..Default::default() };
        let answer = self.backends.customer.sign_out(&call, request);
        if let Err(error) = within(WRITE_LIMIT, "customer", answer).await {
            warn!(code = ?error.code, "a sign-in goes on until its end, since signing out did not work: {}", error.message);
        }
    }

    /// The frame of a page, with the basket's count from the basket service.
    pub async fn frame(&self, visit: &Visit, title: &str) -> Frame {
        let basket = self.backends.basket(&visit.call, &visit.session().shopper()).await;
        self.frame_with(visit, title, basket.as_ref())
    }

    /// The frame of a page that read the basket already; none says that the basket service was silent.
    pub fn frame_with(&self, visit: &Visit, title: &str, basket: Option<&BasketContents>) -> Frame {
        let session = visit.session();
        let done = visit.params.raw("done");
        let mut notices: Vec<Notice> = Notice::of_code(done).into_iter().collect();
        if visit.is_over() && done != "session-over" {
            notices.extend(Notice::of_code("session-over"));
        }
        if basket.is_none() && done != "basket-unavailable" {
            notices.push(Notice::basket_absent());
        }
        let shelves = self.backends.memory.categories().into_iter();
        Frame {
            title: title.to_owned(),
            currency: session.currency(),
            basket: basket.map_or(Count::Unknown, |basket| Count::Pieces(pieces(basket))),
            visitor: match &session.signed_in {
                None => Visitor::Guest,
                Some(customer) => Visitor::Customer { name: customer.name.clone(), admin: customer.admin },
            },
            csrf: session.csrf.clone(),
            here: visit.here.clone(),
            search: String::new(),
            shelves: shelves
                .map(|category| Shelf {
                    id: category.id,
                    title: category.title,
                    products: u32::try_from(category.products).unwrap_or(0),
                })
                .collect(),
            shelf: None,
            notices,
            reload_seconds: None,
        }
    }

    /// Moves what the visitor collected as a guest into the customer's basket. Until all of it is there for sure it is tried again with the
    /// next look at the basket: a merge that is repeated adds nothing.
    pub async fn merge_basket(&self, visit: &mut Visit) {
        let session = visit.session();
        if session.signed_in.is_none() {
            return;
        }
        let request = MergeRequest {
            guest_shopper_id: session.guest_shopper(),
            customer_shopper_id: session.shopper(),
            ..Default::default()
        };
        let call = visit.call.clone().with_timeout(WRITE_LIMIT);
        let answer = self.backends.basket.merge(&call, request);
        let pending = match within(WRITE_LIMIT, "basket", answer).await {
            Ok(answer) if answer.basket.lines.len() >= LINES_MAX => self.has_guest_lines(visit).await,
            Ok(_) => false,
            // Only such an answer would be the same every time.
            Err(error) => error.code != Code::InvalidArgument,
        };
        if visit.session().merge_pending != pending {
            visit.change().merge_pending = pending;
        }
    }

    /// Whether the guest's basket still holds what did not fit into the customer's; a silent one may.
    pub async fn has_guest_lines(&self, visit: &Visit) -> bool {
        let basket = self.backends.basket(&visit.call, &visit.session().guest_shopper()).await;
        basket.is_none_or(|basket| !basket.lines.is_empty())
    }
}

fn pieces(basket: &BasketContents) -> u32 {
    let quantities = basket.lines.iter().map(|line| u32::try_from(line.quantity).unwrap_or(0));
    quantities.fold(0, u32::saturating_add)
}
