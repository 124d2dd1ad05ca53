//! Random commands against a model, and many buyers of one hot product through several handles of one database.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bench::{Bench, reserve_request};
use inventory::{CRASH_POINTS, InventoryApi};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rstest::rstest;
use shoal_sdk::{Call, Code, Error};
use store_contracts::store::inventory::v1::{
    AuditRequest, CommitRequest, Inventory, ReleaseRequest, ReserveRequest, RestockRequest,
};
use test_databases::Kind;

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

#[rstest]
fn random_commands_agree_with_the_model(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let mut runner = TestRunner::new(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let commands = prop::collection::vec(command(), 1..40);
    let result = runner.run(&commands, |commands| {
        runtime.block_on(async {
            let bench = Bench::new(false, kind).await;
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
        })
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
}

/// Asks again for as long as the database is busy.
async fn patiently<T, Answer>(ask: impl Fn() -> Answer) -> Result<T, Error>
where
    Answer: Future<Output = Result<T, Error>>,
{
    loop {
        match ask().await {
            Err(error) if matches!(error.code, Code::Unavailable | Code::ResourceExhausted) => {}
            answer => return answer,
        }
    }
}

async fn reserve(replica: &InventoryApi, request: &ReserveRequest) -> Result<(), Error> {
    let call = Call::new();
    patiently(|| replica.reserve(&call, request.clone())).await.map(drop)
}

async fn commit(replica: &InventoryApi, order_id: &str) -> Result<(), Error> {
    let call = Call::new();
    let request = CommitRequest { order_id: order_id.to_owned(), ..Default::default() };
    patiently(|| replica.commit(&call, request.clone())).await.map(drop)
}

async fn release(replica: &InventoryApi, order_id: &str) -> Result<(), Error> {
    let call = Call::new();
    let request = ReleaseRequest { order_id: order_id.to_owned(), ..Default::default() };
    patiently(|| replica.release(&call, request.clone())).await.map(drop)
}

/// One buyer: every fifth changes their mind once, then buys after all. Answers whether they got a piece; who did not
/// found everything sold.
async fn buy(replica: &InventoryApi, buyer: usize, pieces: i64) -> bool {
    let mut order_id = format!("order-{buyer}");
    let mut hesitates = buyer.is_multiple_of(5);
    loop {
        match reserve(replica, &reserve_request(&order_id, &[("hot", 1)], 60_000)).await {
            Ok(()) if hesitates => {
                release(replica, &order_id).await.unwrap();
                hesitates = false;
                order_id.push_str("-again");
            }
            Ok(()) => {
                commit(replica, &order_id).await.unwrap();
                return true;
            }
            Err(error) => {
                assert_eq!(error.code, Code::FailedPrecondition, "{error}");
                // What others only hold may come back: a buyer gives up when all is sold.
                let request = AuditRequest { product_id: "hot".to_owned(), ..Default::default() };
                let call = Call::new();
                let audit = patiently(|| replica.audit(&call, request.clone())).await.unwrap();
                assert!(audit.balanced && audit.products[0].on_hand >= 0);
                if audit.products[0].confirmed == pieces {
                    return false;
                }
            }
        }
    }
}

/// 400 buyers of 40 pieces, over three replicas, each of whom audits while the others buy.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hot_product_sells_exactly_what_there_is(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    const PIECES: i32 = 40;
    const BUYERS: usize = 400;
    let bench = Bench::new(false, kind).await;
    bench.receive("hot", PIECES).await;
    let replicas = bench.replicas(3).await;
    let mut buyers = tokio::task::JoinSet::new();
    for buyer in 0..BUYERS {
        let replica = Arc::clone(&replicas[buyer % replicas.len()]);
        buyers.spawn(async move { buy(&replica, buyer, i64::from(PIECES)).await });
    }
    let mut sold = 0;
    while let Some(bought) = buyers.join_next().await {
        sold += i32::from(bought.unwrap());
    }
    let audit = bench.check().await;
    let hot = &audit.products[0];
    assert_eq!(sold, PIECES, "no more and no fewer than there were");
    assert_eq!((hot.confirmed, hot.on_hand, hot.reserved), (i64::from(PIECES), 0, 0));
}

/// Orders of two products that name them in opposite order, until one of the two runs out.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn opposite_lines_neither_lock_each_other_out_nor_take_half(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    const PIECES: i32 = 20;
    let bench = Bench::new(false, kind).await;
    bench.receive("cup", PIECES).await;
    bench.receive("mug", PIECES * 2).await;
    let replicas = bench.replicas(2).await;
    let mut buyers = tokio::task::JoinSet::new();
    for buyer in 0..60 {
        let replica = Arc::clone(&replicas[buyer % 2]);
        let lines = if buyer % 2 == 0 { [("cup", 1), ("mug", 1)] } else { [("mug", 1), ("cup", 1)] };
        let request = reserve_request(&format!("order-{buyer}"), &lines, 60_000);
        buyers.spawn(async move { reserve(&replica, &request).await.is_ok() });
    }
    let mut held = 0;
    while let Some(got) = buyers.join_next().await {
        held += i32::from(got.unwrap());
    }
    assert_eq!(held, PIECES);
    assert_eq!(bench.available(&["cup", "mug"]).await, [0, PIECES], "who got no cup got no mug either");
    bench.check().await;
}

/// Reservations run out while several replicas sweep, and while late commits and new buyers come.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_ran_out_comes_back_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    const PIECES: i32 = 12;
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", PIECES).await;
    for order in 0..PIECES {
        bench.reserve(&format!("late-{order}"), &[("mug", 1)]).await.unwrap();
    }
    bench.pass(59_999);
    let replicas = bench.replicas(3).await;
    for replica in &replicas {
        assert_eq!(replica.sweep().await.unwrap(), 0, "never before its time");
    }
    bench.pass(1);
    let mut tasks = tokio::task::JoinSet::new();
    for turn in 0..12 {
        let replica = Arc::clone(&replicas[turn % 3]);
        tasks.spawn(async move {
            patiently(|| replica.sweep()).await.unwrap();
            let late = commit(&replica, &format!("late-{turn}")).await;
            assert_eq!(late.unwrap_err().code, Code::FailedPrecondition);
            reserve(&replica, &reserve_request(&format!("new-{turn}"), &[("mug", 1)], 60_000)).await.unwrap();
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(bench.available(&["mug"]).await, [0]);
    let audit = bench.check().await;
    assert_eq!((audit.products[0].reserved, audit.reservations_live), (i64::from(PIECES), PIECES));
}

/// The steps of an order that is sold and taken back, and of one that is given up.
async fn step(replica: &InventoryApi, number: usize) -> Result<(), Error> {
    let call = Call::new();
    match number {
        0 => reserve(replica, &reserve_request("sold", &[("mug", 2)], 60_000)).await,
        1 => commit(replica, "sold").await,
        2 => {
            let request = RestockRequest { order_id: "sold".to_owned(), ..Default::default() };
            replica.restock(&call, request).await.map(drop)
        }
        3 => reserve(replica, &reserve_request("dropped", &[("mug", 1)], 60_000)).await,
        _ => release(replica, "dropped").await,
    }
}

#[rstest]
#[tokio::test]
async fn a_command_that_was_killed_before_it_answered_counts_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    for place in CRASH_POINTS {
        let bench = Bench::new(false, kind).await;
        bench.receive("mug", 5).await;
        let (replica, died) = bench.dying(place).await;
        for number in 0..5 {
            let killed = Arc::clone(&replica);
            if tokio::spawn(async move { step(&killed, number).await.unwrap() }).await.is_err() {
                step(&replica, number).await.unwrap();
            }
        }
        assert!(died.load(Ordering::SeqCst), "{place} was never reached");
        let mug = bench.check().await.products.remove(0);
        assert_eq!((mug.on_hand, mug.confirmed, mug.restocked, mug.reserved), (5, 2, 2, 0), "{place}");
    }
}
