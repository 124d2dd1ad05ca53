//! Proxies that are in wide use, in front of an upstream of ours, to compare with.
//!
//! Never: listens on a port, writes outside its own folder, or leaves a process behind.

use crate::wait::eventually;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where a proxy takes connections.
#[derive(Clone, Debug)]
pub enum Door {
    /// At a port.
    Tcp(SocketAddr),
    /// At a Unix socket.
    Unix(PathBuf),
}

impl Door {
    /// A connection. Whatever its family, it reads and writes alike.
    ///
    /// # Errors
    /// When nobody listens.
    pub fn connect(&self) -> std::io::Result<UnixStream> {
        match self {
            Self::Unix(path) => UnixStream::connect(path),
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(UnixStream::from(OwnedFd::from(stream)))
            }
        }
    }
}

/// A proxy and the strict upstream behind it.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// What it is called.
    pub name: &'static str,
    /// Where it takes HTTP/1.1.
    pub http1: Door,
    /// Where it takes HTTP/2 without TLS.
    pub http2: Door,
    /// What its upstream has seen.
    pub log: PathBuf,
}

/// nginx and haproxy, running. They end when this is dropped.
pub struct Peers {
    _folder: tempfile::TempDir,
    children: Vec<Child>,
    /// The proxies.
    pub proxies: Vec<Proxy>,
}

impl Peers {
    /// Starts each of them, with an upstream of its own.
    ///
    /// # Panics
    /// When one is not installed, or does not start.
    #[must_use]
    pub fn start(upstream: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("peers").tempdir().expect("a temporary folder");
        let root = folder.path().to_owned();
        let mut peers = Self { _folder: folder, children: Vec::new(), proxies: Vec::new() };
        peers.add("nginx", upstream, &root, &nginx(&root), |settings| {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(&root).arg("-e").arg(root.join("nginx.log")).arg("-c").arg(settings);
            command
        });
        peers.add("haproxy", upstream, &root, &haproxy(&root), |settings| {
            let mut command = Command::new("haproxy");
            command.arg("-db").arg("-f").arg(settings);
            command
        });
        peers
    }

    fn add(
        &mut self,
        name: &'static str,
        upstream: &Path,
        root: &Path,
        settings: &str,
        command: impl Fn(&Path) -> Command,
    ) {
        let path = |end: &str| root.join(format!("{name}{end}"));
        std::fs::write(path(".conf"), settings).expect("a file can be written");
        let mut served = Command::new(upstream);
        served.arg(path(".seen")).arg(path(".upstream"));
        let mut proxied = command(&path(".conf"));
        for command in [&mut served, &mut proxied] {
            let said = std::fs::File::options().create(true).append(true).open(path(".said"));
            let said = said.expect("a file can be written");
            let started = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said).spawn();
            self.children.push(started.unwrap_or_else(|error| panic!("{name} is not installed: {error}")));
        }
        let (http1, http2) = (Door::Unix(path(".http1")), Door::Unix(path(".http2")));
        for door in [&http1, &http2, &Door::Unix(path(".upstream"))] {
            eventually(&format!("{name} listens at {door:?}"), || door.connect().ok());
        }
        self.proxies.push(Proxy { name, http1, http2, log: path(".seen") });
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        for child in &mut self.children {
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                eprintln!("a peer did not end: {error}");
            }
        }
    }
}

fn nginx(root: &Path) -> String {
    let root = root.display();
    format!(
        "daemon off; master_process off; pid {root}/nginx.pid; error_log {root}/nginx.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {root}/nginx-1; proxy_temp_path {root}/nginx-2; fastcgi_temp_path {root}/nginx-3;
  uwsgi_temp_path {root}/nginx-4; scgi_temp_path {root}/nginx-5;
  client_header_timeout 4s; client_body_timeout 4s; keepalive_timeout 4s;
  upstream strict {{ server unix:{root}/nginx.upstream; keepalive 16; }}
  server {{
    listen unix:{root}/nginx.http1;
    listen unix:{root}/nginx.http2 http2;
    location / {{
      proxy_pass http://strict; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;
    }}
  }}
}}
"
    )
}

fn haproxy(root: &Path) -> String {
    let root = root.display();
    format!(
        "global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 10s
  timeout http-request 4s
  timeout http-keep-alive 4s
frontend clients
  bind unix@{root}/haproxy.http1
  bind unix@{root}/haproxy.http2 proto h2
  default_backend strict
backend strict
  http-reuse always
  server strict unix@{root}/haproxy.upstream
"
    )
}
