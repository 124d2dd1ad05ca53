//! What goes wrong on purpose with requests that the gateway passes: from outside over HTTP/1.1 and HTTP/2, and as the local
//! proxy.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

mod stage;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use shoal_discovery::{Caller, PublishedFault, descriptors};
use shoal_model::{
    Fault, FaultError, FaultId, FaultKind, FaultRate, FaultTarget, Observation, RevisionId, ServiceName,
};
use stage::{Answer, AnyBody, PATIENCE, Replica, Stage, client, client2, empty, full, name, route};
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
enum Protocol {
    Http1,
    Http2,
}

const BOTH: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];

/// A gateway before one replica, which counts its requests and answers with the count.
struct Scene {
    stage: Stage,
    protocol: Protocol,
    bodies: Arc<Mutex<Vec<Bytes>>>,
    _replica: Replica,
}

impl Scene {
    async fn new(protocol: Protocol) -> Self {
        let mut stage = Stage::new(vec![route(None, "/", "store")]).await;
        let bodies: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let taken = Arc::clone(&bodies);
        let replica = Replica::new("store-1", move |request| {
            let taken = Arc::clone(&taken);
            async move {
                let body = request.into_body().collect().await?.to_bytes();
                let mut taken = taken.lock().unwrap();
                taken.push(body);
                Ok(Response::new(full(taken.len().to_string())))
            }
        })
        .await;
        stage.serve("store", &[&replica]).await;
        Self { stage, protocol, bodies, _replica: replica }
    }

    async fn set(&self, faults: impl IntoIterator<Item = Fault>) {
        set(&self.stage, faults).await;
    }

    async fn ask(&self, method: Method, body: AnyBody) -> Answer {
        let builder = Request::builder().method(method);
        match self.protocol {
            Protocol::Http1 => {
                let request = builder.uri("/shop/place?x=/y").header("host", "shop.example").body(body).unwrap();
                Answer::of(client(self.stage.address).await.send_request(request).await.expect("an answer")).await
            }
            Protocol::Http2 => {
                let request = builder.uri("http://shop.example/shop/place?x=/y").body(body).unwrap();
                Answer::of(client2(self.stage.address).await.send_request(request).await.expect("an answer")).await
            }
        }
    }

    async fn post(&self) -> (u16, String) {
        let answer = self.ask(Method::POST, full("two mugs")).await;
        (answer.status.as_u16(), answer.body)
    }

    /// The bodies that the replica took since the last call.
    fn taken(&self) -> Vec<Bytes> {
        std::mem::take(&mut *self.bodies.lock().unwrap())
    }

