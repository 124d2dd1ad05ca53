//! Payments through their trait: every card, every command repeated and out of order, bad input, and random commands
//! after each of which the ledger must sum to zero.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use std::sync::Arc;

use payment::PaymentApi;
use proptest::prelude::*;
use shoal_sdk::{Call, Code, Environment, Error};
use store_contracts::store::payment::v1::{
    AuditRequest, AuditResponse, AuthoriseRequest, CaptureRequest, Payment, PaymentRecord, PaymentState, RefundRequest,
    VoidRequest,
};
use store_contracts::store::types::v1::Money;

const GOOD: &str = "4242 4242 4242 4242";
const DECLINED: &str = "4000 0000 0000 0002";
const SILENT: &str = "4000 0000 0000 0119";
const NO_CAPTURE: &str = "4000 0000 0000 0341";

struct Bench {
    api: PaymentApi,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        Bench { api: another(folder.path()).await, folder }
    }

    async fn authorise(&self, order: &str, minor: i64, card: &str) -> Result<PaymentRecord, Error> {
        let request = authorise_request(order, minor, card);
        Ok(self.api.authorise(&Call::new(), request).await?.payment.into_option().unwrap())
    }

    async fn capture(&self, order: &str) -> Result<PaymentRecord, Error> {
        let request = CaptureRequest { order_id: order.to_owned(), ..Default::default() };
        Ok(self.api.capture(&Call::new(), request).await?.payment.into_option().unwrap())
    }

    async fn void(&self, order: &str) -> Result<(), Error> {
        let request = VoidRequest { order_id: order.to_owned(), ..Default::default() };
        self.api.void(&Call::new(), request).await.map(|_| ())
    }

    async fn refund(&self, order: &str) -> Result<PaymentRecord, Error> {
        let request = RefundRequest { order_id: order.to_owned(), ..Default::default() };
        Ok(self.api.refund(&Call::new(), request).await?.payment.into_option().unwrap())
    }

    /// Reads the totals, which must sum to zero.
    async fn audit(&self, order: &str) -> AuditResponse {
        let request = AuditRequest { order_id: order.to_owned(), ..Default::default() };
        let audit = self.api.audit(&Call::new(), request).await.unwrap();
        for currency in &audit.currencies {
            assert_eq!(currency.ledger_sum, 0, "{currency:?}");
            assert!(currency.held >= 0 && currency.captured >= currency.refunded, "{currency:?}");
        }
        audit
    }

    /// Euros captured, refunded, held, and the number of captures.
    async fn totals(&self) -> (i64, i64, i64, i64) {
        let audit = self.audit("").await;
        let euros = audit.currencies.iter().find(|currency| currency.currency == "EUR");
        euros.map_or((0, 0, 0, 0), |euros| (euros.captured, euros.refunded, euros.held, euros.captures))
    }
}

async fn another(folder: &std::path::Path) -> PaymentApi {
    let database = Environment::for_tests(folder).database(payment::migrator()).await.unwrap();
    // 14 November 2023.
    PaymentApi::new(database, Arc::new(|| 1_700_000_000_000))
}

