//! The smallest application: copies of one server in a language that knows nothing of Shoal.

use crate::application::Application;

const MANIFEST: &str = r#"
[application]
name = "hello"

[gateway]
listen = "127.0.0.1:0"
routes = [{ path = "/", service = "pages" }]

[services.pages]
purpose  = "Says who it is"
run      = { command = ["python3", "-u", "server.py"] }
"#;

const SERVER: &str = r#"
import http.server, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        body = os.environ["SHOAL_REPLICA"].encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, form, *words):
        print("served", self.path, file=sys.stderr)

print("started", os.environ["SHOAL_REPLICA"])
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"#;

/// An application of one Python server in `replicas` copies, each answering its own name. Not started yet.
#[must_use]
pub fn hello(replicas: usize) -> Application {
    let application = Application::new(&format!("{MANIFEST}replicas = {replicas}\n"));
    application.write("server.py", SERVER);
    application
}
