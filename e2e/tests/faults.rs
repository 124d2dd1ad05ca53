//! Faults on purpose: each has the effect that it names, on programs with the SDK and without, and none once it is gone.

use serde_json::Value;
use shoal_e2e::{Application, Page, alive, eventually, get, kill, send};
use std::time::{Duration, Instant};

const PROGRAMS: &str = r#"
[application]
name = "faults"

[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "pages" }]

[services.pages]
run      = { command = ["python3", "-u", "pages.py"] }
calls    = ["stock"]

[services.stock]
run      = { command = ["python3", "-u", "stock.py"] }
probes   = { liveness = { process = true } }
"#;

/// Passes each request on to `stock` on a new connection, and says what came back.
const PAGES: &str = r#"
import http.client, http.server, os, urllib.parse
address = urllib.parse.urlsplit(os.environ["STOCK_URL"]).netloc
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        status = 200
        try:
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("POST", self.path, headers={"connection": "close"})
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode()
        except Exception as error:
            status, text = 599, repr(error)
        body = text.encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// Counts what it is asked for, by path; `/count/<path>` says how often that was, `/note` writes a file.
const STOCK: &str = r#"
import collections, http.server, os, threading
counts, lock = collections.Counter(), threading.Lock()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        with lock:
            if self.path.startswith("/count"):
                text = str(counts[self.path.removeprefix("/count")])
            else:
                counts[self.path] += 1
                text = str(counts[self.path])
        if self.path == "/note":
            try:
                with open(os.path.join(os.environ["SHOAL_DATA"], os.environ["SHOAL_REPLICA"]), "w") as file: file.write("noted")
                text = "noted"
            except OSError as error:
                text = str(error)
        body = text.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 100
    # Whoever breaks off a connection is not worth a stack trace.
    def handle_error(self, *words): pass
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

fn programs() -> Application {
    let application = Application::new(PROGRAMS);
    application.write("pages.py", PAGES);
    application.write("stock.py", STOCK);
    application.up();
    for service in ["pages", "stock", "gateway"] {
        application.until_ready(service, 1);
    }
    application
}

/// `front` has `greeter` greet, of which two run.
fn greeters() -> Application {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/shoal-sdk/example");
    let application = Application::new(&format!(
        r#"
[application]
name = "greeters"
[gateway]
listen = "127.0.0.1:0"
routes = [{{ path = "/", service = "front" }}]
[services.front]
source   = {{ path = "{source}" }}
run      = {{ cargo = "shoal-sdk-example" }}
settings = {{ relay = true }}
calls    = ["greeter"]
[services.greeter]
source   = {{ path = "{source}" }}
run      = {{ cargo = "shoal-sdk-example" }}
replicas = 2
"#
    ));
    application.up();
    application.until_ready("front", 1);
    application.until_ready("greeter", 2);
    application.until_ready("gateway", 1);
    application
}

/// `shoal fault add …`; the number of the fault.
#[track_caller]
fn add(application: &Application, words: &[&str]) -> String {
    let words = [&["fault", "add"], words, &["--json"]].concat();
    let added: Value = serde_json::from_str(&application.shoal(&words).succeeded().stdout).expect("it prints JSON");
    added["fault"]["id"].as_str().expect("it is kept").to_owned()
}

/// `shoal fault remove …`, which knows how often it happened.
#[track_caller]
fn remove(application: &Application, id: &str, times: u64) {
    let output = application.shoal(&["fault", "remove", id, "--json"]).succeeded();
    let removed: Value = serde_json::from_str(&output.stdout).expect("it prints JSON");
    assert_eq!((removed[0]["id"].as_str(), happened(&removed[0])), (Some(id), times));
}

fn happened(fault: &Value) -> u64 {
    fault["happened"].as_str().map_or(0, |count| count.parse().expect("a number"))
}

#[track_caller]
fn list(application: &Application) -> Vec<Value> {
    let listed: Value =
        serde_json::from_str(&application.shoal(&["fault", "--json"]).succeeded().stdout).expect("it prints JSON");
    let shown = application.status()["faults"].as_array().cloned().unwrap_or_default();
    let listed = listed.as_array().expect("a list").clone();
    let ids = |faults: &[Value]| faults.iter().map(|fault| fault["id"].clone()).collect::<Vec<_>>();
    assert!(shown.len() > listed.len() || ids(&shown) == ids(&listed), "status shows the same, or what ends just now");
    listed
}

