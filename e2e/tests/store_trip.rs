//! People shop in the store with a real browser.

use serde_json::Value;
use shoal_e2e::{Application, SharedStore, Visit, Window, eventually};
use std::path::Path;

static STORE: SharedStore = SharedStore::new();

const GOOD_CARD: &str = "4242 4242 4242 4242";
const DECLINED_CARD: &str = "4000 0000 0000 0002";
const SILENT_CARD: &str = "4000 0000 0000 0119";
const LATE_REFUSED_CARD: &str = "4000 0000 0000 0341";

/// The digits of an amount that is shown to people.
fn minor(amount: &str) -> u64 {
    let digits: String = amount.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{amount} is an amount"))
}

/// What a service answers to `shoal call`.
#[track_caller]
fn call(store: &Application, method: &str, request: &str) -> Value {
    let output = store.shoal(&["call", method, request]).succeeded();
    serde_json::from_str(&output.stdout).expect("an answer is JSON")
}

/// The pieces of a product that can be sold.
#[track_caller]
fn stock(store: &Application, product: &str) -> i64 {
    let answer = call(store, "inventory.v1.Inventory/Available", &format!("{{\"productIds\":[\"{product}\"]}}"));
    answer["stock"][0]["quantity"].as_i64().unwrap_or(0)
}

/// Neither money nor goods are made or lost.
#[track_caller]
fn books_are_balanced(store: &Application) {
    let answer = call(store, "inventory.v1.Inventory/Audit", "{}");
    assert_eq!(answer["balanced"], true, "{answer}");
    let answer = call(store, "payment.v1.Payment/Audit", "{}");
    let currencies = answer["currencies"].as_array().cloned().unwrap_or_default();
    assert!(!currencies.is_empty(), "{answer}");
    // A field that is zero is left out of the JSON.
    assert!(currencies.iter().all(|currency| currency.get("ledgerSum").is_none()), "{answer}");
}

/// Looks around as a guest, opens an account, buys, and follows the order until it is under way.
fn trip(window: Window, email: &str, [first, second]: [&str; 2]) {
    let store = STORE.running();
    let visit = Visit::new(&store, window);
    let browser = &visit.browser;
    browser.open("data:text/html,<title>asleep</title><script>document.title = 'awake'</script>");
    assert_eq!(browser.evaluate("document.title"), if window.scripts { "awake" } else { "asleep" });

    visit.open("/");
    browser.fill("[data-test=search-box]", &first.replace('-', " "));
    browser.click("[data-test=search-button]");
    browser.click(&format!("[data-test=product-card][data-product={first}] h3 a"));
    browser.until_at(&format!("/product/{first}"));
    let price = minor(&browser.text("[data-test=price]"));
    assert_eq!(browser.text("[data-test=stock]"), "In stock");
    browser.click("[data-test=add-to-basket]");
    browser.until_at("/basket?done=added");
    assert_eq!(visit.pieces_in_basket(), "1");

    browser.click("[data-test=sign-in-link]");
    browser.click("[data-test=register-link]");
    for (field, text) in [("name", "Ada"), ("email", email), ("password", "correct horse battery")] {
        browser.fill(&format!("[data-test=register-form] input[name={field}]"), text);
    }
    browser.click("[data-test=register-form] [data-test=register]");
    browser.until_at("/account");
    browser.until_text("h1", "Hello, Ada");
    assert_eq!(visit.pieces_in_basket(), "1", "the guest's basket came along");

    visit.add(second, 1);
    assert_eq!(visit.pieces_in_basket(), "2");
    let line = format!("[data-test=basket-line][data-product={first}]");
    browser.fill(&format!("{line} [data-test=line-quantity]"), "3");
    browser.click(&format!("{line} [data-test=line-update]"));
    browser.until_at("done=updated");
    assert_eq!(minor(&browser.text(&format!("{line} [data-test=line-total]"))), 3 * price);
    let subtotal = minor(&browser.text("[data-test=subtotal]"));
    let before = [first, second].map(|product| stock(&store, product));

    visit.deliver(email);
    assert_eq!(minor(&browser.text("[data-test=subtotal]")), subtotal);
    let total = browser.text("[data-test=total]");
    visit.pay(GOOD_CARD);
    let order = visit.until_placed();
    assert_eq!(browser.text("[data-test=total]"), total, "what was shown is what is paid");
    assert_eq!(browser.texts("[data-test=order-line]").len(), 2);
    for ((product, before), pieces) in [first, second].into_iter().zip(before).zip([3, 1]) {
        assert_eq!(stock(&store, product), before - pieces);
    }
    // The basket is cleared after the order is confirmed.
    eventually("what was bought leaves the basket", || {
        visit.open("/basket");
        (visit.pieces_in_basket() == "0").then_some(())
    });

    visit.open("/account");
    assert!(browser.text(&format!("[data-test=order][data-order='{order}']")).contains("Confirmed"));
    visit.reload_until("/mail", &format!("[data-test=mail][data-order='{order}']"));
    let tracking = visit.reload_until(&format!("/orders/{order}"), "[data-test=tracking-number]");
    assert!(!tracking.is_empty());
    books_are_balanced(&store);
}

