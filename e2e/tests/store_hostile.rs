//! What a stranger may try on the running store: forms from elsewhere, cookies that are not theirs, markup in a name, amounts
//! without end; and what an honest shopper fears: that the number of a card is kept somewhere.

use serde_json::{Value, json};
use shoal_e2e::{Application, Page, Shopper, eventually, store};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// In no other test, and on no page: so that where it is found, it was kept.
const CARDS: [&str; 3] = ["5555 5555 5555 4444", "3782 822463 10005", "4000 0000 0000 0341"];
const MARKUP: &str = "</title><script>alert('x')</script><img src=x onerror=alert(1)>\"'";

static STORE: Mutex<Weak<Application>> = Mutex::new(Weak::new());

/// The running store, whose services log as much as they can.
#[track_caller]
fn running() -> Arc<Application> {
    let mut shared = STORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(store) = shared.upgrade() {
        return store;
    }
    let store = Arc::new(store());
    let up = store.command(&["up", "-d", "--profile", "dev"]).env("RUST_LOG", "debug").output().expect("shoal runs");
    assert!(up.status.success(), "{up:?}");
    *shared = Arc::downgrade(&store);
    store
}

#[track_caller]
fn call(store: &Application, method: &str, request: &Value) -> Value {
    let output = store.shoal(&["call", method, &request.to_string()]).succeeded();
    serde_json::from_str(&output.stdout).expect("an answer is JSON")
}

/// An answer to a request that was written by hand.
struct Raw {
    status: u16,
    body: String,
}

