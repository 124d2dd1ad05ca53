//! The basket through its contract, on a database in a folder of each test's own.

use super::*;
use rstest::rstest;
use shoal_sdk::Code;
use test_databases::{Kind, TestDatabase};

const GUEST: &str = "guest:0192f3a0-1111-7222-8333-444455556666";
const CUSTOMER: &str = "customer:0192f3a0-aaaa-7bbb-8ccc-ddddeeeeffff";

async fn open(kind: Kind) -> (TestDatabase, Baskets) {
    let database = TestDatabase::new(kind);
    let baskets = replica(&database).await;
    (database, baskets)
}

/// Another replica over the same database.
async fn replica(database: &TestDatabase) -> Baskets {
    Baskets::new(Database::open(database.url(), migrations()).await.unwrap(), Settings::default())
}

async fn set(
    baskets: &Baskets,
    shopper: &str,
    product: &str,
    quantity: i32,
    version: Option<i64>,
) -> Result<BasketContents, Error> {
    let request = SetItemRequest {
        shopper_id: shopper.to_owned(),
        product_id: product.to_owned(),
        quantity,
        expected_version: version,
        ..Default::default()
    };
    let answer = baskets.set_item(&Call::new(), request).await?;
    Ok(answer.basket.into_option().unwrap())
}

async fn get(baskets: &Baskets, shopper: &str) -> BasketContents {
    let request = GetRequest { shopper_id: shopper.to_owned(), ..Default::default() };
    baskets.get(&Call::new(), request).await.unwrap().basket.into_option().unwrap()
}

async fn clear(baskets: &Baskets, shopper: &str, version: i64) -> BasketContents {
    let request = ClearRequest { shopper_id: shopper.to_owned(), version, ..Default::default() };
    baskets.clear(&Call::new(), request).await.unwrap().basket.into_option().unwrap()
}

async fn merge(baskets: &Baskets) -> BasketContents {
    let request = MergeRequest {
        guest_shopper_id: GUEST.to_owned(),
        customer_shopper_id: CUSTOMER.to_owned(),
        ..Default::default()
    };
    baskets.merge(&Call::new(), request).await.unwrap().basket.into_option().unwrap()
}

fn lines(basket: &BasketContents) -> Vec<(&str, i32)> {
    basket.lines.iter().map(|line| (line.product_id.as_str(), line.quantity)).collect()
}

#[rstest]
#[tokio::test]
async fn an_unknown_basket_is_empty_at_version_0(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    let basket = get(&baskets, GUEST).await;
    assert_eq!((basket.version, basket.lines.len()), (0, 0));
}

#[rstest]
#[tokio::test]
async fn quantities_are_absolute_and_kept_in_order(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    let basket = set(&baskets, GUEST, "mug", 5, Some(2)).await.unwrap();
    assert_eq!(lines(&basket), [("mug", 5), ("bowl", 1)]);
    assert_eq!(basket.version, 3);
    let basket = set(&baskets, GUEST, "mug", 0, None).await.unwrap();
    assert_eq!(lines(&basket), [("bowl", 1)]);
}

#[rstest]
#[tokio::test]
async fn a_stale_version_is_aborted_also_when_the_line_is_as_wanted(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let (_database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 2, Some(0)).await.unwrap();
    for quantity in [2, 3] {
        let error = set(&baskets, GUEST, "mug", quantity, Some(0)).await.unwrap_err();
        assert_eq!(error.code, Code::Aborted, "{quantity}");
    }
    for version in [None, Some(1)] {
        let repeated = set(&baskets, GUEST, "mug", 2, version).await.unwrap();
        assert_eq!(repeated.version, 1, "it is so already");
    }
    assert_eq!(lines(&get(&baskets, GUEST).await), [("mug", 2)]);
}

#[rstest]
#[tokio::test]
async fn merging_twice_never_doubles(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 60, None).await.unwrap();
    set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    set(&baskets, CUSTOMER, "mug", 50, None).await.unwrap();
    let once = merge(&baskets).await;
    assert_eq!(lines(&once), [("mug", 99), ("bowl", 1)]);
    assert_eq!(merge(&baskets).await, once);
    assert!(get(&baskets, GUEST).await.lines.is_empty());
}