#[track_caller]
fn until_none(application: &Application) {
    eventually("no fault is on any more", || list(application).is_empty().then_some(()));
}

/// Has `pages` ask `stock`.
#[track_caller]
fn post(application: &Application, path: &str) -> Page {
    send(&format!("{}{path}", application.address()), "").expect("the gateway answers")
}

/// How often `stock` was asked for a path, by its own word.
#[track_caller]
fn count(application: &Application, path: &str) -> u64 {
    let address = application.service("stock")["replicas"][0]["address"].as_str().expect("an address").to_owned();
    get(&format!("http://{address}/count{path}")).expect("it answers").body.parse().expect("a number")
}

/// The state of a process, as the kernel says it: `T` is one that was stopped.
fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

#[test]
fn calls_of_programs_without_the_sdk_suffer_what_the_fault_names() {
    let application = programs();
    assert_eq!(post(&application, "/plain").body, "1");
    let error = add(&application, &["pages->stock", "error", "unavailable"]);
    assert_eq!(post(&application, "/error").status, 503);
    remove(&application, &error, 1);
    assert_eq!(count(&application, "/error"), 0, "the callee never heard of it");
    assert_eq!(post(&application, "/error").body, "1");

    let lost = add(&application, &["pages->stock", "lost-answer", "--method", "lost"]);
    let page = post(&application, "/lost");
    assert!(page.status >= 500, "{page:?}");
    assert_eq!(post(&application, "/kept").body, "1", "another method is not hit");
    assert_eq!(count(&application, "/lost"), 1, "it was done, once");
    remove(&application, &lost, 1);

    let twice = add(&application, &["pages->stock", "duplicate"]);
    let page = post(&application, "/twice");
    assert_eq!((page.status, page.body.as_str()), (200, "2"), "the second answer");
    remove(&application, &twice, 1);
    assert_eq!(count(&application, "/twice"), 2);

    let late = add(&application, &["pages->stock", "delay", "700ms"]);
    let begun = Instant::now();
    assert_eq!(post(&application, "/late").body, "1");
    assert!(begun.elapsed() >= Duration::from_millis(700));
    remove(&application, &late, 1);

    // From outside, the caller is the gateway.
    let outside = add(&application, &["gateway->pages", "error", "internal"]);
    assert_eq!(post(&application, "/outside").status, 500);
    remove(&application, &outside, 1);
    // A service and a replica mean every call of theirs.
    for target in ["stock", "stock-1"] {
        let hit = add(&application, &[target, "error", "resource-exhausted"]);
        assert_eq!(post(&application, "/outside").status, 429, "{target}");
        remove(&application, &hit, 1);
    }
    assert_eq!(post(&application, "/outside").body, "1");
    assert!(list(&application).is_empty());
}

#[test]
fn a_rate_is_a_rate_and_what_is_bounded_ends_by_itself() {
    let application = programs();
    let id = add(&application, &["pages->stock", "error", "internal", "--rate", "0.3"]);
    let (mut failed, mut served) = (0, 0);
    let url = format!("{}/rated", application.address());
    for _ in 0..1000 {
        match send(&url, "").expect("the gateway answers").status {
            500 => failed += 1,
            200 => served += 1,
            other => panic!("{other}"),
        }
    }
    // Six and a half standard deviations: less likely by chance than one in a thousand million.
    assert!((206..=394).contains(&failed), "{failed} of 1000 failed at a rate of 0.3");
    assert_eq!(count(&application, "/rated"), served, "each was served or failed, and not both");
    remove(&application, &id, failed);

    add(&application, &["pages->stock", "error", "internal", "--times", "3"]);
    let statuses: Vec<u16> = (0..6).map(|_| post(&application, "/bounded").status).collect();
    assert_eq!(statuses, [500, 500, 500, 200, 200, 200]);
    until_none(&application);

    add(&application, &["pages->stock", "error", "internal", "--for", "1s"]);
    eventually("it has gone by itself", || (post(&application, "/short").status == 200).then_some(()));
    until_none(&application);
}

