//! The sockets that keepers keep: a caller's, for its calls, and those with fixed addresses.

use crate::stage::{PATIENCE, Stage, is_alive, name, revision, signal, until};
use rustix::process::Signal;
use shoal_discovery::{Caller, kept};
use shoal_model::{ActionKind, Exit, Listen, ReplicaName, Revision};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

/// Says where it finds its callees, and waits for its end.
fn caller() -> Revision {
    let mut revision = revision(&["sh", "-c", "echo stock $STOCK_ROOM_URL; echo prices $PRICES_URL; exec sleep 1000"]);
    revision.launch.calls = ["stock-room", "prices"].map(|callee| callee.parse().unwrap()).into();
    revision.launch.env = BTreeMap::from([("PRICES_URL".to_owned(), "http://elsewhere".to_owned())]);
    revision
}

/// Answers each connection at descriptor 3 with its name.
const SERVER: &str = r#"
import os, socket
server = socket.socket(fileno=3)
print("listening", flush=True)
while True:
    connection, _ = server.accept()
    connection.sendall(os.environ["SHOAL_REPLICA"].encode())
    connection.close()
"#;

fn server(address: SocketAddr) -> Revision {
    let mut revision = revision(&["python3", "-c", SERVER]);
    revision.launch.listen = Listen::Fd;
    revision.launch.sockets = BTreeMap::from([("public".to_owned(), address)]);
    revision
}

fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").unwrap().parse().unwrap()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[track_caller]
fn read(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    let read = stream.read_to_string(&mut text);
    assert!(read.is_ok(), "nobody answered: {read:?}");
    text
}

async fn callers(
    stage: &Stage,
    wanted: impl Fn(&BTreeMap<ReplicaName, Caller>) -> bool,
) -> BTreeMap<ReplicaName, Caller> {
    let mut callers = stage.runtime().callers();
    let found = tokio::time::timeout(PATIENCE, callers.wait_for(|callers| wanted(callers))).await;
    let found = Arc::clone(&found.expect("in time").unwrap());
    (*found).clone()
}

fn refuses(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
}

#[tokio::test]
async fn each_replica_finds_its_callees_at_sockets_of_its_own_as_long_as_it_lives() {
    let mut stage = Stage::new().await;
    stage.start("web-1", caller()).await;
    stage.start("web-2", caller()).await;
    let (pid, _) = stage.running("web-1").await;
    stage.running("web-2").await;
    let stock = address_of(&stage.said("web-1", "stock ").await);
    let prices = address_of(&stage.said("web-1", "prices ").await);
    let others = address_of(&stage.said("web-2", "stock ").await);
    assert!(stock != prices && stock != others, "{stock} {prices} {others}");

    let named = callers(&stage, |callers| callers.len() == 2).await;
    let caller = &named[&name("web-1")];
    assert_eq!(caller.callees.iter().map(ToString::to_string).collect::<Vec<_>>(), ["prices", "stock-room"]);
    let early = TcpStream::connect(stock).expect("it waits in the queue before anybody accepts");
    let sockets = kept::listeners(&caller.keeper).await.unwrap();
    assert_eq!(sockets.keys().collect::<Vec<_>>(), ["prices", "stock-room"]);
    assert_eq!(sockets["prices"].local_addr().unwrap(), prices);
    assert_eq!(sockets["stock-room"].accept().unwrap().1, early.local_addr().unwrap());
    drop(sockets);

    // The next supervisor, and whoever asks the keeper after that, finds the same.
    stage.new_supervisor().await;
    let named_again = callers(&stage, |callers| callers.len() == 2).await;
    assert_eq!(named_again, named);
    let sockets = kept::listeners(&caller.keeper).await.unwrap();
    assert_eq!(sockets["stock-room"].local_addr().unwrap(), stock);
    drop(sockets);

    signal(pid, Signal::KILL);
    assert_eq!(stage.ended("web-1").await.0, Exit::Signal { signal: 9 });
    callers(&stage, |callers| callers.keys().eq([&name("web-2")])).await;
    assert!(refuses(stock) && refuses(prices), "nobody is there to call");
    assert!(!refuses(others));
}

