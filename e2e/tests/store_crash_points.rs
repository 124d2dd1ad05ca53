//! Every crash point of an order's way, each killed once in the real store: what has become of the order, its money, its
//! stock and its basket is asked afterwards.

use serde_json::{Value, json};
use shoal_e2e::{Application, Page, Shopper, eventually, store};

const GOOD_CARD: &str = "4242 4242 4242 4242";
/// Its authorisation is given, and its capture refused: the order turns back and everything is undone.
const REFUSES_CAPTURE: &str = "4000 0000 0000 0341";
const PRODUCT: &str = "dusk-lantern";

/// What becomes of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Confirmed,
    Refused,
}
use Outcome::{Confirmed, Refused};

/// What it says of its checkout. How long one sleeps is for the test to say.
const QUICK: &str = "settings = { lease-ms = 2000 }\nprobes = { liveness = { sdk = true, failures = 600 } }\n";

/// Before the authorisation, the card is known to nobody but the replica that died: the order is refused, and nothing is
/// charged. A request whose replica dies before it has logged anything is sent to another one.
const CHECKOUT: [(&str, &str, Outcome); 24] = [
    ("place.logging", GOOD_CARD, Confirmed),
    ("place.logged", GOOD_CARD, Refused),
    ("open.called", GOOD_CARD, Refused),
    ("open.logged", GOOD_CARD, Refused),
    ("reserve.called", GOOD_CARD, Refused),
    ("reserve.logged", GOOD_CARD, Refused),
    ("authorise.called", GOOD_CARD, Confirmed),
    ("authorise.logged", GOOD_CARD, Confirmed),
    ("commit-stock.called", GOOD_CARD, Confirmed),
    ("commit-stock.logged", GOOD_CARD, Confirmed),
    ("capture.called", GOOD_CARD, Confirmed),
    ("capture.logged", GOOD_CARD, Confirmed),
    ("confirm.called", GOOD_CARD, Confirmed),
    ("confirm.logged", GOOD_CARD, Confirmed),
    ("clear-basket.called", GOOD_CARD, Confirmed),
    ("clear-basket.logged", GOOD_CARD, Confirmed),
    ("undo-restock.called", REFUSES_CAPTURE, Refused),
    ("undo-restock.logged", REFUSES_CAPTURE, Refused),
    ("undo-void.called", REFUSES_CAPTURE, Refused),
    ("undo-void.logged", REFUSES_CAPTURE, Refused),
    ("undo-release.called", REFUSES_CAPTURE, Refused),
    ("undo-release.logged", REFUSES_CAPTURE, Refused),
    ("undo-cancel.called", REFUSES_CAPTURE, Refused),
    ("undo-cancel.logged", REFUSES_CAPTURE, Refused),
];

/// The services that are called: whatever they die of, the command is sent again and has one effect.
const CALLED: [(&str, &str, &str, Outcome); 16] = [
    ("payment", "authorise.logged", GOOD_CARD, Confirmed),
    ("payment", "authorise.answered", GOOD_CARD, Confirmed),
    ("payment", "authorise.recorded", GOOD_CARD, Confirmed),
    ("payment", "capture.logged", GOOD_CARD, Confirmed),
    ("payment", "capture.answered", GOOD_CARD, Confirmed),
    ("payment", "capture.recorded", GOOD_CARD, Confirmed),
    ("payment", "void.logged", REFUSES_CAPTURE, Refused),
    ("payment", "void.answered", REFUSES_CAPTURE, Refused),
    ("payment", "void.recorded", REFUSES_CAPTURE, Refused),
    ("inventory", "reserve.committed", GOOD_CARD, Confirmed),
    ("inventory", "commit.committed", GOOD_CARD, Confirmed),
    ("inventory", "restock.committed", REFUSES_CAPTURE, Refused),
    ("inventory", "release.committed", REFUSES_CAPTURE, Refused),
    ("orders", "open.committed", GOOD_CARD, Confirmed),
    ("orders", "confirm.committed", GOOD_CARD, Confirmed),
    ("orders", "cancel.committed", REFUSES_CAPTURE, Refused),
];

/// A store whose orders are taken over soon when their replica is gone, and whose checkout is not replaced while it sleeps.
fn quick_store() -> Application {
    let store = store();
    let manifest = std::fs::read_to_string(store.folder().join("shoal.toml")).expect("the store has a manifest");
    let head = "[services.checkout]\n";
    assert!(manifest.contains(head), "{manifest}");
    let manifest = manifest.replace(head, &format!("{head}{QUICK}"));
    store.write("shoal.toml", manifest);
    store.up();
    store
}

