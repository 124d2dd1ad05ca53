//! What is being answered is answered to its end, also by programs that know nothing of draining.

use shoal_e2e::{Application, alive, eventually};
use std::thread;

const MANIFEST: &str = r#"
[application]
name = "slow"
[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "pages" }]
[services.pages]
run      = { command = ["python3", "-u", "server.py"] }
replicas = 1
"#;

/// Answers once the file `go` is there; dies at once of a SIGTERM, as Python does.
const SERVER: &str = r#"
import http.server, os, time
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("asked", self.path)
        while self.path == "/wait" and not os.path.exists("go"): time.sleep(0.01)
        body = os.environ["SHOAL_REPLICA"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

#[test]
fn a_request_in_flight_is_finished_before_the_signal() {
    let application = Application::new(MANIFEST);
    application.write("server.py", SERVER);
    application.up();
    let before = application.until_ready("pages", 1)[0];
    let url = format!("{}/wait", application.address());
    let asking = thread::spawn(move || shoal_e2e::get(&url));
    eventually("the replica was asked", || {
        application.shoal(&["logs", "pages"]).stdout.contains("asked /wait").then_some(())
    });

    let _ = application.shoal(&["restart", "pages"]).succeeded();
    eventually("a new replica answers", || (application.get("/").body == "pages-2").then_some(()));
    assert!(alive(before), "the old one is still answering");
    application.write("go", "");
    let page = asking.join().unwrap().unwrap();
    assert_eq!((page.status, page.body.as_str()), (200, "pages-1"));
    application.until_ready("pages", 1);
    assert!(!alive(before));
}
