//! Payments through their trait: every card, every command repeated and out of order, bad input, and random commands
//! after each of which the ledger must sum to zero.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use bench::{Bench, DECLINED, GOOD, NO_CAPTURE, SILENT, SILENT_EACH, TWICE, authorise_request, environment};
use proptest::prelude::*;
use rstest::rstest;
use shoal_sdk::{Call, Code};
use store_contracts::store::payment::v1::{AuthoriseRequest, CaptureRequest, Payment, PaymentState, RefundRequest};
use store_contracts::store::types::v1::Money;
use test_databases::Kind;

#[rstest]
#[tokio::test]
async fn a_good_card_pays_once_however_often_it_is_asked(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    for _ in 0..3 {
        let payment = bench.authorise("order-1", 1250, GOOD).await.unwrap();
        assert_eq!(payment.state, PaymentState::PAYMENT_STATE_AUTHORISED);
        assert_eq!((payment.card_last_four.as_str(), payment.card_brand.as_str()), ("4242", "Visa"));
    }
    assert_eq!(bench.totals().await, (0, 0, 1250, 0));
    for _ in 0..3 {
        assert_eq!(bench.capture("order-1").await.unwrap().state, PaymentState::PAYMENT_STATE_CAPTURED);
    }
    assert_eq!(bench.totals().await, (1250, 0, 0, 1));
    assert_eq!(bench.void("order-1").await.unwrap_err().code, Code::FailedPrecondition);
    for _ in 0..2 {
        assert_eq!(bench.refund("order-1").await.unwrap().state, PaymentState::PAYMENT_STATE_REFUNDED);
    }
    assert_eq!(bench.totals().await, (1250, 1250, 0, 1));
    // What was given back is not held, so there is nothing to do.
    bench.void("order-1").await.unwrap();
    let audit = bench.audit("order-1").await;
    assert_eq!(audit.entries.len(), 6);
    assert_eq!(audit.payment.state, PaymentState::PAYMENT_STATE_REFUNDED);
}

#[rstest]
#[tokio::test]
async fn another_amount_or_card_under_the_same_order_is_refused(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    bench.authorise("order-1", 1250, GOOD).await.unwrap();
    for (minor, card) in [(1251, GOOD), (1250, DECLINED), (1, SILENT)] {
        assert_eq!(bench.authorise("order-1", minor, card).await.unwrap_err().code, Code::AlreadyExists);
    }
    assert_eq!(bench.totals().await, (0, 0, 1250, 0));
}

#[rstest]
#[tokio::test]
async fn a_declined_card_is_an_answer_and_stays_declined(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    for (order, card) in [("order-1", DECLINED), ("order-2", "4000 0000 0000 9995"), ("order-3", "4111 1111 1111 1111")]
    {
        for _ in 0..2 {
            let payment = bench.authorise(order, 100, card).await.unwrap();
            assert_eq!(payment.state, PaymentState::PAYMENT_STATE_DECLINED);
            assert!(payment.decline_reason.ends_with('.'), "{}", payment.decline_reason);
        }
        assert_eq!(bench.capture(order).await.unwrap_err().code, Code::FailedPrecondition);
        bench.void(order).await.unwrap();
    }
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_open_until_it_is_asked_again(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let bench = Bench::new(kind).await;
    assert_eq!(bench.authorise("order-1", 100, SILENT).await.unwrap_err().code, Code::DeadlineExceeded);
    let audit = bench.audit("order-1").await;
    assert_eq!(audit.payment.state, PaymentState::PAYMENT_STATE_PENDING);
    assert_eq!(bench.capture("order-1").await.unwrap_err().code, Code::FailedPrecondition);
    // Whoever asks again need not have the card any more, and may be another replica.
    let replica = bench.replica().await;
    let answer = replica.authorise(&Call::new(), authorise_request("order-1", 100, "")).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::PAYMENT_STATE_AUTHORISED);
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
    bench.capture("order-1").await.unwrap();
    assert_eq!(bench.totals().await, (100, 0, 0, 1));
}

