//! A saga as it is stored, and what must be the same when its key comes again. Of a card only the last four digits are
//! compared; they are all that is ever written. It never writes.

use sha2::{Digest, Sha256};
use shoal_sdk::{Connection, Error, Message, Query};
use store_contracts::store::checkout::v1::PlaceRequest;
use store_contracts::store::orders::v1::OpenRequest;
use store_contracts::store::types::v1::Money;

use crate::saga::State;

/// One order's saga.
#[derive(Clone, Debug)]
pub struct Saga {
    pub order_id: String,
    /// The order as it is opened; empty once it is finished and was shortened.
    pub order: OpenRequest,
    pub total: Money,
    pub basket_version: i64,
    pub state: State,
    pub step: i64,
    pub refusal: String,
    pub attempts: u32,
    pub fence: i64,
    pub body: Body,
}

/// What a request is recognised by.
#[derive(Clone, Debug)]
pub enum Body {
    /// Its [`body_hash`].
    Hash(String),
    /// The request itself, as [`comparable`] made it: from a release that stored no hash.
    Whole(Box<PlaceRequest>),
}

/// What must be the same when a key comes again; of the card only the last four digits.
pub fn comparable(mut request: PlaceRequest) -> PlaceRequest {
    let digits: Vec<char> = request.card_number.chars().filter(char::is_ascii_digit).collect();
    request.card_number = digits.iter().skip(digits.len().saturating_sub(4)).collect();
    request.card_expiry.clear();
    request.place_before_ms = 0;
    request
}

/// The SHA-256 of a [`comparable`] request in Protobuf's encoding, in hexadecimal digits.
pub fn body_hash(comparable: &PlaceRequest) -> String {
    format!("{:x}", Sha256::digest(comparable.encode_to_vec()))
}

impl Body {
    /// Whether this is the same request.
    pub fn is(&self, comparable: &PlaceRequest) -> bool {
        match self {
            Body::Hash(hash) => *hash == body_hash(comparable),
            Body::Whole(request) => **request == *comparable,
        }
    }
}

/// The columns of a saga, in the order in which [`Stored`] names them.
macro_rules! columns {
    () => {
        "order_id, request, order_body, basket_version, state, step, refusal, attempts, fence, body_hash, total_minor,
         total_currency"
    };
}
pub(super) use columns;

/// A row.
#[derive(sqlx::FromRow)]
pub struct Stored {
    order_id: String,
    request: String,
    order_body: String,
    basket_version: i64,
    state: String,
    step: i64,
    refusal: String,
    attempts: i64,
    fence: i64,
    body_hash: String,
    total_minor: i64,
    total_currency: String,
}

impl Stored {
    /// The saga that a query of these columns finds.
    pub async fn find(query: Query, connection: &mut Connection) -> Result<Option<Saga>, Error> {
        let row: Option<Stored> = query.fetch_optional(connection).await?;
        row.map(Stored::read).transpose()
    }

    /// The saga of this row.
    pub fn read(self) -> Result<Saga, Error> {
        let unreadable = |cause: serde_json::Error| {
            tracing::error!(%cause, order = self.order_id, "a stored saga cannot be read");
            Error::data_loss(format!("The checkout of the order `{}` cannot be read.", self.order_id))
        };
        let order = match self.order_body.as_str() {
            "" => OpenRequest::default(),
            body => serde_json::from_str(body).map_err(unreadable)?,
        };
        let body = match self.body_hash.as_str() {
            "" => Body::Whole(serde_json::from_str(&self.request).map_err(unreadable)?),
            hash => Body::Hash(hash.to_owned()),
        };
        let total = match self.total_currency.as_str() {
            "" => order.total.as_option().cloned().unwrap_or_default(),
            currency => Money { minor: self.total_minor, currency: currency.to_owned(), ..Default::default() },
        };
        let state = State::from_name(&self.state).ok_or_else(|| {
            Error::internal(format!("The stored saga state `{}` is not one this release knows.", self.state))
        })?;
        Ok(Saga {
            order_id: self.order_id,
            order,
            total,
            basket_version: self.basket_version,
            state,
            step: self.step,
            refusal: self.refusal,
            attempts: u32::try_from(self.attempts).unwrap_or(u32::MAX),
            fence: self.fence,
            body,
        })
    }
}

/// A message as it is stored.
pub fn json(message: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(message).map_err(|cause| {
        tracing::error!(%cause, "a message cannot be written as JSON");
        Error::internal("The order cannot be logged.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_card_but_four_digits_is_kept() {
        let request = PlaceRequest {
            card_number: "4242 4242 4242 1881".to_owned(),
            card_expiry: "12/30".to_owned(),
            ..Default::default()
        };
        let text = json(&comparable(request)).unwrap();
        assert!(text.contains("1881") && !text.contains("4242") && !text.contains("12/30"), "{text}");
    }

    #[test]
    fn a_body_is_recognised_by_all_that_was_bought() {
        let request = PlaceRequest { email: "ada@example.org".to_owned(), basket_version: 7, ..Default::default() };
        let again = comparable(PlaceRequest { place_before_ms: 12, card_expiry: "1/99".to_owned(), ..request.clone() });
        let other = PlaceRequest { basket_version: 8, ..request.clone() };
        for body in [Body::Hash(body_hash(&request)), Body::Whole(Box::new(request))] {
            assert!(body.is(&again) && !body.is(&other));
        }
    }
}