fn raw(store: &Application, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Raw {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
    let request = headers.iter().fold(
        ureq::http::Request::builder().method(method).uri(format!("{}{path}", store.address())),
        |request, (name, value)| request.header(*name, *value),
    );
    let response = match method {
        "GET" => agent.run(request.body(()).expect("a request")),
        _ => agent.run(request.body(body.to_owned()).expect("a request")),
    };
    let mut response = response.expect("the gateway answers");
    let body = response.body_mut().read_to_string().unwrap_or_default();
    Raw { status: response.status().as_u16(), body }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The cookie line of a new visitor, and the token of their forms.
fn visitor(store: &Application) -> (String, String) {
    let page = shoal_e2e::get(&format!("{}/product/tide-mug", store.address())).expect("a page");
    let cookie = page.header("set-cookie").and_then(|cookie| cookie.split(';').next()).expect("a new visitor");
    let token = page.body.split("name=\"csrf\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    (cookie.to_owned(), token.expect("a form").to_owned())
}

fn pieces(store: &Application, cookie: &str) -> String {
    let page = raw(store, "GET", "/basket", &[("cookie", cookie)], "");
    let count = page.body.split("data-test=\"basket-count\">").nth(1).and_then(|rest| rest.split('<').next());
    count.unwrap_or_default().trim().to_owned()
}

#[test]
fn a_form_from_another_site_changes_nothing() {
    let store = running();
    let (cookie, token) = visitor(&store);
    let body = format!("csrf={token}&product=tide-mug&quantity=1");
    let origin = store.address();
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ] {
        let answer = raw(&store, "POST", "/basket/add", &[("cookie", &cookie), FORM, (name, value)], &body);
        assert_eq!(answer.status, 403, "{name}: {value}: {}", answer.body);
    }
    let stolen = visitor(&store).1;
    for token in ["", "x", stolen.as_str()] {
        let body = format!("csrf={token}&product=tide-mug&quantity=1");
        let answer = raw(&store, "POST", "/basket/add", &[("cookie", &cookie), FORM], &body);
        assert_eq!(answer.status, 403, "`{token}`: {}", answer.body);
    }
    // What only a form may do, a link must not.
    for path in ["/basket/add?product=tide-mug&quantity=1", "/sign-out", "/account/erase", "/admin/price", "/currency"]
    {
        let answer = raw(&store, "GET", path, &[("cookie", &cookie)], "");
        assert_eq!(answer.status, 405, "{path}");
    }
    assert_eq!(pieces(&store, &cookie), "0");
    let own = [("cookie", cookie.as_str()), FORM, ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(raw(&store, "POST", "/basket/add", &own, &body).status, 303, "our own form is taken");
    assert_eq!(pieces(&store, &cookie), "1");
}

#[test]
fn a_cookie_that_was_changed_is_nobodys() {
    let store = running();
    let (cookie, token) = visitor(&store);
    let body = format!("csrf={token}&product=tide-mug&quantity=2");
    assert_eq!(raw(&store, "POST", "/basket/add", &[("cookie", &cookie), FORM], &body).status, 303);
    assert_eq!(pieces(&store, &cookie), "2");
    let (name, sealed) = cookie.split_once('=').expect("a cookie");
    let plain = r#"{"at_ms":0,"content":{"guest":"0192f3a0-1111-7222-8333-444455556666","csrf":"","currency":"EUR"}}"#;
    let forged = [
        sealed.replacen("v4.local.", "v4.public.", 1),
        sealed.replacen("v4.local.", "v2.local.", 1),
        format!("v4.local.{}", "A".repeat(sealed.len() - 9)),
        sealed[..sealed.len() - 4].to_owned(),
        format!("{sealed}{sealed}"),
        plain.replace(['"', ',', ' '], ""),
        String::new(),
    ];
    for value in forged {
        let cookie = format!("{name}={value}");
        assert_eq!(pieces(&store, &cookie), "0", "{cookie}");
        let answer = raw(&store, "POST", "/basket/add", &[("cookie", &cookie), FORM], &body);
        assert_eq!(answer.status, 403, "{cookie}");
    }
    // The delivery's cookie is sealed with the same key, and still is no session.
    let swapped = format!("delivery={sealed}");
    assert_eq!(pieces(&store, &swapped), "0");
    assert_eq!(pieces(&store, &cookie), "2", "the true one still is");
}

#[test]
fn an_order_is_only_its_shoppers() {
    let store = running();
    let mut ada = Shopper::new(&store);
    ada.register("ada.private@example.org");
    ada.add("reed-vase", 1);
    let _ = ada.deliver("ada.private@example.org");
    let order = ada.buy();
    let mut eve = Shopper::new(&store);
    eve.register("eve@example.org");
    for visitor in [&mut eve, &mut Shopper::new(&store)] {
        let page = visitor.try_get(&format!("/orders/{order}")).expect("a page");
        assert_eq!(page.status, 404, "{page:?}");
        assert!(!page.body.contains("Analytical Row") && !page.body.contains("ada.private"), "{page:?}");
    }
    let page = eve.get("/account");
    assert!(!page.body.contains("data-test=\"order\"") && !page.body.contains("ada.private"), "{page:?}");
    let mine = ada.get("/account");
    assert!(mine.body.contains(&order), "{mine:?}");
    // Once signed out, the same browser has nothing of hers.
    let _ = ada.submit("/account", "/sign-out", &[]);
    let page = ada.try_get(&format!("/orders/{order}")).expect("a page");
    assert_eq!(page.status, 404, "{page:?}");
}

#[test]
fn markup_in_a_name_stays_text_wherever_it_is_shown() {
    let store = running();
    let mut mallory = Shopper::new(&store);
    let fields = [("name", MARKUP), ("email", "mallory@example.org"), ("password", "correct horse")];
    let page = mallory.submit("/register", "/register", &fields);
    assert!(page.body.contains("data-notice=\"registered\""), "{page:?}");
    mallory.add("tide-mug", 1);
    let place = [
        ("email", "mallory@example.org"),
        ("name", MARKUP),
        ("line1", MARKUP),
        ("city", MARKUP),
        ("postcode", "<b>1</b>"),
        ("country", "DE"),
    ];
    let _ = mallory.submit("/checkout", "/checkout", &place);
    let order = mallory.buy();
    let shown = |page: &Page| {
        for dangerous in ["<script", "<img src=x", "<b>1"] {
            assert!(!page.body.contains(dangerous), "`{dangerous}`: {page:?}");
        }
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("default-src 'none'") && !policy.contains("script-src"), "{policy}");
    };
    for path in
        ["/", "/account", "/checkout", "/basket", &format!("/orders/{order}"), &format!("/search?q={}", "%3Cscript%3E")]
    {
        shown(&mallory.get(path));
    }
    let mail = eventually("the mail about it is written", || {
        let page = mallory.get("/mail");
        page.body.contains(&order).then_some(page)
    });
    shown(&mail);
    assert!(mail.body.contains("&lt;script&gt;"), "it is shown as it was typed: {mail:?}");
}

#[test]
fn amounts_that_cannot_be_are_refused_and_leave_no_trace() {
    let store = running();
    let order = |number: u32| format!("0192f3a0-9999-7222-8333-{number:012}");
    let amounts = [
        json!(null),
        json!({ "currency": "EUR" }),
        json!({ "minor": "0", "currency": "EUR" }),
        json!({ "minor": "-1", "currency": "EUR" }),
        json!({ "minor": i64::MIN.to_string(), "currency": "EUR" }),
        json!({ "minor": i64::MAX.to_string(), "currency": "EUR" }),
        json!({ "minor": "9223372036854775808", "currency": "EUR" }),
        json!({ "minor": 1.5, "currency": "EUR" }),
        json!({ "minor": "100" }),
        json!({ "minor": "100", "currency": "XXX" }),
        json!({ "minor": "100", "currency": "eur" }),
    ];
    for (number, amount) in (1..).zip(&amounts) {
        let request = json!({ "orderId": order(number), "amount": amount, "cardNumber": "4242 4242 4242 4242" });
        let _ = store.shoal(&["call", "payment.v1.Payment/Authorise", &request.to_string()]).refused();
        let audit = call(&store, "payment.v1.Payment/Audit", &json!({ "orderId": order(number) }));
        assert!(
            audit.get("payment").is_none_or(Value::is_null) && audit["entries"].as_array().is_none_or(Vec::is_empty),
            "{amount}: {audit}"
        );
        let price = json!({
            "idempotencyKey": format!("hostile-price-{number}"), "productId": "tide-mug", "expectedVersion": "1", "amount": amount,
        });
        let _ = store.shoal(&["call", "catalogue.v1.Catalogue/SetPrice", &price.to_string()]).refused();
    }
    let audit = call(&store, "payment.v1.Payment/Audit", &json!({}));
    for currency in audit["currencies"].as_array().into_iter().flatten() {
        let sum = currency.get("ledgerSum").and_then(Value::as_str).unwrap_or("0");
        assert_eq!(sum, "0", "{audit}");
    }
    let mut guest = Shopper::new(&store);
    guest.add("tide-mug", 1);
    let _ = guest.deliver("amount@example.org");
    for (field, value) in [
        ("total", "-1"),
        ("total", "0"),
        ("total", "1"),
        ("total", "9223372036854775807"),
        ("total", "9223372036854775808"),
        ("total", ""),
        ("currency", "XXX"),
        ("currency", "JPY"),
        ("basket_version", "-1"),
        ("basket_version", "99"),
        ("basket_version", "x"),
        ("key", "short"),
    ] {
        let fields = [("card", "4242 4242 4242 4242"), (field, value)];
        let page = guest.submit("/checkout/pay", "/checkout/pay", &fields);
        assert!(page.status < 500 && page.order().is_none(), "{field} = {value}: {page:?}");
        assert!(
            page.body.contains("Nothing was changed") || page.body.contains("Nothing was charged"),
            "{field}: {page:?}"
        );
    }
    let order = guest.buy();
    assert!(guest.get(&format!("/orders/{order}")).body.contains("Confirmed"), "what was shown is bought after all");
}

/// Every file below a folder that a service wrote, with what is in it; one that is gone meanwhile is left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                // The programs themselves are there, and the simulated bank has its cards written in.
                if entry.file_name() != "revisions" {
                    folders.push(entry.path());
                }
            } else if kind.is_file()
                && let Ok(content) = std::fs::read(entry.path())
            {
                found.insert(entry.path().display().to_string(), content);
            }
        }
    }
    found
}

