//! Forms, addresses and cookies as nobody would send them by hand: whatever arrives, a page answers, no markup of a stranger
//! becomes markup, and nothing breaks.

#![allow(clippy::unwrap_used)]

mod fakes;

use std::collections::BTreeMap;

use axum::body::Body;
use axum::http::{HeaderValue, Request, StatusCode, header};
use fakes::browser::{Browser, DELIVERY, form};
use fakes::{PASSWORD, World};
use proptest::prelude::*;
use storefront::pages::encoded;
use tokio::runtime::Runtime;

/// Every address that takes a form.
const FORMS: [&str; 13] = [
    "/basket/add",
    "/basket/set",
    "/checkout",
    "/checkout/pay",
    "/sign-in",
    "/register",
    "/sign-out",
    "/account/addresses",
    "/account/erase",
    "/admin/price",
    "/admin/stock",
    "/admin/product",
    "/currency",
];

/// Every field that some form has.
const FIELDS: [&str; 28] = [
    "product",
    "quantity",
    "version",
    "card",
    "key",
    "total",
    "currency",
    "basket_version",
    "email",
    "password",
    "name",
    "next",
    "back",
    "line1",
    "line2",
    "city",
    "region",
    "postcode",
    "country",
    "address_id",
    "remove",
    "amount",
    "page",
    "id",
    "summary",
    "description",
    "category",
    "tags",
];

/// Addresses with a place for something odd.
const PAGES: [&str; 14] = [
    "/{}",
    "/products?page={}&sort={}",
    "/products/in/{}",
    "/search?q={}",
    "/product/{}",
    "/pictures/{}?v={}",
    "/basket?done={}",
    "/checkout?address={}&done={}",
    "/checkout/pay?key={}&was={}&in={}",
    "/checkout/outcome/{}?before={}",
    "/orders/{}",
    "/sign-in?next={}",
    "/mail?page={}",
    "/account?page={}",
];

const MARKUP: &str = "<script>alert(1)</script>";

/// What stands in a field: the edges of every kind of value, what programs choke on, and anything at all.
fn odd() -> impl Strategy<Value = String> {
    let edges = vec![
        "",
        " ",
        "0",
        "-0",
        "1",
        "-1",
        "99",
        "100",
        "2147483647",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1e9",
        "NaN",
        "0x10",
        "١٢",
        "1.5",
        "1,5",
        "true",
        "null",
        "EUR",
        "XXX",
        "eur",
        "tide-mug",
        "no-such-thing",
        "../../etc/passwd",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "a\r\nset-cookie: x=y",
        "\0",
        "%00",
        "%",
        "%zz",
        "\u{202e}",
        "\u{feff}",
        "ﷺ",
        "𝔘𝔫𝔦",
        "' OR 1=1 --",
        "$1",
        "{{7*7}}",
        "ada@example.org",
        "a@b@c.example",
        "@",
        "12345678",
        "4242424242424242",
        "4242 4242 4242 4242",
        MARKUP,
        "\"><img src=x onerror=alert(1)>",
        "01933000-0000-7000-8000-00000000beef",
    ];
    prop_oneof![
        4 => prop::sample::select(edges).prop_map(str::to_owned),
        2 => any::<i64>().prop_map(|number| number.to_string()),
        2 => ".{0,40}",
        1 => (1_usize..6_000).prop_map(|length| "x".repeat(length)),
    ]
}

fn fields() -> impl Strategy<Value = BTreeMap<String, String>> {
    let name = prop_oneof![9 => prop::sample::select(FIELDS.to_vec()).prop_map(str::to_owned), 1 => ".{0,12}"];
    prop::collection::btree_map(name, odd(), 0..12)
}

