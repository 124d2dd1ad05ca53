//! The catalogue through its contract, on either database.

use super::*;
use rstest::rstest;
use shoal_sdk::Code;
use sqlx::migrate::Migrator;
use std::collections::BTreeSet;
use store_contracts::store::catalogue::v1::{Product, Sort};
use store_contracts::store::types::v1::Money;
use test_databases::{Kind, TestDatabase};

fn environment(database: &TestDatabase) -> Environment {
    // The catalogue keeps nothing beside its database.
    Environment::for_tests(std::path::Path::new("/nowhere")).with_database(database.url())
}

async fn open(kind: Kind) -> (TestDatabase, Products) {
    let database = TestDatabase::new(kind);
    let products = Products::open(&environment(&database)).await.unwrap();
    (database, products)
}

async fn list_all(products: &Products, category: &str, sort: Sort, currency: &str, page_size: i32) -> Vec<Product> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListProductsRequest {
            category: category.to_owned(),
            page_size,
            page_token,
            sort: sort.into(),
            currency: currency.to_owned(),
            ..Default::default()
        };
        let page = products.list_products(&Call::new(), request).await.unwrap();
        assert!(page.products.len() <= usize::try_from(page_size).unwrap());
        all.extend(page.products);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

async fn search(products: &Products, query: &str) -> Vec<String> {
    let request = SearchRequest { query: query.to_owned(), ..Default::default() };
    let found = products.search(&Call::new(), request).await.unwrap();
    found.products.into_iter().map(|product| product.id).collect()
}

async fn get(products: &Products, id: &str) -> Product {
    let request = BatchGetProductsRequest { ids: vec![id.to_owned()], ..Default::default() };
    products.batch_get_products(&Call::new(), request).await.unwrap().products.remove(0)
}

fn price_in(product: &Product, currency: &str) -> (i64, i64) {
    let price = product.prices.iter().find(|price| price.amount.currency == currency).unwrap();
    (price.amount.minor, price.version)
}

fn set_price(key: &str, product_id: &str, minor: i64, currency: &str, expected_version: i64) -> SetPriceRequest {
    let amount = Money { minor, currency: currency.to_owned(), ..Default::default() };
    SetPriceRequest {
        idempotency_key: key.to_owned(),
        product_id: product_id.to_owned(),
        amount: amount.into(),
        expected_version,
        ..Default::default()
    }
}

fn put(key: &str, id: &str, name: &str, expected_version: i64) -> PutProductRequest {
    PutProductRequest {
        idempotency_key: key.to_owned(),
        expected_version,
        id: id.to_owned(),
        name: name.to_owned(),
        summary: "A summary.".to_owned(),
        description: "One.\r\n\r\nTwo.".to_owned(),
        category: "kitchen".to_owned(),
        tags: vec!["jug".to_owned(), "glass".to_owned()],
        ..Default::default()
    }
}

#[rstest]
#[tokio::test]
async fn every_product_has_words_prices_and_a_picture(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let all = list_all(&products, "", Sort::SORT_UNSPECIFIED, "", 7).await;
    assert_eq!(all.len(), 60);
    assert_eq!(all.iter().map(|product| &product.id).collect::<BTreeSet<_>>().len(), 60);
    assert!(all.iter().all(|product| product.prices.len() == 4 && product.version == 1));
    let etags: BTreeSet<_> = all.iter().map(|product| &product.picture_etag).collect();
    assert_eq!(etags.len(), 60);
    for product in &all {
        let request = GetPictureRequest { product_id: product.id.clone(), ..Default::default() };
        let picture = products.get_picture(&Call::new(), request).await.unwrap();
        let text = String::from_utf8(picture.data).unwrap();
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n") && !text.contains("NaN"), "{}", product.id);
        assert_eq!(text.matches("<g").count(), text.matches("</g>").count(), "{}", product.id);
        assert!(text.len() < 100_000, "{} is {} bytes", product.id, text.len());
        let known = GetPictureRequest {
            product_id: product.id.clone(),
            known_etag: picture.etag.clone(),
            ..Default::default()
        };
        let again = products.get_picture(&Call::new(), known).await.unwrap();
        assert!(again.not_modified && again.data.is_empty() && again.etag == product.picture_etag);
    }
}

