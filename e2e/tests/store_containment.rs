//! Each of these is killed while somebody shops with a real browser: the pages say what is missing, and all else goes on.

use shoal_e2e::{Application, SharedStore, Visit, Window, eventually};
use std::sync::{Mutex, PoisonError};

static STORE: SharedStore = SharedStore::new();

/// Whoever kills a service holds this: the tests share one store.
static TURN: Mutex<()> = Mutex::new(());

const GOOD_CARD: &str = "4242 4242 4242 4242";
const PRODUCT: &str = "tide-mug";

/// A service that was killed, and stays away until this is dropped.
struct Away<'a> {
    store: &'a Application,
    service: &'static str,
    replicas: usize,
}

#[track_caller]
fn kill<'a>(store: &'a Application, service: &'static str) -> Away<'a> {
    let replicas = store.pids(service).len();
    let _ = store.shoal(&["fault", "add", service, "kill"]).succeeded();
    let _ = store.shoal(&["scale", &format!("{service}=0")]).succeeded();
    store.until_ready(service, 0);
    Away { store, service, replicas }
}

impl Away<'_> {
    #[track_caller]
    fn comes_back(self) {
        let _ = self.store.shoal(&["scale", &format!("{}={}", self.service, self.replicas)]).succeeded();
        self.store.until_ready(self.service, self.replicas);
    }
}

/// Opens a page until it says so: a page that asked while the service was going may still be whole.
#[track_caller]
fn says(visit: &Visit, path: &str, sentence: &str) {
    eventually(&format!("{path} says {sentence:?}"), || {
        visit.open(path);
        visit.browser.text("body").contains(sentence).then_some(())
    });
}

/// The shop window: what works whatever else is missing.
#[track_caller]
fn looks_around(visit: &Visit) {
    for path in ["/", "/products", "/product/tide-mug"] {
        visit.open(path);
        assert!(!visit.browser.texts("h1").is_empty(), "{path} is whole");
    }
}

#[track_caller]
fn buys(visit: &Visit, email: &str) -> String {
    visit.add(PRODUCT, 1);
    visit.deliver(email);
    visit.pay(GOOD_CARD);
    visit.until_placed()
}

#[test]
fn without_search_notify_shipping_or_accounts_people_buy() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let visit = Visit::new(&store, Window::DESK);

    // The catalogue answers all but searches.
    let search = ["fault", "add", "storefront->catalogue", "error", "unavailable", "--method", "Search"];
    let _ = store.shoal(&search).succeeded();
    says(&visit, "/search?q=mug", "This list may be out of date.");
    looks_around(&visit);
    let _ = buys(&visit, "search@example.org");
    let _ = store.shoal(&["fault", "remove", "--all"]).succeeded();

    let notify = kill(&store, "notify");
    says(&visit, "/mail", "Mail arrives late");
    looks_around(&visit);
    let order = buys(&visit, "notify@example.org");
    notify.comes_back();
    visit.reload_until("/mail", &format!("[data-test=mail][data-order='{order}']"));

    let shipping = kill(&store, "shipping");
    looks_around(&visit);
    visit.add(PRODUCT, 1);
    says(&visit, "/checkout", "Shipping is a flat rate right now.");
    visit.deliver("shipping@example.org");
    visit.pay(GOOD_CARD);
    let order = visit.until_placed();
    says(&visit, &format!("/orders/{order}"), "the shipment follows later");
    shipping.comes_back();
    visit.reload_until(&format!("/orders/{order}"), "[data-test=tracking-number]");

    let member = Visit::new(&store, Window::DESK);
    member.register("member@example.org");
    let customer = kill(&store, "customer");
    says(&member, "/account", "Accounts are unavailable right now.");
    looks_around(&member);
    let _ = buys(&visit, "customer@example.org");
    customer.comes_back();
}

#[test]
fn without_the_bank_or_the_stock_an_order_waits_and_without_the_basket_people_look_around() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let visit = Visit::new(&store, Window::DESK);

    let payment = kill(&store, "payment");
    looks_around(&visit);
    visit.add(PRODUCT, 1);
    visit.deliver("payment@example.org");
    visit.pay(GOOD_CARD);
    visit.browser.until_text("body", "We have your order and are waiting for the bank.");
    payment.comes_back();
    // The page looks again by itself.
    let _ = visit.until_placed();

    let inventory = kill(&store, "inventory");
    says(&visit, "/product/tide-mug", "Stock is checked at checkout.");
    visit.add(PRODUCT, 1);
    visit.deliver("inventory@example.org");
    visit.pay(GOOD_CARD);
    visit.browser.until_text("body", "Your order is on its way to being placed");
    inventory.comes_back();
    let _ = visit.until_placed();

    visit.add(PRODUCT, 2);
    let basket = kill(&store, "basket");
    says(&visit, "/basket", "Basket unavailable");
    says(&visit, "/checkout", "Your basket is safe, checkout is closed.");
    looks_around(&visit);
    basket.comes_back();
    eventually("what was in the basket is there again", || {
        visit.open("/basket");
        (visit.pieces_in_basket() == "2").then_some(())
    });
}
