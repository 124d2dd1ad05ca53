//! The proxies that the gateway is measured against, as Debian packages them, doing the same work: two replicas, kept
//! connections, the headers that say who asked. Never: their defaults where those would make them do less, or more.

use crate::Failure;
use crate::process::{Process, in_own_session, until};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

/// A running proxy.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
    _folder: tempfile::TempDir,
}

impl Proxy {
    /// The process ids of all of it.
    pub fn pids(&self) -> Result<Vec<u32>, Failure> {
        let mut pids = crate::cpu::children(self.process.pid())?;
        pids.push(self.process.pid());
        Ok(pids)
    }
}

/// nginx in front of these addresses.
pub fn nginx(upstreams: &[String]) -> Result<Proxy, Failure> {
    let servers: String = upstreams.iter().map(|address| format!("        server {address};\n")).collect();
    start("nginx", |address, folder| {
        let folder = folder.display();
        let configuration = format!(
            "daemon off;
user root;
worker_processes {cores};
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream replicas {{
        random two least_conn;
{servers}        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://replicas;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Connection \"\";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $host;
            proxy_set_header X-Request-Id $request_id;
        }}
    }}
}}
",
            cores = cores()
        );
        (configuration, "nginx.conf", vec!["-e", "stderr", "-c"])
    })
}

/// HAProxy in front of these addresses.
pub fn haproxy(upstreams: &[String]) -> Result<Proxy, Failure> {
    let servers: String =
        upstreams.iter().enumerate().map(|(index, address)| format!("    server replica{index} {address}\n")).collect();
    start("haproxy", |address, _| {
        let configuration = format!(
            "global
    nbthread {cores}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout http-request 30s
    timeout http-keep-alive 30s
    http-reuse always
    option forwardfor
    unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt:%pid
    unique-id-header x-request-id
frontend public
    bind {address}
    http-request set-header x-forwarded-proto http
    http-request set-header x-forwarded-host %[req.hdr(host)]
    default_backend replicas
backend replicas
    balance random(2)
{servers}",
            cores = cores()
        );
        (configuration, "haproxy.cfg", vec!["-db", "-f"])
    })
}

/// nginx in front of one gRPC server.
pub fn nginx_grpc(upstream: &str) -> Result<Proxy, Failure> {
    start("nginx", |address, folder| {
        let folder = folder.display();
        let configuration = format!(
            "daemon off;
user root;
worker_processes {cores};
pid {folder}/pid;
error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream replicas {{
        server {upstream};
        keepalive 256;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} http2;
        location / {{
            grpc_pass grpc://replicas;
            grpc_set_header X-Request-Id $request_id;
        }}
    }}
}}
",
            cores = cores()
        );
        (configuration, "nginx.conf", vec!["-e", "stderr", "-c"])
    })
}

/// HAProxy in front of one gRPC server.
pub fn haproxy_grpc(upstream: &str) -> Result<Proxy, Failure> {
    start("haproxy", |address, _| {
        let configuration = format!(
            "global
    nbthread {cores}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend public
    bind {address} proto h2
    default_backend replicas
backend replicas
    server replica {upstream} proto h2
",
            cores = cores()
        );
        (configuration, "haproxy.cfg", vec!["-db", "-f"])
    })
}

/// Writes what `configure` answers, a configuration and how the program takes it, and waits until it listens.
fn start(
    program: &str,
    configure: impl Fn(SocketAddr, &Path) -> (String, &'static str, Vec<&'static str>),
) -> Result<Proxy, Failure> {
    let folder = tempfile::Builder::new().prefix(program).tempdir()?;
    let address = free_address()?;
    let (configuration, file, arguments) = configure(address, folder.path());
    let file = folder.path().join(file);
    std::fs::write(&file, configuration)?;
    // Where Debian puts them is not on everyone's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut command = in_own_session(program);
    command.args(arguments).arg(&file).env("PATH", path);
    let process = Process::started(command.stdin(Stdio::null()).stdout(Stdio::null()))
        .map_err(|error| format!("{error}; `cargo xtask setup` installs {program}"))?;
    let what = format!("{program} listens");
    until(&what, || TcpStream::connect(address).ok())?;
    Ok(Proxy { address, process, _folder: folder })
}

/// A port that was free a moment ago; neither peer can choose one by itself.
fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
