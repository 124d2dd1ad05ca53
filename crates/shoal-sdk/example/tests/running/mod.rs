//! The example service, served inside of a test; and requests as simple clients send them.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // Each test file uses a part; what fails here is meant to.

use shoal_sdk::{Call, Environment, Service, Shutdown, StartError};
use shoal_sdk_example::calls::{self, Greeter};
use shoal_sdk_example::contracts::example::greeter::v1::EchoRequest;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Running {
    pub address: SocketAddr,
    pub folder: TempDir,
    pub shutdown: Shutdown,
    pub served: JoinHandle<Result<(), StartError>>,
}

impl Running {
    pub async fn start() -> Self {
        Self::with_greeting("Hello").await
    }

    pub async fn with_greeting(greeting: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = serde_json::json!({"greeting": greeting});
        let environment = Environment::for_tests(folder.path()).with_settings(&settings).unwrap();
        let service = shoal_sdk_example::service(environment).await.unwrap();
        Self::serving(service, folder).await
    }

    /// Serves it over HTTP and frames.
    pub async fn serving(service: Service, folder: TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let service = service.frames(&folder.path().join("s.calls"));
        let served = tokio::spawn(service.serve(listener, shutdown.clone()));
        Self { address, folder, shutdown, served }
    }

    pub fn frames_socket(&self) -> PathBuf {
        self.folder.path().join("s.calls")
    }

    /// A caller over HTTP/2 only.
    pub fn over_http2(&self) -> Arc<dyn Greeter> {
        let environment = Environment::for_tests(self.folder.path()).with_callee("greeter", self.address).unwrap();
        calls::greeter(&environment.without_frames()).unwrap()
    }

    /// A caller that has found the frames.
    pub async fn over_frames(&self) -> Arc<dyn Greeter> {
        let environment = Environment::for_tests(self.folder.path()).with_callee("greeter", self.address).unwrap();
        let greeter = calls::greeter(&environment).unwrap();
        framed(&environment, &greeter).await;
        greeter
    }

    pub async fn stop(self) {
        self.shutdown.request();
        self.served.await.unwrap().unwrap();
    }
}

/// Calls until all calls go over frames.
pub async fn framed(environment: &Environment, greeter: &Arc<dyn Greeter>) {
    let until = Instant::now() + Duration::from_secs(60);
    while environment.framed_for_tests("greeter").is_none_or(|(endpoints, framed)| framed < endpoints) {
        assert!(Instant::now() < until, "frames were never found");
        greeter.echo(&Call::new(), EchoRequest::default()).await.unwrap();
        tokio::task::yield_now().await;
    }
}

/// One request over HTTP/1.1 on a connection of its own; the whole response as text.
pub async fn http1(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    rest(send(address, method, path, headers, body).await).await
}

/// Sends a request on a connection of its own, and does not wait for the response.
pub async fn send(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: example\r\n");
    if !headers.iter().any(|(name, _)| *name == "connection") {
        request.push_str("connection: close\r\n");
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the other side closes.
pub async fn rest(mut stream: TcpStream) -> String {
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}