#[rstest]
#[tokio::test]
async fn merging_leaves_lines_beyond_the_most(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    for index in 0..checks::LINES_MAX {
        set(&baskets, CUSTOMER, &format!("product-{index}"), 1, None).await.unwrap();
    }
    let error = set(&baskets, CUSTOMER, "one-more", 1, None).await.unwrap_err();
    assert_eq!(error.code, Code::ResourceExhausted);
    set(&baskets, GUEST, "one-more", 1, None).await.unwrap();
    set(&baskets, GUEST, "product-7", 2, None).await.unwrap();
    let merged = merge(&baskets).await;
    assert_eq!(merged.lines.len(), checks::LINES_MAX);
    assert_eq!(merged.lines[7].quantity, 3);
    assert_eq!(lines(&get(&baskets, GUEST).await), [("one-more", 1)]);
}

#[rstest]
#[tokio::test]
async fn clearing_takes_what_was_bought_and_leaves_what_came_later(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    let bought = set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    set(&baskets, GUEST, "lamp", 1, None).await.unwrap();
    let left = clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&left), [("lamp", 1)]);
    assert_eq!(clear(&baskets, GUEST, bought.version).await, left, "a repeat changes nothing");
}

#[rstest]
#[tokio::test]
async fn what_was_bought_as_a_guest_does_not_come_back_by_merging(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    set(&baskets, CUSTOMER, "mug", 1, None).await.unwrap();
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    let bought = set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    assert_eq!(lines(&merge(&baskets).await), [("mug", 3), ("bowl", 1)]);
    clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&get(&baskets, CUSTOMER).await), [("mug", 1)]);
    clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&get(&baskets, CUSTOMER).await), [("mug", 1)]);
}

#[rstest]
#[tokio::test]
async fn baskets_outlive_the_process(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    drop(baskets);
    assert_eq!(lines(&get(&replica(&database).await, GUEST).await), [("mug", 2)]);
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    let long = format!("guest:{}", "a".repeat(80));
    for shopper in ["", "guest:", "someone:1", "guest:UPPER", "guest:a b", &long] {
        let error = set(&baskets, shopper, "mug", 1, None).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{shopper}");
    }
    for (product, quantity, version) in [
        ("", 1, None),
        ("Mug", 1, None),
        ("mug", -1, None),
        ("mug", 100, None),
        ("mug", i32::MIN, None),
        ("mug", 1, Some(-1)),
    ] {
        let error = set(&baskets, GUEST, product, quantity, version).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{product} {quantity}");
    }
    let swapped = MergeRequest {
        guest_shopper_id: CUSTOMER.to_owned(),
        customer_shopper_id: GUEST.to_owned(),
        ..Default::default()
    };
    assert_eq!(baskets.merge(&Call::new(), swapped).await.unwrap_err().code, Code::InvalidArgument);
}

#[rstest]
#[tokio::test]
async fn a_change_under_a_known_key_has_happened(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    let change = |product: &str, quantity, key: &str| SetItemRequest {
        shopper_id: GUEST.to_owned(),
        product_id: product.to_owned(),
        quantity,
        expected_version: Some(0),
        idempotency_key: Some(key.to_owned()),
        ..Default::default()
    };
    let call = Call::new();
    baskets.set_item(&call, change("mug", 2, "change-1")).await.unwrap();
    set(&baskets, GUEST, "mug", 5, None).await.unwrap();
    let again = baskets.set_item(&call, change("mug", 2, "change-1")).await.unwrap();
    assert_eq!(lines(&again.basket), [("mug", 5)], "another tab changed it since");
    let other = baskets.set_item(&call, change("mug", 3, "change-1")).await.unwrap_err();
    assert_eq!(other.code, Code::AlreadyExists);
    // What was refused did not happen, so its key is free.
    assert_eq!(baskets.set_item(&call, change("mug", 3, "change-2")).await.unwrap_err().code, Code::Aborted);
    let fresh = SetItemRequest { expected_version: Some(2), ..change("mug", 3, "change-2") };
    assert_eq!(lines(&baskets.set_item(&call, fresh).await.unwrap().basket), [("mug", 3)]);
    for number in 0..40 {
        let request = SetItemRequest { expected_version: None, ..change("cup", 1, &format!("cup-{number:04}")) };
        baskets.set_item(&call, request).await.unwrap();
    }
    let forgotten = baskets.set_item(&call, change("mug", 2, "change-1")).await.unwrap_err();
    assert_eq!(forgotten.code, Code::Aborted, "only the last are remembered");
    for key in ["", "short", "with space", &"x".repeat(65)] {
        let error = baskets.set_item(&call, change("mug", 2, key)).await.unwrap_err();
        assert_eq!(error.code, Code::InvalidArgument, "{key}");
    }
}

