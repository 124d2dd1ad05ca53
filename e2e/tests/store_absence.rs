//! Each service behind the pages goes away once: the pages still answer, and say what the shopper misses.

use shoal_e2e::{Application, BACKENDS, Page, SharedStore, Shopper, eventually};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

static STORE: SharedStore = SharedStore::new();

/// Whoever takes a service away holds this: the tests share one store.
static TURN: Mutex<()> = Mutex::new(());

const GOOD_CARD: &str = "4242 4242 4242 4242";
const PRODUCT: &str = "moor-wool-blanket";

/// The pages that answer whatever is missing.
const PAGES: [&str; 8] =
    ["/", "/products", "/product/moor-wool-blanket", "/search?q=blanket", "/basket", "/checkout", "/account", "/mail"];

/// What the shopper reads when a service is away, and on which pages; `ORDER` stands for the page of an order.
fn promised(service: &str) -> &'static [(&'static str, &'static str)] {
    const CLOSED: (&str, &str) = ("/checkout", "Your basket is safe, checkout is closed.");
    match service {
        "basket" => &[("/basket", "Basket unavailable"), CLOSED],
        "catalogue" => &[
            ("/", "This list may be out of date."),
            ("/products", "This list may be out of date."),
            ("/product/moor-wool-blanket", "This list may be out of date."),
            ("/search?q=blanket", "This list may be out of date."),
            ("/basket", "This list may be out of date."),
            CLOSED,
        ],
        "checkout" => &[CLOSED],
        "customer" => &[
            ("/account", "Accounts are unavailable right now."),
            ("/checkout", "You can go on browsing, and check out as a guest."),
        ],
        "inventory" => &[
            ("/product/moor-wool-blanket", "Stock is checked at checkout."),
            ("/basket", "Stock is checked at checkout."),
        ],
        "notify" => &[("/mail", "Mail arrives late")],
        "orders" => &[("/account", "Order history unavailable."), ("ORDER", "Order history unavailable.")],
        "shipping" => &[("/checkout", "Shipping is a flat rate right now."), ("ORDER", "the shipment follows later")],
        _ => &[],
    }
}

/// How many replicas a service has when all is well.
#[track_caller]
fn wanted(store: &Application, service: &str) -> u64 {
    store.service(service)["wanted"].as_u64().expect("a service has replicas")
}

/// Ends every replica of a service, and starts none.
#[track_caller]
fn take_away(store: &Application, service: &str) {
    let _ = store.shoal(&["scale", &format!("{service}=0")]).succeeded();
    store.until_ready(service, 0);
}

#[track_caller]
fn bring_back(store: &Application, service: &str, replicas: u64) {
    let _ = store.shoal(&["scale", &format!("{service}={replicas}")]).succeeded();
    store.until_ready(service, usize::try_from(replicas).expect("a count fits"));
}

/// Somebody signed in who has ordered before, and has something in the basket.
fn regular(store: &Application, email: &str) -> (Shopper, String) {
    let mut shopper = Shopper::new(store);
    shopper.register(email);
    shopper.add(PRODUCT, 1);
    let _ = shopper.deliver(email);
    let order = format!("/orders/{}", shopper.buy());
    eventually("what was bought leaves the basket", || {
        shopper.get("/basket").body.contains("Your basket is empty").then_some(())
    });
    shopper.add(PRODUCT, 2);
    (shopper, order)
}

/// Captured and held so far, as the ledger says it.
#[track_caller]
fn charged(store: &Application) -> String {
    store.shoal(&["call", "payment.v1.Payment/Audit", "{}"]).succeeded().stdout
}

/// These pages as one shopper sees them, all asked for at once: each may wait a while for a service that is away.
fn pages<'a>(shopper: &Shopper, paths: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, Page> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = paths.map(|path| (path, shopper.clone())).collect();
        let asked = asked.into_iter().map(|(path, mut shopper)| (path, scope.spawn(move || shopper.get(path))));
        let asked: Vec<_> = asked.collect();
        asked.into_iter().map(|(path, page)| (path, page.join().expect("a page comes"))).collect()
    })
}

