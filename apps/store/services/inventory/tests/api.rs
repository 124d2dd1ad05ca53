//! The inventory through its trait: every command, repeated, out of order, too late, and with bad input.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod bench;

use bench::{Bench, reserve_request};
use rstest::rstest;
use shoal_sdk::{Call, Code};
use store_contracts::store::inventory::v1::{
    AuditRequest, CommitRequest, ExtendRequest, Inventory, ReceiveRequest, ReleaseRequest, ReservationState,
    ReserveRequest, RestockRequest, Shortages,
};
use test_databases::Kind;

#[rstest]
#[tokio::test]
async fn all_lines_or_none_and_the_refusal_names_what_is_missing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 5).await;
    bench.receive("cup", 1).await;
    let error = bench.reserve("order-1", &[("mug", 2), ("cup", 3)]).await.unwrap_err();
    assert_eq!(error.code, Code::FailedPrecondition);
    let shortages = error.detail::<Shortages>().unwrap().shortages;
    assert_eq!((shortages[0].product_id.as_str(), shortages[0].wanted, shortages[0].available), ("cup", 3, 1));
    assert_eq!(bench.available(&["mug", "cup", "unknown"]).await, [5, 1, 0]);
    bench.reserve("order-1", &[("mug", 2), ("cup", 1)]).await.unwrap();
    assert_eq!(bench.available(&["mug", "cup"]).await, [3, 0]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn a_repeated_reserve_answers_the_same_and_another_body_is_refused(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 5).await;
    let first = bench.reserve("order-1", &[("mug", 2)]).await.unwrap();
    bench.pass(10);
    let again = bench.reserve("order-1", &[("mug", 2)]).await.unwrap();
    assert_eq!(first, again);
    assert_eq!(bench.reserve("order-1", &[("mug", 3)]).await.unwrap_err().code, Code::AlreadyExists);
    assert_eq!(bench.available(&["mug"]).await, [3]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn a_reservation_lasts_its_time_and_not_a_moment_longer(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 1).await;
    bench.reserve("order-1", &[("mug", 1)]).await.unwrap();
    bench.pass(59_999);
    assert_eq!(bench.available(&["mug"]).await, [0], "never before its time");
    assert_eq!(bench.api.sweep().await.unwrap(), 0);
    assert!(bench.reserve("order-2", &[("mug", 1)]).await.is_err());
    bench.pass(1);
    assert_eq!(bench.available(&["mug"]).await, [1], "back at once, before any sweep");
    bench.check().await;
    bench.reserve("order-2", &[("mug", 1)]).await.unwrap();
    assert_eq!(bench.commit("order-1").await.unwrap_err().code, Code::FailedPrecondition);
    bench.commit("order-2").await.unwrap();
    assert_eq!(bench.reserve("order-1", &[("mug", 1)]).await.unwrap_err().code, Code::FailedPrecondition);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn the_sweep_puts_back_what_ran_out(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 3).await;
    for order in ["order-1", "order-2"] {
        bench.reserve(order, &[("mug", 1)]).await.unwrap();
    }
    bench.pass(60_000);
    assert_eq!(bench.api.sweep().await.unwrap(), 2);
    assert_eq!(bench.api.sweep().await.unwrap(), 0);
    assert_eq!(bench.available(&["mug"]).await, [3]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn extending_moves_the_end_and_never_back(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 1).await;
    let first = bench.reserve("order-1", &[("mug", 1)]).await.unwrap();
    let extend = |ttl_ms| ExtendRequest { order_id: "order-1".to_owned(), ttl_ms, ..Default::default() };
    let shorter = bench.api.extend(&Call::new(), extend(1_000)).await.unwrap();
    assert_eq!(shorter.reservation.expires_at_ms, first.expires_at_ms);
    bench.pass(30_000);
    let longer = bench.api.extend(&Call::new(), extend(60_000)).await.unwrap();
    assert_eq!(longer.reservation.expires_at_ms, first.expires_at_ms + 30_000);
    bench.pass(60_000);
    assert_eq!(bench.api.extend(&Call::new(), extend(60_000)).await.unwrap_err().code, Code::FailedPrecondition);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn commit_release_and_restock_repeat_without_effect(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 4).await;
    bench.reserve("sold", &[("mug", 2)]).await.unwrap();
    bench.reserve("dropped", &[("mug", 1)]).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.commit("sold").await.unwrap().state, ReservationState::RESERVATION_STATE_COMMITTED);
        bench.release("dropped").await.unwrap();
        assert_eq!(bench.available(&["mug"]).await, [2]);
        bench.check().await;
    }
    assert_eq!(bench.release("sold").await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.commit("dropped").await.unwrap_err().code, Code::FailedPrecondition);
    let restock = |order: &str| RestockRequest { order_id: order.to_owned(), ..Default::default() };
    for _ in 0..2 {
        let back = bench.api.restock(&Call::new(), restock("sold")).await.unwrap();
        assert_eq!(back.reservation.state, ReservationState::RESERVATION_STATE_RESTOCKED);
        assert_eq!(bench.available(&["mug"]).await, [4]);
    }
    bench.release("sold").await.unwrap();
    assert_eq!(bench.api.restock(&Call::new(), restock("dropped")).await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.api.restock(&Call::new(), restock("never")).await.unwrap_err().code, Code::NotFound);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn a_release_that_overtakes_its_reserve_wins(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 1).await;
    bench.release("order-1").await.unwrap();
    assert_eq!(bench.reserve("order-1", &[("mug", 1)]).await.unwrap_err().code, Code::FailedPrecondition);
    assert_eq!(bench.available(&["mug"]).await, [1]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn a_lower_fence_is_refused(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 1).await;
    bench.reserve("order-1", &[("mug", 1)]).await.unwrap();
    let commit = |fence| CommitRequest { order_id: "order-1".to_owned(), fence, ..Default::default() };
    bench
        .api
        .release(&Call::new(), ReleaseRequest { order_id: "other".to_owned(), fence: 2, ..Default::default() })
        .await
        .unwrap();
    bench.api.commit(&Call::new(), commit(3)).await.unwrap();
    assert_eq!(bench.api.commit(&Call::new(), commit(2)).await.unwrap_err().code, Code::Aborted);
    bench.api.commit(&Call::new(), commit(3)).await.unwrap();
    bench.api.commit(&Call::new(), commit(0)).await.unwrap();
}

/// Somebody newer commanded the order first: a reservation that was still on its way comes too late.
#[rstest]
#[tokio::test]
async fn a_lower_fence_is_refused_for_an_order_without_a_reservation(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let bench = Bench::new(false, kind).await;
    bench.receive("mug", 1).await;
    let call = Call::new();
    let order_id = |order: &str| order.to_owned();
    let code = |error: shoal_sdk::Error| error.code;
    let reserve = async |order: &str, quantity, fence| {
        let request = ReserveRequest { fence, ..reserve_request(order, &[("mug", quantity)], 60_000) };
        bench.api.reserve(&call, request).await.map(drop).map_err(code)
    };
    let commit = CommitRequest { order_id: order_id("unknown"), fence: 4, ..Default::default() };
    assert_eq!(bench.api.commit(&call, commit).await.map_err(code), Err(Code::NotFound));
    let release = ReleaseRequest { order_id: order_id("released"), fence: 4, ..Default::default() };
    bench.api.release(&call, release).await.unwrap();
    assert_eq!(reserve("short", 2, 4).await, Err(Code::FailedPrecondition));
    for order in ["unknown", "released", "short"] {
        assert_eq!(reserve(order, 1, 3).await, Err(Code::Aborted), "{order}");
    }
    assert_eq!(reserve("released", 1, 4).await, Err(Code::FailedPrecondition));
    assert_eq!(reserve("short", 1, 5).await, Ok(()));
    assert_eq!(reserve("short", 1, 4).await, Err(Code::Aborted));
    let restock = RestockRequest { order_id: order_id("short"), fence: 4, ..Default::default() };
    assert_eq!(bench.api.restock(&call, restock).await.map_err(code), Err(Code::Aborted));
    let extend = ExtendRequest { order_id: order_id("short"), ttl_ms: 1_000, fence: 4, ..Default::default() };
    assert_eq!(bench.api.extend(&call, extend).await.map_err(code), Err(Code::Aborted));
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn a_delivery_counts_once_per_key(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    let receive = |product: &str, quantity| ReceiveRequest {
        idempotency_key: "delivery-1".to_owned(),
        product_id: product.to_owned(),
        quantity,
        ..Default::default()
    };
    for _ in 0..3 {
        let answer = bench.api.receive(&Call::new(), receive("mug", 7)).await.unwrap();
        assert_eq!(answer.stock.quantity, 7);
    }
    assert_eq!(bench.api.receive(&Call::new(), receive("mug", 8)).await.unwrap_err().code, Code::AlreadyExists);
    assert_eq!(bench.api.receive(&Call::new(), receive("cup", 7)).await.unwrap_err().code, Code::AlreadyExists);
    assert_eq!(bench.available(&["mug", "cup"]).await, [7, 0]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn demo_stock_is_the_same_before_and_after_it_is_written(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(true, kind).await;
    let expected = i32::try_from(inventory::first_receipt("blue-mug")).unwrap();
    assert_eq!(bench.available(&["blue-mug"]).await, [expected]);
    bench.reserve("order-1", &[("blue-mug", 2)]).await.unwrap();
    assert_eq!(bench.available(&["blue-mug"]).await, [expected - 2]);
    bench.receive("green-mug", 10).await;
    let green = i32::try_from(inventory::first_receipt("green-mug")).unwrap();
    assert_eq!(bench.available(&["green-mug"]).await, [green + 10]);
    bench.check().await;
}

#[rstest]
#[tokio::test]
async fn as_many_products_as_may_be_are_read_at_once(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    let names: Vec<String> = (0..100).map(|number| format!("product-{number}")).collect();
    for (number, name) in names.iter().enumerate().step_by(9) {
        bench.receive(name, i32::try_from(number).unwrap() + 1).await;
    }
    let products: Vec<&str> = names.iter().map(String::as_str).collect();
    let expected: Vec<i32> = (0..100).map(|number| if number % 9 == 0 { number + 1 } else { 0 }).collect();
    assert_eq!(bench.available(&products).await, expected);
}

#[rstest]
#[tokio::test]
async fn the_audit_comes_in_pages(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(false, kind).await;
    for product in ["a", "b", "c"] {
        bench.receive(product, 1).await;
    }
    let page = |token: &str| AuditRequest { limit: 2, page_token: token.to_owned(), ..Default::default() };
    let first = bench.api.audit(&Call::new(), page("")).await.unwrap();
    assert_eq!((first.products.len(), first.next_page_token.as_str(), first.balanced), (2, "b", true));
    let second = bench.api.audit(&Call::new(), page("b")).await.unwrap();
    assert_eq!((second.products.len(), second.next_page_token.as_str()), (1, ""));
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let bench = Bench::new(true, kind).await;
    let long = "x".repeat(65);
    let mut many: Vec<(String, i32)> = (0..51).map(|number| (format!("p{number}"), 1)).collect();
    let as_lines = |lines: &[(String, i32)]| -> Vec<(String, i32)> { lines.to_vec() };
    let bad_lines: Vec<Vec<(String, i32)>> = vec![
        vec![],
        as_lines(&many),
        vec![("mug".to_owned(), 0)],
        vec![("mug".to_owned(), -1)],
        vec![("mug".to_owned(), 100)],
        vec![("mug".to_owned(), i32::MAX)],
        vec![("mug".to_owned(), 1), ("mug".to_owned(), 1)],
        vec![("Mug".to_owned(), 1)],
        vec![(long.clone(), 1)],
        vec![(String::new(), 1)],
        vec![("<script>".to_owned(), 1)],
    ];
    for lines in bad_lines {
        let lines: Vec<(&str, i32)> = lines.iter().map(|(id, quantity)| (id.as_str(), *quantity)).collect();
        assert_invalid(bench.reserve("order-1", &lines).await);
    }
    many.truncate(50);
    for order in ["", long.as_str(), "a b", "ü", "a'; DROP TABLE stock"] {
        assert_invalid(bench.reserve(order, &[("mug", 1)]).await);
        assert_invalid(bench.release(order).await);
    }
    for ttl in [i64::MIN, 0, 999, 3_600_001, i64::MAX] {
        assert_invalid(bench.reserve_for("order-1", &[("mug", 1)], ttl).await);
    }
    let long = "x".repeat(201);
    for (quantity, note) in [(i32::MIN, ""), (0, ""), (100_001, ""), (1, "a\0b"), (1, long.as_str())] {
        let request = ReceiveRequest {
            idempotency_key: "delivery-1".to_owned(),
            product_id: "mug".to_owned(),
            quantity,
            note: note.to_owned(),
            ..Default::default()
        };
        assert_invalid(bench.api.receive(&Call::new(), request).await);
    }
    for ids in [vec![], vec!["mug".to_owned(); 101]] {
        let request =
            store_contracts::store::inventory::v1::AvailableRequest { product_ids: ids, ..Default::default() };
        assert_invalid(bench.api.available(&Call::new(), request).await);
    }
    bench.check().await;
}

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(answer: Result<T, shoal_sdk::Error>) {
    let error = answer.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument, "{error}");
    assert!(error.message.ends_with('.'), "{error}");
}

#[tokio::test]
async fn the_service_starts_with_its_settings_and_refuses_others() {
    let folder = tempfile::tempdir().unwrap();
    let environment = |settings: &[(&str, bool)]| {
        let settings: std::collections::BTreeMap<&str, bool> = settings.iter().copied().collect();
        shoal_sdk::Environment::for_tests(folder.path()).with_settings(&settings).unwrap()
    };
    for settings in [&[][..], &[("demo-stock", true)], &[("demo-stock", false)]] {
        assert!(inventory::service(environment(settings)).await.is_ok(), "{settings:?}");
    }
    for name in ["demo-stok", if cfg!(feature = "planted-bugs") { "planted" } else { "planted-bug" }] {
        assert!(inventory::service(environment(&[(name, true)])).await.is_err(), "{name}");
    }
}
