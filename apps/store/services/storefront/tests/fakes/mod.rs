//! Stand-ins for the eight services behind the pages: small, in memory, and each can be taken down.
//! They keep the promises of the contracts that pages rely on (versions, keys, codes), and no more.

#![allow(dead_code, clippy::unwrap_used)]

pub mod browser;
mod goods;
pub mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use shoal_sdk::Error;
use storefront::Store;
use storefront::backends::Backends;
use storefront::memory::Memory;
use storefront::session::Sealer;
use storefront::vouched::Vouched;

use store_contracts::store::basket::v1::BasketContents;
use store_contracts::store::catalogue::v1::Product;
use store_contracts::store::checkout::v1::PlaceResponse;
use store_contracts::store::customer::v1::Account;
use store_contracts::store::notify::v1::Mail;
use store_contracts::store::orders::v1::Order;
use store_contracts::store::shipping::v1::Shipment;

/// The services, as the manifest names them.
pub const SERVICES: [&str; 8] =
    ["catalogue", "basket", "customer", "inventory", "checkout", "orders", "shipping", "notify"];

/// The password of every account here.
pub const PASSWORD: &str = "correct horse";

/// Everything the stand-ins know. One value plays all services.
#[derive(Default)]
pub struct World {
    state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    pub down: BTreeSet<&'static str>,
    pub calls: BTreeMap<&'static str, usize>,
    pub products: Vec<Product>,
    pub stock: BTreeMap<String, i32>,
    pub baskets: BTreeMap<String, BasketContents>,
    pub accounts: BTreeMap<String, Account>,
    /// How many sessions were begun, and the tokens of those that were signed out of.
    pub sessions: usize,
    pub ended: BTreeSet<String>,
    /// What the next change of a basket answers instead of being made.
    pub basket_error: Option<Error>,
    pub orders: Vec<Order>,
    pub shipments: BTreeMap<String, Shipment>,
    pub mails: Vec<Mail>,
    pub placed: BTreeMap<String, PlaceResponse>,
    /// What `Place` answers next instead of deciding by the card.
    pub place_error: Option<Error>,
    /// Added to each price when quoting, to play a price that changes.
    pub surcharge: i64,
}

impl World {
    /// A shop with goods, an administrator and nothing ordered.
    pub fn new() -> Arc<World> {
        let world = World::default();
        {
            let mut state = world.state();
            goods::fill(&mut state);
            people::fill(&mut state);
        }
        Arc::new(world)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Takes a service down, or brings it back.
    pub fn set_down(&self, service: &'static str, down: bool) {
        let mut state = self.state();
        if down {
            state.down.insert(service);
        } else {
            state.down.remove(service);
        }
    }

    /// What every stand-in does first.
    fn enter(&self, service: &'static str) -> Result<MutexGuard<'_, State>, Error> {
        let mut state = self.state();
        *state.calls.entry(service).or_default() += 1;
        if state.down.contains(service) {
            return Err(Error::unavailable(format!("no replica of {service} is ready")));
        }
        Ok(state)
    }

    /// A storefront over this world, which asks about a sign-in each time.
    pub fn store(self: &Arc<World>) -> Arc<Store> {
        self.store_that_remembers(Duration::ZERO)
    }

    /// A storefront over this world, for which an answer about a sign-in counts for so long.
    pub fn store_that_remembers(self: &Arc<World>, vouched_for: Duration) -> Arc<Store> {
        Arc::new(Store {
            backends: Backends {
                catalogue: self.clone(),
                basket: self.clone(),
                customer: self.clone(),
                inventory: self.clone(),
                checkout: self.clone(),
                orders: self.clone(),
                shipping: self.clone(),
                notify: self.clone(),
                memory: Memory::default(),
            },
            sealer: Sealer::new(&[1; 32]).unwrap(),
            vouched: Vouched::new(vouched_for),
        })
    }
}
