//! What signing in and out does to a basket, and what a sign-in is worth once it has ended elsewhere.

#![allow(clippy::unwrap_used)]

mod fakes;

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use fakes::browser::Browser;
use fakes::people::LINES_MAX;
use fakes::{PASSWORD, World};
use shoal_sdk::Error;
use store_contracts::store::basket::v1::BasketLine;
use storefront::session::{SESSION, SESSION_LIFE, Session};
use storefront::visit::now_ms;

const EMAIL: &str = "admin@store.example";
const BASKET: &str = "customer:6f1c8f60-0000-4000-8000-000000000001";
const CARD: (&str, &str) = ("card", "4242424242424242");

async fn shop() -> (Arc<World>, Browser) {
    let world = World::new();
    let store = world.store();
    store.backends.warm().await.unwrap();
    (world, Browser::new(store))
}

async fn sign_in(browser: &mut Browser) {
    browser.get("/sign-in?next=/mail").await;
    browser.submit("/sign-in", &[("email", EMAIL), ("password", PASSWORD)]).await.assert_says("Welcome back.");
}

/// Another browser with the same cookies.
fn copy(browser: &Browser) -> Browser {
    Browser { cookies: browser.cookies.clone(), ..Browser::new(browser.store.clone()) }
}

async fn pieces(browser: &mut Browser) -> String {
    browser.get("/basket").await.element("basket-count").unwrap()
}

/// Fills the customer's basket with other things.
fn fill(world: &World, lines: usize) {
    let line = |number| BasketLine { product_id: format!("thing-{number}"), quantity: 1, ..Default::default() };
    world.state().baskets.entry(BASKET.to_owned()).or_default().lines = (0..lines).map(line).collect();
}

#[tokio::test]
async fn a_guests_basket_comes_along_whatever_was_answered_before() {
    for error in [
        Error::unavailable("away"),
        Error::resource_exhausted("too many writes are waiting"),
        Error::aborted("again"),
        Error::permission_denied("no"),
        Error::internal("a bug"),
    ] {
        let (world, mut browser) = shop().await;
        browser.add("reed-vase", "2").await;
        world.state().basket_error = Some(error.clone());
        sign_in(&mut browser).await;
        world.state().basket_error = Some(error.clone());
        assert_eq!(pieces(&mut browser).await, "0", "{error:?}");
        browser.page.assert_says("Something may be missing.");
        assert_eq!(pieces(&mut browser).await, "2", "{error:?}");
        browser.page.assert_silent("Something may be missing.");
    }
}

#[tokio::test]
async fn what_did_not_come_along_is_still_there_after_signing_out() {
    let (world, mut browser) = shop().await;
    browser.add("reed-vase", "2").await;
    world.set_down("basket", true);
    sign_in(&mut browser).await;
    browser.get("/account").await;
    browser.submit("/sign-out", &[]).await.assert_says("it is in this browser's basket");
    world.set_down("basket", false);
    assert_eq!(pieces(&mut browser).await, "2");
    sign_in(&mut browser).await;
    browser.get("/account").await;
    browser.submit("/sign-out", &[]).await.assert_silent("it is in this browser");
    assert_eq!(pieces(&mut browser).await, "0", "it has come along at the latest now");
    assert_eq!(world.state().baskets[BASKET].lines[0].quantity, 2);
}

#[tokio::test]
async fn what_does_not_fit_waits_until_there_is_room() {
    let (world, mut browser) = shop().await;
    fill(&world, LINES_MAX);
    browser.add("reed-vase", "2").await;
    sign_in(&mut browser).await;
    assert_eq!(pieces(&mut browser).await, LINES_MAX.to_string());
    browser.page.assert_says("Not everything fits.");
    browser.get("/account").await;
    browser.submit("/sign-out", &[]).await.assert_says("it is in this browser's basket");
    assert_eq!(pieces(&mut browser).await, "2");
    fill(&world, LINES_MAX - 1);
    sign_in(&mut browser).await;
    assert_eq!(pieces(&mut browser).await, (LINES_MAX + 1).to_string());
    browser.page.assert_silent("Not everything fits.");
}

#[tokio::test]
async fn what_another_tab_adds_while_one_signs_in_comes_along() {
    let (_, mut browser) = shop().await;
    browser.get("/").await;
    let mut other_tab = copy(&browser);
    sign_in(&mut browser).await;
    other_tab.add("reed-vase", "2").await;
    assert_eq!(pieces(&mut browser).await, "2");
}

