//! A bank that loses answers, gives them twice, or takes its time, and a payment service that dies in between:
//! repeating the command finds out, and posts once.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bench::{
    Bench, GOOD, NO_CAPTURE, SILENT, SILENT_EACH, SLOW, TWICE, audit, authorise, authorise_request, capture, open,
    refund, void,
};
use payment::{CRASH_POINTS, PaymentApi};
use rstest::rstest;
use shoal_sdk::{Call, Code, Error};
use store_contracts::store::payment::v1::{Payment, PaymentState};
use test_databases::{Kind, TestDatabase};

/// Repeats a command for as long as nobody knows what came of it. Answers how often it was asked.
async fn insist<T, F: Future<Output = Result<T, Error>>>(command: impl Fn() -> F) -> (Result<T, Error>, usize) {
    for tries in 1..100 {
        match command().await {
            Err(error) if error.code == Code::DeadlineExceeded => {}
            answer => return (answer, tries),
        }
    }
    panic!("the bank never answers");
}

#[rstest]
#[tokio::test]
async fn each_first_answer_may_get_lost(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    for order in ["order-1", "order-2"] {
        let (authorised, tries) = insist(|| bench.authorise(order, 100, SILENT_EACH)).await;
        assert_eq!((authorised.unwrap().state.as_known(), tries), (Some(PaymentState::PAYMENT_STATE_AUTHORISED), 2));
    }
    let (captured, tries) = insist(|| bench.capture("order-1")).await;
    assert_eq!((captured.unwrap().state.as_known(), tries), (Some(PaymentState::PAYMENT_STATE_CAPTURED), 2));
    assert_eq!(insist(|| bench.void("order-2")).await, (Ok(()), 2));
    assert_eq!(bench.totals().await, (100, 0, 0, 1));
    let (refunded, tries) = insist(|| bench.refund("order-1")).await;
    assert_eq!((refunded.unwrap().state.as_known(), tries), (Some(PaymentState::PAYMENT_STATE_REFUNDED), 2));
    assert_eq!(bench.totals().await, (100, 100, 0, 1));
}

#[rstest]
#[tokio::test]
async fn answers_that_come_twice_and_late_are_posted_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    for _ in 0..2 {
        bench.authorise("order-1", 100, TWICE).await.unwrap();
        bench.authorise("order-2", 50, TWICE).await.unwrap();
    }
    assert_eq!(bench.totals().await, (0, 0, 150, 0));
    for _ in 0..2 {
        bench.capture("order-1").await.unwrap();
        bench.void("order-2").await.unwrap();
        assert_eq!(bench.totals().await, (100, 0, 0, 1));
    }
    for _ in 0..2 {
        // The late copy of the capture's answer comes with the refund's.
        bench.refund("order-1").await.unwrap();
        assert_eq!(bench.totals().await, (100, 100, 0, 1));
    }
    assert_eq!(bench.audit("order-1").await.entries.len(), 6);
    assert_eq!(bench.audit("order-2").await.entries.len(), 4);
}

/// Whoever gives up on a slow bank finds, when asking again, that it took effect.
#[rstest]
#[tokio::test]
async fn a_caller_that_does_not_wait_asks_again(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    {
        let asking = bench.authorise("order-1", 100, SLOW);
        tokio::pin!(asking);
        // Dropped once the bank has written its book.
        loop {
            tokio::select! {
                answer = &mut asking => panic!("the bank is not slow: {answer:?}"),
                () = tokio::time::sleep(Duration::from_millis(1)) => {}
            }
            if bench.audit("order-1").await.payment.state == PaymentState::PAYMENT_STATE_PENDING {
                break;
            }
        }
    }
    let payment = bench.authorise("order-1", 100, SLOW).await.unwrap();
    assert_eq!(payment.state, PaymentState::PAYMENT_STATE_AUTHORISED);
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
}

