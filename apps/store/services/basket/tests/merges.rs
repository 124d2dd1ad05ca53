//! What a guest bought and then carried into an account: it leaves the account's basket, whatever was merged beside it.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

use basket::{Baskets, Settings, migrations};
use rstest::rstest;
use shoal_sdk::{Call, Database, query};
use store_contracts::store::basket::v1::{Basket, BasketContents, ClearRequest, MergeRequest, SetItemRequest};
use test_databases::{Kind, TestDatabase};

const ADA: &str = "customer:0192f3a0-aaaa-7bbb-8ccc-ddddeeeeffff";
const AT_HOME: &str = "guest:0192f3a0-1111-7222-8333-444455556666";
const AT_WORK: &str = "guest:0192f3a0-2222-7222-8333-444455556666";

struct Shop {
    baskets: Baskets,
    _database: TestDatabase,
}

impl Shop {
    async fn open(kind: Kind) -> Shop {
        Shop::over(TestDatabase::new(kind)).await
    }

    async fn over(test: TestDatabase) -> Shop {
        let database = Database::open(test.url(), migrations()).await.unwrap();
        Shop { baskets: Baskets::new(database, Settings::default()), _database: test }
    }

    /// Answers the version at which the basket can be bought.
    async fn set(&self, shopper: &str, product: &str, quantity: i32) -> i64 {
        let request = SetItemRequest {
            shopper_id: shopper.to_owned(),
            product_id: product.to_owned(),
            quantity,
            ..Default::default()
        };
        self.baskets.set_item(&Call::new(), request).await.unwrap().basket.version
    }

    async fn clear(&self, shopper: &str, version: i64) {
        let request = ClearRequest { shopper_id: shopper.to_owned(), version, ..Default::default() };
        self.baskets.clear(&Call::new(), request).await.unwrap();
    }

    /// Answers the account's lines.
    async fn merge(&self, guest: &str) -> Vec<(String, i32)> {
        let request = MergeRequest {
            guest_shopper_id: guest.to_owned(),
            customer_shopper_id: ADA.to_owned(),
            ..Default::default()
        };
        lines(&self.baskets.merge(&Call::new(), request).await.unwrap().basket)
    }

    async fn adas(&self) -> Vec<(String, i32)> {
        // Repeating a merge of nothing changes nothing.
        self.merge("guest:nobody").await
    }
}

fn lines(basket: &BasketContents) -> Vec<(String, i32)> {
    basket.lines.iter().map(|line| (line.product_id.clone(), line.quantity)).collect()
}

fn of(lines: &[(&str, i32)]) -> Vec<(String, i32)> {
    lines.iter().map(|(product, quantity)| ((*product).to_owned(), *quantity)).collect()
}

#[rstest]
#[tokio::test]
async fn a_bought_line_that_was_merged_with_a_later_one_does_not_come_back(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let shop = Shop::open(kind).await;
    let bought = shop.set(AT_HOME, "mug", 2).await;
    shop.set(AT_HOME, "cup", 1).await;
    assert_eq!(shop.merge(AT_HOME).await, of(&[("mug", 2), ("cup", 1)]));
    shop.clear(AT_HOME, bought).await;
    assert_eq!(shop.adas().await, of(&[("cup", 1)]), "only the mugs were bought");
    shop.clear(AT_HOME, bought).await;
    assert_eq!(shop.adas().await, of(&[("cup", 1)]), "repeating it changes nothing");
}

#[rstest]
#[tokio::test]
async fn of_a_line_that_grew_after_it_was_bought_only_the_rest_comes_along(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let shop = Shop::open(kind).await;
    let bought = shop.set(AT_HOME, "mug", 2).await;
    shop.set(AT_HOME, "mug", 3).await;
    shop.merge(AT_HOME).await;
    shop.set(ADA, "mug", 4).await;
    shop.clear(AT_HOME, bought).await;
    assert_eq!(shop.adas().await, of(&[("mug", 2)]), "the two that were added since stay");
}

