//! The gateway as a process: passed sockets, signals, exit status. The process is this test's own executable.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use rustix::process::{Pid, Signal, kill_process};
use shoal_discovery::{DiscoveryServer, ListenerRoutes, RoutingTable, ask};
use shoal_model::Generation;
use stage::{Answer, PATIENCE, Replica, client, full, get, name, route, until};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Set in the process that is to be the gateway.
const MARK: &str = "SHOAL_TEST_IS_GATEWAY";

/// Not a test: what the child process runs.
#[test]
fn be_the_gateway() {
    if std::env::var_os(MARK).is_some() {
        let code = shoal_gateway::main();
        std::process::exit(i32::from(code != ExitCode::SUCCESS));
    }
}

/// Starts the gateway; `listener` becomes its descriptor 3.
fn start(listener: Option<std::net::TcpListener>, folder: &std::path::Path) -> Child {
    let mut command = Command::new("sh");
    // The socket comes as standard input, from where the shell puts it in its place.
    let script = match listener {
        Some(listener) => {
            let listener = std::os::fd::OwnedFd::from(listener);
            command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "public").stdin(Stdio::from(listener));
            "exec 3<&0 0</dev/null; export LISTEN_PID=$$; exec \"$0\" \"$@\""
        }
        None => "exec \"$0\" \"$@\"",
    };
    command
        .args(["-c", script])
        .arg(std::env::current_exe().unwrap())
        .args(["be_the_gateway", "--exact", "--nocapture"])
        .env(MARK, "1")
        .env("SHOAL_DISCOVERY", folder.join("discovery.sock"))
        .env("SHOAL_HEALTH", folder.join("health.sock"))
        .env("SHOAL_REPLICA", "gateway-1")
        .env_remove("RUST_LOG")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn ended(child: Child) -> (Option<i32>, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let output = tokio::time::timeout(PATIENCE, output).await.expect("ends").unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_serves_a_passed_socket_and_finishes_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let socket = tokio::net::UnixListener::bind(folder.path().join("discovery.sock")).unwrap();
    let (sender, _observations) = tokio::sync::mpsc::channel(64);
    let publisher = DiscoveryServer::start(socket, sender);
    let mut table = RoutingTable::default();
    let routes = vec![route(None, "/", "storefront")];
    table.listeners.insert("public".to_owned(), ListenerRoutes { tls: None, routes });
    publisher.set_routing(table);
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (coming, going) = (Arc::clone(&came), Arc::clone(&go));
    let replica = Replica::new("storefront-1", move |_| {
        let (coming, going) = (Arc::clone(&coming), Arc::clone(&going));
        async move {
            coming.add_permits(1);
            going.acquire().await?.forget();
            Ok(http::Response::new(full("finished")))
        }
    })
    .await;
    publisher.publish(name("storefront"), Generation(1), vec![replica.endpoint.clone()]);

    let gateway = start(Some(listener), folder.path());
    let pid = Pid::from_raw(i32::try_from(gateway.id()).unwrap()).unwrap();
    let health = folder.path().join("health.sock");
    until("ready", async || ask(&health, PATIENCE).await.is_ok_and(|answer| answer.ready)).await;
    let asking = tokio::spawn(async move {
        let mut client = client(address).await;
        // Routes may be known a moment before endpoints.
        loop {
            client.ready().await.unwrap();
            let answer = Answer::of(client.send_request(get("/")).await.unwrap()).await;
            if answer.status != 503 {
                return answer.body;
            }
        }
    });
    came.acquire().await.unwrap().forget();
    kill_process(pid, Signal::TERM).unwrap();
    until("it accepts no more", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
    go.add_permits(1);
    assert_eq!(asking.await.unwrap(), "finished");
    let (code, log) = ended(gateway).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains(&format!("listening on {address} for `public`")), "{log}");
    assert!(log.contains("stopping: requests under way have 30 s"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_socket_it_waits_for_callers() {
    let folder = tempfile::tempdir().unwrap();
    let socket = tokio::net::UnixListener::bind(folder.path().join("discovery.sock")).unwrap();
    let (sender, _observations) = tokio::sync::mpsc::channel(64);
    let publisher = DiscoveryServer::start(socket, sender);
    publisher.set_routing(RoutingTable::default());
    let gateway = start(None, folder.path());
    let pid = Pid::from_raw(i32::try_from(gateway.id()).unwrap()).unwrap();
    let health = folder.path().join("health.sock");
    until("ready", async || ask(&health, PATIENCE).await.is_ok_and(|answer| answer.ready)).await;
    kill_process(pid, Signal::TERM).unwrap();
    let (code, log) = ended(gateway).await;
    assert_eq!(code, Some(0), "{log}");
}
