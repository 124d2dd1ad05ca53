//! The store on PostgreSQL, with two replicas or more of every service, while the server restarts and dies under load: shoppers
//! wait or are told, nothing that was acknowledged is lost, and no replica has to be replaced.

use serde_json::{Value, json};
use shoal_e2e::{Application, BACKENDS, Form, Page, Shopper, eventually, store};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle};
use test_databases::PostgresServer;

const GOOD_CARD: &str = "4242 4242 4242 4242";
const PRODUCT: &str = "dusk-lantern";
/// How a page says that something is missing.
const CAUTION: &str = "class=\"notice caution\"";
/// Who presses the button while the server is going away, and as many while it is gone.
const SHOPPERS: usize = 6;

fn store_on(server: &PostgresServer) -> Application {
    let store = store();
    let manifest = std::fs::read_to_string(store.folder().join("shoal.toml")).expect("the store has a manifest");
    let doubled = manifest.lines().map(|line| match line.strip_suffix("= 1") {
        Some(replicas) if line.starts_with("replicas") => format!("{replicas}= 2\n"),
        _ => format!("{line}\n"),
    });
    store.write("shoal.toml", doubled.collect::<String>());
    let mut up = store.command(&["up", "-d", "--profile", "dev"]);
    let output = up.env("STORE_DATABASE", server.url("")).output().expect("shoal runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    store
}

#[track_caller]
fn call(store: &Application, method: &str, request: &Value) -> Value {
    let output = store.shoal(&["call", method, &request.to_string()]).succeeded();
    serde_json::from_str(&output.stdout).expect("an answer is JSON")
}

/// A 64-bit number of an answer, where none stands for 0.
fn number(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.parse().expect("a number"))
}

/// A guest who only has to press the button, and the form that it sends.
#[track_caller]
fn about_to_pay(store: &Application, name: &str) -> (Shopper, Form) {
    let mut guest = Shopper::new(store);
    guest.add(PRODUCT, 1);
    let _ = guest.deliver(&format!("{name}@example.org"));
    let mut form = guest.form("/checkout/pay", "/checkout/pay");
    form.insert("card".to_owned(), GOOD_CARD.to_owned());
    (guest, form)
}

/// A page that says what is the matter, or that is as it should be; never one of a program that has failed.
#[track_caller]
fn assert_clean(page: &Page) {
    assert!(!matches!(page.status, 500 | 502), "{page:?}");
}

/// Somebody who has pressed the button, perhaps often, and the order that the page has then shown.
struct Pressed {
    shopper: Shopper,
    key: String,
    acknowledged: Option<String>,
}

/// Presses the button until the order is there; where it never is, as often as a patient shopper would once all is well.
fn press<'scope>(
    scope: &'scope Scope<'scope, '_>,
    (mut shopper, form): (Shopper, Form),
    is_back: &'scope AtomicBool,
) -> ScopedJoinHandle<'scope, Pressed> {
    scope.spawn(move || {
        let mut tries_left = 10;
        loop {
            tries_left -= u32::from(is_back.load(Ordering::Relaxed));
            let page = shopper.post("/checkout/pay", &form);
            assert_clean(&page);
            let acknowledged = page.order();
            if acknowledged.is_some() || tries_left == 0 {
                return Pressed { shopper, key: form["key"].clone(), acknowledged };
            }
        }
    })
}

/// Looks at pages until the server is back, and notes when one says that something is missing.
fn browse<'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut shopper: Shopper,
    is_back: &'scope AtomicBool,
    is_told: &'scope AtomicBool,
) {
    const PATHS: [&str; 7] =
        ["/", "/products", "/product/dusk-lantern", "/search?q=mug", "/basket", "/checkout", "/account"];
    scope.spawn(move || {
        while !is_back.load(Ordering::Relaxed) {
            for path in PATHS {
                let page = shopper.try_get(path).expect("the gateway answers");
                assert_clean(&page);
                if page.status == 503 || page.body.contains(CAUTION) {
                    is_told.store(true, Ordering::Relaxed);
                }
            }
        }
    });
}

/// How long the server is away.
#[derive(Clone, Copy, PartialEq)]
enum Absence {
    /// As short as a restart is.
    Short,
    /// Until shoppers read that something is missing.
    Told,
}