#[rstest]
#[tokio::test]
async fn asking_without_a_card_about_nothing_declines_for_good(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let payment = bench.authorise("order-1", 100, "").await.unwrap();
    assert_eq!(payment.state, PaymentState::PAYMENT_STATE_DECLINED);
    let late = bench.authorise("order-1", 100, GOOD).await.unwrap();
    assert_eq!(late.state, PaymentState::PAYMENT_STATE_DECLINED);
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_void_lets_go_and_a_void_that_comes_first_wins(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    bench.authorise("order-1", 100, GOOD).await.unwrap();
    for _ in 0..2 {
        bench.void("order-1").await.unwrap();
        bench.void("order-2").await.unwrap();
    }
    assert_eq!(bench.capture("order-1").await.unwrap_err().code, Code::FailedPrecondition);
    let late = bench.authorise("order-2", 100, GOOD).await.unwrap();
    assert_eq!(late.state, PaymentState::PAYMENT_STATE_VOIDED);
    // An authorisation whose answer was lost is found out first.
    bench.authorise("order-3", 100, SILENT).await.unwrap_err();
    bench.void("order-3").await.unwrap();
    assert_eq!(bench.audit("order-3").await.payment.state, PaymentState::PAYMENT_STATE_VOIDED);
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_refused_capture_is_an_answer_and_can_be_voided(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    bench.authorise("order-1", 100, NO_CAPTURE).await.unwrap();
    for _ in 0..2 {
        let payment = bench.capture("order-1").await.unwrap();
        assert_eq!(payment.state, PaymentState::PAYMENT_STATE_DECLINED);
    }
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
    bench.void("order-1").await.unwrap();
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[rstest]
#[tokio::test]
async fn a_lower_fence_is_refused(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let request = |fence| AuthoriseRequest { fence, ..authorise_request("order-1", 100, GOOD) };
    bench.api.authorise(&Call::new(), request(5)).await.unwrap();
    assert_eq!(bench.api.authorise(&Call::new(), request(4)).await.unwrap_err().code, Code::Aborted);
    let capture = |fence| CaptureRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
    assert_eq!(bench.api.capture(&Call::new(), capture(4)).await.unwrap_err().code, Code::Aborted);
    bench.api.capture(&Call::new(), capture(6)).await.unwrap();
    let refund = |fence| RefundRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
    assert_eq!(bench.api.refund(&Call::new(), refund(5)).await.unwrap_err().code, Code::Aborted);
    bench.api.refund(&Call::new(), refund(6)).await.unwrap();
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_and_never_repeats_the_card(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    let money = |minor, currency: &str| Money { minor, currency: currency.to_owned(), ..Default::default() };
    let good = authorise_request("order-1", 100, GOOD);
    let requests = [
        AuthoriseRequest { order_id: String::new(), ..good.clone() },
        AuthoriseRequest { order_id: "x".repeat(65), ..good.clone() },
        AuthoriseRequest { order_id: "ö".to_owned(), ..good.clone() },
        AuthoriseRequest { amount: None.into(), ..good.clone() },
        AuthoriseRequest { amount: money(0, "EUR").into(), ..good.clone() },
        AuthoriseRequest { amount: money(-5, "EUR").into(), ..good.clone() },
        AuthoriseRequest { amount: money(i64::MAX, "EUR").into(), ..good.clone() },
        AuthoriseRequest { amount: money(100, "XXX").into(), ..good.clone() },
        AuthoriseRequest { amount: money(100, "").into(), ..good.clone() },
        AuthoriseRequest { card_number: "4242 4242 4242 4241".to_owned(), ..good.clone() },
        AuthoriseRequest { card_number: "4".repeat(1000), ..good.clone() },
        AuthoriseRequest { card_expiry: "10/23".to_owned(), ..good.clone() },
        AuthoriseRequest { card_expiry: "never".to_owned(), ..good.clone() },
        AuthoriseRequest { fence: -1, ..good.clone() },
    ];
    for request in requests {
        let error = bench.api.authorise(&Call::new(), request).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{error}");
        assert!(!error.message.contains("4242"), "{error}");
    }
    assert_eq!(bench.capture("unknown").await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.refund("unknown").await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

/// Many replicas capture the same order at once: one capture.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn captures_that_race_are_one_capture(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(kind).await;
    bench.authorise("order-1", 700, GOOD).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let replica = bench.replica().await;
        racers.spawn(async move {
            let request = CaptureRequest { order_id: "order-1".to_owned(), ..Default::default() };
            replica.capture(&Call::new(), request).await.map(|answer| answer.payment.state)
        });
    }
    while let Some(answer) = racers.join_next().await {
        assert_eq!(answer.unwrap().unwrap(), PaymentState::PAYMENT_STATE_CAPTURED);
    }
    assert_eq!(bench.totals().await, (700, 0, 0, 1));
}

#[rstest]
#[tokio::test]
async fn the_service_starts(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let database = test_databases::TestDatabase::new(kind);
    assert!(payment::service(environment(&database)).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Any commands in any order: each currency sums to zero after each, no order is captured twice, and what an order
    /// holds, paid and got back follows from its state.
    #[test]
    fn random_commands_keep_the_ledger_right(
        on_postgres in any::<bool>(),
        commands in prop::collection::vec((0u8..4, 0u8..5, 0usize..8), 1..30),
    ) {
        let kind = if on_postgres { Kind::Postgres } else { Kind::Sqlite };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new(kind).await;
            for (order, command, card) in commands {
                let order = format!("order-{order}");
                let card = [GOOD, GOOD, DECLINED, SILENT, SILENT_EACH, TWICE, NO_CAPTURE, ""][card];
                // Refusals are fine; what counts is what the ledger says afterwards.
                match command {
                    0 | 1 => drop(bench.authorise(&order, 100, card).await),
                    2 => drop(bench.capture(&order).await),
                    3 => drop(bench.void(&order).await),
                    _ => drop(bench.refund(&order).await),
                }
                let (mut captured, mut refunded, mut held, mut captures) = (0, 0, 0, 0);
                for order in 0..4 {
                    let audit = bench.audit(&format!("order-{order}")).await;
                    match audit.payment.state.as_known() {
                        Some(PaymentState::PAYMENT_STATE_AUTHORISED) => held += 100,
                        Some(PaymentState::PAYMENT_STATE_CAPTURED) => (captured, captures) = (captured + 100, captures + 1),
                        Some(PaymentState::PAYMENT_STATE_REFUNDED) => {
                            (captured, captures, refunded) = (captured + 100, captures + 1, refunded + 100);
                        }
                        // A refused capture is still held until it is voided.
                        Some(PaymentState::PAYMENT_STATE_DECLINED) if !audit.entries.is_empty() => held += 100,
                        _ => {}
                    }
                }
                prop_assert_eq!(bench.totals().await, (captured, refunded, held, captures));
            }
            Ok(())
        })?;
    }
}
