//! Applications under load that waits for nobody, while their parts are killed, replaced, scaled and restarted.
//!
//! What must hold: no request fails that could have been served. That is each one that had not been sent on when a process
//! died, and each that may be asked twice and whose answer had not begun. What was inside a process at the moment of its
//! `kill -9` is counted apart. Nothing that is done in order, like a scale or `kill -TERM`, excuses any failure.

mod faults;
mod load;
mod stories;
mod verdict;

use faults::{Fault, Faults, Phase};
use load::{Ended, Load, Visitor};
use serde_json::Value;
use shoal_e2e::{Application, eventually, store};
use shoal_load::Latency;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use verdict::Verdict;

/// One in so many may be late at most.
const LATE_MAX: usize = 20;

/// Whoever makes load holds this: a machine has only so many cores.
static TURN: Mutex<()> = Mutex::new(());

/// Lets things happen to an application under load, and says what failed that could have been served.
fn told(
    application: &Application,
    services: &'static [&'static str],
    visitor: Visitor,
    story: &[(&'static str, Fault)],
) -> Vec<String> {
    let load = Load::start(application, visitor);
    let mut faults = Faults::new(application, services);
    load.calm();
    faults.phase("calm", |_| load.calm());
    for (name, fault) in story {
        faults.phase(name, |faults| {
            fault(faults);
            load.calm();
        });
    }
    let ended = load.stop();
    let phases = faults.done();
    report(&phases, &ended);
    let verdicts = verdict::of(&ended.visits, &phases);
    let late = verdicts.iter().filter(|(verdict, _)| matches!(verdict, Verdict::Late(_))).count();
    assert!(late * LATE_MAX < verdicts.len(), "{late} of {} were held until their time was up", verdicts.len());
    let failed = |(verdict, at): &(Verdict, Instant)| match verdict {
        Verdict::Failed(why) => Some(format!("{}: {why}", phase_at(&phases, *at))),
        _ => None,
    };
    verdicts.iter().filter_map(failed).collect()
}

#[test]
fn no_page_of_the_store_fails_that_could_have_been_served() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let store = application();
    store.up();
    let failed = told(&store, &stories::STORE, Visitor::OfTheStore, stories::OF_THE_STORE);
    for (method, sign) in [("inventory.v1.Inventory/Audit", "balanced"), ("orders.v1.Orders/Audit", "pending")] {
        eventually(&format!("{sign} is as it should be"), || {
            let audit = store.shoal(&["call", method, "{}"]);
            let audit: Value = serde_json::from_str(&audit.stdout).ok()?;
            // What is zero is left out.
            (audit.get("pending").is_none() && audit["balanced"] != false).then_some(())
        });
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn no_call_of_an_unmodified_program_fails_that_could_have_been_served() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let application = Application::new(MANIFEST);
    application.write("pages.py", PAGES);
    application.write("stock.py", STOCK);
    application.up();
    let failed = told(&application, &stories::PROGRAMS, Visitor::OfAPage, stories::OF_THE_PROGRAMS);
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

const MANIFEST: &str = r#"
[application]
name = "unmodified"

[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "pages" }]

[services.pages]
run      = { command = ["python3", "-u", "pages.py"] }
calls    = ["stock"]
replicas = 2

[services.stock]
run      = { command = ["python3", "-u", "stock.py"] }
replicas = 2
"#;

/// Asks the stock for each page, on a new connection.
const PAGES: &str = r#"
import http.server, os, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        try:
            status, body = 200, urllib.request.urlopen(os.environ["STOCK_URL"] + self.path, timeout=20).read()
        except Exception as error:
            status, body = 500, f"no stock: {error!r}".encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// Takes a while for each answer, so that some are always under way.
const STOCK: &str = r#"
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.05)
        body = os.environ["SHOAL_REPLICA"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// The store; with programs that are built already when `SHOAL_LOAD_PROGRAMS` names their folder, so that somebody who edits the
/// sources meanwhile does not have them replaced.
fn application() -> Application {
    let store = store();
    if let Ok(folder) = std::env::var("SHOAL_LOAD_PROGRAMS") {
        let manifest = std::fs::read_to_string(store.folder().join("shoal.toml")).expect("the store has a manifest");
        let built = manifest.lines().map(|line| match line.split_once("= { cargo = \"") {
            Some((_, name)) => {
                let name = name.split('"').next().unwrap_or_default();
                format!("run = {{ command = [\"{folder}/{name}\"] }}\nprobe = {{ sdk = true }}\n")
            }
            None => format!("{line}\n"),
        });
        store.write("shoal.toml", built.collect::<String>());
    }
    store
}

fn phase_at(phases: &[Phase], at: Instant) -> &'static str {
    phases.iter().find(|phase| phase.began <= at && at <= phase.ended).map_or("between", |phase| phase.name)
}

/// One line a phase: what was asked during it, what came of that, and how long it took.
fn report(phases: &[Phase], ended: &Ended) {
    let Ended { visits, repeated, opened } = ended;
    let verdicts = verdict::of(visits, phases);
    eprintln!(
        "{:34} {:>7} {:>7} {:>7} {:>6} {:>6} {:>8} {:>8} {:>8}",
        "", "seconds", "asked", "failed", "apart", "late", "p50 ms", "p99 ms", "max ms"
    );
    for phase in phases {
        let within = |at: Instant| phase.began <= at && at <= phase.ended;
        let steps = visits.iter().flat_map(|visit| &visit.steps).filter(|step| within(step.ended));
        let took: Latency = steps.map(|step| step.ended - step.started).collect();
        let count = |wanted: fn(&Verdict) -> bool| {
            verdicts.iter().filter(|(verdict, at)| within(*at) && wanted(verdict)).count()
        };
        eprintln!(
            "{:34} {:>7.1} {:>7} {:>7} {:>6} {:>6} {:>8} {:>8} {:>8}",
            phase.name,
            (phase.ended - phase.began).as_secs_f64(),
            took.count(),
            count(|verdict| matches!(verdict, Verdict::Failed(_))),
            count(|verdict| matches!(verdict, Verdict::Apart(_))),
            count(|verdict| matches!(verdict, Verdict::Late(_))),
            took.p50().as_millis(),
            took.p99().as_millis(),
            took.max().as_millis()
        );
    }
    for (verdict, at) in &verdicts {
        if let Verdict::Apart(why) | Verdict::Late(why) = verdict {
            eprintln!("{}: {why}", phase_at(phases, *at));
        }
    }
    let orders = visits.iter().filter(|visit| matches!(visit.order, Some(Ok(_)))).count();
    eprintln!(
        "{} visits, {orders} orders, {opened} connections, {repeated} asked again on a kept connection that was closed",
        visits.len()
    );
}
