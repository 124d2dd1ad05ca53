//! Who visits, asked of the customer service, and the frame of a page for that visitor.
//! An answer of that service goes before the cookie; its silence never does.

use shoal_sdk::Code;
use store_contracts::store::basket::v1::{BasketContents, MergeRequest};
use store_contracts::store::customer::v1::{Account, VerifyRequest};

use crate::Store;
use crate::backends::{READ_LIMIT, WRITE_LIMIT, is_absence, within};
use crate::view::{Count, Frame, Notice, Shelf, Visitor};
use crate::visit::Visit;

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
    /// Asks the customer service who visits; a guest costs no call.
    pub async fn identify(&self, visit: &Visit) -> Identity {
        let Some(customer) = &visit.session().signed_in else {
            return Identity::Guest;
        };
        let call = visit.call.clone().with_timeout(READ_LIMIT);
        let request = VerifyRequest { token: customer.token.clone(), ..Default::default() };
        let answer = self.backends.customer.verify(&call, request);
        match within(READ_LIMIT, "customer", answer).await {
            Ok(answer) => match answer.account.into_option() {
                Some(account) => Identity::Customer(Box::new(account)),
                None => Identity::Silent,
            },
            Err(error) if error.code == Code::Unauthenticated => Identity::Over,
            Err(_) => Identity::Silent,
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

    /// Moves what the visitor collected as a guest into the customer's basket. When the basket service is silent it is tried again with
    /// the next look at the basket: a merge that is repeated adds nothing.
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
            Ok(_) => false,
            Err(error) => is_absence(&error),
        };
        if visit.session().merge_pending != pending {
            visit.change().merge_pending = pending;
        }
    }
}

fn pieces(basket: &BasketContents) -> u32 {
    let quantities = basket.lines.iter().map(|line| u32::try_from(line.quantity).unwrap_or(0));
    quantities.fold(0, u32::saturating_add)
}
