//! The basket through its contract, on a database in a folder of each test's own.

use super::*;
use shoal_sdk::Code;

const GUEST: &str = "guest:0192f3a0-1111-7222-8333-444455556666";
const CUSTOMER: &str = "customer:0192f3a0-aaaa-7bbb-8ccc-ddddeeeeffff";

async fn open() -> (tempfile::TempDir, Baskets) {
    let folder = tempfile::tempdir().unwrap();
    let baskets = Baskets::open(&Environment::for_tests(folder.path())).await.unwrap();
    (folder, baskets)
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

#[tokio::test]
async fn an_unknown_basket_is_empty_at_version_0() {
    let (_folder, baskets) = open().await;
    let basket = get(&baskets, GUEST).await;
    assert_eq!((basket.version, basket.lines.len()), (0, 0));
}

#[tokio::test]
async fn quantities_are_absolute_and_kept_in_order() {
    let (_folder, baskets) = open().await;
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    let basket = set(&baskets, GUEST, "mug", 5, Some(2)).await.unwrap();
    assert_eq!(lines(&basket), [("mug", 5), ("bowl", 1)]);
    assert_eq!(basket.version, 3);
    let basket = set(&baskets, GUEST, "mug", 0, None).await.unwrap();
    assert_eq!(lines(&basket), [("bowl", 1)]);
}

#[tokio::test]
async fn a_stale_version_is_aborted_unless_it_changes_nothing() {
    let (_folder, baskets) = open().await;
    set(&baskets, GUEST, "mug", 2, Some(0)).await.unwrap();
    let repeated = set(&baskets, GUEST, "mug", 2, Some(0)).await.unwrap();
    assert_eq!(repeated.version, 1, "a repeat changes nothing");
    let error = set(&baskets, GUEST, "mug", 3, Some(0)).await.unwrap_err();
    assert_eq!(error.code, Code::Aborted);
    assert_eq!(lines(&get(&baskets, GUEST).await), [("mug", 2)]);
}

#[tokio::test]
async fn merging_twice_never_doubles() {
    let (_folder, baskets) = open().await;
    set(&baskets, GUEST, "mug", 60, None).await.unwrap();
    set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    set(&baskets, CUSTOMER, "mug", 50, None).await.unwrap();
    let once = merge(&baskets).await;
    assert_eq!(lines(&once), [("mug", 99), ("bowl", 1)]);
    assert_eq!(merge(&baskets).await, once);
    assert!(get(&baskets, GUEST).await.lines.is_empty());
}

#[tokio::test]
async fn merging_leaves_lines_beyond_the_most() {
    let (_folder, baskets) = open().await;
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

#[tokio::test]
async fn clearing_takes_what_was_bought_and_leaves_what_came_later() {
    let (_folder, baskets) = open().await;
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    let bought = set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    set(&baskets, GUEST, "lamp", 1, None).await.unwrap();
    let left = clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&left), [("lamp", 1)]);
    assert_eq!(clear(&baskets, GUEST, bought.version).await, left, "a repeat changes nothing");
}

#[tokio::test]
async fn what_was_bought_as_a_guest_does_not_come_back_by_merging() {
    let (_folder, baskets) = open().await;
    set(&baskets, CUSTOMER, "mug", 1, None).await.unwrap();
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    let bought = set(&baskets, GUEST, "bowl", 1, None).await.unwrap();
    assert_eq!(lines(&merge(&baskets).await), [("mug", 3), ("bowl", 1)]);
    clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&get(&baskets, CUSTOMER).await), [("mug", 1)]);
    clear(&baskets, GUEST, bought.version).await;
    assert_eq!(lines(&get(&baskets, CUSTOMER).await), [("mug", 1)]);
}

#[tokio::test]
async fn baskets_outlive_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::for_tests(folder.path());
    let baskets = Baskets::open(&environment).await.unwrap();
    set(&baskets, GUEST, "mug", 2, None).await.unwrap();
    drop(baskets);
    let again = Baskets::open(&environment).await.unwrap();
    assert_eq!(lines(&get(&again, GUEST).await), [("mug", 2)]);
}

#[tokio::test]
async fn bad_input_is_refused_with_a_sentence() {
    let (_folder, baskets) = open().await;
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

#[tokio::test]
async fn concurrent_writers_lose_nothing() {
    let (_folder, baskets) = open().await;
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