#[track_caller]
fn call(store: &Application, method: &str, request: &Value) -> Value {
    let output = store.shoal(&["call", method, &request.to_string()]).succeeded();
    serde_json::from_str(&output.stdout).expect("an answer is JSON")
}

/// A 64-bit number of an answer, where none stands for 0.
fn number(value: &Value) -> i64 {
    value.as_str().map_or(0, |text| text.parse().expect("a number"))
}

/// What the product's ledger says, in pieces: sold, and come back.
#[track_caller]
fn stock(store: &Application) -> (i64, i64) {
    let audit = call(store, "inventory.v1.Inventory/Audit", &json!({ "productId": PRODUCT }));
    assert_eq!(audit["balanced"], true, "{audit}");
    let product = &audit["products"][0];
    (number(&product["confirmed"]), number(&product["restocked"]))
}

#[track_caller]
fn receive(store: &Application) {
    let delivery = json!({ "idempotencyKey": "many-lanterns", "productId": PRODUCT, "quantity": 1000 });
    let _ = call(store, "inventory.v1.Inventory/Receive", &delivery);
}

/// Has the next process that reaches this crash point die there.
#[track_caller]
fn arm(store: &Application, service: &str, point: &str) {
    let _ = store.shoal(&["fault", "add", service, "kill", "--at", point, "--times", "1"]).succeeded();
}

#[track_caller]
fn faults(store: &Application) -> Vec<Value> {
    let output = store.shoal(&["fault", "--json"]).succeeded();
    serde_json::from_str(&output.stdout).expect("a list")
}

/// An order under way: who placed it, the key it was placed under, and what the shopper saw.
struct Placed {
    shopper: Shopper,
    key: String,
    page: Page,
}

#[track_caller]
fn place(store: &Application, name: &str, card: &str) -> Placed {
    let mut shopper = Shopper::new(store);
    shopper.add(PRODUCT, 2);
    let _ = shopper.deliver(&format!("{}@example.org", name.replace('.', "-")));
    let mut form = shopper.form("/checkout/pay", "/checkout/pay");
    form.insert("card".to_owned(), card.to_owned());
    let page = shopper.post("/checkout/pay", &form);
    Placed { key: form["key"].clone(), shopper, page }
}

/// The order's end, once nothing is under way any more.
#[track_caller]
fn ended(store: &Application, placed: &Placed) -> (String, Outcome) {
    let what = format!("an order ends, which the shopper saw as {:?}", placed.page);
    eventually(&what, || {
        let output =
            store.shoal(&["call", "checkout.v1.Checkout/Status", &json!({ "idempotencyKey": placed.key }).to_string()]);
        // No replica may be there for the moment.
        let status: Value = serde_json::from_str(&output.stdout).ok()?;
        let outcome = match status["order"]["state"].as_str()? {
            "PLACE_STATE_CONFIRMED" => Confirmed,
            "PLACE_STATE_REFUSED" => Refused,
            _ => return None,
        };
        let quiet = status["unfinished"].as_i64().unwrap_or(0) == 0;
        quiet.then(|| (status["order"]["orderId"].as_str().unwrap_or_default().to_owned(), outcome))
    })
}

/// Asks everybody about the order: all of it, or nothing.
#[track_caller]
fn judge(store: &Application, placed: &mut Placed, (order, outcome): (&str, Outcome), before: (i64, i64)) {
    let payment = call(store, "payment.v1.Payment/Audit", &json!({ "orderId": order }));
    for currency in payment["currencies"].as_array().into_iter().flatten() {
        assert_eq!((number(&currency["ledgerSum"]), number(&currency["held"])), (0, 0), "{payment}");
    }
    let entries = payment["entries"].as_array().cloned().unwrap_or_default();
    let taken = entries.iter().filter(|entry| entry["account"] == "store").count();
    let state = call(store, "orders.v1.Orders/Get", &json!({ "orderId": order }))["order"]["state"].clone();
    let now = stock(store);
    let moved = (now.0 - before.0, now.1 - before.1);
    let basket = placed.shopper.get("/basket");
    match outcome {
        Confirmed => {
            assert_eq!((taken, state.as_str()), (1, Some("ORDER_STATE_CONFIRMED")), "{payment}");
            assert_eq!(moved, (2, 0), "pieces sold and come back");
            assert!(basket.body.contains("Your basket is empty"), "{basket:?}");
            // The page is there for whoever ordered, and only then.
            let _ = placed.shopper.get(&format!("/orders/{order}"));
        }
        Refused => {
            assert_eq!((taken, state.as_str()), (0, Some("ORDER_STATE_CANCELLED")), "{payment}");
            assert_eq!(moved.0, moved.1, "pieces sold and come back");
            assert!(basket.body.contains(PRODUCT), "{basket:?}");
        }
    }
}