fn body(fields: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// One who has filled in where the order goes and has something in the basket; an administrator on demand.
fn visitor(runtime: &Runtime, signed_in: bool) -> Browser {
    let store = World::new().store();
    let mut browser = Browser::new(store.clone());
    runtime.block_on(async {
        store.backends.warm().await.unwrap();
        if signed_in {
            browser.get("/sign-in").await;
            browser.submit("/sign-in", &[("email", "admin@store.example"), ("password", PASSWORD)]).await;
            browser.page.assert_says("Welcome back.");
        }
        browser.add("tide-mug", "1").await;
        browser.fill_in_delivery().await;
        browser.page.assert_says(DELIVERY[5].1);
    });
    browser
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// An answer that no stranger's input may change: no failure, no header that was smuggled in, no markup.
async fn checked(browser: &mut Browser, request: Request<Body>) -> StatusCode {
    let what = format!("{} {}", request.method(), request.uri());
    let response = browser.send(request).await;
    let (head, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 16 << 20).await.unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!head.status.is_server_error(), "{what}: {} {text}", head.status);
    assert!(!text.contains("<script") && !text.contains("<img src=x"), "{what}: {text}");
    if let Some(location) = head.headers.get(header::LOCATION) {
        let location = location.to_str().unwrap();
        assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'), "{location}");
    }
    for cookie in head.headers.get_all(header::SET_COOKIE) {
        let name = cookie.to_str().unwrap().split('=').next().unwrap();
        assert!(["session", "delivery"].contains(&name), "{what}: {cookie:?}");
    }
    head.status
}

fn forms_are_answered(signed_in: bool) {
    let runtime = runtime();
    let start = visitor(&runtime, signed_in);
    let payment = start.page.hidden("/checkout/pay", "");
    let (csrf, key) = (payment["csrf"].clone(), payment["key"].clone());
    let cookies = start.cookies.clone();
    let store = start.store;
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) };
    proptest!(config, |(action in prop::sample::select(FORMS.to_vec()), mut fields in fields())| {
        // It reads no field, and would end the sign-in that all other cases share.
        prop_assume!(!(signed_in && action == "/sign-out"));
        fields.insert("csrf".to_owned(), csrf.clone());
        // No odd one gets past the page.
        fields.entry("key".to_owned()).or_insert_with(|| key.clone());
        // Each case begins as the same visitor, whatever the case before did to the cookies.
        let mut browser = Browser { cookies: cookies.clone(), ..Browser::new(store.clone()) };
        let request = form(action, &fields).body(Body::from(body(&fields))).unwrap();
        let status = runtime.block_on(checked(&mut browser, request));
        prop_assert_ne!(status, StatusCode::FORBIDDEN, "{}", action);
        fields.insert("csrf".to_owned(), "0".repeat(32));
        let request = form(action, &fields).body(Body::from(body(&fields))).unwrap();
        let mut browser = Browser { cookies: cookies.clone(), ..Browser::new(store.clone()) };
        prop_assert_eq!(runtime.block_on(checked(&mut browser, request)), StatusCode::FORBIDDEN);
    });
}

#[test]
fn any_form_of_an_administrator_is_answered() {
    forms_are_answered(true);
}

#[test]
fn any_form_of_a_guest_is_answered() {
    forms_are_answered(false);
}

#[test]
fn any_bytes_as_a_form_are_answered() {
    let runtime = runtime();
    let start = visitor(&runtime, false);
    let (cookies, store) = (start.cookies.clone(), start.store);
    let kinds =
        ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json", "", "\u{7f}"];
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) };
    proptest!(config, |(
        action in prop::sample::select(FORMS.to_vec()),
        kind in prop::sample::select(kinds.to_vec()),
        bytes in prop::collection::vec(any::<u8>(), 0..600),
    )| {
        let mut browser = Browser { cookies: cookies.clone(), ..Browser::new(store.clone()) };
        let mut request = Request::post(action).body(Body::from(bytes)).unwrap();
        if let Ok(kind) = HeaderValue::from_str(kind) {
            request.headers_mut().insert(header::CONTENT_TYPE, kind);
        }
        let status = runtime.block_on(checked(&mut browser, request));
        prop_assert!(status.is_client_error(), "{}", status);
    });
}

#[test]
fn any_address_is_answered() {
    let runtime = runtime();
    let start = visitor(&runtime, true);
    let (cookies, store) = (start.cookies.clone(), start.store);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) };
    proptest!(config, |(page in prop::sample::select(PAGES.to_vec()), odd in odd(), raw in any::<bool>())| {
        let inserted = if raw {
            odd.chars().filter(|letter| letter.is_ascii_graphic() && !"#<>\"{}\\^`|".contains(*letter)).collect()
        } else {
            encoded(&odd)
        };
        let path = page.replace("{}", &inserted);
        if let Ok(request) = Request::get(path.as_str()).body(Body::empty()) {
            let mut browser = Browser { cookies: cookies.clone(), ..Browser::new(store.clone()) };
            runtime.block_on(checked(&mut browser, request));
        }
    });
}

#[test]
fn any_cookie_is_read() {
    let runtime = runtime();
    let start = visitor(&runtime, true);
    let (cookies, store) = (start.cookies.clone(), start.store);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) };
    proptest!(config, |(
        bytes in prop::collection::vec(0x20_u8..=0xff, 0..200),
        place in any::<prop::sample::Index>(),
        kept in any::<prop::sample::Index>(),
        name in prop::sample::select(vec!["session", "delivery"]),
    )| {
        // A good cookie that is cut, and goes on with something else.
        let good = &cookies[name];
        let mut line = format!("{name}={}", &good[..kept.index(good.len())]).into_bytes();
        let place = place.index(line.len() + 1);
        line.splice(place..place, bytes);
        if let Ok(value) = HeaderValue::from_bytes(&line) {
            let request = Request::get("/account").header(header::COOKIE, value).body(Body::empty()).unwrap();
            let mut browser = Browser::new(store.clone());
            let status = runtime.block_on(checked(&mut browser, request));
            prop_assert_eq!(status, StatusCode::SEE_OTHER, "nobody is signed in by it");
        }
    });
}