#[test]
fn a_shopping_trip() {
    trip(Window::DESK, "ada@example.org", ["tide-mug", "dune-espresso-cup"]);
}

#[test]
fn a_shopping_trip_by_phone_without_scripts() {
    trip(Window::PHONE.without_scripts(), "charles@example.org", ["enamel-camp-mug", "kelim-runner"]);
}

#[test]
fn a_card_that_is_refused_loses_nothing() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window::DESK);
    let browser = &visit.browser;
    visit.add("wren-armchair", 2);
    let before = stock(&store, "wren-armchair");
    visit.deliver("grace@example.org");
    for (card, why) in [(DECLINED_CARD, "The card was declined"), (LATE_REFUSED_CARD, "please use another card")] {
        visit.pay(card);
        browser.until_at("/checkout/outcome/");
        browser.until_text("h1", "Your order was not placed");
        let told = browser.text("[data-test=blank]");
        assert!(told.contains(why) && told.contains("your basket and address are kept"), "{told}");
        assert_eq!(visit.pieces_in_basket(), "2");
        eventually("what was set aside is back", || (stock(&store, "wren-armchair") == before).then_some(()));
        browser.click("[data-test=blank] .actions a");
        browser.until_at("/checkout/pay");
        assert!(browser.text("main").contains("12 Analytical Row"), "the address is kept");
    }
    visit.pay(GOOD_CARD);
    visit.until_placed();
    assert_eq!(stock(&store, "wren-armchair"), before - 2);
    books_are_balanced(&store);
}

#[test]
fn a_card_that_does_not_answer_is_charged_once() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window::DESK);
    visit.add("heron-floor-lamp", 1);
    let before = stock(&store, "heron-floor-lamp");
    visit.deliver("edsger@example.org");
    visit.pay(SILENT_CARD);
    let order = visit.until_placed();
    assert_eq!(stock(&store, "heron-floor-lamp"), before - 1);
    let audit = call(&store, "payment.v1.Payment/Audit", &format!("{{\"orderId\":\"{order}\"}}"));
    let entries = audit["entries"].as_array().cloned().unwrap_or_default();
    let paid = entries.iter().filter(|entry| entry["account"] == "store").count();
    assert_eq!(paid, 1, "{audit}");
    books_are_balanced(&store);
}

#[test]
fn prices_are_shown_in_the_currency_of_choice() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window::DESK);
    let browser = &visit.browser;
    visit.open("/product/orchard-cutting-board");
    let euros = browser.text("[data-test=price]");
    assert!(euros.contains('€'), "{euros}");
    for (code, sign) in [("USD", '$'), ("GBP", '£'), ("JPY", '¥')] {
        browser.click("[data-test=currency-menu] summary");
        browser.click(&format!("[data-test=currency-{code}]"));
        let price = browser.until_text("[data-test=price]", &sign.to_string());
        assert_ne!(minor(&price), minor(&euros));
        browser.until_at("/product/orchard-cutting-board");
    }
    visit.add("orchard-cutting-board", 2);
    let subtotal = browser.text("[data-test=subtotal]");
    assert!(subtotal.contains('¥') && !subtotal.contains('.'), "yen have no minor unit: {subtotal}");
    visit.deliver("barbara@example.org");
    assert!(browser.text("[data-test=total]").contains('¥'));
    visit.pay(GOOD_CARD);
    visit.until_placed();
    assert!(browser.text("[data-test=total]").contains('¥'));
}

