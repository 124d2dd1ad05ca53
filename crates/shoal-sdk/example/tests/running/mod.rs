//! The example service, served inside of a test; and requests as simple clients send them.
#![allow(dead_code)] // Each test file uses a part.

use shoal_sdk::{Environment, Shutdown, StartError};
use std::net::SocketAddr;
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
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let served = tokio::spawn(service.serve(listener, shutdown.clone()));
        Self { address, folder, shutdown, served }
    }

    pub async fn stop(self) {
        self.shutdown.request();
        self.served.await.unwrap().unwrap();
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