    async fn happened(&mut self, wanted: (u64, u64)) {
        let seen = async {
            loop {
                if self.stage.observations.recv().await.unwrap()
                    == (Observation::FaultHappened { fault: FaultId(wanted.0), total: wanted.1 })
                {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("never counted");
    }
}

async fn set(stage: &Stage, faults: impl IntoIterator<Item = Fault>) {
    let numbered = (1..).map(FaultId).zip(faults);
    let publisher = stage.publisher.as_ref().unwrap();
    publisher.set_faults(numbered.map(|(id, fault)| PublishedFault { id, fault, happened: 0 }).collect());
    assert!(publisher.faults_applied(PATIENCE).await);
}

fn fault(kind: FaultKind) -> Fault {
    let target = FaultTarget::Call { caller: ServiceName::gateway(), callee: name("store") };
    Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times: None, until: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_a_broken_connection_after_the_effect() {
    for protocol in BOTH {
        let mut scene = Scene::new(protocol).await;
        scene.set([Fault { times: Some(2), ..fault(FaultKind::LostAnswer) }]).await;
        let (status, text) = scene.post().await;
        assert_eq!((status, scene.taken()), (502, vec![Bytes::from("two mugs")]), "{text}");
        assert!(text.contains("store-1") && text.contains("fault 1"), "{text}");
        // What may be sent twice is, as on a connection that breaks.
        let answer = scene.ask(Method::PUT, full("two mugs")).await;
        assert_eq!((answer.status, scene.taken().len()), (StatusCode::OK, 2), "{protocol:?}: {}", answer.body);
        assert_eq!(scene.post().await.0, 200, "no more often than was asked for");
        scene.happened((1, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_is_answered_in_the_place_of_the_replica() {
    for protocol in BOTH {
        let mut scene = Scene::new(protocol).await;
        for (error, status) in [
            (FaultError::Unavailable, 503),
            (FaultError::Internal, 500),
            (FaultError::ResourceExhausted, 429),
            (FaultError::DeadlineExceeded, 504),
        ] {
            scene.set([fault(FaultKind::Error(error))]).await;
            let (told, text) = scene.post().await;
            assert_eq!((told, scene.taken().len()), (status, 0), "{protocol:?}: {text}");
            assert!(text.contains("fault 1"), "{text}");
            assert_eq!(scene.ask(Method::GET, empty()).await.status.as_u16(), status, "{protocol:?}");
        }
        scene.happened((1, 8)).await;
        scene.set([]).await;
        assert_eq!(scene.post().await, (200, "1".to_owned()), "gone, it has no effect");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_an_error() {
    let scene = Scene::new(Protocol::Http1).await;
    let mut client = client(scene.stage.address).await;
    let mut post = async |expected: u16| {
        let request = Request::post("/place").header("host", "shop.example").body(full("two mugs")).unwrap();
        let answer = Answer::of(client.send_request(request).await.expect("an answer")).await;
        assert_eq!(answer.status.as_u16(), expected, "{}", answer.body);
    };
    post(200).await;
    scene.set([fault(FaultKind::Delay(Duration::from_millis(1))), fault(FaultKind::Duplicate)]).await;
    post(200).await;
    assert_eq!(scene.taken().len(), 3);
    scene.set([]).await;
    scene.set([Fault { times: Some(1), ..fault(FaultKind::LostAnswer) }]).await;
    post(502).await;
    post(200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duplicate_is_served_twice_and_answered_once() {
    for protocol in BOTH {
        let mut scene = Scene::new(protocol).await;
        scene.set([fault(FaultKind::Duplicate)]).await;
        assert_eq!(scene.post().await, (200, "2".to_owned()), "{protocol:?}");
        assert_eq!(scene.taken(), ["two mugs", "two mugs"]);
        let chunks = ["two ", "mugs"].map(|chunk| Ok(Frame::data(Bytes::from(chunk))));
        let chunked = BodyExt::boxed(StreamBody::new(futures::stream::iter(chunks)));
        assert_eq!(scene.ask(Method::POST, chunked).await.body, "2", "{protocol:?}");
        assert_eq!(scene.taken(), ["two mugs", "two mugs"], "{protocol:?}: in chunks");
        assert_eq!((scene.ask(Method::GET, empty()).await.body.as_str(), scene.taken().len()), ("2", 2));
        let large = full(vec![b'x'; 65 * 1024]);
        assert_eq!(scene.ask(Method::POST, large).await.status, StatusCode::OK);
        assert_eq!(scene.taken().len(), 1, "{protocol:?}: what is large is left alone, and not counted");
        scene.happened((1, 3)).await;
        scene.set([fault(FaultKind::Duplicate), fault(FaultKind::LostAnswer)]).await;
        assert_eq!((scene.post().await.0, scene.taken().len()), (502, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delay_comes_before_the_request() {
    for protocol in BOTH {
        let mut scene = Scene::new(protocol).await;
        scene.set([fault(FaultKind::Delay(Duration::from_millis(50)))]).await;
        let began = Instant::now();
        assert_eq!(scene.post().await, (200, "1".to_owned()));
        assert!(began.elapsed() >= Duration::from_millis(50));
        scene.set([fault(FaultKind::Delay(Duration::from_secs(3600)))]).await;
        scene.taken();
        let request = Request::post("http://shop.example/place").header("connect-timeout-ms", "1000");
        let mut client = client2(scene.stage.address).await;
        let answer = Answer::of(client.send_request(request.body(empty()).unwrap()).await.unwrap()).await;
        assert_eq!((answer.status.as_u16(), scene.taken().len()), (504, 0), "{}", answer.body);
        scene.happened((1, 2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_named_is_hit() {
    for protocol in BOTH {
        let scene = Scene::new(protocol).await;
        let error = || fault(FaultKind::Error(FaultError::Internal));
        let to = |target| Fault { target, ..error() };
        let method = |name: &str| Fault { method: Some(name.to_owned()), ..error() };
        let call = |caller: &str, callee: &str| FaultTarget::Call { caller: name(caller), callee: name(callee) };
        for (fault, is_hit) in [
            (to(call("gateway", "other")), false),
            (to(call("store", "store")), false),
            (to(FaultTarget::Service(name("store"))), true),
            (to(FaultTarget::Replica("store-1".parse().unwrap())), true),
            (to(FaultTarget::Replica("store-2".parse().unwrap())), false),
            (method("place"), true),
            (method("y"), false),
        ] {
            scene.set([fault.clone()]).await;
            assert_eq!(scene.post().await.0 == 500, is_hit, "{protocol:?} {fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bound_holds_for_all_cores_and_connections() {
    let scene = Scene::new(Protocol::Http1).await;
    scene.set([Fault { times: Some(5), ..fault(FaultKind::Error(FaultError::Internal)) }]).await;
    let answers = futures::future::join_all((0..40).map(|_| scene.post())).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 500).count(), 5);
    assert_eq!(scene.taken().len(), 35);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_local_proxy_makes_the_faults_of_its_callers() {
    let mut stage = Stage::new(vec![route(None, "/", "store")]).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&asked);
    let replica = Replica::new("payment-1", move |_| {
        counting.fetch_add(1, Ordering::SeqCst);
        async { Ok(Response::new(full("paid"))) }
    })
    .await;
    stage.serve("payment", &[&replica]).await;
    // A keeper that hands out one socket, once.
    let keeper = stage.folder.path().join("checkout-1");
    let handing = std::os::unix::net::UnixListener::bind(&keeper).unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let (stream, _) = handing.accept().unwrap();
        let answer = serde_json::json!({ "version": 1, "answer": "sockets", "names": ["payment"] });
        descriptors::send(&stream, format!("{answer}\n").as_bytes(), &[socket.as_fd()]).unwrap();
    });
    let replica = "checkout-1".parse().unwrap();
    let caller = Caller { replica, revision: RevisionId("r1".to_owned()), keeper, callees: [name("payment")].into() };
    let callers = BTreeMap::from([(caller.replica.clone(), caller)]);
    stage.publisher.as_ref().unwrap().set_callers(Arc::new(callers));
    let capture = async || {
        let request = Request::post("/store.payment.v1.Payment/Capture").header("host", "payment");
        let request = request.header("connect-protocol-version", "1").body(full("{}")).unwrap();
        Answer::of(client(address).await.send_request(request).await.expect("an answer")).await
    };
    assert_eq!(capture().await.body, "paid");
    let call = |caller: &str| FaultTarget::Call { caller: name(caller), callee: name("payment") };
    let error = |caller: &str| Fault { target: call(caller), ..fault(FaultKind::Error(FaultError::Unavailable)) };
    set(&stage, [error("gateway")]).await;
    assert_eq!(capture().await.body, "paid", "what comes from outside is another's");
    set(&stage, [Fault { method: Some("Capture".to_owned()), ..error("checkout") }]).await;
    let answer = capture().await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains(r#""code":"unavailable""#), "{}", answer.body);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    set(&stage, [Fault { target: call("checkout"), ..fault(FaultKind::Duplicate) }]).await;
    assert_eq!((capture().await.body.as_str(), asked.load(Ordering::SeqCst)), ("paid", 4));
}