/// A page in which a notice stands that says something is missing. All well means: none of them on any page.
fn mentions_absence(page: &Page) -> bool {
    page.body.contains("class=\"notice caution\"")
        || page.body.contains("unavailable")
        || page.body.contains("is closed")
}

#[test]
fn every_page_answers_while_any_one_service_is_away() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (shopper, order) = regular(&store, "regular@example.org");
    let all = || PAGES.into_iter().chain([order.as_str()]);
    for service in BACKENDS {
        let replicas = wanted(&store, service);
        take_away(&store, service);
        let pages_without = pages(&shopper, all());
        for (path, page) in &pages_without {
            assert!(page.body.contains("</html>"), "without {service}, {path} is whole: {page:?}");
        }
        for (path, sentence) in promised(service) {
            let page = &pages_without[if *path == "ORDER" { &order } else { *path }];
            assert!(page.body.contains(sentence), "without {service}, {path} says {sentence:?}: {page:?}");
        }
        bring_back(&store, service, replicas);
        eventually(&format!("every page is whole again with {service}"), || {
            (!pages(&shopper, all()).values().any(mentions_absence)).then_some(())
        });
    }
}

#[test]
fn a_guest_shops_while_accounts_mail_and_shipping_are_away() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for service in ["customer", "notify", "shipping"] {
        take_away(&store, service);
    }
    let mut guest = Shopper::new(&store);
    guest.add(PRODUCT, 1);
    let page = guest.deliver("guest@example.org");
    assert!(page.body.contains("Shipping is a flat rate right now."), "{page:?}");
    let order = format!("/orders/{}", guest.buy());
    for (service, replicas) in [("customer", 2), ("notify", 1), ("shipping", 1)] {
        bring_back(&store, service, replicas);
    }
    // What was away when the order was placed catches up.
    eventually("the order is shipped", || guest.get(&order).body.contains("tracking-number").then_some(()));
    eventually("the mail is written", || guest.get("/mail").body.contains("guest@example.org").then_some(()));
}

/// Where the page of an order that is not decided yet is found again.
#[track_caller]
fn outcome(page: &Page) -> String {
    let key = page.body.split("href=\"/checkout/outcome/").nth(1).and_then(|rest| rest.split('"').next());
    format!("/checkout/outcome/{}", key.unwrap_or_else(|| panic!("the page leads to itself: {page:?}")))
}

#[test]
fn an_order_waits_for_the_bank_and_is_charged_once() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    take_away(&store, "payment");
    let mut guest = Shopper::new(&store);
    guest.add(PRODUCT, 1);
    let _ = guest.deliver("patient@example.org");
    let page = guest.pay(GOOD_CARD);
    assert!(page.body.contains("We have your order and are waiting for the bank."), "{page:?}");
    let outcome = outcome(&page);
    bring_back(&store, "payment", 2);
    let order = eventually("the order goes on by itself", || guest.get(&outcome).order());
    let audit = store.shoal(&["call", "payment.v1.Payment/Audit", &format!("{{\"orderId\":\"{order}\"}}")]).succeeded();
    assert_eq!(audit.stdout.matches("\"account\": \"store\"").count(), 1, "{audit:?}");
}

#[test]
fn nothing_is_charged_while_nobody_knows_the_stock() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    take_away(&store, "inventory");
    let before = charged(&store);
    let mut guest = Shopper::new(&store);
    guest.add(PRODUCT, 1);
    let _ = guest.deliver("patient@example.org");
    let page = guest.pay(GOOD_CARD);
    assert!(page.body.contains("Your order is on its way to being placed"), "{page:?}");
    assert_eq!(charged(&store), before);
    let outcome = outcome(&page);
    bring_back(&store, "inventory", 1);
    eventually("the order goes on by itself", || guest.get(&outcome).order());
    assert_ne!(charged(&store), before);
}
