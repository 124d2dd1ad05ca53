//! Who may write: only who holds the latest lease.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use super::*;
use rstest::rstest;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use store_contracts::store::types::v1::Money;
use test_databases::{Kind, TestDatabase};

const LEASE_MILLIS: i64 = 15_000;

/// The statements of `pieces` name the refused states.
#[test]
fn refused_states_are_those_the_statement_names() {
    let named = ["refused", "undo-restock", "undo-void", "undo-release", "undo-cancel"];
    for state in State::ALL {
        assert_eq!(state.is_refused(), named.contains(&state.name()), "{state}");
    }
}

struct Replicas {
    database: TestDatabase,
    millis: Arc<AtomicI64>,
}

impl Replicas {
    fn new(kind: Kind) -> Replicas {
        Replicas { database: TestDatabase::new(kind), millis: Arc::new(AtomicI64::new(1_700_000_000_000)) }
    }

    async fn log(&self, holder: &str) -> Log {
        let millis = Arc::clone(&self.millis);
        Log {
            database: Database::open(self.database.url(), crate::migrations()).await.unwrap(),
            clock: Arc::new(move || millis.load(Ordering::SeqCst)),
            holder: holder.to_owned(),
            lease: Duration::from_millis(LEASE_MILLIS.unsigned_abs()),
            planted: Planted::default(),
        }
    }

    fn wait(&self, millis: i64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }
}

fn request(number: usize) -> (PlaceRequest, OpenRequest) {
    let total = Money { minor: 100, currency: "EUR".to_owned(), ..Default::default() };
    let request = PlaceRequest {
        idempotency_key: format!("key-{number}"),
        shopper_id: format!("guest:{number}"),
        expected_total: total.clone().into(),
        ..Default::default()
    };
    let order = OpenRequest { order_id: format!("order-{number}"), total: total.into(), ..Default::default() };
    (request, order)
}

async fn open(log: &Log, number: usize) -> Saga {
    let (request, order) = request(number);
    log.open(&request, &NewOrder { body: order, ..NewOrder::default() }, 0).await.unwrap().unwrap()
}

fn done() -> StepResult {
    StepResult { outcome: Outcome::Done, detail: String::new() }
}

fn nobody() -> BTreeMap<String, i64> {
    BTreeMap::new()
}

const RESERVE: State = State::Doing(Step::Reserve);

#[rstest]
#[tokio::test]
async fn whoever_lost_a_lease_writes_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let replicas = Replicas::new(kind);
    let (paused, other) = (replicas.log("checkout-1").await, replicas.log("checkout-2").await);
    let mut stale = open(&paused, 1).await;
    assert!(other.adopt(9, &nobody()).await.unwrap().is_empty(), "the lease has not run out");
    replicas.wait(LEASE_MILLIS);
    let mut saga = other.adopt(9, &nobody()).await.unwrap().remove(0);
    assert_eq!((saga.fence, saga.step, saga.state), (2, 1, stale.state));

    // The one that was paused wakes up and tries everything it can.
    assert!(!paused.advance(&mut stale, &done(), State::Refused, Duration::ZERO).await.unwrap());
    paused.give_back(&stale).await.unwrap();
    replicas.wait(LEASE_MILLIS - 1);
    paused.renew(&BTreeMap::from([(stale.order_id.clone(), stale.fence)])).await.unwrap();
    assert!(paused.adopt(9, &nobody()).await.unwrap().is_empty(), "given back by somebody who did not have it");
    let stored = paused.by_order(&saga.order_id).await.unwrap().unwrap();
    assert_eq!((stored.fence, stored.step, stored.state), (2, 1, saga.state));

    // The one that has it writes, and a lease that somebody else tried to renew ends when it should.
    other.renew(&BTreeMap::from([(saga.order_id.clone(), saga.fence)])).await.unwrap();
    replicas.wait(LEASE_MILLIS - 1);
    assert!(paused.adopt(9, &nobody()).await.unwrap().is_empty(), "renewed");
    assert!(other.advance(&mut saga, &done(), RESERVE, Duration::ZERO).await.unwrap());
    replicas.wait(LEASE_MILLIS);
    let back = paused.adopt(9, &nobody()).await.unwrap().remove(0);
    assert_eq!((back.fence, back.step, back.state), (3, 2, RESERVE));
    paused.give_back(&back).await.unwrap();
    assert_eq!(other.adopt(9, &nobody()).await.unwrap().remove(0).fence, 4);
}

