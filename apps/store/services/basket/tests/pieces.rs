//! Baskets against a model that knows each piece by itself: whatever is set, merged and bought in whatever order, a
//! purchase takes out the pieces it bought and no others, and the basket tells where merged pieces came from.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use basket::{Baskets, Settings, migrations};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rstest::rstest;
use shoal_sdk::{Call, Database};
use store_contracts::store::basket::v1::{
    Basket, BasketContents, ClearRequest, GetRequest, MergeRequest, SetItemRequest,
};
use test_databases::{Kind, TestDatabase};

/// Two guests, and the account that both sign in to.
const SHOPPERS: usize = 3;
const ACCOUNT: usize = 2;

#[derive(Clone, Debug)]
enum Change {
    Set(usize, usize),
    Merge(usize),
    Buy(usize),
    /// One of the purchases so far is cleared.
    Clear(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    let quantity = prop_oneof![6 => 0..5_usize, 1 => 0..100_usize];
    prop_oneof![
        4 => (0..SHOPPERS, quantity).prop_map(|(shopper, quantity)| Change::Set(shopper, quantity)),
        2 => (0..ACCOUNT).prop_map(Change::Merge),
        3 => (0..SHOPPERS).prop_map(Change::Buy),
        2 => any::<prop::sample::Index>().prop_map(Change::Clear),
    ]
}

struct Purchase {
    shopper: usize,
    version: i64,
    pieces: BTreeSet<usize>,
}

#[derive(Default)]
struct Model {
    /// The pieces of each shopper, the oldest first.
    baskets: [Vec<usize>; SHOPPERS],
    purchases: Vec<Purchase>,
    made: usize,
}

impl Model {
    fn set(&mut self, shopper: usize, quantity: usize) {
        self.baskets[shopper].truncate(quantity);
        while self.baskets[shopper].len() < quantity {
            self.made += 1;
            self.baskets[shopper].push(self.made);
        }
    }

    fn merge(&mut self, guest: usize) {
        let pieces = std::mem::take(&mut self.baskets[guest]);
        let room = 99 - self.baskets[ACCOUNT].len();
        self.baskets[ACCOUNT].extend(pieces.into_iter().take(room));
    }

    fn buy(&mut self, shopper: usize, version: i64) {
        let pieces = self.baskets[shopper].iter().copied().collect();
        self.purchases.push(Purchase { shopper, version, pieces });
    }

    fn clear(&mut self, purchase: usize) {
        let bought = &self.purchases[purchase].pieces;
        for basket in &mut self.baskets {
            basket.retain(|piece| !bought.contains(piece));
        }
    }
}

struct Shop<'a> {
    baskets: &'a Baskets,
    ids: [String; SHOPPERS],
}

impl Shop<'_> {
    async fn run(&self, changes: &[Change]) {
        let mut model = Model::default();
        for (place, change) in changes.iter().enumerate() {
            self.change(&mut model, change).await;
            for shopper in 0..SHOPPERS {
                let basket = self.get(shopper).await;
                let pieces: i32 = basket.lines.iter().map(|line| line.quantity).sum();
                let expected = model.baskets[shopper].len();
                assert_eq!(usize::try_from(pieces), Ok(expected), "shopper {shopper} after {place}");
                self.check_origins(&model, shopper, &basket);
            }
        }
    }

    async fn change(&self, model: &mut Model, change: &Change) {
        let call = Call::new();
        match change {
            Change::Set(shopper, quantity) => {
                let request = SetItemRequest {
                    shopper_id: self.ids[*shopper].clone(),
                    product_id: "mug".to_owned(),
                    quantity: i32::try_from(*quantity).unwrap(),
                    ..Default::default()
                };
                self.baskets.set_item(&call, request).await.unwrap();
                model.set(*shopper, *quantity);
            }
            Change::Merge(guest) => {
                let request = MergeRequest {
                    guest_shopper_id: self.ids[*guest].clone(),
                    customer_shopper_id: self.ids[ACCOUNT].clone(),
                    ..Default::default()
                };
                self.baskets.merge(&call, request).await.unwrap();
                model.merge(*guest);
            }
            Change::Buy(shopper) => model.buy(*shopper, self.get(*shopper).await.version),
            Change::Clear(which) if !model.purchases.is_empty() => {
                let which = which.index(model.purchases.len());
                let Purchase { shopper, version, .. } = model.purchases[which];
                let request = ClearRequest { shopper_id: self.ids[shopper].clone(), version, ..Default::default() };
                self.baskets.clear(&call, request).await.unwrap();
                model.clear(which);
            }
            Change::Clear(_) => {}
        }
    }

    /// A basket says that a purchase of another one bought some of its pieces exactly when it did.
    fn check_origins(&self, model: &Model, shopper: usize, basket: &BasketContents) {
        for purchase in model.purchases.iter().filter(|purchase| purchase.shopper != shopper) {
            let told = basket.merged_from.iter().any(|from| {
                from.shopper_id == self.ids[purchase.shopper]
                    && (from.first_version..from.until_version).contains(&purchase.version)
            });
            let here = model.baskets[shopper].iter().any(|piece| purchase.pieces.contains(piece));
            assert_eq!(told, here, "bought by {} at {}: {basket:?}", purchase.shopper, purchase.version);
        }
    }

    async fn get(&self, shopper: usize) -> BasketContents {
        let request = GetRequest { shopper_id: self.ids[shopper].clone(), ..Default::default() };
        self.baskets.get(&Call::new(), request).await.unwrap().basket.into_option().unwrap()
    }
}

#[rstest]
fn a_purchase_takes_out_what_it_bought(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let test = TestDatabase::new(kind);
    let database = runtime.block_on(Database::open(test.url(), migrations())).unwrap();
    let baskets = Baskets::new(database, Settings::default());
    let cases = AtomicUsize::new(0);
    let config = Config { cases: 48, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let tried = TestRunner::new(config).run(&prop::collection::vec(change(), 1..16), |changes| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        let ids = [format!("guest:left-{case}"), format!("guest:right-{case}"), format!("customer:{case}")];
        runtime.block_on(Shop { baskets: &baskets, ids }.run(&changes));
        Ok(())
    });
    if let Err(failure) = tried {
        panic!("{failure}");
    }
}