#[rstest]
#[tokio::test]
async fn lists_are_in_order_and_pages_meet(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let names: Vec<String> = list_all(&products, "", Sort::SORT_NAME, "", 11)
        .await
        .into_iter()
        .map(|product| product.name.to_lowercase())
        .collect();
    assert!(names.is_sorted() && names.len() == 60);
    let yen: Vec<i64> = list_all(&products, "", Sort::SORT_PRICE_ASCENDING, "JPY", 13)
        .await
        .iter()
        .map(|product| price_in(product, "JPY").0)
        .collect();
    assert!(yen.is_sorted() && yen.len() == 60);
    let pounds: Vec<i64> = list_all(&products, "lighting", Sort::SORT_PRICE_DESCENDING, "GBP", 2)
        .await
        .iter()
        .map(|product| -price_in(product, "GBP").0)
        .collect();
    assert!(pounds.is_sorted() && pounds.len() == 9);
}

#[rstest]
#[tokio::test]
async fn a_first_page_shows_every_category_and_their_sizes(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let page = products
        .list_products(&Call::new(), ListProductsRequest { page_size: 12, ..Default::default() })
        .await
        .unwrap();
    let shown: BTreeSet<_> = page.products.iter().map(|product| product.category.as_str()).collect();
    assert_eq!(shown.len(), 6);
    assert_eq!(page.categories.iter().map(|category| category.products).sum::<i32>(), 60);
    assert_eq!(page.total, 60);
}

#[rstest]
#[tokio::test]
async fn batches_answer_in_order_and_skip_what_is_unknown(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let ids = ["trail-flask", "no-such-thing", "tide-mug", "trail-flask"].map(str::to_owned).to_vec();
    let answer =
        products.batch_get_products(&Call::new(), BatchGetProductsRequest { ids, ..Default::default() }).await.unwrap();
    let found: Vec<_> = answer.products.iter().map(|product| product.id.as_str()).collect();
    assert_eq!(found, ["trail-flask", "tide-mug"]);
}

#[rstest]
#[tokio::test]
async fn search_finds_names_prefixes_plurals_and_accents(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    assert_eq!(search(&products, "tide mug").await[0], "tide-mug");
    assert!(search(&products, "MUGS").await.contains(&"enamel-camp-mug".to_owned()));
    assert!(search(&products, "lante").await.contains(&"dusk-lantern".to_owned()));
    assert!(search(&products, "stonéware").await.contains(&"harbour-bowl".to_owned()));
    assert_eq!(search(&products, "tide zebra").await[0], "tide-mug", "any word when no product has all");
    assert!(search(&products, "zebra").await.is_empty());
}

#[rstest]
#[tokio::test]
async fn search_takes_anything_as_words(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    for query in [
        "",
        "   ",
        "\"",
        "mug\" OR \"1",
        "name:mug",
        "NEAR(a b)",
        "*",
        "mug*",
        "^mug",
        "-mug",
        "';DROP TABLE words;--",
        "AND",
        "\u{0}",
        "日本",
        "\u{345}",
        "\u{93e} \u{e34}",
        "mug \u{345}",
    ] {
        search(&products, query).await;
    }
    assert!(!search(&products, "mug\" OR \"lamp").await.is_empty());
    assert_eq!(search(&products, "mug \u{345}").await, search(&products, "mug").await);
}

#[rstest]
#[tokio::test]
async fn related_products_share_something(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let request = RelatedRequest { product_id: "morrow-teapot".to_owned(), ..Default::default() };
    let related = products.related(&Call::new(), request).await.unwrap().products;
    assert_eq!(related.len(), 4);
    let own = ["teapot", "stoneware", "tea"];
    assert!(related.iter().all(|product| product.tags.iter().any(|tag| own.contains(&tag.as_str()))));
    assert!(related.iter().all(|product| product.id != "morrow-teapot"));
    let unknown = RelatedRequest { product_id: "no-such-thing".to_owned(), ..Default::default() };
    assert_eq!(products.related(&Call::new(), unknown).await.unwrap_err().code, Code::NotFound);
}

async fn related(products: &Products, id: &str, limit: i32) -> Vec<String> {
    let request = RelatedRequest { product_id: id.to_owned(), limit, ..Default::default() };
    let found = products.related(&Call::new(), request).await.unwrap();
    found.products.into_iter().map(|product| product.id).collect()
}

/// What `related` means, by looking at all products, which are in the shop's order.
fn closest(all: &[Product], own: &Product) -> Vec<String> {
    let closeness = |other: &Product| {
        let shared = other.tags.iter().filter(|tag| own.tags.contains(tag)).count();
        2 * shared + usize::from(other.category == own.category)
    };
    let mut others: Vec<&Product> = all.iter().filter(|other| other.id != own.id && closeness(other) > 0).collect();
    others.sort_by_key(|other| std::cmp::Reverse(closeness(other)));
    others.into_iter().map(|other| other.id.clone()).collect()
}