/// Places an order while a process of `service` is to die at `point`.
#[track_caller]
fn killed_at(store: &Application, service: &str, point: &str, card: &str, expected: Outcome) {
    let before = stock(store);
    arm(store, service, point);
    let mut placed = place(store, &format!("{service}-{point}"), card);
    let (order, outcome) = ended(store, &placed);
    eventually(&format!("{service} was killed at {point}"), || faults(store).is_empty().then_some(()));
    assert_eq!(outcome, expected, "{service} was killed at {point}: {:?}", placed.page);
    judge(store, &mut placed, (&order, outcome), before);
}

#[test]
fn an_order_is_all_or_nothing_wherever_checkout_is_killed() {
    let store = quick_store();
    // So many that none is killed so often in a row that its place waits for long.
    let _ = store.shoal(&["scale", "checkout=6"]).succeeded();
    let _ = store.until_ready("checkout", 6);
    receive(&store);
    for (point, card, expected) in CHECKOUT {
        killed_at(&store, "checkout", point, card, expected);
    }
}

#[test]
fn an_order_is_all_or_nothing_wherever_a_service_that_it_calls_is_killed() {
    let store = store();
    store.up();
    let _ = store.shoal(&["scale", "payment=4"]).succeeded();
    let _ = store.until_ready("payment", 4);
    receive(&store);
    for (service, point, card, expected) in CALLED {
        killed_at(&store, service, point, card, expected);
    }
    refunds_are_made_once_wherever_payment_is_killed(&store);
}

/// No order is refunded by the store itself, so the refund is asked for as support would.
fn refunds_are_made_once_wherever_payment_is_killed(store: &Application) {
    for point in ["refund.logged", "refund.answered", "refund.recorded"] {
        let order = point.replace('.', "-");
        let request =
            json!({ "orderId": order, "amount": { "minor": 700, "currency": "EUR" }, "cardNumber": GOOD_CARD });
        let _ = call(store, "payment.v1.Payment/Authorise", &request);
        let _ = call(store, "payment.v1.Payment/Capture", &json!({ "orderId": order }));
        arm(store, "payment", point);
        eventually("it is refunded", || {
            let output = store.shoal(&["call", "payment.v1.Payment/Refund", &json!({ "orderId": order }).to_string()]);
            output.stdout.contains("PAYMENT_STATE_REFUNDED").then_some(())
        });
        eventually(&format!("payment was killed at {point}"), || faults(store).is_empty().then_some(()));
        let audit = call(store, "payment.v1.Payment/Audit", &json!({ "orderId": order }));
        let entries = audit["entries"].as_array().cloned().unwrap_or_default();
        let of_store =
            entries.iter().filter(|entry| entry["account"] == "store").map(|entry| number(&entry["amount"]["minor"]));
        assert_eq!(of_store.collect::<Vec<_>>(), [700, -700], "{audit}");
    }
}

#[test]
fn a_replica_that_wakes_up_after_its_lease_does_no_harm() {
    let store = quick_store();
    let _ = store.shoal(&["scale", "checkout=1"]).succeeded();
    let _ = store.until_ready("checkout", 1);
    receive(&store);
    let before = stock(&store);
    // The order stays where its money is to be taken: the shopper is told that it is not decided yet.
    let _ =
        store.shoal(&["fault", "add", "checkout->payment", "error", "unavailable", "--method", "Capture"]).succeeded();
    let mut placed = place(&store, "sleeper", GOOD_CARD);
    let sleeper = store.service("checkout")["replicas"][0]["name"].as_str().expect("a replica has a name").to_owned();
    let _ = store.shoal(&["fault", "add", &sleeper, "pause"]).succeeded();
    let _ = store.shoal(&["scale", "checkout=2"]).succeeded();
    let capture = faults(&store).into_iter().find(|fault| fault["method"] == "Capture").expect("the fault is on");
    let _ = store.shoal(&["fault", "remove", capture["id"].as_str().expect("a fault has a number")]).succeeded();
    let (order, outcome) = ended(&store, &placed);
    assert_eq!(outcome, Confirmed);
    let _ = store.shoal(&["fault", "remove", "--all"]).succeeded();
    eventually("it wakes up and finds that its order was taken over", || {
        let logs = store.shoal(&["logs", "checkout", "-n", "1000"]).stdout;
        logs.contains("or another replica has taken it over").then_some(())
    });
    judge(&store, &mut placed, (&order, outcome), before);
}
