//! Stand-ins for what has to do with people: basket, customer, checkout, orders, notify.

use shoal_sdk::{Call, Error, async_trait};
use store_contracts::store::basket::v1::{
    self as basket, BasketContents, BasketLine, MergeRequest, MergeResponse, SetItemRequest, SetItemResponse,
};
use store_contracts::store::checkout::v1::{
    PlaceRequest, PlaceResponse, PlaceState, PricedLine, QuoteRequest, QuoteResponse, StatusRequest, StatusResponse,
};
use store_contracts::store::customer::v1::*;
use store_contracts::store::notify::v1::{self as notify, Mail};
use store_contracts::store::orders::v1::{self as orders, Order, OrderLine, OrderState};
use store_contracts::store::shipping::v1::{Shipment, ShipmentState};
use store_contracts::store::types::v1::Money;
use storefront::calls;

use super::{PASSWORD, State, World};

const NOW: i64 = 1_795_317_749_000;

pub fn fill(state: &mut State) {
    let admin = Account {
        customer_id: "6f1c8f60-0000-4000-8000-000000000001".to_owned(),
        email: "admin@store.example".to_owned(),
        name: "Mina".to_owned(),
        admin: true,
        ..Default::default()
    };
    state.accounts.insert(admin.email.clone(), admin);
}

fn money(minor: i64, currency: &str) -> Money {
    Money { minor, currency: currency.to_owned(), ..Default::default() }
}

/// More different products a basket does not hold.
pub const LINES_MAX: usize = 50;

fn session(state: &mut State, account: &Account) -> Session {
    state.sessions += 1;
    let token = format!("token-{}-of-{}", state.sessions, account.email);
    Session { token, expires_at_ms: i64::MAX, ..Default::default() }
}

/// The account of a session that is not over.
fn account_of<'a>(state: &'a mut State, token: &str) -> Result<&'a mut Account, Error> {
    let email = token.split_once("-of-").map_or("", |(_, email)| email);
    let is_ended = state.ended.contains(token);
    let account = state.accounts.get_mut(email).filter(|_| !is_ended);
    account.ok_or_else(|| Error::unauthenticated("over"))
}

fn quote(state: &State, shopper: &str, currency: &str) -> Result<QuoteResponse, Error> {
    let basket = state.baskets.get(shopper).cloned().unwrap_or_default();
    if basket.lines.is_empty() {
        return Err(Error::failed_precondition("the basket is empty"));
    }
    let mut lines = Vec::new();
    let mut gone = Vec::new();
    let mut subtotal = 0;
    for line in &basket.lines {
        let product = state.products.iter().find(|product| product.id == line.product_id);
        let price = product.and_then(|product| product.prices.iter().find(|price| price.amount.currency == currency));
        let (Some(product), Some(price)) = (product, price) else {
            gone.push(line.product_id.clone());
            continue;
        };
        let unit = price.amount.minor + state.surcharge;
        let total = unit * i64::from(line.quantity);
        subtotal += total;
        lines.push(PricedLine {
            product_id: product.id.clone(),
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price: money(unit, currency).into(),
            total: money(total, currency).into(),
            short: state.stock.get(&product.id).copied().unwrap_or(0) < line.quantity,
            ..Default::default()
        });
    }
    Ok(QuoteResponse {
        lines,
        subtotal: money(subtotal, currency).into(),
        shipping: money(490, currency).into(),
        total: money(subtotal + 490, currency).into(),
        basket_version: basket.version,
        shipping_is_flat_rate: state.down.contains("shipping"),
        unavailable_product_ids: gone,
        ..Default::default()
    })
}

#[async_trait]
impl calls::Basket for World {
    async fn get(&self, _: &Call, request: basket::GetRequest) -> Result<basket::GetResponse, Error> {
        let state = self.enter("basket")?;
        let basket = state.baskets.get(&request.shopper_id).cloned();
        Ok(basket::GetResponse { basket: basket.unwrap_or_default().into(), ..Default::default() })
    }

    async fn set_item(&self, _: &Call, request: SetItemRequest) -> Result<SetItemResponse, Error> {
        let mut state = self.enter("basket")?;
        if let Some(error) = state.basket_error.take() {
            return Err(error);
        }
        let basket = state.baskets.entry(request.shopper_id).or_default();
        let place = basket.lines.iter().position(|line| line.product_id == request.product_id);
        let held = place.map_or(0, |place| basket.lines[place].quantity);
        if request.expected_version.is_some_and(|version| version != basket.version) {
            return Err(Error::aborted("another version"));
        }
        if held != request.quantity {
            if place.is_none() && basket.lines.len() >= LINES_MAX {
                return Err(Error::resource_exhausted("it is full"));
            }
            basket.version += 1;
            match place {
                Some(place) if request.quantity == 0 => {
                    basket.lines.remove(place);
                }
                Some(place) => basket.lines[place].quantity = request.quantity,
                None => basket.lines.push(BasketLine {
                    product_id: request.product_id,
                    quantity: request.quantity,
                    ..Default::default()
                }),
            }
        }
        Ok(SetItemResponse { basket: basket.clone().into(), ..Default::default() })
    }