#[rstest]
#[tokio::test]
async fn related_products_are_the_closest_first(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let all = list_all(&products, "", Sort::SORT_UNSPECIFIED, "", 100).await;
    for own in &all {
        let expected = closest(&all, own);
        for limit in [1, 4, 24] {
            let first: Vec<String> = expected.iter().take(limit as usize).cloned().collect();
            assert_eq!(related(&products, &own.id, limit).await, first, "{}", own.id);
        }
    }
}

#[rstest]
#[tokio::test]
async fn related_products_follow_the_tags(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let call = Call::new();
    products.put_product(&call, put("put-key-01", "first", "First", 0)).await.unwrap();
    products.put_product(&call, put("put-key-02", "second", "Second", 0)).await.unwrap();
    assert_eq!(related(&products, "first", 1).await, ["second"]);
    let retagged = PutProductRequest { tags: vec!["stoneware".to_owned()], ..put("put-key-03", "second", "Second", 1) };
    products.put_product(&call, retagged).await.unwrap();
    assert_ne!(related(&products, "first", 1).await, ["second"]);
    assert!(related(&products, "second", 24).await.contains(&"morrow-teapot".to_owned()));
}

#[rstest]
#[tokio::test]
async fn products_of_an_earlier_revision_are_related(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let at = TestDatabase::new(kind);
    let first = |migrator: Migrator| {
        Migrator::with_migrations(migrator.iter().filter(|migration| migration.version == 1).cloned().collect())
    };
    let Migrations { sqlite, postgres } = migrations();
    let migrations = Migrations { sqlite: first(sqlite), postgres: first(postgres) };
    let earlier = environment(&at).database(migrations).await.unwrap();
    let add = |id: &'static str, database: Database| async move {
        let mut transaction = database.write().await.unwrap();
        let product = shoal_sdk::query(
            "INSERT INTO products (product_id, name, summary, description, category, tags, position, version)
             VALUES ($1, $1, '', '', 'kitchen', '[\"teapot\",\"stoneware\",\"tea\"]', -1, 1)",
        );
        product.bind(id).execute(&mut transaction).await.unwrap();
        transaction.commit().await.unwrap();
    };
    add("before", earlier.clone()).await;
    let products = Products::open(&environment(&at)).await.unwrap();
    // It may still run beside this one.
    add("beside", earlier).await;
    assert_eq!(related(&products, "morrow-teapot", 2).await, ["before", "beside"]);
}

#[rstest]
#[tokio::test]
async fn prices_are_versions_and_commands_repeat(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let call = Call::new();
    let first = products.set_price(&call, set_price("price-key-1", "tide-mug", 2_000, "EUR", 1)).await.unwrap();
    assert_eq!(price_in(&first.product, "EUR"), (2_000, 2));
    assert_eq!(price_in(&first.product, "JPY"), (2_900, 1));
    products.set_price(&call, set_price("price-key-2", "tide-mug", 2_100, "EUR", 2)).await.unwrap();
    let repeat = products.set_price(&call, set_price("price-key-1", "tide-mug", 2_000, "EUR", 1)).await.unwrap();
    assert_eq!(repeat, first, "a repeat answers what was answered then");
    assert_eq!(price_in(&get(&products, "tide-mug").await, "EUR"), (2_100, 3));
    let stale = products.set_price(&call, set_price("price-key-3", "tide-mug", 1, "EUR", 1)).await.unwrap_err();
    assert_eq!(stale.code, Code::Aborted);
    let other = products.set_price(&call, set_price("price-key-1", "tide-mug", 1, "EUR", 1)).await.unwrap_err();
    assert_eq!(other.code, Code::AlreadyExists);
    let unknown = products.set_price(&call, set_price("price-key-4", "no-such", 1, "EUR", 0)).await.unwrap_err();
    assert_eq!(unknown.code, Code::NotFound);
}

#[rstest]
#[tokio::test]
async fn products_are_put_versioned_and_found(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let call = Call::new();
    let made = products.put_product(&call, put("put-key-01", "glass-carafe", "Glass Carafe", 0)).await.unwrap();
    assert_eq!((made.product.version, made.product.description.as_str()), (1, "One.\n\nTwo."));
    assert!(made.product.prices.is_empty());
    assert!(products.put_product(&call, put("put-key-02", "glass-carafe", "Again", 0)).await.is_err());
    products.put_product(&call, put("put-key-03", "glass-carafe", "Crystal Decanter", 1)).await.unwrap();
    assert_eq!(search(&products, "decanter").await, ["glass-carafe"]);
    assert!(!search(&products, "carafe").await.contains(&"glass-carafe".to_owned()));
    products.set_price(&call, set_price("price-key-1", "glass-carafe", 990, "USD", 0)).await.unwrap();
    // Without a price in euros it comes last in both directions.
    for sort in [Sort::SORT_PRICE_ASCENDING, Sort::SORT_PRICE_DESCENDING] {
        assert_eq!(list_all(&products, "", sort, "EUR", 100).await.last().unwrap().id, "glass-carafe");
    }
    let padded = format!(" {}{}", "x".repeat(120), " ".repeat(300));
    let padded = products.put_product(&call, put("put-key-04", "padded", &padded, 0)).await.unwrap();
    assert_eq!(padded.product.name, "x".repeat(120));
}