/// Two tabs, each at a replica of its own, add products as the storefront does: read, set at the version read, again
/// when it changed in between. One product is each tab's own, one is added by both.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_tabs_at_two_replicas_lose_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (database, baskets) = open(kind).await;
    let mut tabs = tokio::task::JoinSet::new();
    for tab in ["left", "right"] {
        let replica = replica(&database).await;
        tabs.spawn(async move {
            for _ in 0..12 {
                add_one(&replica, tab).await;
                add_one(&replica, "both").await;
            }
        });
    }
    while let Some(tab) = tabs.join_next().await {
        tab.unwrap();
    }
    let basket = get(&baskets, GUEST).await;
    let mut held = lines(&basket);
    held.sort_unstable();
    assert_eq!((basket.version, held), (48, vec![("both", 24), ("left", 12), ("right", 12)]));
}

async fn add_one(baskets: &Baskets, product: &str) {
    loop {
        let seen = get(baskets, GUEST).await;
        let held = seen.lines.iter().find(|line| line.product_id == product).map_or(0, |line| line.quantity);
        match set(baskets, GUEST, product, held + 1, Some(seen.version)).await {
            Ok(_) => return,
            Err(error) => assert_eq!(error.code, Code::Aborted, "{error}"),
        }
    }
}

/// A purchase is cleared, again and again, while another tab goes on adding.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_while_a_purchase_is_cleared_stays(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (database, baskets) = open(kind).await;
    let bought = set(&baskets, GUEST, "mug", 2, None).await.unwrap().version;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let replica = replica(&database).await;
        tasks.spawn(async move {
            for _ in 0..6 {
                clear(&replica, GUEST, bought).await;
            }
        });
    }
    let replica = replica(&database).await;
    tasks.spawn(async move {
        for number in 0..12 {
            set(&replica, GUEST, &format!("later-{number}"), 1, None).await.unwrap();
        }
    });
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let basket = get(&baskets, GUEST).await;
    assert_eq!(basket.lines.len(), 12);
    assert!(basket.lines.iter().all(|line| line.product_id.starts_with("later-")));
}

/// A sign-in that is repeated at two replicas at once, while the account's other tab adds.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn merging_at_once_never_doubles(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (database, baskets) = open(kind).await;
    set(&baskets, GUEST, "mug", 3, None).await.unwrap();
    set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    set(&baskets, CUSTOMER, "mug", 2, None).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let replica = Arc::new(replica(&database).await);
        for _ in 0..4 {
            let replica = Arc::clone(&replica);
            tasks.spawn(async move { drop(merge(&replica).await) });
        }
    }
    let replica = replica(&database).await;
    tasks.spawn(async move {
        for number in 0..6 {
            set(&replica, CUSTOMER, &format!("later-{number}"), 1, None).await.unwrap();
        }
    });
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    let mut merged = get(&baskets, CUSTOMER).await;
    merged.lines.retain(|line| !line.product_id.starts_with("later-"));
    assert_eq!(lines(&merged), [("mug", 5), ("bowl", 1)]);
    assert_eq!(get(&baskets, CUSTOMER).await.lines.len(), 8);
    assert!(get(&baskets, GUEST).await.lines.is_empty());
}

/// Only in a build that has planted bugs.
#[cfg(feature = "planted-bugs")]
#[tokio::test]
async fn without_a_version_what_came_later_is_cleared() {
    let database = TestDatabase::new(Kind::Sqlite);
    let settings = Settings { planted_bug: Some(PlantedBug::ClearAnyVersion) };
    let baskets = Baskets::new(Database::open(database.url(), migrations()).await.unwrap(), settings);
    let bought = set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    set(&baskets, GUEST, "lamp", 1, None).await.unwrap();
    assert!(clear(&baskets, GUEST, bought.version).await.lines.is_empty());
}

#[tokio::test]
async fn the_service_starts_and_knows_no_other_setting() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::for_tests(folder.path());
    assert!(service(environment.clone()).await.is_ok());
    for name in ["planted-bugs", if cfg!(feature = "planted-bugs") { "planted" } else { "planted-bug" }] {
        let settings = std::collections::BTreeMap::from([(name, "clear-any-version")]);
        assert!(service(environment.clone().with_settings(&settings).unwrap()).await.is_err(), "{name}");
    }
}

#[rstest]
#[tokio::test]
async fn concurrent_writers_lose_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, baskets) = open(kind).await;
    let baskets = Arc::new(baskets);
    let tasks: Vec<_> = (0..20)
        .map(|index| {
            let baskets = Arc::clone(&baskets);
            tokio::spawn(async move { set(&baskets, GUEST, &format!("product-{index}"), 1, None).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let basket = get(&baskets, GUEST).await;
    assert_eq!((basket.version, basket.lines.len()), (20, 20));
}