/// The bank takes longer than anybody waits: callers that give up, or are told to ask again, find it done in the end.
#[rstest]
#[tokio::test]
async fn a_bank_slower_than_any_call_is_heard(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let database = TestDatabase::new(kind);
    let api = bench::open_with(&database, &serde_json::json!({ "bank-delay-ms": 1_200 })).await;
    let hasty = Call::new().with_timeout(Duration::from_millis(200));
    let request = authorise_request("order-1", 100, GOOD);
    assert_eq!(api.authorise(&hasty, request).await.unwrap_err().code, Code::Unavailable);
    for (operation, order) in [("authorise", "order-1"), ("capture", "order-1"), ("refund", "order-1")] {
        give_up_until_done(&api, operation, order).await;
    }
    for operation in ["authorise", "void"] {
        give_up_until_done(&api, operation, "order-2").await;
    }
    let audit = audit(&api, "order-2").await;
    assert_eq!(audit.payment.state, PaymentState::PAYMENT_STATE_VOIDED);
    let euros = &audit.currencies[0];
    assert_eq!((euros.captured, euros.refunded, euros.held, euros.captures), (100, 100, 0, 1));
}

/// Who asks while the bank is being asked waits for the same answer.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_at_a_time_asks_the_bank(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let database = TestDatabase::new(kind);
    let asked = Arc::new(AtomicUsize::new(0));
    let (open_the_gate, gate) = std::sync::mpsc::channel::<()>();
    let (count, gate) = (Arc::clone(&asked), Mutex::new(gate));
    let hook = move |point: &str| {
        if point == "authorise.logged" {
            count.fetch_add(1, Ordering::SeqCst);
            // Ends once the sender is dropped.
            let _ = gate.lock().unwrap().recv();
        }
    };
    let api = open(bench::environment(&database).with_crash_points_for_tests(Arc::new(hook))).await;
    for _ in 0..4 {
        let hasty = Call::new().with_timeout(Duration::from_millis(200));
        let answer = api.authorise(&hasty, authorise_request("order-1", 100, GOOD)).await;
        assert_eq!(answer.unwrap_err().code, Code::Unavailable);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    drop(open_the_gate);
    give_up_until_done(&api, "authorise", "order-1").await;
    assert_eq!(audit(&api, "order-1").await.currencies[0].held, 100);
}

/// Repeats a command, and drops each call long before the bank answers.
async fn give_up_until_done(api: &PaymentApi, operation: &str, order: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < deadline, "the {operation} never ends");
        if let Ok(answer) = tokio::time::timeout(Duration::from_millis(400), run(api, operation, order)).await {
            return answer.unwrap();
        }
    }
}

/// A forgetful bank, several replicas, many orders at once, and somebody who reads all the time: each read sums to zero
/// (`audit` asserts it), each order is charged once.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_orders_at_several_replicas(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Arc::new(Bench::new(kind).await);
    let settings = serde_json::json!({ "bank-lost-answers": 0.4, "bank-delay-ms": 1 });
    let mut shoppers = tokio::task::JoinSet::new();
    for number in 0..24 {
        let replica = bench::open_with(&bench.database, &settings).await;
        shoppers.spawn(async move {
            let order = format!("order-{number}");
            let card = [GOOD, SILENT, TWICE, NO_CAPTURE][number % 4];
            insist(|| authorise(&replica, &order, 100, card)).await.0.unwrap();
            let captured = insist(|| capture(&replica, &order)).await.0.unwrap();
            match number % 4 {
                3 => insist(|| void(&replica, &order)).await.0.unwrap(),
                2 => drop(insist(|| refund(&replica, &order)).await.0.unwrap()),
                _ => assert_eq!(captured.state, PaymentState::PAYMENT_STATE_CAPTURED),
            }
        });
    }
    let done = Arc::new(AtomicBool::new(false));
    let (reader, until) = (Arc::clone(&bench), Arc::clone(&done));
    let reading = tokio::spawn(async move {
        let mut reads = 0;
        while !until.load(Ordering::SeqCst) {
            reader.totals().await;
            reads += 1;
        }
        reads
    });
    while let Some(shopper) = shoppers.join_next().await {
        shopper.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    assert!(reading.await.unwrap() > 0);
    assert_eq!(bench.totals().await, (1800, 600, 0, 18));
}

/// A replica whose settling dies where it reaches this crash point, and whether it did.
async fn doomed(database: &TestDatabase, point: &'static str) -> (PaymentApi, Arc<AtomicBool>) {
    let reached = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&reached);
    let hook = move |name: &str| {
        if name == point {
            told.store(true, Ordering::SeqCst);
            panic!("killed on purpose at {name}");
        }
    };
    (open(bench::environment(database).with_crash_points_for_tests(Arc::new(hook))).await, reached)
}

