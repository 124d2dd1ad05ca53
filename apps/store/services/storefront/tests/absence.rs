//! Each service away in turn: the pages stay, and say what the shopper is promised.

#![allow(clippy::unwrap_used)]

mod fakes;

use axum::http::StatusCode;
use fakes::browser::Browser;
use fakes::{PASSWORD, SERVICES, World};
use std::sync::Arc;

/// A customer with something in the basket and one order behind them.
async fn customer() -> (Arc<World>, Browser, String) {
    let world = World::new();
    let store = world.store();
    store.backends.warm().await.unwrap();
    let mut browser = Browser::new(store);
    browser.get("/register").await;
    let typed = [("name", "Ada"), ("email", "ada@example.org"), ("password", PASSWORD)];
    browser.submit("/register", &typed).await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    let number = browser.page.element("order-number").unwrap();
    browser.add("reed-vase", "1").await;
    (world, browser, number)
}

#[tokio::test]
async fn every_page_outlives_every_service() {
    let (world, mut browser, number) = customer().await;
    let order = format!("/orders/{number}");
    let key = browser.fill_in_delivery().await.hidden("/checkout/pay", "")["key"].clone();
    let outcome = format!("/checkout/outcome/{key}");
    let pages = [
        "/",
        "/products",
        "/products/in/kitchen?sort=price",
        "/search?q=mug",
        "/product/tide-mug",
        "/basket",
        "/checkout",
        "/checkout/pay",
        outcome.as_str(),
        "/account",
        order.as_str(),
        "/mail",
        "/sign-in",
    ];
    for service in SERVICES {
        world.set_down(service, true);
        for path in pages {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::OK, "{path} without {service}");
        }
        world.set_down(service, false);
    }
    for service in SERVICES {
        world.set_down(service, true);
    }
    for path in pages {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path} without anything");
    }
}

#[tokio::test]
async fn without_the_catalogue_the_last_list_is_shown() {
    let (world, mut browser, _) = customer().await;
    world.set_down("catalogue", true);
    for path in ["/", "/products", "/products/in/kitchen", "/search?q=mug", "/product/tide-mug"] {
        let page = browser.get(path).await;
        page.assert_says("may be out of date");
        page.assert_says("Tide mug");
    }
    browser.get("/products/in/light?sort=price").await.assert_silent("Tide mug");

    let mut cold = Browser::new(world.store());
    let page = cold.get("/").await;
    assert_eq!(page.status, StatusCode::OK);
    page.assert_says("The shelves cannot be shown right now.");
    assert_eq!(cold.get("/product/tide-mug").await.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn without_the_basket_browsing_works() {
    let (world, mut browser, _) = customer().await;
    world.set_down("basket", true);
    for path in ["/", "/products", "/product/tide-mug", "/basket"] {
        browser.get(path).await.assert_says("Basket unavailable");
    }
    browser.get("/product/tide-mug").await;
    browser.submit("/basket/add", &[("quantity", "1")]).await;
    browser.page.assert_says("Basket unavailable");
    assert!(browser.page.path.starts_with("/product/tide-mug"));
    world.set_down("basket", false);
    assert_eq!(browser.get("/basket").await.element("basket-count").as_deref(), Some("1"));
}

#[tokio::test]
async fn without_accounts_a_customer_still_buys() {
    let (world, mut browser, number) = customer().await;
    world.set_down("customer", true);
    browser.get("/account").await.assert_says("Accounts are unavailable right now.");
    browser.page.assert_says(&number);
    browser.get("/checkout").await.assert_says("check out as a guest");
    browser.fill_in_delivery().await;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("Thank you, your order is placed.");
    browser.get("/admin").await.assert_says("We cannot see who you are");

    let mut guest = Browser::new(browser.store.clone());
    guest.add("tide-mug", "1").await;
    guest.fill_in_delivery().await;
    guest.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    guest.page.assert_says("Thank you, your order is placed.");
    guest.get("/sign-in").await;
    let typed = [("email", "ada@example.org"), ("password", PASSWORD)];
    let page = guest.submit("/sign-in", &typed).await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    page.assert_says("Accounts are unavailable right now.");
}

#[tokio::test]
async fn without_the_inventory_stock_is_checked_at_checkout() {
    let (world, mut browser, _) = customer().await;
    world.set_down("inventory", true);
    browser.get("/product/tide-mug").await.assert_says("Stock is checked at checkout");
    browser.page.assert_says("data-test=\"add-to-basket\"");
    browser.get("/basket").await.assert_says("Stock is checked at checkout");
}

#[tokio::test]
async fn without_the_checkout_the_basket_is_safe() {
    let (world, mut browser, _) = customer().await;
    browser.fill_in_delivery().await;
    world.set_down("checkout", true);
    let placing = browser.page.clone();
    for path in ["/checkout", "/checkout/pay"] {
        browser.get(path).await.assert_says("Your basket is safe, checkout is closed");
    }
    browser.page = placing;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("Your basket is safe, checkout is closed");
    browser.page.assert_says("http-equiv=\"refresh\"");
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("1"));
}

#[tokio::test]
async fn without_orders_shipping_and_notify_their_pages_say_so() {
    let (world, mut browser, number) = customer().await;
    let order = format!("/orders/{number}");
    world.set_down("shipping", true);
    browser.get(&order).await.assert_says("the shipment follows later");
    browser.get("/checkout").await.assert_says("Shipping is a flat rate right now.");
    world.set_down("orders", true);
    browser.get("/account").await.assert_says("Order history unavailable.");
    browser.get(&order).await.assert_says("Order history unavailable.");
    browser.page.assert_says(&number);
    world.set_down("notify", true);
    browser.get("/mail").await.assert_says("Mail arrives late");
}
