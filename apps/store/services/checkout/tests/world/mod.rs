//! A small world for the checkout: stand-ins for every service it calls, idempotent and fenced as the real ones are,
//! which fail on command at a named call.

#![allow(dead_code)] // Each test binary uses its own part of it.

mod services;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use checkout::{Parts, calls};
use shoal_sdk::{Call, Code, Environment, Error};
use store_contracts::store::basket::v1::MergedFrom;
use store_contracts::store::checkout::v1::{
    Checkout, PlaceRequest, PlaceResponse, QuoteRequest, QuoteResponse, StatusRequest,
};
use store_contracts::store::orders::v1::OpenRequest;
use store_contracts::store::types::v1::{Address, Money};
use test_databases::{Kind, TestDatabase};
use tokio::sync::Notify;

pub const SHOPPER: &str = "guest:ada";

/// How one call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A definite no, without effect.
    Refused,
    /// Something on the way says no; it never arrives.
    Forbidden,
    /// It never arrives.
    LostBefore,
    /// It takes effect, and the answer is lost.
    LostAfter,
    /// It takes effect, and nothing is heard of it: slower than any call.
    Silent,
    /// It takes effect only once `World::let_go` is called, and does not answer before.
    Hangs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stock {
    Held,
    Sold,
    Released,
    Restocked,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    Authorised,
    Captured,
    Voided,
    Declined,
}

#[derive(Clone, Debug, PartialEq)]
pub enum OrderIs {
    Pending,
    Confirmed,
    Cancelled(String),
}

/// What the stand-ins know.
#[derive(Default)]
pub struct State {
    pub basket: BTreeMap<String, i32>,
    pub basket_version: i64,
    /// What each shopper's basket holds that was merged into it.
    pub merged_from: BTreeMap<String, Vec<MergedFrom>>,
    pub prices: BTreeMap<String, i64>,
    pub orders: BTreeMap<String, (OrderIs, OpenRequest)>,
    pub stock: BTreeMap<String, Stock>,
    pub payments: BTreeMap<String, Payment>,
    pub cards: Vec<String>,
    pub captures: usize,
    pub fences: BTreeMap<String, i64>,
    pub faults: BTreeMap<&'static str, VecDeque<Fault>>,
    pub calls: Vec<&'static str>,
    /// Commands that were refused for a fence too low.
    pub late: usize,
}

pub struct World {
    pub state: Mutex<State>,
    pub clock: AtomicI64,
    pub gate: Notify,
    /// Where every checkout of this world has its log.
    pub database: TestDatabase,
}

impl World {
    /// A basket with two products, at version 7, and prices.
    pub fn new(kind: Kind) -> Arc<World> {
        let state = State {
            basket: BTreeMap::from([("cup".to_owned(), 1), ("mug".to_owned(), 3)]),
            basket_version: 7,
            prices: BTreeMap::from([("cup".to_owned(), 250), ("mug".to_owned(), 999)]),
            ..State::default()
        };
        Arc::new(World {
            state: Mutex::new(state),
            clock: AtomicI64::new(1_700_000_000_000),
            gate: Notify::new(),
            database: TestDatabase::new(kind),
        })
    }

    pub fn fail(&self, call: &'static str, faults: &[Fault]) {
        self.state.lock().unwrap().faults.insert(call, faults.iter().copied().collect());
    }

    /// Heals everything and lets hanging calls take effect.
    pub fn let_go(&self) {
        self.state.lock().unwrap().faults.clear();
        self.gate.notify_waiters();
    }

    pub fn was_called(&self, call: &str) -> usize {
        self.state.lock().unwrap().calls.iter().filter(|name| **name == call).count()
    }

    /// Runs one call of a stand-in under the fault that is due for it.
    pub async fn run<T>(
        &self,
        name: &'static str,
        order_id: &str,
        fence: i64,
        effect: impl FnOnce(&mut State) -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        let fault = {
            let mut state = self.state.lock().unwrap();
            state.calls.push(name);
            state.faults.get_mut(name).and_then(VecDeque::pop_front)
        };
        match fault {
            Some(Fault::Refused) => return Err(Error::failed_precondition(format!("{name} says no."))),
            Some(Fault::Forbidden) => return Err(Error::permission_denied("Something on the way says no.")),
            Some(Fault::LostBefore) => return Err(Error::unavailable(format!("{name} is not there."))),
            Some(Fault::Hangs) => self.gate.notified().await,
            Some(Fault::LostAfter | Fault::Silent) | None => {}
        }
        let answer = self.take_effect(order_id, fence, effect);
        match fault {
            Some(Fault::LostAfter) => Err(Error::deadline_exceeded(format!("{name} does not answer."))),
            Some(Fault::Silent) => std::future::pending().await,
            _ => answer,
        }
    }

