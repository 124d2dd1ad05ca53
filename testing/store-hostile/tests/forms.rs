//! Every form of the storefront with the real services behind it: whatever is typed, a page answers that is no failure, and
//! nothing that was typed becomes markup. What the pages let through must not surprise a service.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod town;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rstest::rstest;
use test_databases::Kind;
use town::{ADMIN, Answer, Log, Town};

const FORMS: [(&str, &[&str]); 12] = [
    ("/basket/add", &["product", "quantity"]),
    ("/basket/set", &["product", "quantity", "version"]),
    ("/checkout", &["email", "name", "line1", "line2", "city", "region", "postcode", "country"]),
    ("/checkout/pay", &["key", "total", "currency", "basket_version", "card"]),
    ("/sign-in", &["email", "password", "next"]),
    ("/register", &["key", "email", "name", "password", "next"]),
    ("/account/addresses", &["key", "address_id", "name", "line1", "city", "postcode", "country", "remove"]),
    ("/account/erase", &["password"]),
    ("/admin/price", &["key", "product", "currency", "version", "amount", "page"]),
    ("/admin/stock", &["key", "product", "quantity", "page"]),
    ("/admin/product", &["key", "version", "id", "name", "summary", "description", "category", "tags"]),
    ("/currency", &["currency", "back"]),
];

const PAGES: [&str; 9] = [
    "/products?page={}",
    "/products/in/{}",
    "/search?q={}",
    "/product/{}",
    "/pictures/{}",
    "/orders/{}",
    "/checkout/outcome/{}",
    "/mail?page={}",
    "/account?page={}",
];

/// A value that is in order for this field.
fn good(field: &str) -> &'static str {
    match field {
        "product" => "tide-mug",
        "quantity" | "version" | "basket_version" => "1",
        "email" => "ada@example.org",
        "country" => "DE",
        "key" => "key-00000001",
        "total" => "3380",
        "currency" => "EUR",
        "card" => "4242 4242 4242 4242",
        "next" | "back" => "/basket",
        "password" => "correct horse",
        "amount" => "12.50",
        "id" => "odd-thing",
        "category" => "kitchen",
        "remove" | "page" | "address_id" => "",
        _ => "Ada",
    }
}

fn odd() -> impl Strategy<Value = String> {
    let edges: Vec<String> = town::odd::values()
        .into_iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .filter(|text| text.len() < 2_000)
        .collect();
    prop_oneof![3 => prop::sample::select(edges), 1 => ".{0,30}", 1 => any::<i64>().prop_map(|number| number.to_string())]
}

/// A visitor's cookies.
#[derive(Clone, Default)]
struct Cookies(BTreeMap<String, String>);

impl Cookies {
    fn line(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn take(&mut self, answer: &Answer) {
        for cookie in answer.headers.get("set-cookie").into_iter().flatten() {
            let (pair, _) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            self.0.insert(name.to_owned(), value.to_owned());
        }
    }
}

fn encoded(fields: &[(String, String)]) -> String {
    let pair = |(name, value): &(String, String)| format!("{name}={}", storefront::pages::encoded(value));
    fields.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn value_of<'a>(page: &'a str, field: &str) -> &'a str {
    let open = format!("name=\"{field}\" value=\"");
    page.split(&open).nth(1).unwrap().split('"').next().unwrap()
}

/// One who has a mug in the basket and has said where it goes.
struct Visitor {
    cookies: Cookies,
    /// The token of every form.
    token: String,
    /// The key of the payment's form: no other one gets past the page.
    key: String,
}

fn visitor(town: &Town, signed_in: bool) -> Visitor {
    let mut cookies = Cookies::default();
    let mut send = |path: &str, fields: &[(&str, &str)]| {
        let page = town.get("/sign-in", &cookies.line());
        cookies.take(&page);
        let token = match page.status {
            200 => value_of(&page.body, "csrf").to_owned(),
            _ => value_of(&town.get("/product/tide-mug", &cookies.line()).body, "csrf").to_owned(),
        };
        let mut all = vec![("csrf".to_owned(), token.clone())];
        all.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let answer = town.post(path, &cookies.line(), &encoded(&all));
        assert_eq!(answer.status, 303, "{path}: {answer:?}");
        cookies.take(&answer);
        token
    };
    if signed_in {
        send("/sign-in", &[("email", ADMIN.0), ("password", ADMIN.1)]);
    }
    send("/basket/add", &[("product", "tide-mug"), ("quantity", "1")]);
    let fields = ["email", "name", "line1", "city", "postcode", "country"].map(|field| (field, good(field)));
    let token = send("/checkout", &fields);
    let key = value_of(&town.get("/checkout/pay", &cookies.line()).body, "key").to_owned();
    Visitor { cookies, token, key }
}