#[rstest]
#[tokio::test]
async fn a_line_that_is_set_while_it_is_bought_keeps_what_was_added(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    for (sets, left) in [
        (&[3][..], 1),
        (&[2], 0),
        (&[1], 0),
        // The newest go first, and what comes after that is new.
        (&[3, 2], 0),
        (&[1, 3], 2),
        (&[0, 2], 2),
    ] {
        let shop = Shop::open(kind).await;
        let bought = shop.set(ADA, "mug", 2).await;
        for quantity in sets {
            shop.set(ADA, "mug", *quantity).await;
        }
        shop.clear(ADA, bought).await;
        shop.clear(ADA, bought).await;
        let expected = if left == 0 { of(&[]) } else { of(&[("mug", left)]) };
        assert_eq!(shop.adas().await, expected, "{sets:?}");
    }
}

/// A guest who stays a guest: what was carried into the account before is not what is bought later.
#[rstest]
#[tokio::test]
async fn what_had_left_before_it_was_bought_stays(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let shop = Shop::open(kind).await;
    shop.set(AT_HOME, "mug", 2).await;
    shop.merge(AT_HOME).await;
    let bought = shop.set(AT_HOME, "cup", 1).await;
    shop.clear(AT_HOME, bought).await;
    assert_eq!(shop.adas().await, of(&[("mug", 2)]), "only the cup was bought");
}

#[rstest]
#[tokio::test]
async fn what_two_guests_carried_into_one_line_is_told_apart(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let shop = Shop::open(kind).await;
    let at_home = shop.set(AT_HOME, "mug", 2).await;
    let at_work = shop.set(AT_WORK, "mug", 5).await;
    shop.merge(AT_HOME).await;
    assert_eq!(shop.merge(AT_WORK).await, of(&[("mug", 7)]));
    shop.clear(AT_HOME, at_home).await;
    assert_eq!(shop.adas().await, of(&[("mug", 5)]), "the guest at home bought two");
    shop.clear(AT_WORK, at_work).await;
    assert_eq!(shop.adas().await, of(&[]), "and the guest at work five");
}

#[rstest]
#[tokio::test]
async fn what_one_guest_carried_over_twice_is_told_apart(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let shop = Shop::open(kind).await;
    let bought = shop.set(AT_HOME, "mug", 2).await;
    shop.merge(AT_HOME).await;
    shop.set(AT_HOME, "mug", 1).await;
    assert_eq!(shop.merge(AT_HOME).await, of(&[("mug", 3)]));
    shop.clear(AT_HOME, bought).await;
    assert_eq!(shop.adas().await, of(&[("mug", 1)]), "the third came after the two were bought");
}

#[rstest]
#[tokio::test]
async fn a_line_of_the_account_that_grew_by_a_merge_keeps_only_what_was_not_bought(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let shop = Shop::open(kind).await;
    let bought = shop.set(ADA, "mug", 2).await;
    shop.set(AT_HOME, "mug", 1).await;
    assert_eq!(shop.merge(AT_HOME).await, of(&[("mug", 3)]));
    shop.clear(ADA, bought).await;
    assert_eq!(shop.adas().await, of(&[("mug", 1)]), "the account bought two");
}

#[rstest]
#[tokio::test]
async fn what_an_earlier_release_merged_is_still_told_apart(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let test = TestDatabase::new(kind);
    let mut earlier = migrations();
    earlier.sqlite.migrations.to_mut().truncate(1);
    earlier.postgres.migrations.to_mut().truncate(1);
    let database = Database::open(test.url(), earlier).await.unwrap();
    let mut transaction = database.write().await.unwrap();
    query("INSERT INTO baskets (shopper_id, version) VALUES ($1, 7)")
        .bind(ADA)
        .execute(&mut transaction)
        .await
        .unwrap();
    for (product, from_guest) in [("mug", 2), ("cup", 3)] {
        query(
            "INSERT INTO lines (shopper_id, product_id, quantity, position, changed_version, merged_from, merged_version, merged_quantity)
             VALUES ($1, $2, 3, 1, 7, $3, 4, $4)",
        )
        .bind(ADA)
        .bind(product)
        .bind(AT_HOME)
        .bind(from_guest)
        .execute(&mut transaction)
        .await
        .unwrap();
    }
    transaction.commit().await.unwrap();
    drop(database);
    let shop = Shop::over(test).await;
    shop.clear(AT_HOME, 3).await;
    assert_eq!(shop.adas().await.len(), 2, "version 4 was not bought");
    shop.clear(AT_HOME, 4).await;
    assert_eq!(shop.adas().await, of(&[("mug", 1)]));
}