    fn take_effect<T>(
        &self,
        order_id: &str,
        fence: i64,
        effect: impl FnOnce(&mut State) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut state = self.state.lock().unwrap();
        if fence != 0 {
            let seen = state.fences.entry(order_id.to_owned()).or_default();
            if fence < *seen {
                state.late += 1;
                return Err(Error::aborted("somebody newer works on this order"));
            }
            *seen = fence;
        }
        effect(&mut state)
    }

    /// The one order there is.
    pub fn order(&self) -> (String, OrderIs, OpenRequest) {
        let state = self.state.lock().unwrap();
        assert_eq!(state.orders.len(), 1, "{:?}", state.orders);
        let (id, (is, order)) = state.orders.iter().next().unwrap();
        (id.clone(), is.clone(), order.clone())
    }

    pub fn check_one_capture(&self) {
        assert_eq!(self.state.lock().unwrap().captures, 1);
    }

    /// All or nothing: the one order is bought and paid once, or nothing is left of it.
    pub fn check(&self, bought: bool) {
        let state = self.state.lock().unwrap();
        for (id, (order, _)) in &state.orders {
            let (stock, money) = (state.stock.get(id), state.payments.get(id));
            if bought {
                assert_eq!(*order, OrderIs::Confirmed);
                assert_eq!(stock, Some(&Stock::Sold));
                assert_eq!(money, Some(&Payment::Captured));
            } else {
                assert!(matches!(order, OrderIs::Cancelled(_)), "{order:?}");
                assert!(!matches!(stock, Some(Stock::Held | Stock::Sold)), "{stock:?}");
                assert!(!matches!(money, Some(Payment::Authorised | Payment::Captured)), "{money:?}");
            }
        }
        assert_eq!(state.captures, usize::from(bought));
        assert_eq!(state.basket.is_empty(), bought);
    }
}

/// What a checkout of this world is given.
pub fn environment(world: &Arc<World>) -> Environment {
    Environment::for_tests(Path::new("no-data-is-kept-in-files"))
        .with_database(world.database.url())
        .provide(Arc::clone(world) as Arc<dyn calls::Basket>)
        .provide(Arc::clone(world) as Arc<dyn calls::Catalogue>)
        .provide(Arc::clone(world) as Arc<dyn calls::Inventory>)
        .provide(Arc::clone(world) as Arc<dyn calls::Payment>)
        .provide(Arc::clone(world) as Arc<dyn calls::Orders>)
        .provide(Arc::clone(world) as Arc<dyn calls::Shipping>)
}

/// A checkout of this world.
pub async fn checkout(world: &Arc<World>) -> Parts {
    checkout_in(world, environment(world)).await
}

/// A checkout of this world with an environment of its own.
pub async fn checkout_in(world: &Arc<World>, environment: Environment) -> Parts {
    let clock = Arc::clone(world);
    let clock = Arc::new(move || clock.clock.load(Ordering::SeqCst));
    Parts::new(&environment, clock).await.unwrap()
}

pub async fn quote(parts: &Parts) -> Result<QuoteResponse, Error> {
    let request = QuoteRequest {
        shopper_id: SHOPPER.to_owned(),
        currency: "EUR".to_owned(),
        country: "DE".to_owned(),
        ..Default::default()
    };
    parts.api.quote(&Call::new(), request).await
}

pub fn euros(minor: i64) -> Money {
    Money { minor, currency: "EUR".to_owned(), ..Default::default() }
}

/// The order of a shopper who saw the world as it is at first: 3 × 9.99 + 2.50 + 4.90 for shipping.
pub fn request(key: &str) -> PlaceRequest {
    let address = Address {
        name: "Ada Example".to_owned(),
        line1: "Long Street 1".to_owned(),
        city: "Berlin".to_owned(),
        postcode: "10115".to_owned(),
        country: "DE".to_owned(),
        ..Default::default()
    };
    PlaceRequest {
        idempotency_key: key.to_owned(),
        shopper_id: SHOPPER.to_owned(),
        basket_version: 7,
        expected_total: euros(3 * 999 + 250 + 490).into(),
        address: address.into(),
        email: "ada@example.org".to_owned(),
        card_number: "4242 4242 4242 4242".to_owned(),
        card_expiry: "12/40".to_owned(),
        ..Default::default()
    }
}

pub async fn place(parts: &Parts, request: PlaceRequest) -> Result<PlaceResponse, Error> {
    parts.api.place(&Call::new(), request).await
}

/// Waits until no saga is left unfinished.
pub async fn quiet(parts: &Parts) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = parts.api.status(&Call::new(), StatusRequest::default()).await.unwrap();
        if status.unfinished == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "still {} unfinished orders", status.unfinished);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until a condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn assert_code<T: std::fmt::Debug>(answer: Result<T, Error>, code: Code) -> Error {
    let error = answer.unwrap_err();
    assert_eq!(error.code, code, "{error}");
    error
}
