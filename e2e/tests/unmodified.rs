//! Unmodified programs in two languages that call each other through the addresses they are given.

use shoal_e2e::{Application, eventually};
use std::collections::BTreeSet;

const MANIFEST: &str = r#"
[application]
name = "mixed"

[gateway]
listen = "127.0.0.1:0"
routes = [
  { path = "/", service = "pages" },
  { path = "/stock", service = "stock" },
  { host = "stock.example", path = "/", service = "stock" },
]

[services.pages]
run      = { command = ["node", "pages.js"] }
calls    = ["stock"]
replicas = 3
probe    = { http = "/health" }

[services.stock]
run      = { command = ["python3", "-u", "stock.py"] }
replicas = 3
env      = { SHELF = "upper" }
"#;

const PAGES: &str = r#"
const http = require("http");
http.createServer((request, response) => {
  if (request.url === "/health") return response.end("fine");
  http.get(process.env.STOCK_URL + "/count", (answer) => {
    let body = "";
    answer.on("data", (part) => (body += part));
    answer.on("end", () => response.end(process.env.SHOAL_REPLICA + " asked " + body));
  }).on("error", (error) => { response.statusCode = 500; response.end(String(error)); });
}).listen(process.env.PORT, "127.0.0.1");
"#;

const STOCK: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = f"{os.environ['SHOAL_REPLICA']} on the {os.environ['SHELF']} shelf".encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

fn mixed() -> Application {
    let application = Application::new(MANIFEST);
    application.write("pages.js", PAGES);
    application.write("stock.py", STOCK);
    application.up();
    application.until_ready("pages", 3);
    application.until_ready("stock", 3);
    application
}

#[test]
fn python_and_node_servers_call_each_other_three_by_three() {
    let application = mixed();
    let (mut askers, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..100 {
        let page = application.get("/");
        assert_eq!(page.status, 200, "{page:?}");
        let (asker, answer) = page.body.split_once(" asked ").expect("an answer of both");
        assert!(answer.ends_with(" on the upper shelf"), "{answer}");
        askers.insert(asker.to_owned());
        asked.insert(answer.to_owned());
    }
    assert_eq!((askers.len(), asked.len()), (3, 3), "{askers:?} {asked:?}");
    let edges = eventually("status counts the calls", || {
        let edges = application.status()["edges"].as_array().cloned().unwrap_or_default();
        (edges.iter().filter(|edge| edge["calls"].as_str().is_some_and(|calls| calls != "0")).count() >= 2)
            .then_some(edges)
    });
    let calls = edges.iter().find(|edge| edge["caller"] == "pages" && edge["callee"] == "stock");
    let failed = |edge: &serde_json::Value| edge["errors"].as_str().is_some_and(|errors| errors != "0");
    assert!(calls.is_some_and(|edge| !failed(edge)), "{edges:?}");
}

#[test]
fn routes_go_by_host_and_longest_path() {
    let application = mixed();
    assert!(application.get("/stock/x").body.starts_with("stock-"));
    assert!(application.get("/stocking").body.starts_with("pages-"), "whole segments only");
    let address = application.address();
    let by_host = std::process::Command::new("curl")
        .args(["-s", "-H", "host: stock.example", &format!("{address}/anything")])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&by_host.stdout).starts_with("stock-"), "{by_host:?}");
}

#[test]
fn requests_carry_an_id_and_a_trace() {
    let application = mixed();
    let page = application.get("/");
    assert!(page.header("x-request-id").is_some_and(|id| !id.is_empty()), "{page:?}");
}