fn authorise_request(order: &str, minor: i64, card: &str) -> AuthoriseRequest {
    AuthoriseRequest {
        order_id: order.to_owned(),
        amount: Money { minor, currency: "EUR".to_owned(), ..Default::default() }.into(),
        card_number: card.to_owned(),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_good_card_pays_once_however_often_it_is_asked() {
    let bench = Bench::new().await;
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
    let audit = bench.audit("order-1").await;
    assert_eq!(audit.entries.len(), 6);
    assert_eq!(audit.payment.state, PaymentState::PAYMENT_STATE_REFUNDED);
}

#[tokio::test]
async fn another_amount_or_card_under_the_same_order_is_refused() {
    let bench = Bench::new().await;
    bench.authorise("order-1", 1250, GOOD).await.unwrap();
    for (minor, card) in [(1251, GOOD), (1250, DECLINED), (1, SILENT)] {
        assert_eq!(bench.authorise("order-1", minor, card).await.unwrap_err().code, Code::AlreadyExists);
    }
    assert_eq!(bench.totals().await, (0, 0, 1250, 0));
}

#[tokio::test]
async fn a_declined_card_is_an_answer_and_stays_declined() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_open_until_it_is_asked_again() {
    let bench = Bench::new().await;
    assert_eq!(bench.authorise("order-1", 100, SILENT).await.unwrap_err().code, Code::DeadlineExceeded);
    let audit = bench.audit("order-1").await;
    assert_eq!(audit.payment.state, PaymentState::PAYMENT_STATE_PENDING);
    assert_eq!(bench.capture("order-1").await.unwrap_err().code, Code::FailedPrecondition);
    // Whoever asks again need not have the card any more, and may be another replica.
    let replica = another(bench.folder.path()).await;
    let answer = replica.authorise(&Call::new(), authorise_request("order-1", 100, "")).await.unwrap();
    assert_eq!(answer.payment.state, PaymentState::PAYMENT_STATE_AUTHORISED);
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
    bench.capture("order-1").await.unwrap();
    assert_eq!(bench.totals().await, (100, 0, 0, 1));
}

#[tokio::test]
async fn asking_without_a_card_about_nothing_declines_for_good() {
    let bench = Bench::new().await;
    let payment = bench.authorise("order-1", 100, "").await.unwrap();
    assert_eq!(payment.state, PaymentState::PAYMENT_STATE_DECLINED);
    let late = bench.authorise("order-1", 100, GOOD).await.unwrap();
    assert_eq!(late.state, PaymentState::PAYMENT_STATE_DECLINED);
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[tokio::test]
async fn a_void_lets_go_and_a_void_that_comes_first_wins() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn a_refused_capture_is_an_answer_and_can_be_voided() {
    let bench = Bench::new().await;
    bench.authorise("order-1", 100, NO_CAPTURE).await.unwrap();
    for _ in 0..2 {
        let payment = bench.capture("order-1").await.unwrap();
        assert_eq!(payment.state, PaymentState::PAYMENT_STATE_DECLINED);
    }
    assert_eq!(bench.totals().await, (0, 0, 100, 0));
    bench.void("order-1").await.unwrap();
    assert_eq!(bench.totals().await, (0, 0, 0, 0));
}

#[tokio::test]
async fn a_lower_fence_is_refused() {
    let bench = Bench::new().await;
    let request = |fence| AuthoriseRequest { fence, ..authorise_request("order-1", 100, GOOD) };
    bench.api.authorise(&Call::new(), request(5)).await.unwrap();
    assert_eq!(bench.api.authorise(&Call::new(), request(4)).await.unwrap_err().code, Code::Aborted);
    let capture = |fence| CaptureRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
    assert_eq!(bench.api.capture(&Call::new(), capture(4)).await.unwrap_err().code, Code::Aborted);
    bench.api.capture(&Call::new(), capture(6)).await.unwrap();
}

#[tokio::test]
async fn bad_input_is_refused_and_never_repeats_the_card() {
    let bench = Bench::new().await;
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

#[tokio::test]
async fn no_file_holds_a_card_number() {
    let bench = Bench::new().await;
    for (order, card) in [("order-1", GOOD), ("order-2", SILENT), ("order-3", DECLINED)] {
        let _ = bench.authorise(order, 100, card).await;
    }
    for entry in std::fs::read_dir(bench.folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            for card in [GOOD, SILENT, DECLINED] {
                for text in [card.to_owned(), card.replace(' ', "")] {
                    let found = bytes.windows(text.len()).any(|window| window == text.as_bytes());
                    assert!(!found, "{} holds a card number", path.display());
                }
            }
        }
    }
}

/// Many replicas capture the same order at once: one capture.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn captures_that_race_are_one_capture() {
    let bench = Bench::new().await;
    bench.authorise("order-1", 700, GOOD).await.unwrap();
    let mut racers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let replica = another(bench.folder.path()).await;
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

#[tokio::test]
async fn the_service_starts() {
    let folder = tempfile::tempdir().unwrap();
    assert!(payment::service(Environment::for_tests(folder.path())).await.is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any commands in any order: each currency sums to zero after each, no order is captured twice, and what an order
    /// holds, paid and got back follows from its state.
    #[test]
    fn random_commands_keep_the_ledger_right(commands in prop::collection::vec((0u8..4, 0u8..5, 0u8..6), 1..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new().await;
            for (order, command, card) in commands {
                let order = format!("order-{order}");
                let card = [GOOD, GOOD, DECLINED, SILENT, NO_CAPTURE, ""][usize::from(card)];
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