#[test]
fn who_minds_the_shop_changes_a_price_and_receives_stock() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window::DESK);
    let browser = &visit.browser;
    visit.open("/admin");
    browser.until_at("/sign-in");
    browser.fill("[data-test=email]", "admin@store.example");
    browser.fill("[data-test=password]", "let-me-mind-the-shop");
    browser.click("[data-test=sign-in]");
    browser.until_at("/admin");
    let row = "[data-test=admin-product][data-product=picnic-hamper]";
    browser.until_text("h1", "Minding the shop");
    while browser.texts(row).is_empty() {
        let page = browser.address();
        browser.click("[data-test=next-page]");
        eventually("the next page is shown", || (browser.address() != page).then_some(()));
    }
    assert_eq!(browser.text(&format!("{row} [data-test=admin-stock]")), "3");
    browser.fill(&format!("{row} [data-test=admin-price]"), "123.45");
    browser.click(&format!("{row} [data-test=admin-price-set]"));
    browser.until_text("[data-test=notice]", "The price is changed.");
    browser.fill(&format!("{row} [data-test=admin-receive]"), "20");
    browser.click(&format!("{row} [data-test=admin-receive-book]"));
    browser.until_text("[data-test=notice]", "The delivery is booked.");
    assert_eq!(browser.text(&format!("{row} [data-test=admin-stock]")), "23");

    let guest = Visit::new(&store, Window::DESK);
    guest.open("/product/picnic-hamper");
    assert_eq!(minor(&guest.browser.text("[data-test=price]")), 12_345);
    assert_eq!(guest.browser.text("[data-test=stock]"), "In stock");
    guest.open("/admin");
    guest.browser.until_at("/sign-in");
}

#[test]
fn every_page_fits_a_phone() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window { width: 360, ..Window::PHONE });
    visit.add("string-of-pearls", 1);
    visit.deliver("katherine@example.org");
    let paths = [
        "/",
        "/products",
        "/search?q=mug",
        "/search?q=nothing-like-it",
        "/product/string-of-pearls",
        "/basket",
        "/checkout",
        "/checkout/pay",
        "/sign-in",
        "/register",
        "/mail",
        "/nowhere",
    ];
    let fits = |path: &str| {
        let room = visit.browser.evaluate("[window.innerWidth, document.documentElement.scrollWidth]");
        let (room, needed) = (room[0].as_u64().unwrap(), room[1].as_u64().unwrap());
        assert!(needed <= room && room <= 360, "{path} needs {needed} of {room}");
    };
    for path in paths {
        visit.open(path);
        fits(path);
    }
    visit.open("/checkout/pay");
    visit.pay(GOOD_CARD);
    let order = visit.until_placed();
    fits(&order);
    visit.reload_until(&format!("/orders/{order}"), "[data-test=tracking-number]");
    fits(&order);
    visit.open("/mail");
    fits("/mail");
}

/// Set `SHOAL_SCREENSHOTS` to a folder to get the pictures of the README.
#[test]
fn the_front_page_is_complete() {
    let store = STORE.running();
    let visit = Visit::new(&store, Window::DESK);
    for (window, name) in [(Window::DESK, "store.png"), (Window::PHONE, "store-phone.png")] {
        visit.browser.resize(window);
        visit.open("/");
        let seen = "[...document.images].filter(image => image.getBoundingClientRect().top < innerHeight)";
        eventually("every picture in sight is there", || {
            let missing = visit.browser.evaluate(&format!("{seen}.filter(image => !image.naturalWidth).length"));
            (missing == 0).then_some(())
        });
        assert!(visit.browser.evaluate(&format!("{seen}.length")).as_u64() >= Some(3));
        assert!(visit.browser.evaluate("document.styleSheets[0].cssRules.length").as_u64() > Some(100));
        if let Some(folder) = std::env::var_os("SHOAL_SCREENSHOTS") {
            visit.browser.screenshot(&Path::new(&folder).join(name));
        }
    }
}
