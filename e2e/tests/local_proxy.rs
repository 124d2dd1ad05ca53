//! Programs without the SDK call each other at addresses of their own; and no connection is refused, whoever is killed.

use rustix::process::{Pid, Signal, kill_process};
use shoal_e2e::{Application, PATIENCE, alive, eventually, kill};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

const MANIFEST: &str = r#"
[application]
name = "calls"

[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "pages" }]

[services.pages]
run      = { command = ["python3", "-u", "pages.py"] }
calls    = ["stock"]
replicas = 2

[services.stock]
run      = { command = ["python3", "-u", "stock.py"] }

[services.prices]
run      = { command = ["python3", "-u", "stock.py"] }
"#;

/// `/`: asks `stock`. `/variables`: where it finds whom. `/beat`: calls on and on, on one kept connection, and says how often.
const PAGES: &str = r#"
import http.server, os, threading, http.client, urllib.parse
address = urllib.parse.urlsplit(os.environ["STOCK_URL"]).netloc
beats, broken = 0, []
def beat():
    global beats
    connection = http.client.HTTPConnection(address, timeout=60)
    while True:
        try:
            connection.request("GET", "/beat")
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200: broken.append(str(answer.status) + " " + text.decode())
            beats += 1
        except Exception as error:
            broken.append(repr(error))
            connection.close()
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/variables":
            text = "\n".join(sorted(f"{k}={v}" for k, v in os.environ.items() if k.endswith("_URL")))
        elif self.path == "/beat":
            text = f"{os.environ['SHOAL_REPLICA']} {beats} {broken}"
        else:
            connection = http.client.HTTPConnection(address, timeout=60)
            connection.request("GET", self.path)
            text = connection.getresponse().read().decode()
        body = text.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
threading.Thread(target=beat, daemon=True).start()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

const STOCK: &str = r#"
import http.server, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["SHOAL_REPLICA"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
class Server(http.server.ThreadingHTTPServer):
    # Whoever breaks off a connection is not worth a stack trace.
    def handle_error(self, *words): pass
Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

fn calls() -> Application {
    let application = Application::new(MANIFEST);
    application.write("pages.py", PAGES);
    application.write("stock.py", STOCK);
    application.up();
    application.until_ready("pages", 2);
    application.until_ready("stock", 1);
    application.until_ready("gateway", 1);
    application
}

fn socket(application: &Application) -> SocketAddr {
    application.address().strip_prefix("http://").expect("plain HTTP").parse().expect("an address")
}

/// Asks on a connection of its own, and waits as long as it takes.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: shop.example\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    if answer.starts_with("HTTP/1.1 200 ") { Ok(answer) } else { Err(std::io::Error::other(format!("{answer:?}"))) }
}

/// Somebody who asks without a pause until told to stop, each time on a new connection; what went wrong.
struct Asking {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<(usize, Vec<String>)>,
}

impl Asking {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopping = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut asked, mut failures) = (0, Vec::new());
            while !stopping.load(Ordering::Relaxed) {
                asked += 1;
                failures.extend(ask(address, "/asked").err().map(|error| error.to_string()));
            }
            (asked, failures)
        });
        Self { stop, thread }
    }

    #[track_caller]
    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        let (asked, failures) = self.thread.join().expect("it does not panic");
        assert!(asked > 0 && failures.is_empty(), "{} of {asked} failed: {failures:?}", failures.len());
    }
}

fn terminate(pid: u32) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid fits")).expect("a pid is not zero");
    kill_process(pid, Signal::TERM).expect("it runs");
}

/// What a replica of `pages` says of its calls: its name, how many, and what went wrong.
fn beats(application: &Application) -> (String, u64, String) {
    let said = application.get("/beat").body;
    let (name, rest) = said.split_once(' ').expect("a name");
    let (count, broken) = rest.split_once(' ').expect("a count");
    (name.to_owned(), count.parse().expect("a number"), broken.to_owned())
}

/// Both replicas go on calling; neither had a failure.
#[track_caller]
fn both_go_on_calling(application: &Application) {
    for replica in ["pages-1", "pages-2"] {
        let count = || {
            let (name, count, broken) = beats(application);
            assert_eq!(broken, "[]", "the calls of {name}");
            (name == replica).then_some(count)
        };
        let before = eventually(&format!("{replica} answers"), count);
        eventually(&format!("{replica} goes on calling"), || count().filter(|now| *now > before + 10));
    }
}

#[test]
fn each_replica_has_addresses_of_its_own_for_what_it_declared_and_nothing_else() {
    let application = calls();
    assert!(application.get("/").body.starts_with("stock-"));
    let mut seen = BTreeSet::new();
    eventually("both replicas have told", || {
        seen.insert(application.get("/variables").body);
        (seen.len() == 2).then_some(())
    });
    for variables in &seen {
        let lines: Vec<&str> = variables.lines().collect();
        assert!(lines.len() == 1 && lines[0].starts_with("STOCK_URL=http://127.0.0.1:"), "{variables}");
    }
    // The address ends with its replica.
    let gone = application.pids("pages")[0];
    kill(gone);
    let refuses = |url: &str| {
        let address: SocketAddr = url.rsplit_once("//").expect("a URL").1.parse().expect("an address");
        TcpStream::connect(address).is_err()
    };
    eventually("one of the addresses refuses", || seen.iter().any(|url| refuses(url)).then_some(()));
    assert!(!seen.iter().all(|url| refuses(url)));
    let edges = eventually("the calls are counted", || {
        let edges = application.status()["edges"].as_array().cloned().unwrap_or_default();
        let of = |edge: &serde_json::Value| edge["caller"] == "pages" && edge["callee"] == "stock";
        edges.iter().any(of).then_some(edges)
    });
    assert!(edges.iter().any(|edge| edge["caller"] == "gateway" && edge["callee"] == "pages"), "{edges:?}");
}

