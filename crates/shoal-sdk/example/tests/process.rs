//! The example as a whole process: how it is told where to listen, how it becomes ready, how it stops, what it carries.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::{http1, rest, send};
use rustix::process::{Pid, Signal, kill_process};
use shoal_discovery::DiscoveryServer;
use shoal_model::Observation;
use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_shoal-sdk-example");
/// Long enough for a busy machine; nothing here waits for it to pass.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process of the example; killed when a test fails half-way.
struct Process(Option<Child>);

impl Process {
    fn signal(&self, signal: Signal) {
        let child = self.0.as_ref().unwrap();
        kill_process(Pid::from_child(child), signal).unwrap();
    }

    fn output(mut self) -> Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("SHOAL_SERVICE", "greeter")
        .env("SHOAL_REPLICA", "greeter-7")
        .env("SHOAL_DATA", folder)
        .env("SHOAL_HEALTH", folder.join("h.sock"))
        .stderr(Stdio::piped());
    command
}

/// Starts the example on a socket that is passed to it, as a supervisor does.
fn start_passed(folder: &Path, adapt: impl FnOnce(&mut Command)) -> (Process, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // A shell moves the socket to descriptor 3, and becomes the program without changing its pid.
    let mut command = command("sh", folder);
    command
        .args(["-c", r#"LISTEN_PID=$$ exec "$0" 3<&0 </dev/null"#, PROGRAM])
        .env("LISTEN_FDS", "1")
        .env("LISTEN_FDNAMES", "http")
        .stdin(Stdio::from(OwnedFd::from(listener)));
    adapt(&mut command);
    (Process(Some(command.spawn().unwrap())), address)
}

async fn ready(folder: &Path) {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let answer = shoal_discovery::ask(&folder.join("h.sock"), Duration::from_secs(5)).await;
        if answer.is_ok_and(|answer| answer.ready) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never ready");
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test]
async fn a_passed_socket_is_served_and_gone_with_the_process() {
    let folder = folder();
    let (process, address) = start_passed(folder.path(), |_| {});
    ready(folder.path()).await;
    let json = [("content-type", "application/json")];
    let response = http1(address, "POST", "/example.greeter.v1.Greeter/Greet", &json, r#"{"name":"Ada"}"#).await;
    assert!(response.contains("Hello, Ada!") && response.contains("greeter-7"), "{response}");
    process.signal(Signal::TERM);
    let output = process.output();
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("the clock stops") && log.contains("stopped"), "{log}");
    assert!(std::net::TcpStream::connect(address).is_err(), "somebody still listens");
    assert!(!folder.path().join("h.sock").exists(), "the health socket was left behind");
    assert!(!folder.path().join("h.sock.calls").exists(), "the socket for frames was left behind");
}

#[tokio::test]
async fn the_supervisor_hears_of_a_signal_that_was_not_its_own() {
    let folder = folder();
    let (sender, mut observations) = tokio::sync::mpsc::channel(100);
    let socket = folder.path().join("d.sock");
    let _server = DiscoveryServer::start(tokio::net::UnixListener::bind(&socket).unwrap(), sender);
    let (process, _) = start_passed(folder.path(), |command| {
        command.env("SHOAL_DISCOVERY", &socket);
    });
    ready(folder.path()).await;
    process.signal(Signal::TERM);
    let heard = async {
        while let Some(observation) = observations.recv().await {
            if let Observation::ReplicaLeaving { replica } = observation {
                return replica;
            }
        }
        panic!("the publisher is gone");
    };
    let replica = tokio::time::timeout(PATIENCE, heard).await.expect("never heard");
    assert_eq!(replica.to_string(), "greeter-7");
    assert!(process.output().status.success());
}

#[tokio::test]
async fn what_is_in_flight_is_finished() {
    let folder = folder();
    let (process, address) = start_passed(folder.path(), |_| {});
    ready(folder.path()).await;
    let json = [("content-type", "application/json")];
    let wait = send(address, "POST", "/example.greeter.v1.Greeter/Wait", &json, r#"{"milliseconds":"1500"}"#).await;
    let page = send(address, "GET", "/slow", &[], "").await;
    let idle = send(address, "GET", "/", &[("connection", "keep-alive")], "").await;
    // The kernel keeps the order: once this one is answered, those before it have been read.
    let response = http1(address, "GET", "/", &[], "").await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    process.signal(Signal::TERM);
    let wait = rest(wait).await;
    assert!(wait.starts_with("HTTP/1.1 200"), "{wait}");
    let page = rest(page).await;
    assert!(page.ends_with("slow\n"), "{page}");
    // A connection that is kept alive is closed, not cut off.
    let idle = rest(idle).await;
    assert!(idle.starts_with("HTTP/1.1 200"), "{idle}");
    assert!(process.output().status.success());
}

#[tokio::test]
async fn what_waits_in_the_kernel_at_the_signal_is_answered() {
    let folder = folder();
    let (process, address) = start_passed(folder.path(), |_| {});
    ready(folder.path()).await;
    // It does nothing for a while: the kernel accepts the connections, and takes what is sent.
    process.signal(Signal::STOP);
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(send(address, "GET", "/", &[], "").await);
    }
    process.signal(Signal::TERM);
    process.signal(Signal::CONT);
    for stream in waiting {
        let response = rest(stream).await;
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
    assert!(process.output().status.success());
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let folder = folder();
    let (process, address) = start_passed(folder.path(), |_| {});
    ready(folder.path()).await;
    let headers = [("content-type", "application/json"), ("connect-timeout-ms", "600000")];
    let path = "/example.greeter.v1.Greeter/Wait";
    let wait = send(address, "POST", path, &headers, r#"{"milliseconds":"600000"}"#).await;
    // As above.
    http1(address, "GET", "/", &[], "").await;
    process.signal(Signal::TERM);
    let gone = Instant::now() + PATIENCE;
    while std::net::TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < gone, "still listens");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    process.signal(Signal::INT);
    let started = Instant::now();
    let output = process.output();
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed() < Duration::from_secs(15), "it drained instead");
    drop(wait);
}

#[tokio::test]
async fn a_port_is_listened_on() {
    let folder = folder();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(PROGRAM, folder.path());
    command.env("PORT", free.port().to_string()).env("SHOAL_SETTINGS", r#"{"greeting":"Hi"}"#);
    let process = Process(Some(command.spawn().unwrap()));
    ready(folder.path()).await;
    let json = [("content-type", "application/json")];
    let response = http1(free, "POST", "/example.greeter.v1.Greeter/Greet", &json, r#"{"name":"Ada"}"#).await;
    assert!(response.contains("Hi, Ada!"), "{response}");
    process.signal(Signal::INT);
    assert!(process.output().status.success());
}

#[test]
fn what_stops_it_from_starting_is_one_clear_sentence() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[], "nothing says where to listen"),
        (&[("LISTEN_FDS", "x"), ("PORT", "0")], "`LISTEN_FDS` says `x`, which is no number of sockets"),
        (&[("PORT", port.as_str())], "cannot listen on 127.0.0.1:"),
        (
            &[("PORT", "0"), ("SHOAL_SETTINGS", r#"{"greeting":[]}"#)],
            "the setting `greeting` in [services.greeter.settings]",
        ),
        (&[("PORT", "0"), ("SHOAL_SETTINGS", r#"{"relay":true}"#)], "add \"greeter\" to `calls` of [services.greeter]"),
        (&[("PORT", "0"), ("SHOAL_SERVICE", "No Name")], "SHOAL_SERVICE is wrong"),
        (&[("PORT", "0"), ("SHOAL_HEALTH", "/no/such/folder/h")], "SHOAL_HEALTH"),
    ];
    for (variables, expected) in cases {
        let output = command(PROGRAM, folder.path()).envs(variables.iter().copied()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{log}");
        assert!(log.contains(expected), "{log}");
        assert!(log.lines().last().unwrap().contains("ERROR"), "{log}");
    }
}

/// What the example says on its end, started with this as descriptor 3.
fn refused(folder: &Path, descriptor: OwnedFd, variables: &[(&str, &str)]) -> String {
    let mut command = command("sh", folder);
    command
        .args(["-c", r#"LISTEN_PID=$$ exec "$0" 3<&0 </dev/null"#, PROGRAM])
        .env("LISTEN_FDS", "1")
        .envs(variables.iter().copied())
        .stdin(Stdio::from(descriptor));
    let output = command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    log
}

#[test]
fn a_passed_descriptor_that_is_no_listener_is_named() {
    use rustix::net::{AddressFamily, SocketType, socket};
    let folder = folder();
    let file = OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
    let silent = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let datagrams = OwnedFd::from(std::net::UdpSocket::bind("127.0.0.1:0").unwrap());
    for descriptor in [file, silent, datagrams] {
        let log = refused(folder.path(), descriptor, &[]);
        assert!(log.contains("the socket `http`") && log.contains("is not a listening TCP socket"), "{log}");
    }
    let listener = OwnedFd::from(TcpListener::bind("127.0.0.1:0").unwrap());
    let log = refused(folder.path(), listener, &[("LISTEN_FDNAMES", "a:b")]);
    assert!(log.contains("`LISTEN_FDNAMES` names 2 sockets"), "{log}");
}

/// The bytes of a section of an ELF file of 64 bits.
fn section(file: &[u8], wanted: &str) -> Vec<u8> {
    let number = |at: usize, length: usize| {
        let mut bytes = [0; 8];
        bytes[..length].copy_from_slice(&file[at..at + length]);
        usize::try_from(u64::from_le_bytes(bytes)).unwrap()
    };
    let (table, size, count, names) = (number(0x28, 8), number(0x3a, 2), number(0x3c, 2), number(0x3e, 2));
    let header = |index: usize| table + index * size;
    let names = number(header(names) + 0x18, 8);
    for index in 0..count {
        let name = names + number(header(index), 4);
        let length = file[name..].iter().position(|byte| *byte == 0).unwrap();
        if &file[name..name + length] == wanted.as_bytes() {
            let (start, length) = (number(header(index) + 0x18, 8), number(header(index) + 0x20, 8));
            return file[start..start + length].to_vec();
        }
    }
    panic!("the executable has no section {wanted}");
}

#[test]
fn the_executable_tells_what_it_serves_and_calls() {
    let file = std::fs::read(PROGRAM).unwrap();
    let contracts = shoal_build::read_records(&section(&file, ".shoal.contracts")).unwrap();
    assert_eq!(contracts.len(), 1);
    assert_eq!(contracts[0].header, r#"{"package":"example.greeter.v1","services":["Greeter"]}"#);
    let calls = shoal_build::read_records(&section(&file, ".shoal.calls")).unwrap();
    assert_eq!(calls.len(), 1);
    let expected = r#"{"service":"example.greeter.v1.Greeter","callee":"greeter","methods":["Greet","Wait","Ponder","Fail","Echo"]}"#;
    assert_eq!(calls[0].header, expected);
    for record in contracts.iter().chain(&calls) {
        assert!(!record.descriptors.is_empty());
    }
}

/// The Python to test with: the one that the whole test run installed, else the machine's, should it have what is needed.
fn python() -> Option<OsString> {
    let given = std::env::var_os("SHOAL_TEST_PYTHON").filter(|path| !path.is_empty());
    let must = given.is_some() || std::env::var_os("CI").is_some_and(|value| value == "true");
    let python = given.unwrap_or_else(|| "python3".into());
    let probe = Command::new(&python).args(["-c", "import grpc, grpc_reflection"]).output();
    if probe.as_ref().is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    assert!(!must, "{} cannot import grpcio and grpcio-reflection: {probe:?}", python.display());
    None
}

#[tokio::test]
async fn python_speaks_to_it() {
    let Some(python) = python() else {
        // A run of this crate alone may do without; `cargo xtask test` installs them.
        eprintln!("not tested: python3 has no grpcio and grpcio-reflection");
        return;
    };
    let folder = folder();
    let (process, address) = start_passed(folder.path(), |_| {});
    ready(folder.path()).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/grpcio_client.py");
    let output = Command::new(python).args([script, &address.to_string()]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    process.signal(Signal::TERM);
    assert!(process.output().status.success());
}