#[test]
fn a_paused_replica_stands_still_and_goes_on_whoever_supervises() {
    let application = programs();
    let pid = application.pids("stock")[0];
    let until_state = |paused: bool| {
        eventually(&format!("it stands still: {paused}"), || ((state(pid) == 'T') == paused).then_some(()));
    };
    let id = add(&application, &["stock-1", "pause"]);
    until_state(true);
    let shown = application.shoal(&["status"]).succeeded().stdout;
    assert!(shown.contains(&format!("fault {id}: stock-1 pause · happened 1 time")), "{shown}");

    let supervisor = application.supervisor();
    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    assert_eq!(state(pid), 'T');
    application.up();
    assert_eq!(list(&application)[0]["target"], "stock-1", "the next one knows it");
    assert_eq!((state(pid), happened(&list(&application)[0])), ('T', 1));
    remove(&application, &id, 1);
    until_state(false);
    assert_eq!(post(&application, "/woken").body, "1");

    add(&application, &["stock", "pause", "--for", "2s"]);
    until_state(true);
    until_state(false);
    until_none(&application);
    assert_eq!(application.pids("stock"), [pid], "it is the same all the while");
}

#[test]
fn a_killed_replica_is_replaced_and_a_full_disk_refuses_to_write() {
    let application = programs();
    let before = application.pids("stock")[0];
    let said = application.shoal(&["fault", "add", "stock", "kill"]).succeeded().stdout;
    assert_eq!(said, "Killed 1 replica of stock.\n");
    eventually("it is dead", || (!alive(before)).then_some(()));
    assert!(list(&application).is_empty(), "a kill is not kept");
    eventually("another is in its place", || {
        let replicas = application.service("stock")["replicas"].as_array().cloned().unwrap_or_default();
        (replicas.len() == 1 && replicas[0]["phase"] == "ready" && replicas[0]["restarts"] == 1).then_some(())
    });

    assert_eq!(post(&application, "/note").body, "noted");
    let id = add(&application, &["stock", "disk-full"]);
    eventually("its disk is full", || post(&application, "/note").body.contains("File too large").then_some(()));
    // Whoever comes later suffers the same.
    kill(application.pids("stock")[0]);
    eventually("it is counted", || (happened(&list(&application)[0]) == 2).then_some(()));
    eventually("the next one's disk is full too", || {
        let page = post(&application, "/note");
        (page.status == 200 && page.body.contains("File too large")).then_some(())
    });
    remove(&application, &id, 2);
    eventually("there is room again", || (post(&application, "/note").body == "noted").then_some(()));
}

