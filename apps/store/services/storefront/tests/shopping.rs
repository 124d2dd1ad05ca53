//! The pages over stand-ins of the services: the whole shopping trip, and each of its outcomes.

#![allow(clippy::unwrap_used)]

mod fakes;

use axum::http::{StatusCode, header};
use fakes::browser::{Browser, DELIVERY};
use fakes::{PASSWORD, World};
use shoal_sdk::Error;
use std::sync::Arc;
use store_contracts::store::checkout::v1::{PlaceResponse, PlaceState};

async fn shop() -> (Arc<World>, Browser) {
    let world = World::new();
    let store = world.store();
    store.backends.warm().await.unwrap();
    (world, Browser::new(store))
}

async fn sign_in(browser: &mut Browser, email: &str) {
    browser.get("/sign-in").await;
    browser.submit("/sign-in", &[("email", email), ("password", PASSWORD)]).await;
    browser.page.assert_says("Welcome back.");
}

#[tokio::test]
async fn every_page_is_whole_and_guarded() {
    let (_, mut browser) = shop().await;
    browser.add("tide-mug", "2").await;
    for path in [
        "/",
        "/products",
        "/products?sort=price",
        "/products/in/kitchen",
        "/search?q=mug",
        "/search?q=unfindable",
        "/product/tide-mug",
        "/basket",
        "/checkout",
        "/sign-in",
        "/register",
        "/mail",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(page.text.starts_with("<!DOCTYPE html>"), "{path}");
        for part in ["<main id=\"main\"", "class=\"skip\"", "data-test=\"search-box\"", "</html>"] {
            page.assert_says(part);
        }
        page.assert_silent("<script");
        page.assert_silent(" style=");
        assert_eq!(page.text.matches("<h1").count(), 1, "{path}");
        let policy = page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
        assert_eq!(page.headers[header::CACHE_CONTROL], "private, no-store");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
    }
    for path in ["/nowhere", "/product/unknown", "/product/UPPER", "/products/in/none", "/orders/1", "/products?page=x"]
    {
        assert_eq!(browser.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_product_page_takes_four_calls() {
    let (world, mut browser) = shop().await;
    browser.get("/").await;
    world.state().calls.clear();
    browser.get("/product/tide-mug").await;
    let calls = world.state().calls.clone();
    assert_eq!(calls.values().sum::<usize>(), 4, "{calls:?}");
}

#[tokio::test]
async fn a_guest_buys_something() {
    let (world, mut browser) = shop().await;
    browser.get("/").await.assert_says("Tide mug");
    browser.add("tide-mug", "2").await;
    browser.add("tide-mug", "1").await;
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("3"));
    assert_eq!(browser.page.element("subtotal").as_deref(), Some("€72.00"));
    browser.get("/checkout/pay").await.assert_says("Please fill in your address first.");
    browser.fill_in_delivery().await.assert_says("SW1Y 4JH London");
    assert_eq!(browser.page.element("total").as_deref(), Some("€76.90"));
    browser.submit("/checkout/pay", &[("card", "4242 4242 4242 4242")]).await;
    browser.page.assert_says("Thank you, your order is placed.");
    browser.page.assert_says("HP 4471 9920 13");
    assert_eq!(browser.page.element("total").as_deref(), Some("€76.90"));
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("0"));
    let number = browser.page.element("order-number").unwrap();
    assert_eq!(world.state().orders[0].order_id, number);
    browser.get("/mail").await.assert_says(&number);

    let mut stranger = Browser::new(browser.store.clone());
    let page = stranger.get(&format!("/orders/{number}")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND, "an order is its shopper's own");
}

#[tokio::test]
async fn a_refused_card_loses_nothing() {
    let (_, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    let old_key = browser.page.hidden("/checkout/pay", "")["key"].clone();
    browser.submit("/checkout/pay", &[("card", "4000000000000002")]).await;
    browser.page.assert_says("Your bank declined the card. You pay nothing");
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("1"));
    browser.get("/checkout/pay").await.assert_says("SW1Y 4JH London");
    assert_ne!(browser.page.hidden("/checkout/pay", "")["key"], old_key, "a new try is a new order");
    browser.submit("/checkout/pay", &[("card", "42")]).await;
    browser.page.assert_says("That is not a card number.");
}

#[tokio::test]
async fn an_order_that_is_not_decided_yet_is_waited_for() {
    let (_, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    browser.submit("/checkout/pay", &[("card", "4000 0000 0000 0119")]).await;
    browser.page.assert_says("waiting for the bank");
    browser.page.assert_says("http-equiv=\"refresh\"");
}

#[tokio::test]
async fn an_order_that_never_arrived_is_placed_again_under_the_same_key() {
    let (world, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    let key = browser.page.hidden("/checkout/pay", "")["key"].clone();
    world.state().place_error = Some(Error::deadline_exceeded("late"));
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("Your order has not reached us yet");
    browser.page.assert_says("http-equiv=\"refresh\"");
    // Once it cannot be placed any more, that is said for sure.
    let (outcome, before) = browser.page.path.split_once("?before=").unwrap();
    assert!(before.parse::<i64>().unwrap() > storefront::visit::now_ms() - 9_000, "{before}");
    let outcome = format!("{outcome}?before=1");
    browser.get(&outcome).await.assert_says("Your order did not reach us");
    browser.page.assert_silent("http-equiv=\"refresh\"");
    let again = format!("/checkout/pay?key={key}");
    browser.page.assert_says(&again);
    browser.get(&again).await;
    assert_eq!(browser.page.hidden("/checkout/pay", "")["key"], key);
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("Thank you, your order is placed.");
    assert_eq!(world.state().orders.len(), 1);
}

#[tokio::test]
async fn a_basket_that_is_being_ordered_under_another_key_is_not_paid_twice() {
    let (world, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    for (state, said) in [
        (PlaceState::PLACE_STATE_PENDING, "This basket is being ordered already."),
        (PlaceState::PLACE_STATE_CONFIRMED, "We looked everywhere"),
    ] {
        browser.fill_in_delivery().await;
        let other = PlaceResponse {
            order_id: "01933000-0000-7000-8000-00000000beef".to_owned(),
            state: state.into(),
            ..Default::default()
        };
        world.state().place_error = Some(Error::failed_precondition("another one").with_detail(&other));
        browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
        browser.page.assert_says(said);
    }
    assert_eq!(browser.page.path, "/orders/01933000-0000-7000-8000-00000000beef?done=already-placed");
}

#[tokio::test]
async fn a_changed_price_is_shown_before_it_is_paid() {
    let (world, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    world.state().surcharge = 100;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("The price or your basket has changed.");
    browser.page.assert_says("It was €28.90, now it is €29.90.");
    browser.page.assert_says("SW1Y 4JH London");
    assert!(world.state().orders.is_empty());
}

#[tokio::test]
async fn what_is_sold_out_meanwhile_cannot_be_paid() {
    let (world, mut browser) = shop().await;
    browser.add("wren-armchair", "3").await;
    world.state().stock.insert("wren-armchair".to_owned(), 1);
    browser.get("/basket").await.assert_says("Only 1 left");
    browser.fill_in_delivery().await.assert_says("there are fewer left than your basket holds");
    browser.page.assert_silent("data-test=\"place-order\"");
    let page = browser.get("/product/little-olive-tree").await;
    assert_eq!(page.element("stock").as_deref(), Some("Sold out"));
}

#[tokio::test]
async fn a_basket_changed_elsewhere_is_not_overwritten() {
    let (world, mut browser) = shop().await;
    browser.add("tide-mug", "1").await;
    for basket in world.state().baskets.values_mut() {
        basket.version += 1;
    }
    browser.submit("/basket/set", &[("quantity", "5")]).await;
    browser.page.assert_says("Your basket was changed in another tab.");
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("1"));
    // Pressed twice, each does what it says.
    for (quantity, said) in [("5", "Your basket is up to date."), ("0", "Taken out of your basket.")] {
        let seen = browser.page.clone();
        for _ in 0..2 {
            browser.page = seen.clone();
            browser.submit("/basket/set", &[("quantity", quantity)]).await.assert_says(said);
        }
    }
    browser.page.assert_says("Your basket is empty");
}

#[tokio::test]
async fn an_account_keeps_basket_addresses_and_orders() {
    let (world, mut browser) = shop().await;
    browser.add("reed-vase", "2").await;
    browser.get("/register?next=/basket").await;
    let typed = [("name", "Ada"), ("email", "ada@example.org"), ("password", "short")];
    let page = browser.submit("/register", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_says("Use 8 to 200 characters.");
    page.assert_says("value=\"ada@example.org\"");
    let typed = [("name", "Ada"), ("email", "ada@example.org"), ("password", PASSWORD)];
    browser.submit("/register", &typed).await.assert_says("Your account is open.");
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("2"), "the basket came along");

    browser.get("/account").await.assert_says("Hello, Ada");
    browser.submit_where("/account/addresses", "address-save", &DELIVERY[1..]).await;
    browser.page.assert_says("Your address is saved.");
    browser.get("/checkout").await.assert_says("value=\"SW1Y 4JH\"");
    browser.submit("/checkout", &DELIVERY).await;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    let number = browser.page.element("order-number").unwrap();
    browser.get("/account").await.assert_says(&number);
    assert!(world.state().orders[0].shopper_id.starts_with("customer:"));

    browser.submit("/sign-out", &[]).await.assert_says("You are signed out.");
    assert_eq!(browser.get(&format!("/orders/{number}")).await.status, StatusCode::NOT_FOUND);
    browser.get("/account").await;
    assert!(browser.page.path.starts_with("/sign-in"));
    let typed = [("email", "ada@example.org"), ("password", "wrong")];
    let page = browser.submit("/sign-in", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    page.assert_says("The e-mail address or the password is wrong.");
}

#[tokio::test]
async fn a_merge_that_failed_is_made_up_for() {
    let (world, mut browser) = shop().await;
    browser.add("reed-vase", "2").await;
    world.set_down("basket", true);
    sign_in(&mut browser, "admin@store.example").await;
    world.set_down("basket", false);
    browser.get("/basket").await;
    assert_eq!(browser.page.element("basket-count").as_deref(), Some("2"));
}

#[tokio::test]
async fn only_an_administrator_minds_the_shop() {
    let (world, mut browser) = shop().await;
    browser.get("/admin").await;
    assert!(browser.page.path.starts_with("/sign-in"));
    browser.get("/register").await;
    let typed = [("name", "Eve"), ("email", "eve@example.org"), ("password", PASSWORD)];
    browser.submit("/register", &typed).await;
    assert_eq!(browser.get("/admin").await.status, StatusCode::FORBIDDEN);
    browser.get("/account").await;
    let typed =
        [("product", "tide-mug"), ("currency", "EUR"), ("amount", "0.01"), ("version", "1"), ("key", "12345678")];
    let mut fields = browser.page.hidden("/sign-out", "");
    fields.extend(typed.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let request = fakes::browser::form("/admin/price", &fields).body(fakes::browser::body_of(&fields)).unwrap();
    let response = browser.send(request).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(world.state().products[0].prices[0].amount.minor, 2400);
}

#[tokio::test]
async fn the_shop_is_minded() {
    let (world, mut browser) = shop().await;
    sign_in(&mut browser, "admin@store.example").await;
    browser.get("/admin").await.assert_says("Tide mug");
    let mark = "value=\"tide-mug\"";
    let page = browser.submit_where("/admin/price", mark, &[("amount", "25.505")]).await;
    page.assert_says("The price was not changed.");
    browser.submit_where("/admin/price", mark, &[("amount", "25.50")]).await.assert_says("The price is changed.");
    browser.get("/product/tide-mug").await.assert_says("€25.50");
    browser.get("/admin").await;
    browser.submit_where("/admin/stock", mark, &[("quantity", "7")]).await.assert_says("The delivery is booked.");
    assert_eq!(world.state().stock["tide-mug"], 127);

    browser.get("/admin/product").await;
    let typed = [("id", "kelp-tray"), ("name", "Kelp tray"), ("category", "kitchen"), ("tags", "wood, Oiled")];
    browser.submit("/admin/product", &typed).await.assert_says("There are at most 12 tags");
    browser.page.assert_says("value=\"Kelp tray\"");
    browser.submit("/admin/product", &[typed[0], typed[1], typed[2], ("tags", "wood, oiled")]).await;
    browser.page.assert_says("The product is saved.");
    browser.get("/product/kelp-tray").await.assert_says("Not sold in this currency");
}

#[tokio::test]
async fn prices_follow_the_currency() {
    let (_, mut browser) = shop().await;
    browser.get("/product/tide-mug").await.assert_says("€24.00");
    browser.submit("/currency", &[("currency", "JPY")]).await;
    assert_eq!(browser.page.path, "/product/tide-mug");
    assert_eq!(browser.page.element("price").as_deref(), Some("¥3,840"));
    let page = browser.submit("/currency", &[("currency", "GBP"), ("back", "//evil.example")]).await;
    assert_eq!(page.path, "/");
}

#[tokio::test]
async fn pictures_are_kept_by_browsers() {
    let (world, mut browser) = shop().await;
    let page = browser.get("/pictures/tide-mug?v=e-tide-mug").await.clone();
    assert_eq!(page.headers[header::CONTENT_TYPE], "image/svg+xml");
    assert_eq!(page.headers[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
    assert!(page.headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("sandbox"));
    assert!(!page.headers.contains_key(header::SET_COOKIE));
    let request = axum::http::Request::get("/pictures/tide-mug")
        .header(header::IF_NONE_MATCH, &page.headers[header::ETAG])
        .body(axum::body::Body::empty())
        .unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::NOT_MODIFIED);
    world.set_down("catalogue", true);
    assert_eq!(browser.get("/pictures/reed-vase").await.status, StatusCode::OK);
    assert_eq!(browser.get("/pictures/unknown").await.status, StatusCode::SERVICE_UNAVAILABLE);

    let home = browser.get("/").await.text.clone();
    let css = home.split("rel=\"stylesheet\" href=\"").nth(1).unwrap();
    let css = css.split('"').next().unwrap();
    let page = browser.get(css).await;
    assert_eq!(page.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(page.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    assert_eq!(browser.get("/assets/store-0.css").await.status, StatusCode::NOT_FOUND);
    assert_eq!(browser.get("/favicon.ico").await.status, StatusCode::OK);
}
