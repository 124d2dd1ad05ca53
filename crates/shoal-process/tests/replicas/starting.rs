//! Starting: what runs, what does not and why, sockets and ports.

use crate::stage::{PATIENCE, Stage, is_alive, name, revision, revision_probed, signal, until};
use shoal_model::{Action, ActionId, ActionKind, Exit, Listen, ProbeCheck, ProbeKind, Revision};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

const SERVER: &str = r#"
import os, socket
assert os.environ["LISTEN_PID"] == str(os.getpid()), "LISTEN_PID"
names = os.environ["LISTEN_FDNAMES"].split(":")
assert len(names) == int(os.environ["LISTEN_FDS"]), "LISTEN_FDNAMES"
server = socket.socket(fileno=3)
assert server.getsockname()[1] == int(os.environ["PORT"]), "PORT"
print("listening", *names, flush=True)
while True:
    connection, _ = server.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")
    connection.close()
"#;

fn server(check: ProbeCheck) -> Revision {
    let mut revision = revision_probed(&["python3", "-c", SERVER], check);
    revision.launch.listen = Listen::Fd;
    revision
}

fn get(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_socket_is_passed_and_a_death_refuses_connections_at_once() {
    let mut stage = Stage::new().await;
    stage.start("web-1", server(ProbeCheck::Http { path: "/".to_owned() })).await;
    let (pid, address) = stage.running("web-1").await;
    stage.passed("web-1", ProbeKind::Liveness).await;
    assert_eq!(stage.said("web-1", "listening ").await, "http");
    let address = address.unwrap();
    assert!(get(address).ends_with("hello"));
    signal(pid, rustix::process::Signal::KILL);
    until("the program is gone", || !is_alive(pid)).await;
    // Nobody else holds the socket: not the keeper, not the supervisor. Well before the end is even reported.
    let error = TcpStream::connect(address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(stage.ended("web-1").await.0, Exit::Signal { signal: 9 });
}

#[tokio::test]
async fn fixed_sockets_are_passed_by_name_and_bound_again_at_once() {
    let mut stage = Stage::new().await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut wanted = server(ProbeCheck::Process);
    wanted.launch.sockets = [("public", port), ("to-stock", "127.0.0.1:0".parse().unwrap())]
        .map(|(name, address)| (name.to_owned(), address))
        .into();
    stage.start("web-1", wanted.clone()).await;
    assert_eq!(stage.running("web-1").await.1, Some(port));
    assert_eq!(stage.said("web-1", "listening ").await, "public to-stock");
    assert!(get(port).ends_with("hello"));
    stage.stop("web-1").await;
    stage.ended("web-1").await;
    // The connection from above waits for its end, and must not hold the address.
    stage.start("web-2", wanted).await;
    assert_eq!(stage.running("web-2").await.1, Some(port));
    stage.said("web-2", "listening ").await;
}

#[tokio::test]
async fn a_taken_address_is_named() {
    let mut stage = Stage::new().await;
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut wanted = server(ProbeCheck::Process);
    wanted.launch.sockets = [("public".to_owned(), holder.local_addr().unwrap())].into();
    stage.start("web-1", wanted).await;
    let (Exit::NotStarted { why }, _) = stage.ended("web-1").await else { panic!("it started") };
    assert!(why.contains(&holder.local_addr().unwrap().to_string()) && why.contains("taken"), "{why}");
}

#[tokio::test]
async fn a_program_that_binds_its_port_itself() {
    let mut stage = Stage::new().await;
    let command = ["sh", "-c", "exec python3 -u -m http.server --bind 127.0.0.1 $PORT"];
    let mut first = revision_probed(&command, ProbeCheck::Http { path: "/".to_owned() });
    first.launch.listen = Listen::Port;
    first.launch.folder = stage.folder.path().to_owned();
    let mut second = revision_probed(&command, ProbeCheck::Tcp);
    second.launch.listen = Listen::Port;
    second.launch.folder = stage.folder.path().to_owned();
    stage.start("web-1", first).await;
    stage.start("web-2", second).await;
    let (one, two) = (stage.running("web-1").await.1.unwrap(), stage.running("web-2").await.1.unwrap());
    assert_ne!(one, two);
    assert!(one.port() < 32_768 && two.port() < 32_768);
    stage.passed("web-1", ProbeKind::Readiness).await;
    stage.passed("web-2", ProbeKind::Readiness).await;
    // Given back when it is forgotten, and not before.
    stage.stop("web-1").await;
    stage.ended("web-1").await;
    let application = stage.folder.path().join(".shoal").display().to_string();
    let has_claim = |name: &str| {
        let registry = std::fs::read(crate::stage::ports().join("ports.json")).unwrap();
        let registry: serde_json::Value = serde_json::from_slice(&registry).unwrap();
        let mut claims = registry["claims"].as_object().unwrap().values();
        claims.any(|claim| claim["application"] == *application && claim["name"] == name)
    };
    assert!(has_claim("web-1"));
    stage.act(ActionKind::Forget { replica: name("web-1") }).await;
    until("the port is given back", || !has_claim("web-1")).await;
    assert!(has_claim("web-2"));
}

#[tokio::test]
async fn what_cannot_run_says_why_in_one_sentence() {
    let mut stage = Stage::new().await;
    let plain = stage.folder.path().join("plain");
    std::fs::write(&plain, "not a program").unwrap();
    let odd = stage.folder.path().join("odd");
    std::fs::write(&odd, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&odd, PermissionsExt::from_mode(0o755)).unwrap();
    let cases = [
        ("web-1", "shoal-no-such-program", "not found on PATH"),
        ("web-2", "/no/such/program", "does not exist"),
        ("web-3", plain.to_str().unwrap(), "chmod +x"),
        ("web-4", odd.to_str().unwrap(), "first line"),
        ("web-5", "/", "is a folder"),
    ];
    for (replica, program, expected) in cases {
        stage.start(replica, revision(&[program])).await;
        let (Exit::NotStarted { why }, _) = stage.ended(replica).await else { panic!("{program} started") };
        assert!(why.contains(program) && why.contains(expected) && why.lines().count() == 1, "{why}");
    }
    let mut elsewhere = revision(&["true"]);
    elsewhere.launch.folder = "/no/such/folder".into();
    stage.start("web-6", elsewhere).await;
    let (Exit::NotStarted { why }, _) = stage.ended("web-6").await else { panic!("it started") };
    assert!(why.contains("/no/such/folder"), "{why}");
    stage.start("web-7", revision(&[])).await;
    assert!(matches!(stage.ended("web-7").await.0, Exit::NotStarted { .. }));
    // A later supervisor reads the same.
    let adopted = stage.new_supervisor().await;
    assert_eq!(adopted.len(), 7);
    let (Exit::NotStarted { why }, _) = stage.ended("web-1").await else { panic!("it started") };
    assert!(why.contains("not found on PATH"), "{why}");
}

#[tokio::test]
async fn starting_twice_starts_once() {
    let mut stage = Stage::new().await;
    let start = |id| Action {
        id: ActionId(id),
        kind: ActionKind::Start { replica: name("web-1"), revision: Box::new(revision(&["sleep", "1000"])) },
    };
    stage.runtime().execute(start(900)).await;
    let (pid, _) = stage.running("web-1").await;
    stage.runtime().execute(start(900)).await;
    stage.runtime().execute(start(901)).await;
    stage.stop("web-1").await;
    stage.ended("web-1").await;
    let pids: Vec<u64> = stage
        .seen
        .iter()
        .filter_map(|observation| serde_json::to_value(observation).unwrap()["life"]["identity"]["pid"].as_u64())
        .collect();
    assert!(pids.iter().all(|&seen| seen == u64::from(pid)), "{pids:?}");
}

#[tokio::test]
async fn a_keeper_is_small_and_usage_is_told() {
    let mut stage = Stage::new().await;
    stage
        .start(
            "web-1",
            revision(&[
                "sh",
                "-c",
                "sleep 1000 & i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo worked; wait",
            ]),
        )
        .await;
    let (pid, _) = stage.running("web-1").await;
    stage.said("web-1", "worked").await;
    let usage = stage.runtime().usage();
    let usage = &usage[&name("web-1")];
    assert_eq!((usage.pid, usage.keeper_pid), (pid, stage.keeper_pid("web-1")));
    assert!(usage.cpu.as_millis() >= 20, "{usage:?}");
    assert!(usage.memory_bytes > 100_000, "{usage:?}");
    let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", usage.keeper_pid)).unwrap();
    let kibibytes = |name: &str| -> u64 {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").trim().parse().unwrap()
    };
    println!(
        "keeper: Pss {} KiB, Pss_Anon {} KiB, Private_Dirty {} KiB",
        kibibytes("Pss:"),
        kibibytes("Pss_Anon:"),
        kibibytes("Private_Dirty:")
    );
    assert!(kibibytes("Pss_Anon:") < 1024, "{rollup}");
}
