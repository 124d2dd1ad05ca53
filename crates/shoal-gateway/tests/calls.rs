//! The local proxy: callers' listeners, fetched from their keepers, which are threads of these tests.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use shoal_discovery::{Caller, descriptors};
use shoal_model::RevisionId;
use stage::{Answer, PATIENCE, Replica, Stage, client, client2, empty, full, get, name, route, until};
use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// A caller with a keeper that hands out its sockets to whoever asks.
struct Calling {
    caller: Caller,
    /// By callee.
    addresses: BTreeMap<String, SocketAddr>,
    listener: Arc<UnixListener>,
}

impl Calling {
    fn new(stage: &Stage, replica: &str, callees: &[&str]) -> Self {
        let keeper: PathBuf = stage.folder.path().join(replica);
        let listener = Arc::new(UnixListener::bind(&keeper).unwrap());
        let sockets: BTreeMap<String, TcpListener> =
            callees.iter().map(|callee| ((*callee).to_owned(), TcpListener::bind("127.0.0.1:0").unwrap())).collect();
        let addresses = sockets.iter().map(|(callee, socket)| (callee.clone(), socket.local_addr().unwrap())).collect();
        let accepting = Arc::clone(&listener);
        std::thread::spawn(move || keep(&accepting, &sockets));
        let caller = Caller {
            replica: replica.parse().unwrap(),
            revision: RevisionId("r1".to_owned()),
            keeper,
            callees: callees.iter().map(|callee| name(callee)).collect(),
        };
        Self { caller, addresses, listener }
    }

    async fn get(&self, callee: &str, path: &str) -> Answer {
        let mut client = client(self.addresses[callee]).await;
        Answer::of(client.send_request(get(path)).await.expect("an answer")).await
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        // The keeper's thread hears of the end when its socket shuts down.
        let _ = rustix::net::shutdown(&*self.listener, rustix::net::Shutdown::Both);
    }
}

fn keep(listener: &UnixListener, sockets: &BTreeMap<String, TcpListener>) {
    while let Ok((stream, _)) = listener.accept() {
        let mut question = String::new();
        std::io::BufReader::new(&stream).read_line(&mut question).unwrap();
        let names: Vec<&String> = sockets.keys().collect();
        let answer = serde_json::json!({ "version": 1, "answer": "sockets", "names": names });
        let attached: Vec<_> = sockets.values().map(AsFd::as_fd).collect();
        descriptors::send(&stream, format!("{answer}\n").as_bytes(), &attached).unwrap();
    }
}