#[test]
fn no_request_is_lost_when_the_gateway_hands_over() {
    let application = calls();
    let address = socket(&application);
    let asking = Asking::start(address);
    let mut gateway = application.pids("gateway")[0];
    let by_itself = || terminate(application.pids("gateway")[0]);
    let by_command = || drop(application.shoal(&["restart", "gateway"]).succeeded());
    for end in [&by_itself as &dyn Fn(), &by_command] {
        end();
        gateway = eventually("another gateway serves alone", || {
            let pids = application.pids("gateway");
            (pids.len() == 1 && pids[0] != gateway && !alive(gateway)).then(|| pids[0])
        });
    }
    asking.end();
    application.until_ready("pages", 2);
    assert_eq!(socket(&application), address);
}

#[test]
fn calls_go_on_when_the_gateway_is_told_to_end() {
    let application = calls();
    both_go_on_calling(&application);
    let gateway = application.pids("gateway")[0];
    terminate(gateway);
    eventually("the gateway has ended", || (!alive(gateway)).then_some(()));
    application.until_ready("gateway", 1);
    both_go_on_calling(&application);
}

#[test]
fn no_connection_is_refused_when_gateway_and_supervisor_are_killed_one_after_the_other() {
    let application = calls();
    let address = socket(&application);
    let waiting = |what: &'static str| {
        std::thread::spawn(move || ask(address, "/waited").unwrap_or_else(|error| panic!("{what}: {error}")))
    };
    let mut waiters = Vec::new();
    for order in [["gateway", "supervisor"], ["supervisor", "gateway"]] {
        let (gateway, supervisor) = (application.pids("gateway")[0], application.supervisor());
        for who in order {
            let pid = if who == "gateway" { gateway } else { supervisor };
            kill(pid);
            eventually(who, || (!alive(pid)).then_some(()));
        }
        // The killed supervisor may just have started another gateway.
        waiters.push(waiting("asked while nobody is there"));
        application.up();
        application.until_ready("gateway", 1);
        waiters.push(waiting("asked afterwards"));
    }
    for waiter in waiters {
        assert!(waiter.join().expect("it is answered").ends_with("stock-1"));
    }
    assert_eq!(socket(&application), address);
    assert!(application.get("/").body.starts_with("stock-"), "callers are served by the new gateway");
    application.until_ready("pages", 2);
}

#[test]
fn the_gateway_moves_to_another_address() {
    let application = calls();
    let before = socket(&application);
    let wide = MANIFEST.replace("127.0.0.1:0", &format!("0.0.0.0:{}", before.port()));
    application.write("shoal.toml", &wide);
    let (gateway, supervisor) = (application.pids("gateway")[0], application.supervisor());
    kill(supervisor);
    eventually("the supervisor is gone", || (!alive(supervisor)).then_some(()));
    application.up();
    eventually("the old gateway has gone", || (!alive(gateway)).then_some(()));
    application.until_ready("gateway", 1);
    assert!(application.address().starts_with("http://0.0.0.0:"), "{}", application.address());
    assert!(ask(before, "/").is_ok(), "its own address of before is part of it");
}

/// Says where it finds the catalogue.
const TELLER: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["CATALOGUE_URL"].encode())
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[test]
fn grpc_passes_with_its_trailers_and_streams() {
    let catalogue = concat!(env!("CARGO_MANIFEST_DIR"), "/../apps/store/services/catalogue");
    let application = Application::new(&format!(
        r#"
[application]
name = "asking"
[gateway]
listen = "127.0.0.1:0"
routes = [{{ path = "/", service = "teller" }}]
[services.teller]
run   = {{ command = ["python3", "-u", "teller.py"] }}
calls = ["catalogue"]
[services.catalogue]
source   = {{ path = "{catalogue}" }}
run      = {{ cargo = "catalogue" }}
listen   = "fd"
replicas = 2
database = "sqlite"
"#
    ));
    application.write("teller.py", TELLER);
    application.up();
    application.until_ready("catalogue", 2);
    application.until_ready("teller", 1);
    let url = application.get("/").body;
    let address = url.strip_prefix("http://").expect("a URL");
    let python = std::env::var_os("SHOAL_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    // Reflection is a stream both ways; a code other than "ok" comes in a trailer.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/catalogue_by_grpc.py");
    let output = Command::new(python).args([script, address, "mug"]).output().expect("Python runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).lines().any(|id| id == "tide-mug"), "{output:?}");
    let page = shoal_e2e::send(&format!("{url}/store.catalogue.v1.Catalogue/Search"), "{\"query\":\"mug\"}");
    assert!(page.expect("Connect passes, too").body.contains("tide-mug"));
}
