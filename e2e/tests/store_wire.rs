//! The store from a script's side: its wire, its counters, and what its pages do while parts of it come and go.

use serde_json::Value;
use shoal_e2e::{Application, BACKENDS, SharedStore, Shopper, alive, eventually, kill, send};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

static STORE: SharedStore = SharedStore::new();

/// Whoever uses the store holds this: the tests share one, and most of them move its parts.
static TURN: Mutex<()> = Mutex::new(());

/// Requests that each of the visitors makes at least, and at most.
const REQUESTS_MIN: usize = 75;
const REQUESTS_MAX: usize = 20_000;
const VISITORS: usize = 4;

/// The address of a service's first ready replica.
#[track_caller]
fn replica(store: &Application, service: &str) -> String {
    let service = store.service(service);
    let replicas = service["replicas"].as_array().cloned().unwrap_or_default();
    let ready = replicas.iter().find(|replica| replica["phase"] == "ready").expect("a replica is ready");
    ready["address"].as_str().expect("a replica has an address").to_owned()
}

#[test]
fn a_service_is_called_by_command_by_http_and_by_grpc() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let output = store.shoal(&["call", "catalogue.v1.Catalogue/Search", "{\"query\":\"mug\"}"]).succeeded();
    let answer: Value = serde_json::from_str(&output.stdout).expect("an answer is JSON");
    let products = answer["products"].as_array().cloned().unwrap_or_default();
    let mut by_command: Vec<&str> = products.iter().filter_map(|product| product["id"].as_str()).collect();
    assert!(by_command.contains(&"tide-mug"), "{answer}");

    let address = replica(&store, "catalogue");
    let path = "store.catalogue.v1.Catalogue";
    let page = send(&format!("http://{address}/{path}/Search"), "{\"query\":\"mug\"}").expect("a replica answers");
    assert_eq!(serde_json::from_str::<Value>(&page.body).expect("an answer is JSON"), answer);
    let page = send(&format!("http://{address}/{path}/Related"), "{\"productId\":\"nothing-like-it\"}").unwrap();
    assert_eq!(page.status, 404);
    assert_eq!(serde_json::from_str::<Value>(&page.body).unwrap()["code"], "not_found");

    let python = std::env::var_os("SHOAL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/catalogue_by_grpc.py");
    let output = Command::new(python).args([script, &address, "mug"]).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let by_grpc = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut by_grpc: Vec<&str> = by_grpc.lines().collect();
    by_command.sort_unstable();
    by_grpc.sort_unstable();
    assert_eq!(by_grpc, by_command);

    let wrong = store.shoal(&["call", "catalogue.v1.Catalogue/Search", "{\"query\":1}"]).refused();
    assert!(wrong.contains("expected a string"), "{wrong}");
}

/// How many calls status counts between two services.
#[track_caller]
fn calls(store: &Application, caller: &str, callee: &str) -> u64 {
    let status = store.status();
    let edges = status["edges"].as_array().cloned().unwrap_or_default();
    let edge =
        edges.iter().find(|edge| edge["caller"] == caller && edge["callee"] == callee).cloned().unwrap_or_default();
    edge["calls"].as_str().map_or(0, |calls| calls.parse().expect("a count is a number"))
}

#[test]
fn status_counts_who_calls_whom() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shopper = Shopper::new(&store);
    let callees = ["basket", "catalogue", "inventory"];
    let before = callees.map(|callee| calls(&store, "storefront", callee));
    for _ in 0..20 {
        shopper.get("/product/tide-mug");
    }
    for (callee, before) in callees.into_iter().zip(before) {
        eventually(&format!("status counts the calls to {callee}"), || {
            (calls(&store, "storefront", callee) >= before + 20).then_some(())
        });
    }
    eventually("status counts the pages", || (calls(&store, "gateway", "storefront") >= 20).then_some(()));
}

/// What is wrong with a page: nobody answered, it is not whole, or it says that something is missing.
fn fault(shopper: &mut Shopper, path: &str) -> Option<String> {
    match shopper.try_get(path) {
        Err(error) => Some(format!("{path}: {error}")),
        Ok(page) if page.status != 200 => Some(format!("{path}: {} {}", page.status, page.body)),
        Ok(page) => {
            let notice = page.body.split("data-notice=\"").nth(1).and_then(|rest| rest.split('"').next());
            let notice = notice.or(page.body.contains("data-unknown").then_some("basket-unknown"));
            notice.map(|notice| format!("{path}: says {notice}"))
        }
    }
}