#[track_caller]
fn checked(what: &str, answer: &Answer) {
    let said = answer.body.split("<main").nth(1).unwrap_or(&answer.body);
    assert!(answer.status < 500, "{what}: {} {said}", answer.status);
    assert!(!answer.body.contains("<script"), "{what}: {said}");
    if answer.status == 303 {
        let location = &answer.headers["location"][0];
        assert!(location.starts_with('/') && !location.starts_with("//"), "{what}: {location}");
    }
}

#[rstest]
fn whatever_is_typed_a_page_answers(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
    #[values(false, true)] signed_in: bool,
) {
    let log = Log::kept();
    let town = Town::start(kind);
    let Visitor { cookies, token, key } = visitor(&town, signed_in);
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(250) };
    proptest!(config, |(
        (action, names) in prop::sample::select(FORMS.to_vec()),
        odds in prop::collection::vec((any::<prop::sample::Index>(), odd()), 1..3),
    )| {
        let good = |name| if (action, name) == ("/checkout/pay", "key") { &key } else { good(name) };
        let mut fields: Vec<(String, String)> =
            names.iter().map(|name| ((*name).to_owned(), good(name).to_owned())).collect();
        for (place, odd) in odds {
            place.get_mut(&mut fields[..]).1 = odd;
        }
        fields.push(("csrf".to_owned(), token.clone()));
        let body = encoded(&fields);
        let mut cookies = cookies.clone();
        let answer = town.post(action, &cookies.line(), &body);
        checked(&format!("{action} {body}"), &answer);
        cookies.take(&answer);
        if let Some(location) = answer.headers.get("location") {
            checked(&format!("{action} {body} → {}", location[0]), &town.get(&location[0], &cookies.line()));
        }
    });
    assert!(!log.text().contains("panicked"));
}

#[rstest]
fn whatever_an_address_says_a_page_answers(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let log = Log::kept();
    let town = Town::start(kind);
    let cookies = visitor(&town, true).cookies;
    for page in PAGES {
        for value in town::odd::values() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if text.len() < 2_000 {
                let path = page.replace("{}", &storefront::pages::encoded(&text));
                checked(&path, &town.get(&path, &cookies.line()));
            }
        }
    }
    assert!(!log.text().contains("panicked"));
}

#[rstest]
fn an_old_cookie_is_nobodys(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let town = Town::start(kind);
    let Visitor { cookies: old, token, key } = visitor(&town, true);
    let order =
        [("key", key.as_str()), ("total", "3380"), ("currency", "EUR"), ("basket_version", "1"), ("csrf", &token)];
    let order: Vec<_> = order.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    assert!(town.get("/account", &old.line()).body.contains(ADMIN.0));
    let signed_out = town.post("/sign-out", &old.line(), &encoded(&[("csrf".to_owned(), token.clone())]));
    assert_eq!(signed_out.status, 303, "{signed_out:?}");
    let is_refused = |answer: &Answer| {
        let location = answer.headers.get("location").map_or("", |locations| &locations[0]);
        location.starts_with("/sign-in?next=") && location.ends_with("done=session-over")
    };
    // While accounts do not answer in time, an old cookie is believed.
    let until = Instant::now() + Duration::from_secs(60);
    let ask = |what: &str, ask: &dyn Fn() -> Answer| {
        while !is_refused(&ask()) {
            assert!(Instant::now() < until, "{what} is still answered");
        }
    };
    for page in ["/account", "/basket", "/checkout", "/checkout/pay", "/admin"] {
        ask(page, &|| town.get(page, &old.line()));
    }
    ask("the button", &|| town.post("/checkout/pay", &old.line(), &encoded(&order)));
}