#[tokio::test]
async fn a_socket_with_a_fixed_address_outlives_whoever_serves_on_it() {
    let mut stage = Stage::new().await;
    let address = free_address();
    stage.start("web-1", server(address)).await;
    let (pid, _) = stage.running("web-1").await;
    assert_eq!(read(TcpStream::connect(address).unwrap()), "web-1");

    // Killed while a supervisor is there: what comes before the next one runs waits for it.
    signal(pid, Signal::KILL);
    stage.ended("web-1").await;
    let waiting = TcpStream::connect(address).expect("it waits in the queue");
    stage.act(ActionKind::Forget { replica: name("web-1") }).await;
    stage.start("web-2", server(address)).await;
    let (pid, _) = stage.running("web-2").await;
    assert_eq!(read(waiting), "web-2");
    until("nothing is kept of the first", || !stage.record_path("web-1").exists()).await;

    // Killed while there is no supervisor, as is the next supervisor after it has seen that.
    stage.lose_supervisor();
    signal(pid, Signal::KILL);
    until("the program is gone", || !is_alive(pid)).await;
    let waiting = TcpStream::connect(address).expect("it waits in the queue");
    stage.new_supervisor().await;
    assert_eq!(stage.ended("web-2").await.0, Exit::Signal { signal: 9 });
    stage.act(ActionKind::Forget { replica: name("web-2") }).await;
    stage.new_supervisor().await;
    stage.ended("web-2").await;
    stage.start("web-3", server(address)).await;
    stage.running("web-3").await;
    assert_eq!(read(waiting), "web-3");

    // Ended because it was told to, with nobody to follow: nobody is meant to serve there any more.
    stage.act(ActionKind::Forget { replica: name("web-2") }).await;
    stage.terminate("web-3").await;
    stage.ended("web-3").await;
    stage.act(ActionKind::Forget { replica: name("web-3") }).await;
    until("connections are refused", || refuses(address)).await;
}

#[tokio::test]
async fn a_socket_with_a_fixed_address_outlives_a_keeper_while_there_is_a_supervisor() {
    let mut stage = Stage::new().await;
    let address = free_address();
    stage.start("web-1", server(address)).await;
    stage.running("web-1").await;
    stage.new_supervisor().await;
    stage.running("web-1").await;
    signal(stage.keeper_pid("web-1"), Signal::KILL);
    assert_eq!(stage.ended("web-1").await.0, Exit::KeeperDied);
    let waiting = TcpStream::connect(address).expect("the supervisor found it at the keeper when there was one");
    stage.act(ActionKind::Forget { replica: name("web-1") }).await;
    stage.start("web-2", server(address)).await;
    stage.running("web-2").await;
    assert_eq!(read(waiting), "web-2");
}

#[tokio::test]
async fn two_serve_on_one_address_while_one_takes_over() {
    let mut stage = Stage::new().await;
    let address = free_address();
    stage.start("web-1", server(address)).await;
    stage.running("web-1").await;
    stage.start("web-2", server(address)).await;
    stage.running("web-2").await;
    stage.said("web-2", "listening").await;
    stage.terminate("web-1").await;
    stage.ended("web-1").await;
    stage.act(ActionKind::Forget { replica: name("web-1") }).await;
    assert_eq!(read(TcpStream::connect(address).unwrap()), "web-2");
}

#[tokio::test]
async fn a_keeper_hands_out_nothing_where_nothing_is_kept_and_takes_nonsense() {
    let mut stage = Stage::new().await;
    stage.start("web-1", revision(&["sleep", "1000"])).await;
    stage.running("web-1").await;
    let keeper = stage.folder.path().join("run/k/web-1");
    assert!(kept::listeners(&keeper).await.unwrap().is_empty());
    let mut stream = std::os::unix::net::UnixStream::connect(&keeper).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"{\"version\":1,\"ask\":\"money\"}\n").unwrap();
    let mut answer = [0; 40];
    let count = stream.read(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..count]).contains("refused"), "{answer:?}");
    assert!(kept::listeners(&keeper).await.unwrap().is_empty());
}