/// The same command, asked again of another replica after a kill at each point, ends as if nothing had happened.
#[rstest]
#[tokio::test]
async fn a_payment_service_killed_at_any_point_goes_on(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let (mut captured, mut refunded, mut captures) = (0, 0, 0);
    for (number, point) in CRASH_POINTS.into_iter().enumerate() {
        let order = format!("order-{number}");
        let (operation, _) = point.split_once('.').unwrap();
        if operation != "authorise" {
            bench.authorise(&order, 100, GOOD).await.unwrap();
        }
        if operation == "refund" {
            bench.capture(&order).await.unwrap();
            (captured, captures) = (captured + 100, captures + 1);
        }
        let (doomed, reached) = doomed(&bench.database, point).await;
        assert_eq!(run(&doomed, operation, &order).await.unwrap_err().code, Code::Unavailable, "{point}");
        assert!(reached.load(Ordering::SeqCst), "{point} was not reached");
        bench.totals().await;
        run(&bench.api, operation, &order).await.unwrap_or_else(|error| panic!("{point}: {error}"));
        match operation {
            "authorise" => bench.void(&order).await.unwrap(),
            "capture" => (captured, captures) = (captured + 100, captures + 1),
            "refund" => refunded += 100,
            _ => {}
        }
        assert_eq!(bench.totals().await, (captured, refunded, 0, captures), "{point}");
    }
}

async fn run(api: &PaymentApi, operation: &str, order: &str) -> Result<(), Error> {
    match operation {
        "authorise" => authorise(api, order, 100, GOOD).await.map(drop),
        "capture" => capture(api, order).await.map(drop),
        "void" => void(api, order).await,
        _ => refund(api, order).await.map(drop),
    }
}

#[rstest]
#[case(serde_json::json!({ "bank-delay-ms": 10_001 }), "bank-delay-ms")]
#[case(serde_json::json!({ "bank-lost-answers": 1.0 }), "bank-lost-answers")]
#[case(serde_json::json!({ "bank-lost-answers": -0.1 }), "bank-lost-answers")]
#[case(serde_json::json!({ "bank-lost-answer": 0.1 }), "bank-lost-answer")]
#[cfg_attr(not(feature = "planted-bugs"), case(serde_json::json!({ "planted-bug": "no-fence" }), "planted-bug"))]
#[cfg_attr(feature = "planted-bugs", case(serde_json::json!({ "planted-bug": "no-bug" }), "planted-bug"))]
#[tokio::test]
async fn a_wrong_setting_is_named(#[case] settings: serde_json::Value, #[case] name: &str) {
    let database = TestDatabase::new(Kind::Sqlite);
    let error = payment::service(bench::environment(&database).with_settings(&settings).unwrap()).await;
    let error = error.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(error.contains(name) && error.contains("shoal.toml"), "{error}");
}

/// Each planted bug does what its name says.
#[cfg(feature = "planted-bugs")]
#[rstest]
#[tokio::test]
async fn planted_bugs_are_bugs(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    use payment::{PlantedBug, Settings};
    use store_contracts::store::payment::v1::{AuditRequest, CaptureRequest};

    let bench = Bench::new(kind).await;
    let planted = async |bug| {
        bench::open_with(&bench.database, &Settings { planted_bug: Some(bug), ..Settings::default() }).await
    };
    let skips = planted(PlantedBug::RefundSkipped).await;
    bench.authorise("order-1", 100, GOOD).await.unwrap();
    void(&skips, "order-1").await.unwrap();
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
    bench.capture("order-1").await.unwrap();
    refund(&skips, "order-1").await.unwrap();
    assert_eq!(bench.totals().await, (100, 0, 0, 1));

    let unfenced = planted(PlantedBug::NoFence).await;
    let request = |fence| CaptureRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
    bench.api.capture(&Call::new(), request(2)).await.unwrap();
    unfenced.capture(&Call::new(), request(1)).await.unwrap();

    let keyless = planted(PlantedBug::ChargeWithoutKey).await;
    bench.authorise("order-2", 100, GOOD).await.unwrap();
    for _ in 0..3 {
        capture(&keyless, "order-2").await.unwrap();
    }
    let audit = keyless.audit(&Call::new(), AuditRequest::default()).await.unwrap();
    assert_eq!((audit.currencies[0].captured, audit.currencies[0].captures, audit.currencies[0].held), (400, 4, -200));
}
