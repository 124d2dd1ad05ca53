//! temporary
#![allow(clippy::unwrap_used)]
use std::sync::Arc;
use std::time::Instant;
use checkout::{Parts, calls};
use shoal_sdk::{Call, Environment, Error};
use store_contracts::store::basket::v1 as basket;
use store_contracts::store::catalogue::v1 as catalogue;
use store_contracts::store::checkout::v1::*;
use store_contracts::store::inventory::v1 as inv;
use store_contracts::store::orders::v1 as ord;
use store_contracts::store::payment::v1 as pay;
use store_contracts::store::shipping::v1 as shipping;
use store_contracts::store::types::v1::*;

fn euros(minor: i64) -> Money { Money { minor, currency: "EUR".into(), ..Default::default() } }
struct Rest;
#[shoal_sdk::async_trait]
impl calls::Basket for Rest {
    async fn get(&self, _: &Call, r: basket::GetRequest) -> Result<basket::GetResponse, Error> {
        let lines = vec![basket::BasketLine { product_id: "hot".into(), quantity: 1, ..Default::default() }];
        Ok(basket::GetResponse { basket: basket::BasketContents { shopper_id: r.shopper_id, version: 1, lines, ..Default::default() }.into(), ..Default::default() })
    }
    async fn clear(&self, _: &Call, _: basket::ClearRequest) -> Result<basket::ClearResponse, Error> { Ok(Default::default()) }
}
#[shoal_sdk::async_trait]
impl calls::Catalogue for Rest {
    async fn batch_get_products(&self, _: &Call, r: catalogue::BatchGetProductsRequest) -> Result<catalogue::BatchGetProductsResponse, Error> {
        let products = r.ids.iter().map(|id| catalogue::Product { id: id.clone(), name: id.clone(), prices: vec![catalogue::Price { amount: euros(1000).into(), ..Default::default() }], ..Default::default() }).collect();
        Ok(catalogue::BatchGetProductsResponse { products, ..Default::default() })
    }
}
#[shoal_sdk::async_trait]
impl calls::Shipping for Rest {
    async fn quote(&self, _: &Call, _: shipping::QuoteRequest) -> Result<shipping::QuoteResponse, Error> {
        Ok(shipping::QuoteResponse { amount: euros(490).into(), ..Default::default() })
    }
}
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn real() {
    let dirs: Vec<_> = (0..4).map(|_| tempfile::tempdir().unwrap()).collect();
    let clock = || -> Arc<dyn Fn() -> i64 + Send + Sync> { Arc::new(|| std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64) };
    let db = |i: usize, m| { let e = Environment::for_tests(dirs[i].path()); async move { e.database(m).await.unwrap() } };
    let inventory = Arc::new(inventory::InventoryApi::new(db(0, inventory::migrator()).await, inventory::Settings { demo_stock: false }, clock()));
    let payment = Arc::new(payment::PaymentApi::new(db(1, payment::migrator()).await, clock()));
    let orders = Arc::new(orders::OrdersApi::new(db(2, orders::migrator()).await, clock()));
    inv::Inventory::receive(&*inventory, &Call::new(), inv::ReceiveRequest { idempotency_key: "delivery-1".into(), product_id: "hot".into(), quantity: 50, ..Default::default() }).await.unwrap();
    let env = Environment::for_tests(dirs[3].path())
        .provide(Arc::new(Rest) as Arc<dyn calls::Basket>).provide(Arc::new(Rest) as Arc<dyn calls::Catalogue>).provide(Arc::new(Rest) as Arc<dyn calls::Shipping>)
        .provide(inventory.clone() as Arc<dyn inv::Inventory>).provide(payment.clone() as Arc<dyn pay::Payment>).provide(orders.clone() as Arc<dyn ord::Orders>);
    let parts: Vec<Arc<Parts>> = vec![Arc::new(Parts::new(&env, clock()).await.unwrap()), Arc::new(Parts::new(&env, clock()).await.unwrap())];
    let begin = Instant::now();
    let cards = ["4242424242424242", "4242424242424242", "4000000000000002", "4000000000000119", "4000000000000341"];
    let mut set = tokio::task::JoinSet::new();
    for n in 0..200usize {
        let parts = parts[n % 2].clone();
        set.spawn(async move {
            let address = Address { name: "A".into(), line1: "B".into(), city: "C".into(), postcode: "1".into(), country: "DE".into(), ..Default::default() };
            let r = PlaceRequest { idempotency_key: format!("key-{n:08}"), shopper_id: format!("guest:{n}"), basket_version: 1, expected_total: euros(1490).into(), address: address.into(), email: "a@b".into(), card_number: cards[n % 5].into(), ..Default::default() };
            let a = parts.api.place(&Call::new(), r).await.unwrap();
            (a.state.as_known().unwrap(), a.refusal)
        });
    }
    let mut tally: std::collections::BTreeMap<String, usize> = Default::default();
    while let Some(x) = set.join_next().await { let (s, r) = x.unwrap(); *tally.entry(format!("{s:?} {r}")).or_default() += 1; }
    println!("{tally:#?} in {:?}", begin.elapsed());
    loop {
        let s = parts[0].api.status(&Call::new(), StatusRequest::default()).await.unwrap();
        if s.unfinished == 0 { break; }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    println!("quiet in {:?}", begin.elapsed());
    let a = inv::Inventory::audit(&*inventory, &Call::new(), Default::default()).await.unwrap();
    let p = pay::Payment::audit(&*payment, &Call::new(), Default::default()).await.unwrap();
    let o = ord::Orders::audit(&*orders, &Call::new(), Default::default()).await.unwrap();
    println!("{a:?}\n{p:?}\n{o:?}");
    assert!(a.balanced && o.pending == 0 && p.currencies[0].ledger_sum == 0 && p.currencies[0].held == 0);
    assert_eq!(p.currencies[0].captured, o.confirmed_totals[0].minor);
    assert_eq!(a.products[0].confirmed - a.products[0].restocked, o.confirmed);
}