#[test]
fn calls_by_the_sdk_suffer_what_the_fault_names() {
    let application = greeters();
    let replicas = |name: &str| application.service(name)["replicas"].as_array().cloned().unwrap_or_default();
    let greet = || {
        let url = format!("{}/example.greeter.v1.Greeter/Greet", application.address());
        send(&url, r#"{"name":"Ada"}"#).expect("the gateway answers")
    };
    let greeted = || -> u64 {
        let addresses: Vec<String> =
            replicas("greeter").iter().map(|replica| replica["address"].as_str().unwrap().to_owned()).collect();
        addresses.iter().map(|it| get(&format!("http://{it}/greeted")).unwrap().body.parse::<u64>().unwrap()).sum()
    };
    assert_eq!(greet().status, 200);
    assert_eq!(greeted(), 1);

    let error = add(&application, &["front->greeter", "error", "resource-exhausted", "--method", "Greet"]);
    assert_eq!(greet().status, 429);
    remove(&application, &error, 1);
    assert_eq!(greeted(), 1);

    let lost = add(&application, &["front->greeter", "lost-answer", "--times", "1"]);
    let page = greet();
    assert!(page.status >= 500, "{page:?}");
    assert_eq!(greeted(), 2, "it was done, once");
    until_none(&application);
    assert!(application.shoal(&["fault", "remove", &lost]).refused().contains(&format!("there is no fault {lost}")));

    let twice = add(&application, &["front->greeter", "duplicate"]);
    assert_eq!(greet().status, 200);
    remove(&application, &twice, 1);
    assert_eq!(greeted(), 4);

    let late = add(&application, &["front->greeter", "delay", "700ms"]);
    let begun = Instant::now();
    assert_eq!(greet().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(700));
    remove(&application, &late, 1);

    let note = |name: &str| {
        let address = replicas(name)[0]["address"].as_str().unwrap().to_owned();
        get(&format!("http://{address}/note")).unwrap().body
    };
    let full = add(&application, &["greeter", "disk-full"]);
    eventually("its disk is full", || note("greeter").contains("File too large").then_some(()));
    assert_eq!(note("front"), "noted", "another service's is not");
    remove(&application, &full, 2);
    eventually("there is room again", || (note("greeter") == "noted").then_some(()));
}

#[test]
fn a_crash_point_kills_as_often_as_was_asked_for() {
    let application = greeters();
    let before = application.pids("greeter");
    let refused = application.shoal(&["fault", "add", "greeter", "kill", "--at", "greet.uncounted"]).refused();
    assert!(refused.contains("greeter has no crash point `greet.uncounted`; it has: greet.counted"), "{refused}");

    add(&application, &["greeter", "kill", "--at", "greet.counted", "--times", "1"]);
    let greet = || {
        let url = format!("{}/example.greeter.v1.Greeter/Greet", application.address());
        send(&url, r#"{"name":"Ada"}"#).expect("the gateway answers")
    };
    // Before anybody is greeted nobody dies.
    assert_eq!(application.pids("greeter"), before);
    let page = greet();
    assert!(page.status >= 500, "who died cannot have answered, and a greeting is not asked for twice: {page:?}");
    until_none(&application);
    let after = application.until_ready("greeter", 2);
    assert_eq!(before.iter().filter(|pid| !after.contains(pid)).count(), 1, "one of two died: {before:?} {after:?}");
    for _ in 0..20 {
        assert_eq!(greet().status, 200);
    }
    assert_eq!(application.until_ready("greeter", 2), after, "and nobody after it");
}

#[test]
fn how_often_a_fault_may_still_happen_outlives_the_supervisor() {
    let application = programs();
    add(&application, &["pages->stock", "error", "internal", "--times", "3"]);
    for _ in 0..2 {
        assert_eq!(post(&application, "/counted").status, 500);
    }
    eventually("both are counted", || (happened(&list(&application)[0]) == 2).then_some(()));
    let supervisor = application.supervisor();
    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    application.up();
    assert_eq!(happened(&list(&application)[0]), 2, "the next one goes on counting");
    assert_eq!(post(&application, "/counted").status, 500);
    assert_eq!(post(&application, "/counted").status, 200, "it may happen three times");
    until_none(&application);
}

#[test]
fn what_makes_no_sense_is_refused_and_down_forgets() {
    let application = programs();
    for (words, expected) in [
        (&["stok", "pause"][..], "there is no service `stok`; did you mean `stock`?"),
        (&["stock-9", "pause"], "there is no replica `stock-9`. Of stock there are: stock-1"),
        (&["stock->pages", "duplicate"], "stock does not declare in `calls` that it calls pages; it calls nobody"),
        (&["gateway->stock", "duplicate"], "no route of the gateway leads to stock"),
        (&["stock", "explode"], "`explode` is no kind of fault"),
        (&["stock", "error", "odd"], "`odd` is no error that a call can be given"),
        (&["stock", "error"], "say which error"),
        (&["stock", "delay", "soon"], "`soon` is no span of time"),
        (&["stock", "delay", "0s"], "a delay is 1 ms to 10 min"),
        (&["stock", "duplicate", "--rate", "0"], "a rate is more than 0 and at most 1"),
        (&["stock", "duplicate", "--rate", "1.5"], "a rate is more than 0 and at most 1"),
        (&["stock", "duplicate", "--rate", "-0.1"], "a rate is more than 0 and at most 1"),
        (&["stock", "duplicate", "--for", "0s"], "a fault can be on for 1 ms to 24 h"),
        (&["stock", "duplicate", "--for", "25h"], "a fault can be on for 1 ms to 24 h"),
        (&["stock", "duplicate", "--times", "0"], "once or more times"),
        (&["stock", "pause", "--rate", "0.5"], "a rate is one of calls"),
        (&["pages->stock", "pause"], "name a service or a replica"),
        (&["stock", "kill", "--at", "x.y"], "no replica of stock that runs has named any crash points"),
    ] {
        let refused = application.shoal(&[&["fault", "add"], words].concat()).refused();
        assert!(refused.contains(expected), "{words:?}: {refused}");
    }
    assert!(application.shoal(&["fault", "remove", "1"]).refused().contains("there is no fault 1"));
    assert_eq!(application.shoal(&["fault"]).succeeded().stdout, "No faults are on.\n");
    for _ in 0..100 {
        add(&application, &["stock", "delay", "1ms"]);
    }
    let refused = application.shoal(&["fault", "add", "stock", "duplicate"]).refused();
    assert!(refused.contains("there are 100 faults already"), "{refused}");
    let removed = application.shoal(&["fault", "remove", "--all"]).succeeded().stdout;
    assert_eq!(removed.lines().count(), 100);

    add(&application, &["stock", "pause"]);
    application.down();
    application.up();
    application.until_ready("stock", 1);
    assert!(list(&application).is_empty());
    assert_eq!(post(&application, "/again").body, "1");
}