#[test]
fn the_number_of_a_card_is_kept_nowhere() {
    let store = running();
    for (number, card) in (1..).zip(CARDS) {
        let mut shopper = Shopper::new(&store);
        shopper.add("dune-espresso-cup", 1);
        let _ = shopper.deliver(&format!("card{number}@example.org"));
        // Once as it should be, once with a total that is not right, once spelled in another way.
        for fields in [vec![("card", card), ("total", "1")], vec![("card", card)]] {
            let page = shopper.submit("/checkout/pay", "/checkout/pay", &fields);
            assert_eq!(page.status, 200, "{page:?}");
            for spelled in spellings(card) {
                assert!(!page.body.contains(&spelled) || card.ends_with("0341"), "{page:?}");
            }
        }
        let digits: String = card.chars().filter(char::is_ascii_digit).collect();
        for number in [json!(digits), json!(digits.parse::<u64>().unwrap_or(0)), json!([digits])] {
            let request = json!({
                "idempotencyKey": "card-in-odd-shapes", "shopperId": "guest:odd", "cardNumber": number,
                "expectedTotal": { "minor": "100", "currency": "EUR" },
            });
            let said = store.shoal(&["call", "checkout.v1.Checkout/Place", &request.to_string()]).refused();
            assert!(!said.contains(&digits), "{said}");
        }
    }
    eventually("all is decided", || {
        let status = call(&store, "checkout.v1.Checkout/Status", &json!({}));
        (status["unfinished"].as_i64().unwrap_or(0) == 0).then_some(())
    });
    let mut found = files(store.folder());
    found.extend(files(store.runtime()));
    for service in ["storefront", "checkout", "payment", "orders"] {
        let logged =
            found.iter().any(|(path, content)| path.contains("logs") && path.contains(service) && !content.is_empty());
        assert!(logged, "{service} logged something: {:?}", found.keys());
        let output = store.shoal(&["logs", service]);
        found.insert(format!("shoal logs {service}"), output.stdout.into_bytes());
    }
    assert!(
        found.iter().any(|(path, content)| path.contains("payment") && contains(content, "4444")),
        "the last four are kept"
    );
    for card in CARDS {
        for spelled in spellings(card) {
            for (path, content) in &found {
                assert!(!contains(content, &spelled), "`{spelled}` is in {path}");
            }
        }
    }
}

/// A number as it was typed, in digits, and as an address would carry it.
fn spellings(card: &str) -> [String; 4] {
    [card.to_owned(), card.replace(' ', ""), card.replace(' ', "+"), card.replace(' ', "%20")]
}

fn contains(content: &[u8], text: &str) -> bool {
    content.windows(text.len()).any(|window| window == text.as_bytes())
}
