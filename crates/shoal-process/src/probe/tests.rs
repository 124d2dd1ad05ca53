//! Outcomes of each kind of check, against real sockets.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

fn settings(check: ProbeCheck) -> ProbeSettings {
    ProbeSettings { check, period: Duration::from_millis(30), timeout: Duration::from_millis(300), failures_max: 3 }
}

fn prober(address: Option<SocketAddr>) -> (Prober, mpsc::Receiver<Observation>) {
    let (observations, receiver) = mpsc::channel(64);
    let target =
        Target { replica: "web-1".parse().unwrap(), address: address.map(Address::Tcp), health: "/nowhere/h".into() };
    (Prober { target, reporter: Reporter::new(observations), health: Mutex::new(None) }, receiver)
}

async fn server(answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = [0; 1024];
            let _ = stream.read(&mut buffer).await;
            if answer.is_empty() {
                // Kept open without an answer until the other side gives up.
                let _ = stream.read(&mut buffer).await;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn http(answer: &'static str) -> Result<(), String> {
    let (prober, _receiver) = prober(Some(server(answer).await));
    prober.ask(&settings(ProbeCheck::Http { path: "/health".to_owned() })).await.map(drop)
}

#[tokio::test]
async fn http_statuses() {
    http("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
    http("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    http("HTTP/1.0 204 No Content\r\n\r\n").await.unwrap();
    assert!(
        http("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap_err()
            .contains("answered 503")
    );
    assert!(http("").await.unwrap_err().contains("not answered within 0.3 s"));
    assert!(http("nonsense\r\n\r\n").await.unwrap_err().contains("failed"));
}

#[tokio::test]
async fn tcp_passes_only_while_somebody_listens() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (prober, _receiver) = prober(Some(listener.local_addr().unwrap()));
    assert!(prober.ask(&settings(ProbeCheck::Tcp)).await.is_ok());
    drop(listener);
    assert!(prober.ask(&settings(ProbeCheck::Tcp)).await.is_err());
}

#[test]
fn health_answers_are_judged_by_what_the_probe_decides() {
    let check = ProbeCheck::Sdk { hang_after: Duration::from_secs(10) };
    let judged = |kind, ready, tick_age| {
        let health = HealthAnswer { version: 1, ready, tick_age: Duration::from_secs(tick_age), waiting_for: None };
        judge(kind, &check, &Ok(Answer::Health(health))) == ProbeOutcome::Passed
    };
    assert!(judged(ProbeKind::Startup, false, 0));
    assert!(!judged(ProbeKind::Readiness, false, 0) && judged(ProbeKind::Readiness, true, 0));
    assert!(judged(ProbeKind::Liveness, false, 9) && !judged(ProbeKind::Liveness, true, 11));
    assert!(!judged(ProbeKind::Readiness, true, 11));
}

#[tokio::test]
async fn a_start_is_asked_often_and_its_failures_reported_once_per_period() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (prober, mut receiver) = prober(Some(address));
    let slow = ProbeSettings { period: Duration::from_millis(200), ..settings(ProbeCheck::Tcp) };
    let started = Instant::now();
    let asking = tokio::spawn(async move { prober.start(&slow).await });
    let Some(Observation::ProbeFinished { outcome, .. }) = receiver.recv().await else {
        panic!("nothing was reported")
    };
    assert!(matches!(outcome, ProbeOutcome::Failed { .. }) && started.elapsed() >= Duration::from_millis(200));
    let _listener = TcpListener::bind(address).await.unwrap();
    loop {
        let Some(Observation::ProbeFinished { outcome, .. }) = receiver.recv().await else { panic!("it never passed") };
        if outcome == ProbeOutcome::Passed {
            break;
        }
    }
    asking.await.unwrap().map(drop).unwrap();
}

#[tokio::test]
async fn a_replica_says_by_itself_that_it_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("h.sock");
    let (observations, mut receiver) = mpsc::channel(64);
    let target = Target { replica: "web-1".parse().unwrap(), address: None, health: socket.clone() };
    let check = ProbeCheck::Sdk { hang_after: Duration::from_secs(3600) };
    // Asked again within this test by no question.
    let probe =
        ProbeSettings { period: Duration::from_secs(3600), timeout: Duration::from_secs(20), ..settings(check) };
    let probes = Probes { startup: probe.clone(), readiness: probe.clone(), liveness: probe };
    let asking = tokio::spawn(run(target, probes, Reporter::new(observations)));
    // It starts a while after it is first asked.
    tokio::task::yield_now().await;
    let health = shoal_discovery::Health::serve(socket.clone()).unwrap();
    let mut next = async || match receiver.recv().await {
        Some(Observation::ProbeFinished { kind, outcome, .. }) => (kind, outcome == ProbeOutcome::Passed),
        other => panic!("{other:?}"),
    };
    assert_eq!(next().await, (ProbeKind::Startup, true));
    assert_eq!(next().await, (ProbeKind::Readiness, false));
    health.set_ready(true);
    assert_eq!(next().await, (ProbeKind::Readiness, true));
    health.set_ready(false);
    assert_eq!(next().await, (ProbeKind::Readiness, false));
    asking.abort();
}

#[tokio::test]
async fn a_health_socket_is_asked_over_one_connection_and_again_after_it_broke() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("h.sock");
    let (mut prober, _receiver) = prober(None);
    prober.target.health = socket.clone();
    let sdk = settings(ProbeCheck::Sdk { hang_after: Duration::from_secs(10) });
    assert!(prober.ask(&sdk).await.is_err());
    let health = shoal_discovery::Health::serve(socket.clone()).unwrap();
    for _ in 0..3 {
        assert!(prober.ask(&sdk).await.is_ok());
    }
    drop(health);
    assert!(prober.ask(&sdk).await.is_err());
    let _health = shoal_discovery::Health::serve(socket).unwrap();
    assert!(prober.ask(&sdk).await.is_ok());
}