#[rstest]
#[tokio::test]
async fn starting_again_changes_nothing_and_replicas_share_the_seeding(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let database = TestDatabase::new(kind);
    let environment = environment(&database);
    let (one, two) = tokio::join!(Products::open(&environment), Products::open(&environment));
    let (one, two) = (one.unwrap(), two.unwrap());
    one.set_price(&Call::new(), set_price("price-key-1", "tide-mug", 2_000, "EUR", 1)).await.unwrap();
    let three = Products::open(&environment).await.unwrap();
    for products in [&one, &two, &three] {
        assert_eq!(list_all(products, "", Sort::SORT_UNSPECIFIED, "", 100).await.len(), 60);
        assert_eq!(price_in(&get(products, "tide-mug").await, "EUR"), (2_000, 2));
    }
}

#[rstest]
#[tokio::test]
async fn a_setting_adds_products_for_load_tests(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let database = TestDatabase::new(kind);
    let with = |generated_products| environment(&database).with_settings(&Settings { generated_products }).unwrap();
    Products::open(&with(40)).await.unwrap();
    let products = Products::open(&with(130)).await.unwrap();
    let all = list_all(&products, "", Sort::SORT_UNSPECIFIED, "", 100).await;
    assert_eq!(all.len(), 190);
    assert!(all.iter().all(|product| product.prices.len() == 4));
    assert!(Products::open(&with(seed::GENERATED_MAX + 1)).await.is_err());
}

#[rstest]
#[tokio::test]
async fn bad_input_is_refused_with_a_sentence(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let (_database, products) = open(kind).await;
    let call = Call::new();
    let lists = [
        ListProductsRequest { page_size: -1, ..Default::default() },
        ListProductsRequest { page_size: 101, ..Default::default() },
        ListProductsRequest { category: "shoes".to_owned(), ..Default::default() },
        ListProductsRequest { currency: "CHF".to_owned(), ..Default::default() },
        ListProductsRequest { sort: 99.into(), ..Default::default() },
        ListProductsRequest { page_token: "' OR 1".to_owned(), ..Default::default() },
    ];
    for request in lists {
        assert_eq!(products.list_products(&call, request).await.unwrap_err().code, Code::InvalidArgument);
    }
    for ids in [vec![], vec!["a".to_owned(); 101], vec!["A B".to_owned()]] {
        let request = BatchGetProductsRequest { ids, ..Default::default() };
        assert_eq!(products.batch_get_products(&call, request).await.unwrap_err().code, Code::InvalidArgument);
    }
    for (minor, currency, version) in
        [(0, "EUR", 1), (-5, "EUR", 1), (i64::MAX, "EUR", 1), (1, "eur", 1), (1, "EUR", -1)]
    {
        let request = set_price("price-key-1", "tide-mug", minor, currency, version);
        assert_eq!(products.set_price(&call, request).await.unwrap_err().code, Code::InvalidArgument);
    }
    let puts = [
        PutProductRequest { name: String::new(), ..put("put-key-01", "thing", "Thing", 0) },
        PutProductRequest { name: "two\nlines".to_owned(), ..put("put-key-01", "thing", "Thing", 0) },
        PutProductRequest { description: "x".repeat(4_001), ..put("put-key-01", "thing", "Thing", 0) },
        PutProductRequest { tags: vec!["a".to_owned(); 2], ..put("put-key-01", "thing", "Thing", 0) },
        PutProductRequest {
            tags: (0..13).map(|tag| tag.to_string()).collect(),
            ..put("put-key-01", "thing", "Thing", 0)
        },
        PutProductRequest { category: "shoes".to_owned(), ..put("put-key-01", "thing", "Thing", 0) },
        put("short", "thing", "Thing", 0),
        put("put-key-01", "Thing!", "Thing", 0),
    ];
    for request in puts {
        assert_eq!(products.put_product(&call, request).await.unwrap_err().code, Code::InvalidArgument);
    }
}
