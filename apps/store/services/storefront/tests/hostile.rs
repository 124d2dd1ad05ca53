//! What a stranger may try: forms from other sites, changed cookies, markup in names, input without end.

#![allow(clippy::unwrap_used)]

mod fakes;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use fakes::browser::{Browser, body_of, form};
use fakes::{PASSWORD, World};

async fn visitor() -> Browser {
    let store = World::new().store();
    store.backends.warm().await.unwrap();
    Browser::new(store)
}

#[tokio::test]
async fn forms_from_elsewhere_are_refused() {
    let mut browser = visitor().await;
    browser.add("tide-mug", "1").await;
    browser.get("/product/tide-mug").await;
    let mut fields = browser.page.hidden("/basket/add", "");
    fields.insert("quantity".to_owned(), "1".to_owned());
    let cross = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ];
    for (name, value) in cross {
        let request = Request::post("/basket/add")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::HOST, "store.example")
            .header(name, value)
            .body(body_of(&fields))
            .unwrap();
        let status = browser.send(request).await.status();
        assert_eq!(status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
    for token in ["", "0", "00000000000000000000000000000000"] {
        let mut fields = fields.clone();
        fields.insert("csrf".to_owned(), token.to_owned());
        let request = form("/basket/add", &fields).body(body_of(&fields)).unwrap();
        assert_eq!(browser.send(request).await.status(), StatusCode::FORBIDDEN, "`{token}`");
    }
    assert_eq!(browser.get("/basket").await.element("basket-count").as_deref(), Some("1"));
    let request = form("/basket/add", &fields).body(body_of(&fields)).unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_form_loaded_before_signing_in_does_not_act_for_the_customer() {
    let mut browser = visitor().await;
    browser.get("/product/tide-mug").await;
    let before = browser.page.clone();
    browser.get("/sign-in").await;
    let typed = [("email", "admin@store.example"), ("password", PASSWORD)];
    browser.submit("/sign-in", &typed).await;
    browser.page = before;
    let page = browser.submit("/basket/add", &[("quantity", "1")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    page.assert_says("Nothing was changed.");
}

#[tokio::test]
async fn a_changed_cookie_counts_as_none() {
    let mut browser = visitor().await;
    browser.add("tide-mug", "1").await;
    let good = browser.cookies["session"].clone();
    let mut bad = good.clone().into_bytes();
    let middle = bad.len() / 2;
    bad[middle] = if bad[middle] == b'A' { b'B' } else { b'A' };
    browser.cookies.insert("session".to_owned(), String::from_utf8(bad).unwrap());
    let page = browser.get("/basket").await;
    page.assert_says("Your basket is empty");
    assert_ne!(browser.cookies["session"], good, "a new visitor");
    let delivery = good.clone();
    browser.cookies.insert("session".to_owned(), good);
    browser.cookies.insert("delivery".to_owned(), delivery);
    browser.get("/basket").await.assert_says("Tide mug");
    browser.get("/checkout/pay").await.assert_says("Please fill in your address first.");
}

#[tokio::test]
async fn a_payments_key_is_its_visitors_own() {
    let world = World::new();
    let store = world.store();
    store.backends.warm().await.unwrap();
    let (mut eve, mut ada) = (Browser::new(store.clone()), Browser::new(store));
    for browser in [&mut eve, &mut ada] {
        browser.add("tide-mug", "1").await;
        browser.fill_in_delivery().await;
    }
    let planted = eve.page.hidden("/checkout/pay", "")["key"].clone();
    for key in [planted.as_str(), "12345678"] {
        ada.get(&format!("/checkout/pay?key={key}")).await;
        assert_ne!(ada.page.hidden("/checkout/pay", "")["key"], key);
        let page = ada.submit("/checkout/pay", &[("card", "4000000000000119"), ("key", key)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        page.assert_says("Nothing was changed.");
    }
    assert!(world.state().placed.is_empty());

    ada.get("/checkout/pay").await;
    ada.submit("/checkout/pay", &[("card", "4000000000000119")]).await;
    ada.page.assert_says("waiting for the bank");
    let outcome = ada.page.path.clone();
    let page = eve.get(&outcome).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
    page.assert_silent("beef");
    ada.get("/sign-in").await;
    ada.submit("/sign-in", &[("email", "admin@store.example"), ("password", PASSWORD)]).await;
    ada.get(&outcome).await.assert_says("waiting for the bank");
}

#[tokio::test]
async fn cookies_are_for_encrypted_connections_where_there_is_one() {
    let mut browser = visitor().await;
    let request = Request::get("/").header("x-forwarded-proto", "https").body(Body::empty()).unwrap();
    let response = browser.send(request).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.ends_with("; Secure"), "{cookie}");
}

#[tokio::test]
async fn markup_in_names_stays_text() {
    const EVIL: &str = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>";
    let world = World::new();
    for product in &mut world.state().products {
        product.name = EVIL.to_owned();
        product.summary = EVIL.to_owned();
        product.description = EVIL.to_owned();
        product.picture_alt = EVIL.to_owned();
        product.picture_etag = EVIL.to_owned();
    }
    let store = world.store();
    store.backends.warm().await.unwrap();
    let mut browser = Browser::new(store);
    browser.get("/register").await;
    let typed = [("name", EVIL), ("email", "a\"><b>@example.org"), ("password", PASSWORD)];
    browser.submit("/register", &typed).await;
    browser.add("tide-mug", "1").await;
    let query = format!("/search?q={}", storefront::pages::encoded(EVIL));
    for path in ["/", "/product/tide-mug", "/basket", "/checkout", "/account", query.as_str()] {
        let page = browser.get(path).await;
        for dangerous in ["<script", "<img src=x", "<b>"] {
            page.assert_silent(dangerous);
        }
        assert_eq!(page.status, StatusCode::OK);
    }
    browser.fill_in_delivery().await;
    browser.submit("/checkout/pay", &[("card", "4242424242424242")]).await;
    browser.page.assert_says("Thank you, your order is placed.");
    browser.page.assert_silent("<script");
}

#[tokio::test]
async fn input_has_limits() {
    let mut browser = visitor().await;
    browser.get("/product/tide-mug").await;
    let mut fields = browser.page.hidden("/basket/add", "");
    for quantity in ["0", "-1", "100", "1.5", "99999999999999999999", "x", ""] {
        let page = browser.submit("/basket/add", &[("quantity", quantity)]).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{quantity}");
        browser.get("/product/tide-mug").await;
    }
    fields.insert("quantity".to_owned(), "1".repeat(70_000));
    let request = form("/basket/add", &fields).body(body_of(&fields)).unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let many: BTreeMap<String, String> = (0..50).map(|n| (format!("f{n}"), String::new())).collect();
    let request = form("/basket/add", &many).body(body_of(&many)).unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let request =
        Request::post("/basket/add").header(header::CONTENT_TYPE, "application/json").body(Body::from("{}")).unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let request = Request::post("/").body(Body::empty()).unwrap();
    assert_eq!(browser.send(request).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    let long = format!("/search?q={}", "x".repeat(5000));
    assert_eq!(browser.get(&long).await.status, StatusCode::OK);
    for path in ["/search?q=%FF", "/product/%FF", "/pictures/%2e%2e", "/assets/../Cargo.toml"] {
        let status = browser.get(path).await.status;
        assert!(!status.is_server_error(), "{path}: {status}");
    }
}