fn serve_calls(stage: &Stage, callers: &[&Calling]) {
    let callers = callers.iter().map(|calling| (calling.caller.replica.clone(), calling.caller.clone()));
    stage.publisher.as_ref().unwrap().set_callers(Arc::new(callers.collect()));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_listener_leads_to_its_own_callee_and_counts_for_its_own_caller() {
    let mut stage = Stage::new(vec![route(None, "/", "pages")]).await;
    let (one, two) = (Replica::mirror("stock-1").await, Replica::named("prices-1").await);
    stage.serve("stock", &[&one]).await;
    stage.serve("prices", &[&two]).await;
    let pages = Calling::new(&stage, "pages-1", &["stock", "prices"]);
    let orders = Calling::new(&stage, "orders-1", &["stock"]);
    // Before anybody serves them, calls wait.
    let early = pages.get("stock", "/early");
    serve_calls(&stage, &[&pages, &orders]);
    assert!(early.await.body.starts_with("GET /early HTTP/1.1"));
    assert_eq!(pages.get("prices", "/any/path").await.body, "prices-1");
    for _ in 0..2 {
        let answer = orders.get("stock", "/x").await;
        assert!(answer.body.contains("x-request-id: ") && answer.body.contains("traceparent: "), "{}", answer.body);
    }
    let counted = || -> BTreeSet<(String, String, u64)> {
        let edges = stage.publisher.as_ref().unwrap().edges().into_iter();
        edges.map(|edge| (edge.caller, edge.callee.to_string(), edge.calls)).collect()
    };
    let expected = [("orders", "stock", 2), ("pages", "prices", 1), ("pages", "stock", 1)];
    let expected: BTreeSet<_> =
        expected.map(|(caller, callee, calls)| (caller.to_owned(), callee.to_owned(), calls)).into();
    until("all calls are counted", async || counted().is_superset(&expected)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_with_their_callers_and_survive_a_new_supervisor() {
    let mut stage = Stage::new(Vec::new()).await;
    let replica = Replica::named("stock-1").await;
    stage.serve("stock", &[&replica]).await;
    let (one, two) = (Calling::new(&stage, "pages-1", &["stock"]), Calling::new(&stage, "pages-2", &["stock"]));
    serve_calls(&stage, &[&one, &two]);
    assert_eq!(one.get("stock", "/").await.body, "stock-1");
    stage.publisher = None;
    assert_eq!(one.get("stock", "/").await.body, "stock-1");
    stage.restart_publisher().await;
    serve_calls(&stage, &[&two]);
    assert_eq!(two.get("stock", "/").await.body, "stock-1");
    // The keeper of these tests keeps its copy: what comes there now is accepted by nobody.
    until("the listener of the one that has gone is let go", async || {
        let asked = tokio::time::timeout(Duration::from_millis(100), one.get("stock", "/")).await;
        asked.is_err()
    })
    .await;
    serve_calls(&stage, &[&one, &two]);
    assert_eq!(one.get("stock", "/").await.body, "stock-1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_that_does_not_answer_or_hands_out_the_wrong_sockets_concerns_its_own_caller_alone() {
    let mut stage = Stage::new(Vec::new()).await;
    let replica = Replica::named("stock-1").await;
    stage.serve("stock", &[&replica]).await;
    let (fine, mut silent, mut wrong, mut gone) = (
        Calling::new(&stage, "pages-1", &["stock"]),
        Calling::new(&stage, "pages-2", &["stock"]),
        Calling::new(&stage, "pages-3", &["stock"]),
        Calling::new(&stage, "pages-4", &["stock"]),
    );
    silent.caller.keeper = stage.folder.path().join("silent");
    let _silent = UnixListener::bind(&silent.caller.keeper).unwrap();
    wrong.caller.callees = BTreeSet::from([name("prices")]);
    gone.caller.keeper = stage.folder.path().join("nowhere");
    serve_calls(&stage, &[&gone, &silent, &wrong, &fine]);
    assert_eq!(fine.get("stock", "/").await.body, "stock-1");
    // What was not declared is not served, even if its socket is there.
    let asked = tokio::time::timeout(Duration::from_millis(200), wrong.get("stock", "/")).await;
    assert!(asked.is_err(), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_and_grpc_pass_with_trailers_and_streams() {
    let mut stage = Stage::new(Vec::new()).await;
    let replica = Replica::new("stock-1", |request| async move {
        let is_grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
        assert_eq!(request.version() == http::Version::HTTP_2, is_grpc);
        let mut incoming = request.into_body();
        // Answers each piece as it comes, and says in a trailer how many there were.
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Frame<Bytes>, stage::Failure>>(1);
        tokio::spawn(async move {
            let mut pieces = 0;
            while let Some(Ok(frame)) = incoming.frame().await {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    pieces += 1;
                    sender.send(Ok(Frame::data(data))).await.unwrap();
                }
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            trailers.insert("pieces", HeaderValue::from(pieces));
            sender.send(Ok(Frame::trailers(trailers))).await.unwrap();
        });
        let stream = futures::stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|frame| (frame, receiver))
        });
        let mut response =
            Response::new(BodyExt::boxed(StreamBody::new(SyncStream(std::sync::Mutex::new(Box::pin(stream))))));
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        Ok(response)
    })
    .await;
    stage.serve("stock", &[&replica]).await;
    let pages = Calling::new(&stage, "pages-1", &["stock"]);
    serve_calls(&stage, &[&pages]);

    let mut client = client2(pages.addresses["stock"]).await;
    let (sender, body) = http_body_util::channel::Channel::<Bytes, stage::Failure>::new(1);
    let request = Request::post(format!("http://{}/stock.v1.Stock/Watch", pages.addresses["stock"]))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(body.boxed())
        .unwrap();
    let mut sender = sender;
    let response = client.send_request(request).await.unwrap();
    let mut answer = response.into_body();
    for piece in ["one", "two", "three"] {
        sender.send_data(Bytes::from(piece)).await.unwrap();
        let frame = tokio::time::timeout(PATIENCE, answer.frame()).await.expect("each is answered as it comes");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(sender);
    let frame = tokio::time::timeout(PATIENCE, answer.frame()).await.expect("the end comes");
    let trailers = frame.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!((trailers["grpc-status"].as_bytes(), trailers["pieces"].as_bytes()), (&b"0"[..], &b"3"[..]));
}

/// A stream that threads may share, as boxed bodies must be.
struct SyncStream<S>(std::sync::Mutex<std::pin::Pin<Box<S>>>);

impl<S: futures::Stream> futures::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.0.lock().unwrap().as_mut().poll_next(context)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_requests_from_outside_are_finished_the_calls_they_need_are_served() {
    let mut stage = Stage::new(vec![route(None, "/", "pages")]).await;
    let stock = Replica::named("stock-1").await;
    stage.serve("stock", &[&stock]).await;
    let calling = Calling::new(&stage, "pages-1", &["stock"]);
    serve_calls(&stage, &[&calling]);
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (coming, going, stock_at) = (Arc::clone(&came), Arc::clone(&go), calling.addresses["stock"]);
    let pages = Replica::new("pages-1", move |_| {
        let (coming, going) = (Arc::clone(&coming), Arc::clone(&going));
        async move {
            coming.add_permits(1);
            going.acquire().await?.forget();
            let mut client = client(stock_at).await;
            let answer = Answer::of(client.send_request(get("/")).await?).await;
            Ok(Response::new(full(format!("found {}", answer.body))))
        }
    })
    .await;
    stage.serve("pages", &[&pages]).await;
    let address = stage.address;
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/")).await.unwrap() });
    came.acquire().await.unwrap().forget();
    let gateway = stage.gateway.take().unwrap();
    let stopping = tokio::task::spawn_blocking(move || gateway.stop());
    until("nothing new comes from outside", async || TcpStream::connect(address).await.is_err()).await;
    go.add_permits(1);
    assert_eq!(Answer::of(asking.await.unwrap()).await.body, "found stock-1");
    let cut_off = tokio::time::timeout(PATIENCE, stopping).await.expect("it ends").unwrap();
    assert_eq!(cut_off, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_to_the_supervisor() {
    let mut stage = Stage::new(Vec::new()).await;
    assert_eq!(stage.stop().await, 0);
    let leaving = shoal_model::Observation::ReplicaLeaving { replica: "gateway-1".parse().unwrap() };
    let seen = tokio::time::timeout(PATIENCE, stage.observations.recv()).await.expect("in time");
    assert_eq!(seen, Some(leaving));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_service_is_acknowledged_while_another_still_has_requests_under_way() {
    let mut stage = Stage::new(vec![route(None, "/", "pages"), route(None, "/slow", "slow")]).await;
    let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (coming, going) = (Arc::clone(&came), Arc::clone(&go));
    let slow = Replica::new("slow-1", move |_| {
        let (coming, going) = (Arc::clone(&coming), Arc::clone(&going));
        async move {
            coming.add_permits(1);
            going.acquire().await?.forget();
            Ok(Response::new(empty()))
        }
    })
    .await;
    let pages = Replica::named("pages-1").await;
    stage.serve("slow", &[&slow]).await;
    stage.serve("pages", &[&pages]).await;
    let address = stage.address;
    let asking = tokio::spawn(async move { client(address).await.send_request(get("/slow")).await.unwrap() });
    came.acquire().await.unwrap().forget();
    stage.publish("slow", &[]);
    stage.serve("pages", &[]).await;
    go.add_permits(1);
    asking.await.unwrap();
}
