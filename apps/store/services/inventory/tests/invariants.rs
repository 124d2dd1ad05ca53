//! Random commands against a model, and many buyers of one hot product through several handles of one database.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bench::{Bench, another, reserve_request};
use proptest::prelude::*;
use shoal_sdk::{Call, Code};
use store_contracts::store::inventory::v1::{
    AuditRequest, CommitRequest, Inventory, ReleaseRequest, ReserveRequest, RestockRequest,
};

const PRODUCTS: [&str; 3] = ["cup", "mug", "pot"];

#[derive(Clone, Debug)]
enum Command {
    Receive(usize, i32),
    Reserve(u8, BTreeMap<usize, i32>),
    Commit(u8),
    Release(u8),
    Restock(u8),
    Pass(i64),
    Sweep,
}

fn command() -> impl Strategy<Value = Command> {
    let order = 0u8..8;
    prop_oneof![
        1 => (0usize..3, 1i32..20).prop_map(|(product, quantity)| Command::Receive(product, quantity)),
        4 => (order.clone(), prop::collection::btree_map(0usize..3, 1i32..8, 1..3))
            .prop_map(|(order, lines)| Command::Reserve(order, lines)),
        2 => order.clone().prop_map(Command::Commit),
        2 => order.clone().prop_map(Command::Release),
        1 => order.prop_map(Command::Restock),
        2 => (1i64..40_000).prop_map(Command::Pass),
        1 => Just(Command::Sweep),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Held(i64),
    Committed,
    Restocked,
    Over,
}

/// What the inventory should say, kept as simply as possible.
#[derive(Default, Debug)]
struct Model {
    free: [i32; 3],
    orders: BTreeMap<u8, (State, BTreeMap<usize, i32>)>,
}

impl Model {
    fn expire(&mut self, now: i64) {
        for (state, lines) in self.orders.values_mut() {
            if matches!(state, State::Held(end) if *end <= now) {
                *state = State::Over;
                lines.iter().for_each(|(product, quantity)| self.free[*product] += quantity);
            }
        }
    }

    /// Applies a command and says whether it should succeed.
    fn apply(&mut self, command: &Command, now: i64) -> bool {
        self.expire(now);
        match command {
            Command::Receive(product, quantity) => self.free[*product] += quantity,
            Command::Reserve(order, lines) => match self.orders.get(order) {
                Some((state, earlier)) => return earlier == lines && *state != State::Over,
                None => {
                    if lines.iter().any(|(product, quantity)| self.free[*product] < *quantity) {
                        return false;
                    }
                    lines.iter().for_each(|(product, quantity)| self.free[*product] -= quantity);
                    self.orders.insert(*order, (State::Held(now + 60_000), lines.clone()));
                }
            },
            Command::Commit(order) => match self.orders.get_mut(order) {
                Some((state @ State::Held(_), _)) => *state = State::Committed,
                Some((State::Committed | State::Restocked, _)) => {}
                _ => return false,
            },
            Command::Release(order) => match self.orders.get_mut(order) {
                Some((state @ State::Held(_), lines)) => {
                    *state = State::Over;
                    lines.iter().for_each(|(product, quantity)| self.free[*product] += quantity);
                }
                Some((State::Committed, _)) => return false,
                Some(_) => {}
                None => {
                    self.orders.insert(*order, (State::Over, BTreeMap::new()));
                }
            },
            Command::Restock(order) => match self.orders.get_mut(order) {
                Some((state @ State::Committed, lines)) => {
                    *state = State::Restocked;
                    lines.iter().for_each(|(product, quantity)| self.free[*product] += quantity);
                }
                Some((State::Restocked, _)) => {}
                _ => return false,
            },
            Command::Pass(_) | Command::Sweep => {}
        }
        true
    }
}

async fn run(bench: &Bench, command: &Command) -> bool {
    let id = |order: &u8| format!("order-{order}");
    match command {
        Command::Receive(product, quantity) => bench.receive(PRODUCTS[*product], *quantity).await,
        Command::Reserve(order, lines) => {
            let lines: Vec<(&str, i32)> =
                lines.iter().map(|(product, quantity)| (PRODUCTS[*product], *quantity)).collect();
            return bench.reserve(&id(order), &lines).await.is_ok();
        }
        Command::Commit(order) => return bench.commit(&id(order)).await.is_ok(),
        Command::Release(order) => return bench.release(&id(order)).await.is_ok(),
        Command::Restock(order) => {
            let request = RestockRequest { order_id: id(order), ..Default::default() };
            return bench.api.restock(&Call::new(), request).await.is_ok();
        }
        Command::Pass(millis) => bench.pass(*millis),
        Command::Sweep => {
            bench.api.sweep().await.unwrap();
        }
    }
    true
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn random_commands_agree_with_the_model(commands in prop::collection::vec(command(), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(false).await;
            let mut model = Model::default();
            for command in &commands {
                let expected = model.apply(command, bench.clock.load(Ordering::SeqCst));
                let happened = run(&bench, command).await;
                prop_assert_eq!(happened, expected, "{:?}", command);
                model.expire(bench.clock.load(Ordering::SeqCst));
                prop_assert_eq!(bench.available(&PRODUCTS).await, model.free.to_vec(), "{:?}", command);
                bench.check().await;
            }
            Ok(())
        })?;
    }
}

/// 120 buyers of 40 pieces, over three handles as three replicas would have them, with a reader that audits meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hot_product_sells_exactly_what_there_is() {
    const PIECES: i32 = 40;
    const BUYERS: usize = 120;
    let bench = Bench::new(false).await;
    bench.receive("hot", PIECES).await;
    let mut replicas = Vec::new();
    for _ in 0..3 {
        replicas.push(Arc::new(another(bench.folder.path(), false, &bench.clock).await));
    }
    let mut buyers = tokio::task::JoinSet::new();
    for buyer in 0..BUYERS {
        let replica = Arc::clone(&replicas[buyer % replicas.len()]);
        buyers.spawn(async move {
            let order_id = format!("order-{buyer}");
            let request: ReserveRequest = reserve_request(&order_id, &[("hot", 1)], 60_000);
            loop {
                match replica.reserve(&Call::new(), request.clone()).await {
                    Ok(_) => break,
                    Err(error) if error.code == Code::FailedPrecondition => return false,
                    Err(error) if error.code == Code::Unavailable => {}
                    Err(error) => panic!("{error}"),
                }
            }
            // One in five changes their mind.
            let sold = buyer % 5 != 0;
            if sold {
                let request = CommitRequest { order_id, ..Default::default() };
                replica.commit(&Call::new(), request).await.unwrap();
            } else {
                let request = ReleaseRequest { order_id, ..Default::default() };
                replica.release(&Call::new(), request).await.unwrap();
            }
            sold
        });
    }
    let mut sold = 0;
    while let Some(bought) = buyers.join_next().await {
        sold += i64::from(bought.unwrap());
        // Read through another handle, while others write.
        let audit = replicas[0].audit(&Call::new(), AuditRequest::default()).await.unwrap();
        assert!(audit.balanced && audit.products.iter().all(|product| product.on_hand >= 0));
    }
    let audit = bench.check().await;
    let hot = &audit.products[0];
    assert_eq!(hot.confirmed, sold);
    assert_eq!(hot.on_hand, i64::from(PIECES) - sold);
    assert!(sold <= i64::from(PIECES) && hot.reserved == 0);
    // Whoever was refused was refused for want of stock: what is left, if any, came back from those who changed their mind.
    assert!(sold >= i64::from(PIECES) - 24, "sold only {sold}");
}