/// Tells shoppers that the server is back, also when the test fails: they would go on for ever.
struct Back<'a>(&'a AtomicBool);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Takes the server away under the eyes of shoppers, and brings it back.
fn interrupted(
    store: &Application,
    server: &PostgresServer,
    away: fn(&PostgresServer),
    absence: Absence,
    name: &str,
) -> Vec<Pressed> {
    let guests = |when: &str| -> Vec<(Shopper, Form)> {
        (0..SHOPPERS).map(|guest| about_to_pay(store, &format!("{name}-{when}-{guest}"))).collect()
    };
    let (early, late) = (guests("early"), guests("late"));
    let (is_back, is_told) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let back = Back(&is_back);
        browse(scope, Shopper::new(store), &is_back, &is_told);
        let mut pressing: Vec<_> = early.into_iter().map(|guest| press(scope, guest, &is_back)).collect();
        away(server);
        pressing.extend(late.into_iter().map(|guest| press(scope, guest, &is_back)));
        if absence == Absence::Told {
            eventually("a page says that something is missing", || is_told.load(Ordering::Relaxed).then_some(()));
        }
        server.restart();
        drop(back);
        pressing.into_iter().map(|pressed| pressed.join().expect("no page of a program that has failed")).collect()
    })
}

/// The order that a key has led to, when it was placed.
#[track_caller]
fn placed(store: &Application, key: &str) -> Option<String> {
    eventually("an order is decided", || {
        let output =
            store.shoal(&["call", "checkout.v1.Checkout/Status", &json!({ "idempotencyKey": key }).to_string()]);
        if output.stderr.contains("not_found") {
            return Some(None);
        }
        let status: Value = serde_json::from_str(&output.stdout).ok()?;
        match status["order"]["state"].as_str()? {
            "PLACE_STATE_CONFIRMED" => Some(Some(status["order"]["orderId"].as_str()?.to_owned())),
            "PLACE_STATE_REFUSED" => Some(None),
            _ => None,
        }
    })
}

#[track_caller]
fn processes(store: &Application) -> BTreeMap<&'static str, Vec<u32>> {
    BACKENDS.into_iter().map(|service| (service, store.pids(service))).collect()
}

#[test]
fn the_store_goes_on_when_its_database_server_comes_back() {
    let server = PostgresServer::start();
    let store = store_on(&server);
    for service in BACKENDS {
        let replicas = store.until_ready(service, 2);
        assert_eq!(replicas.len(), 2);
    }
    let delivery = json!({ "idempotencyKey": "many-lanterns", "productId": PRODUCT, "quantity": 1000 });
    let _ = call(&store, "inventory.v1.Inventory/Receive", &delivery);
    let before = processes(&store);
    let mut pressed = interrupted(&store, &server, PostgresServer::stop, Absence::Short, "stopped");
    pressed.extend(interrupted(&store, &server, PostgresServer::kill, Absence::Short, "killed"));
    pressed.extend(interrupted(&store, &server, PostgresServer::stop, Absence::Told, "long-gone"));

    let mut confirmed = 0;
    for Pressed { shopper, key, acknowledged } in &mut pressed {
        let order = placed(&store, key);
        if let Some(acknowledged) = acknowledged {
            assert_eq!(order.as_ref(), Some(&*acknowledged), "an order that the shopper has seen is kept");
        }
        if let Some(order) = order {
            confirmed += 1;
            eventually("the shopper finds the order", || {
                shopper.try_get(&format!("/orders/{order}")).ok().filter(|page| page.body.contains(&order)).map(drop)
            });
        }
    }
    // A guest who comes now meets a store that is whole.
    let (mut late, form) = eventually("the store is whole", || {
        let page = Shopper::new(&store).try_get("/").ok()?;
        (page.status == 200 && !page.body.contains(CAUTION)).then(|| about_to_pay(&store, "late"))
    });
    let page = late.post("/checkout/pay", &form);
    assert!(page.order().is_some(), "{page:?}");
    confirmed += 1;
    assert!(confirmed > SHOPPERS, "{confirmed} orders were placed");
    judge(&store, confirmed);
    assert_eq!(processes(&store), before, "no replica was replaced");
}

/// The books agree: each order was paid for once, and its piece is gone.
#[track_caller]
fn judge(store: &Application, confirmed: usize) {
    eventually("nothing is under way any more", || {
        (number(&call(store, "orders.v1.Orders/Audit", &json!({}))["pending"]) == 0).then_some(())
    });
    let orders = call(store, "orders.v1.Orders/Audit", &json!({}));
    assert_eq!(number(&orders["confirmed"]), confirmed, "{orders}");
    let payment = call(store, "payment.v1.Payment/Audit", &json!({}));
    let euros = &payment["currencies"][0];
    let of = |name: &str| number(&euros[name]);
    assert_eq!((of("ledgerSum"), of("held"), of("captures")), (0, 0, confirmed), "{payment}");
    let stock = call(store, "inventory.v1.Inventory/Audit", &json!({ "productId": PRODUCT }));
    assert_eq!(stock["balanced"], true, "{stock}");
    let (sold, restocked) = (number(&stock["products"][0]["confirmed"]), number(&stock["products"][0]["restocked"]));
    assert_eq!(sold - restocked, confirmed, "{stock}");
}