    async fn merge(&self, _: &Call, request: MergeRequest) -> Result<MergeResponse, Error> {
        let mut state = self.enter("basket")?;
        if let Some(error) = state.basket_error.take() {
            return Err(error);
        }
        let mut guest = state.baskets.remove(&request.guest_shopper_id).unwrap_or_default();
        let basket = state.baskets.entry(request.customer_shopper_id).or_default();
        for line in std::mem::take(&mut guest.lines) {
            let room = basket.lines.len() < LINES_MAX;
            match basket.lines.iter_mut().find(|held| held.product_id == line.product_id) {
                Some(held) => held.quantity = (held.quantity + line.quantity).min(99),
                None if room => basket.lines.push(line),
                None => guest.lines.push(line),
            }
            basket.version += 1;
        }
        let merged = basket.clone();
        guest.version += 1;
        state.baskets.insert(request.guest_shopper_id, guest);
        Ok(MergeResponse { basket: merged.into(), ..Default::default() })
    }
}

#[async_trait]
impl calls::Customer for World {
    async fn register(&self, _: &Call, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        let mut state = self.enter("customer")?;
        if state.accounts.contains_key(&request.email) {
            return Err(Error::already_exists("this address has an account"));
        }
        let account = Account {
            customer_id: format!("6f1c8f60-0000-4000-8000-{:012}", state.accounts.len() + 1),
            email: request.email.clone(),
            name: request.name,
            ..Default::default()
        };
        state.accounts.insert(request.email, account.clone());
        Ok(RegisterResponse {
            session: session(&mut state, &account).into(),
            account: account.into(),
            ..Default::default()
        })
    }

    async fn sign_in(&self, _: &Call, request: SignInRequest) -> Result<SignInResponse, Error> {
        let mut state = self.enter("customer")?;
        let account = state.accounts.get(&request.email).cloned();
        let account =
            account.filter(|_| request.password == PASSWORD).ok_or_else(|| Error::unauthenticated("wrong"))?;
        Ok(SignInResponse {
            session: session(&mut state, &account).into(),
            account: account.into(),
            ..Default::default()
        })
    }

    async fn sign_out(&self, _: &Call, request: SignOutRequest) -> Result<SignOutResponse, Error> {
        self.enter("customer")?.ended.insert(request.token);
        Ok(SignOutResponse::default())
    }

    async fn verify(&self, _: &Call, request: VerifyRequest) -> Result<VerifyResponse, Error> {
        let mut state = self.enter("customer")?;
        let account = account_of(&mut state, &request.token)?.clone();
        Ok(VerifyResponse { account: account.into(), ..Default::default() })
    }

    async fn put_address(&self, _: &Call, request: PutAddressRequest) -> Result<PutAddressResponse, Error> {
        let mut state = self.enter("customer")?;
        let account = account_of(&mut state, &request.token)?;
        if request.remove {
            account.addresses.retain(|saved| saved.address_id != request.address_id);
        } else {
            let number = account.addresses.len();
            account.addresses.push(SavedAddress {
                address_id: format!("address-{number}"),
                address: request.address,
                ..Default::default()
            });
        }
        Ok(PutAddressResponse { account: account.clone().into(), ..Default::default() })
    }

    async fn erase(&self, _: &Call, request: EraseRequest) -> Result<EraseResponse, Error> {
        let mut state = self.enter("customer")?;
        if request.password != PASSWORD {
            return Err(Error::permission_denied("wrong"));
        }
        let email = account_of(&mut state, &request.token)?.email.clone();
        state.accounts.remove(&email);
        Ok(EraseResponse::default())
    }
}