/// Four visitors look around while `work` is done; answers what `fault` found for them.
fn meanwhile(
    store: &Application,
    paths: &[&str],
    fault: impl Fn(&mut Shopper, &str) -> Option<String> + Sync,
    work: impl FnOnce(),
) -> Vec<String> {
    let done = AtomicBool::new(false);
    let newcomer = Shopper::new(store);
    let visitor = || {
        let mut shopper = newcomer.clone();
        let mut faults = Vec::new();
        for (count, path) in paths.iter().cycle().take(REQUESTS_MAX).enumerate() {
            if count >= REQUESTS_MIN && done.load(Ordering::Relaxed) {
                break;
            }
            faults.extend(fault(&mut shopper, path));
        }
        faults
    };
    std::thread::scope(|scope| {
        let visitors: Vec<_> = (0..VISITORS).map(|_| scope.spawn(visitor)).collect();
        let worked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        let faults = visitors.into_iter().flat_map(|visitor| visitor.join().expect("a visitor comes back")).collect();
        worked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        faults
    })
}

const BROWSING: [&str; 4] = ["/", "/product/tide-mug", "/search?q=mug", "/products/in/kitchen"];

#[test]
fn scaling_fails_no_page() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for service in ["catalogue", "storefront"] {
        let faults = meanwhile(&store, &BROWSING, fault, || {
            for count in [4, 1, 2] {
                let _ = store.shoal(&["scale", &format!("{service}={count}")]).succeeded();
                store.until_ready(service, count);
            }
        });
        assert_eq!(faults, Vec::<String>::new());
    }
}

/// The process ids of the replicas of every service.
#[track_caller]
fn pids(store: &Application) -> BTreeMap<&'static str, Vec<u32>> {
    BACKENDS.into_iter().chain(["storefront"]).map(|service| (service, store.pids(service))).collect()
}

#[test]
fn restarting_everything_fails_no_page() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = pids(&store);
    let paths = [&BROWSING[..], &["/basket"]].concat();
    let faults = meanwhile(&store, &paths, fault, || {
        let _ = store.shoal(&["restart"]).succeeded();
        eventually("every replica is new", || {
            let after = pids(&store);
            let renewed = |service| {
                let (before, after): (&Vec<u32>, &Vec<u32>) = (&before[service], &after[service]);
                before.len() == after.len() && after.iter().all(|pid| !before.contains(pid))
            };
            before.keys().all(renewed).then_some(())
        });
        eventually("the old ones are gone", || before.values().flatten().all(|pid| !alive(*pid)).then_some(()));
    });
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn pages_go_on_without_the_supervisor_and_the_next_adopts_all() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = pids(&store);
    let gateway = store.pids("gateway");
    let supervisor = store.supervisor();
    let faults = meanwhile(&store, &BROWSING, fault, || {
        kill(supervisor);
        eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
        store.up();
    });
    assert_eq!(faults, Vec::<String>::new());
    assert_ne!(store.supervisor(), supervisor);
    assert_eq!(pids(&store), before, "adopted, not restarted");
    assert_eq!(store.pids("gateway"), gateway);
    let mut shopper = Shopper::new(&store);
    shopper.add("tide-mug", 1);
}

/// What is wrong with a page: nobody answered, or it is not whole. It may say that something is missing.
fn breakdown(shopper: &mut Shopper, path: &str) -> Option<String> {
    fault(shopper, path).filter(|fault| !fault.contains(": says "))
}

#[test]
fn a_crash_of_every_service_behind_the_pages_fails_no_page() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let before = pids(&store);
    let paths = [&BROWSING[..], &["/basket", "/mail"]].concat();
    let faults = meanwhile(&store, &paths, breakdown, || {
        for pid in BACKENDS.iter().flat_map(|service| &before[service]) {
            kill(*pid);
        }
        for service in BACKENDS {
            store.until_ready(service, before[service].len());
        }
    });
    assert_eq!(faults, Vec::<String>::new());
    let mut shopper = Shopper::new(&store);
    for path in paths {
        eventually(&format!("{path} is whole again"), || fault(&mut shopper, path).is_none().then_some(()));
    }
}

#[test]
fn what_was_bought_is_remembered_over_night() {
    let store = STORE.running();
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shopper = Shopper::new(&store);
    shopper.register("early.bird@example.org");
    shopper.add("tide-mug", 1);
    let _ = shopper.deliver("early.bird@example.org");
    let order = shopper.buy();
    shopper.add("tide-mug", 2);
    store.down();
    store.up();
    shopper.moves_to(&store);
    assert!(shopper.get("/account").body.contains(&order), "the session and the order history are still there");
    assert_eq!(shopper.get(&format!("/orders/{order}")).order(), Some(order));
    let basket = shopper.get("/basket").body;
    assert!(basket.contains("data-product=\"tide-mug\"") && basket.contains("value=\"2\""), "{basket}");
}