#[tokio::test]
async fn a_full_queue_is_no_full_basket() {
    let (world, mut browser) = shop().await;
    sign_in(&mut browser).await;
    assert_eq!(pieces(&mut browser).await, "0");
    browser.get("/product/tide-mug").await;
    world.state().basket_error = Some(Error::resource_exhausted("too many writes are waiting"));
    let page = browser.submit("/basket/add", &[("quantity", "1")]).await;
    page.assert_silent("Your basket is full.");
    page.assert_says("Basket unavailable.");
    fill(&world, LINES_MAX);
    browser.get("/product/tide-mug").await;
    browser.submit("/basket/add", &[("quantity", "1")]).await.assert_says("Your basket is full.");
}

/// Signs in, buys, and has another order ready to be placed. Answers the first one's page.
async fn customer(browser: &mut Browser) -> String {
    sign_in(browser).await;
    browser.add("tide-mug", "1").await;
    browser.fill_in_delivery().await;
    browser.submit("/checkout/pay", &[CARD]).await.assert_says("Thank you, your order is placed.");
    let order = browser.page.path.clone();
    browser.add("reed-vase", "1").await;
    browser.fill_in_delivery().await;
    order
}

/// The old cookie shows nothing of the customer any more, and does nothing as them.
async fn is_worth_nothing(world: &World, old: &Browser, order: &str) {
    let before = world.state().baskets[BASKET].clone();
    for path in [order, "/account", "/basket", "/checkout", "/checkout/pay", "/admin"] {
        let mut browser = copy(old);
        let page = browser.get(path).await;
        assert!(page.path.starts_with("/sign-in?next="), "{path}: {}", page.path);
        page.assert_says("Your session is over.");
        page.assert_silent("Reed vase");
        assert_ne!(browser.get(order).await.status, StatusCode::OK);
    }
    for action in ["/checkout/pay", "/currency"] {
        let mut browser = copy(old);
        browser.page = old.page.clone();
        browser.submit(action, &[CARD]).await.assert_says("Your session is over.");
    }
    let page = copy(old).get("/product/tide-mug").await.clone();
    page.assert_says("Your session is over.");
    assert_eq!(page.element("basket-count").as_deref(), Some("0"));
    assert_eq!(world.state().orders.len(), 1);
    assert_eq!(world.state().baskets[BASKET], before);
}

#[tokio::test]
async fn a_cookie_from_before_signing_out_is_worth_nothing() {
    let (world, mut browser) = shop().await;
    let order = customer(&mut browser).await;
    let mut old = copy(&browser);
    old.page = browser.page.clone();
    browser.get("/account").await;
    browser.submit("/sign-out", &[]).await.assert_says("You are signed out.");
    is_worth_nothing(&world, &old, &order).await;
}

#[tokio::test]
async fn the_cookie_of_a_deleted_account_is_worth_nothing() {
    let (world, mut browser) = shop().await;
    let order = customer(&mut browser).await;
    world.state().accounts.clear();
    is_worth_nothing(&world, &browser, &order).await;
}

#[tokio::test]
async fn signing_out_works_while_accounts_are_away() {
    let (world, mut browser) = shop().await;
    sign_in(&mut browser).await;
    browser.get("/account").await;
    world.set_down("customer", true);
    browser.submit("/sign-out", &[]).await.assert_says("You are signed out.");
    browser.get("/account").await;
    assert!(browser.page.path.starts_with("/sign-in"));
}

#[tokio::test]
async fn a_sign_in_is_asked_about_once_in_a_while() {
    let (world, mut first) = shop().await;
    sign_in(&mut first).await;
    for silent in [false, true] {
        world.set_down("customer", silent);
        let mut browser = copy(&first);
        browser.store = world.store_that_remembers(Duration::from_secs(3_600));
        world.state().calls.clear();
        for _ in 0..3 {
            let page = browser.get("/product/tide-mug").await;
            page.assert_says("data-test=\"account-link\"");
        }
        assert_eq!(world.state().calls["customer"], 1, "silent: {silent}");
    }
}

#[tokio::test]
async fn the_account_page_asks_once() {
    let (world, mut browser) = shop().await;
    sign_in(&mut browser).await;
    world.state().calls.clear();
    browser.get("/account").await.assert_says("Hello, Mina");
    assert_eq!(world.state().calls["customer"], 1);
}

#[tokio::test]
async fn a_sign_in_that_ran_out_is_said_to_be_over() {
    let (_, mut browser) = shop().await;
    sign_in(&mut browser).await;
    let sealer = &browser.store.sealer;
    let opened = sealer.open::<Session>(SESSION, &browser.cookies[SESSION], SESSION_LIFE, now_ms());
    let mut session = opened.unwrap().content;
    session.signed_in.as_mut().unwrap().expires_at_ms = 1;
    let cookie = sealer.seal(SESSION, session, now_ms()).unwrap();
    browser.cookies.insert(SESSION.to_owned(), cookie);
    browser.get("/basket").await.assert_says("Your session is over.");
    assert!(browser.page.path.starts_with("/sign-in?next="));
}