impl World {
    fn confirm(state: &mut State, request: &PlaceRequest, quote: QuoteResponse) -> String {
        let order_id = format!("01933000-0000-7000-8000-{:012}", state.orders.len() + 1);
        let lines = quote.lines.into_iter().map(|line| OrderLine {
            product_id: line.product_id,
            name: line.name,
            quantity: line.quantity,
            unit_price: line.unit_price,
            total: line.total,
            ..Default::default()
        });
        state.orders.push(Order {
            order_id: order_id.clone(),
            shopper_id: request.shopper_id.clone(),
            email: request.email.clone(),
            address: request.address.clone(),
            lines: lines.collect(),
            subtotal: quote.subtotal,
            shipping: quote.shipping,
            total: quote.total,
            state: OrderState::ORDER_STATE_CONFIRMED.into(),
            opened_at_ms: NOW,
            decided_at_ms: NOW,
            ..Default::default()
        });
        state.shipments.insert(
            order_id.clone(),
            Shipment {
                shipment_id: "s".to_owned(),
                order_id: order_id.clone(),
                state: ShipmentState::SHIPMENT_STATE_DISPATCHED.into(),
                carrier: "Heron Post".to_owned(),
                tracking_number: "HP 4471 9920 13".to_owned(),
                expected_at_ms: NOW + 3 * 86_400_000,
                ..Default::default()
            },
        );
        state.mails.insert(
            0,
            Mail {
                mail_id: "m".to_owned(),
                recipient: request.email.clone(),
                subject: "Your order is confirmed".to_owned(),
                body: format!("Thank you!\n\nYour order number is {order_id}."),
                order_id: order_id.clone(),
                sent_at_ms: NOW,
                ..Default::default()
            },
        );
        let basket = state.baskets.entry(request.shopper_id.clone()).or_default();
        *basket = BasketContents { version: basket.version + 1, ..Default::default() };
        order_id
    }
}

#[async_trait]
impl calls::Checkout for World {
    async fn quote(&self, _: &Call, request: QuoteRequest) -> Result<QuoteResponse, Error> {
        let state = self.enter("checkout")?;
        quote(&state, &request.shopper_id, &request.currency)
    }

    async fn place(&self, _: &Call, request: PlaceRequest) -> Result<PlaceResponse, Error> {
        let mut state = self.enter("checkout")?;
        if let Some(error) = state.place_error.take() {
            return Err(error);
        }
        if let Some(placed) = state.placed.get(&request.idempotency_key) {
            return Ok(placed.clone());
        }
        let quote = quote(&state, &request.shopper_id, &request.expected_total.currency)?;
        if quote.total != request.expected_total || quote.basket_version != request.basket_version {
            return Err(Error::failed_precondition("changed").with_detail(&quote));
        }
        let total = quote.total.clone();
        let mut placed = PlaceResponse { total, ..Default::default() };
        match request.card_number.as_str() {
            "4242424242424242" => {
                placed.order_id = World::confirm(&mut state, &request, quote);
                placed.state = PlaceState::PLACE_STATE_CONFIRMED.into();
            }
            "4000000000000119" => {
                placed.order_id = "01933000-0000-7000-8000-00000000beef".to_owned();
                placed.state = PlaceState::PLACE_STATE_PENDING.into();
            }
            _ => {
                placed.state = PlaceState::PLACE_STATE_REFUSED.into();
                placed.refusal = "Your bank declined the card.".to_owned();
            }
        }
        state.placed.insert(request.idempotency_key, placed.clone());
        Ok(placed)
    }

    async fn status(&self, _: &Call, request: StatusRequest) -> Result<StatusResponse, Error> {
        let state = self.enter("checkout")?;
        let placed = state.placed.get(&request.idempotency_key).cloned();
        let placed = placed.ok_or_else(|| Error::not_found("this key was never seen"))?;
        Ok(StatusResponse { order: placed.into(), ..Default::default() })
    }
}

#[async_trait]
impl calls::Orders for World {
    async fn get(&self, _: &Call, request: orders::GetRequest) -> Result<orders::GetResponse, Error> {
        let state = self.enter("orders")?;
        let order = state.orders.iter().find(|order| order.order_id == request.order_id);
        let order = order.ok_or_else(|| Error::not_found("no such order"))?;
        Ok(orders::GetResponse { order: order.clone().into(), ..Default::default() })
    }

    async fn list(&self, _: &Call, request: orders::ListRequest) -> Result<orders::ListResponse, Error> {
        let state = self.enter("orders")?;
        let theirs = state.orders.iter().rev().filter(|order| order.shopper_id == request.shopper_id);
        Ok(orders::ListResponse { orders: theirs.cloned().collect(), ..Default::default() })
    }
}

#[async_trait]
impl calls::Notify for World {
    async fn list(&self, _: &Call, _: notify::ListRequest) -> Result<notify::ListResponse, Error> {
        let state = self.enter("notify")?;
        Ok(notify::ListResponse { mails: state.mails.clone(), ..Default::default() })
    }
}
