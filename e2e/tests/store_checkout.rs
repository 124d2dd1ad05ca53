//! Orders that get in each other's way: placed twice, at a price that changes, for the last pieces.

use serde_json::Value;
use shoal_e2e::{Application, Form, Page, SharedStore, Shopper, eventually};
use std::collections::BTreeSet;

static STORE: SharedStore = SharedStore::new();

const GOOD_CARD: &str = "4242 4242 4242 4242";

#[track_caller]
fn call(store: &Application, method: &str, request: &str) -> Value {
    let output = store.shoal(&["call", method, request]).succeeded();
    serde_json::from_str(&output.stdout).expect("an answer is JSON")
}

#[track_caller]
fn available(store: &Application, product: &str) -> i64 {
    let answer = call(store, "inventory.v1.Inventory/Available", &format!("{{\"productIds\":[\"{product}\"]}}"));
    answer["stock"][0]["quantity"].as_i64().unwrap_or(0)
}

/// A guest who only has to press the button, and the form that it sends.
#[track_caller]
fn about_to_pay(store: &Application, email: &str, product: &str, quantity: u32) -> (Shopper, Form) {
    let mut guest = Shopper::new(store);
    guest.add(product, quantity);
    let _ = guest.deliver(email);
    let mut form = guest.form("/checkout/pay", "/checkout/pay");
    form.insert("card".to_owned(), GOOD_CARD.to_owned());
    (guest, form)
}

/// Sends all these forms at the same time.
fn all_at_once(shoppers: Vec<(Shopper, Form)>) -> Vec<Page> {
    std::thread::scope(|scope| {
        let press = |(mut shopper, form): (Shopper, Form)| scope.spawn(move || shopper.post("/checkout/pay", &form));
        let pressed: Vec<_> = shoppers.into_iter().map(press).collect();
        pressed.into_iter().map(|pressed| pressed.join().expect("the button works")).collect()
    })
}

#[test]
fn a_button_that_is_pressed_often_orders_once() {
    let store = STORE.running();
    let before = available(&store, "paper-moon-shade");
    let pressed = about_to_pay(&store, "hasty@example.org", "paper-moon-shade", 2);
    let pages = all_at_once(vec![pressed; 6]);
    let orders: BTreeSet<String> = pages
        .iter()
        .map(|page| page.order().unwrap_or_else(|| panic!("every press leads to the order: {page:?}")))
        .collect();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert_eq!(available(&store, "paper-moon-shade"), before - 2);
}

#[test]
fn the_last_pieces_are_sold_once() {
    let store = STORE.running();
    assert_eq!(available(&store, "picnic-hamper"), 3);
    let shopper = |number| about_to_pay(&store, &format!("picnic{number}@example.org"), "picnic-hamper", 2);
    let pages = all_at_once((0..4).map(shopper).collect());
    let placed = pages.iter().filter(|page| page.order().is_some()).count();
    assert_eq!(placed, 1, "{pages:?}");
    for page in pages.iter().filter(|page| page.order().is_none()) {
        assert!(page.body.contains("Your order was not placed") && page.body.contains("You pay nothing"), "{page:?}");
    }
    assert_eq!(available(&store, "picnic-hamper"), 1);
    let audit = call(&store, "inventory.v1.Inventory/Audit", "{}");
    assert_eq!(audit["balanced"], true, "{audit}");
}

#[test]
fn a_price_that_changes_is_shown_before_it_is_paid() {
    let store = STORE.running();
    let (mut guest, form) = about_to_pay(&store, "slow@example.org", "dusk-lantern", 1);
    let products = call(&store, "catalogue.v1.Catalogue/BatchGetProducts", "{\"ids\":[\"dusk-lantern\"]}");
    let prices = products["products"][0]["prices"].as_array().cloned().unwrap_or_default();
    let euros = prices.iter().find(|price| price["amount"]["currency"] == "EUR").expect("it is sold for euros");
    let (minor, version) = (euros["amount"]["minor"].as_str().unwrap(), euros["version"].as_str().unwrap());
    let dearer = minor.parse::<i64>().unwrap() + 100;
    let request = format!(
        "{{\"idempotencyKey\":\"dearer-lantern\",\"productId\":\"dusk-lantern\",\"expectedVersion\":\"{version}\",\
         \"amount\":{{\"minor\":\"{dearer}\",\"currency\":\"EUR\"}}}}"
    );
    call(&store, "catalogue.v1.Catalogue/SetPrice", &request);
    let page = guest.post("/checkout/pay", &form);
    assert!(page.order().is_none() && page.body.contains("Nothing was charged."), "{page:?}");
    assert!(page.body.contains("The total has changed."), "{page:?}");
    let order = guest.buy();
    eventually("what was bought leaves the basket", || {
        guest.get("/basket").body.contains("Your basket is empty").then_some(())
    });
    assert!(guest.get(&format!("/orders/{order}")).body.contains(&format!("{}.{:02}", dearer / 100, dearer % 100)));
}