/// A commit whose answer was lost is made again.
#[rstest]
#[tokio::test]
async fn logging_an_outcome_twice_is_logging_it_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let replicas = Replicas::new(kind);
    let log = replicas.log("checkout-1").await;
    let mut saga = open(&log, 1).await;
    let mut again = saga.clone();
    assert!(log.advance(&mut saga, &done(), RESERVE, Duration::ZERO).await.unwrap());
    assert!(log.advance(&mut again, &done(), RESERVE, Duration::ZERO).await.unwrap());
    let stored = log.by_order(&saga.order_id).await.unwrap().unwrap();
    assert_eq!((stored.step, stored.state), (2, RESERVE));
    let mut reading = log.database.read().await.unwrap();
    let (steps,): (i64,) = query("SELECT COUNT(*) FROM saga_steps").fetch_one(&mut reading).await.unwrap();
    assert_eq!(steps, 2);
}

/// However many orders of its own a replica has, it finds those of others; and of several replicas one gets each.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_order_is_adopted_by_one(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let replicas = Replicas::new(kind);
    let log = replicas.log("checkout-1").await;
    let mut mine = nobody();
    for number in 0..24 {
        let saga = open(&log, number).await;
        if number < 20 {
            mine.insert(saga.order_id, saga.fence);
        }
    }
    replicas.wait(LEASE_MILLIS);
    let mut adopting = tokio::task::JoinSet::new();
    for number in 2..6 {
        let (log, mine) = (replicas.log(&format!("checkout-{number}")).await, mine.clone());
        adopting.spawn(async move { log.adopt(4, &mine).await.unwrap() });
    }
    let mut adopted: Vec<String> = Vec::new();
    while let Some(sagas) = adopting.join_next().await {
        adopted.extend(sagas.unwrap().into_iter().map(|saga| saga.order_id));
    }
    adopted.sort();
    assert_eq!(adopted, ["order-20", "order-21", "order-22", "order-23"]);
}

/// Whoever waits for its turn to write is alive: the lease it renews lasts as much longer.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewal_that_waited_lasts_longer(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let replicas = Replicas::new(kind);
    let (log, other) = (replicas.log("checkout-1").await, replicas.log("checkout-2").await);
    let saga = open(&log, 1).await;
    let asks = Arc::new(AtomicI64::new(0));
    let (counted, millis) = (Arc::clone(&asks), Arc::clone(&replicas.millis));
    let clock = move || {
        counted.fetch_add(1, Ordering::SeqCst);
        millis.load(Ordering::SeqCst)
    };
    let queued = Log { clock: Arc::new(clock), ..log };
    let turn = other.database.write().await.unwrap();
    let mine = BTreeMap::from([(saga.order_id, saga.fence)]);
    let renewing = tokio::spawn(async move { queued.renew(&mine).await });
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while asks.load(Ordering::SeqCst) == 0 {
        assert!(std::time::Instant::now() < deadline, "it does not ask for a turn");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    replicas.wait(5_000);
    turn.rollback().await.unwrap();
    renewing.await.unwrap().unwrap();
    replicas.wait(LEASE_MILLIS + 4_999);
    assert!(other.adopt(9, &nobody()).await.unwrap().is_empty(), "as long again as it waited");
    replicas.wait(1);
    assert_eq!(other.adopt(9, &nobody()).await.unwrap().len(), 1);
}

/// A lease that ends later than any can was taken before the clock was set back.
#[rstest]
#[tokio::test]
async fn a_clock_that_is_set_back_delays_no_order(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let replicas = Replicas::new(kind);
    let (log, other) = (replicas.log("checkout-1").await, replicas.log("checkout-2").await);
    let saga = open(&log, 1).await;
    let mine = BTreeMap::from([(saga.order_id, saga.fence)]);
    replicas.wait(-3_600_000);
    assert!(log.adopt(9, &mine).await.unwrap().is_empty(), "its task runs here");
    assert_eq!(other.adopt(9, &nobody()).await.unwrap().remove(0).fence, 2);
    assert!(log.adopt(9, &nobody()).await.unwrap().is_empty(), "the new lease is one as any");
}
