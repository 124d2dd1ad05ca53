//! Faults from the publisher to those who make them happen, and their counts back: as pure state machines, and over real
//! sockets.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use proptest::prelude::*;
use shoal_discovery::faults::wall_clock;
use shoal_discovery::holder::Holder;
use shoal_discovery::publisher::{ConnectionId, CrashAnswer, Publisher, PublisherSettings};
use shoal_discovery::{
    DiscoveryServer, Edges, Faults, Follower, FromHolder, FromPublisher, HolderName, PublishedFault, Strike, Try,
    Watches, may_crash,
};
use shoal_model::{Fault, FaultError, FaultId, FaultKind, FaultRate, FaultTarget, Millis, Observation, ServiceName};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::net::UnixListener;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(60);

fn name(text: &str) -> ServiceName {
    text.parse().unwrap()
}

fn call(caller: &str, callee: &str) -> FaultTarget {
    FaultTarget::Call { caller: name(caller), callee: name(callee) }
}

fn fault(target: FaultTarget, kind: FaultKind, times: Option<u32>) -> Fault {
    Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times, until: None }
}

fn kill(at: &str) -> FaultKind {
    FaultKind::Kill { at: Some(at.to_owned()) }
}

fn published(faults: impl IntoIterator<Item = (u64, Fault)>) -> Vec<PublishedFault> {
    faults.into_iter().map(|(id, fault)| PublishedFault { id: FaultId(id), fault, happened: 0 }).collect()
}

fn strike(faults: &Faults, method: &str) -> Strike {
    let (caller, callee, replica) = (name("checkout"), name("payment"), "payment-1".parse().unwrap());
    let it = Try { caller: &caller, callee: &callee, replica: &replica, method };
    faults.strike(&it, Millis(1000), &mut || 7)
}

fn only(services: &[&str]) -> Watches {
    Watches::Only(services.iter().map(|service| name(service)).collect())
}

/// A publisher that follows none.
fn first() -> Publisher {
    Publisher::new(PublisherSettings { holders_before: false, ..PublisherSettings::default() }, Millis(0))
}

fn join(publisher: &mut Publisher, holder: &mut Holder) -> ConnectionId {
    publisher.join(holder.hello(), Millis(0)).unwrap()
}

/// Tells a holder all that it was not told, and has it applied and acknowledged.
fn tell(publisher: &mut Publisher, id: ConnectionId, holder: &mut Holder, faults: &Faults) {
    while let Some(line) = publisher.next_line(id) {
        holder.receive(line);
        if let Some(heard) = holder.take_faults() {
            faults.replace(heard);
        }
    }
    for line in holder.due() {
        publisher.receive(id, line, Millis(0)).unwrap();
    }
}

#[test]
fn each_holder_hears_what_it_is_to_make_happen_and_before_any_endpoints() {
    let mut publisher = first();
    publisher.publish(name("payment"), shoal_model::Generation(1), vec![]);
    let all = [
        (1, fault(call("checkout", "payment"), FaultKind::LostAnswer, None)),
        (2, fault(FaultTarget::Service(name("payment")), FaultKind::Duplicate, None)),
        (3, fault(FaultTarget::Replica("payment-1".parse().unwrap()), FaultKind::LostAnswer, None)),
        (4, fault(FaultTarget::Service(name("payment")), kill("capture.logged"), None)),
        (5, fault(FaultTarget::Replica("checkout-2".parse().unwrap()), kill("S.called"), None)),
        (6, fault(FaultTarget::Service(name("payment")), FaultKind::Pause, None)),
        (7, fault(FaultTarget::Service(name("payment")), FaultKind::Kill { at: None }, None)),
        (8, fault(FaultTarget::Service(name("payment")), FaultKind::DiskFull, None)),
        (9, fault(call("gateway", "storefront"), FaultKind::Error(FaultError::Internal), None)),
        (10, fault(call("checkout", "payment"), FaultKind::LostAnswer, Some(0))),
    ];
    publisher.set_faults(published(all));
    let cases: [(&str, Watches, &[u64]); 6] = [
        ("gateway-1", Watches::All, &[1, 2, 3, 9]),
        ("checkout-1", only(&["payment", "orders"]), &[1, 2, 3]),
        ("checkout-2", only(&["payment"]), &[1, 2, 3, 5]),
        ("storefront-1", only(&["payment"]), &[2, 3]),
        ("payment-1", only(&[]), &[4]),
        ("basket-1", only(&["catalogue"]), &[]),
    ];
    for (holder, watches, expected) in cases {
        let mut holder = Holder::new(HolderName(holder.to_owned()), watches);
        let id = join(&mut publisher, &mut holder);
        assert!(!publisher.faults_applied(Millis(0)), "{holder:?} has not heard of them");
        let lines: Vec<FromPublisher> = std::iter::from_fn(|| publisher.next_line(id)).collect();
        let FromPublisher::Faults { faults, .. } = &lines[1] else { panic!("{lines:?}") };
        let heard: Vec<u64> = faults.iter().map(|(id, _)| id.0).collect();
        assert_eq!(heard, expected, "{holder:?}");
        lines.into_iter().for_each(|line| drop(holder.receive(line)));
        assert!(!publisher.faults_applied(Millis(0)));
        holder.take_faults().unwrap();
        for line in holder.due() {
            publisher.receive(id, line, Millis(0)).unwrap();
        }
        assert!(publisher.faults_applied(Millis(0)));
    }
}

#[test]
fn a_holder_keeps_to_what_it_knew_until_a_new_publisher_knows_better() {
    let faults = Faults::new();
    let mut holder = Holder::new(HolderName("checkout-1".to_owned()), only(&["payment"]));
    let mut first = Publisher::new(PublisherSettings::default(), Millis(0));
    first.set_faults(published([(1, fault(call("checkout", "payment"), FaultKind::LostAnswer, None))]));
    let id = join(&mut first, &mut holder);
    tell(&mut first, id, &mut holder, &faults);
    assert!(strike(&faults, "Capture").lost.is_some());
    let mut second = Publisher::new(PublisherSettings::default(), Millis(0));
    let id = join(&mut second, &mut holder);
    tell(&mut second, id, &mut holder, &faults);
    assert!(faults.is_any(), "it has not said yet what there is");
    second.set_faults(Vec::new());
    tell(&mut second, id, &mut holder, &faults);
    assert!(!faults.is_any());
}

#[test]
fn who_may_still_make_a_fault_happen_is_waited_for_and_named() {
    let mut now = Millis(0);
    let settings = PublisherSettings::default();
    let lease = settings.lease;
    let mut publisher = Publisher::new(settings, now);
    let (faults, mut holder) = (Faults::new(), Holder::new(HolderName("checkout-1".to_owned()), only(&["payment"])));
    publisher.set_faults(published([(1, fault(call("checkout", "payment"), FaultKind::LostAnswer, None))]));
    let id = join(&mut publisher, &mut holder);
    tell(&mut publisher, id, &mut holder, &faults);
    assert!(!publisher.faults_applied(now), "holders of an earlier publisher may be there that nobody knows of");
    let mut pass = |publisher: &mut Publisher, span: Duration| {
        let end = now.after(span);
        while now < end {
            now = now.after(Duration::from_secs(1)).min(end);
            publisher.attend(now);
        }
        now
    };
    let at = pass(&mut publisher, lease);
    publisher.receive(id, FromHolder::Alive, at).unwrap();
    assert!(publisher.faults_applied(at) && publisher.faults_unheard().is_empty());

    publisher.leave(id);
    publisher.set_faults(Vec::new());
    let named = BTreeSet::from([HolderName("checkout-1".to_owned())]);
    assert!(faults.is_any(), "its connection broke, and it goes on");
    assert!(!publisher.faults_applied(at));
    assert_eq!(publisher.faults_unheard(), named);
    let at = pass(&mut publisher, lease);
    assert!(publisher.faults_applied(at), "it is not waited for without end");
    assert_eq!(publisher.faults_unheard(), named, "which does not make it hear");
    let id = publisher.join(holder.hello(), at).unwrap();
    assert!(!publisher.faults_applied(at));
    tell(&mut publisher, id, &mut holder, &faults);
    assert!(publisher.faults_applied(at) && publisher.faults_unheard().is_empty() && !faults.is_any());
}

#[test]
fn what_hits_a_try_depends_on_its_ends_its_method_and_the_time() {
    let faults = Faults::new();
    let replace = |fault: Fault| faults.replace(vec![(FaultId(1), fault)]);
    let lost = |target| fault(target, FaultKind::LostAnswer, None);
    let is_hit = |method: &str| strike(&faults, method).lost.is_some();
    for (target, expected) in [
        (call("checkout", "payment"), true),
        (call("gateway", "payment"), false),
        (call("checkout", "orders"), false),
        (FaultTarget::Service(name("payment")), true),
        (FaultTarget::Service(name("checkout")), false),
        (FaultTarget::Replica("payment-1".parse().unwrap()), true),
        (FaultTarget::Replica("payment-2".parse().unwrap()), false),
    ] {
        replace(lost(target.clone()));
        assert_eq!(is_hit("Capture"), expected, "{target:?}");
    }
    replace(Fault { method: Some("Capture".to_owned()), ..lost(call("checkout", "payment")) });
    assert!(is_hit("Capture") && !is_hit("capture") && !is_hit("Refund"));
    for (until, expected) in [(1001, true), (1000, false)] {
        replace(Fault { until: Some(Millis(until)), ..lost(call("checkout", "payment")) });
        assert_eq!(is_hit("Capture"), expected, "at 1000, until {until}");
    }
    replace(fault(FaultTarget::Service(name("payment")), kill("here"), None));
    assert!(faults.crash("here", Millis(0), &mut || 0).is_some());
    assert!(faults.crash("there", Millis(0), &mut || 0).is_none() && !is_hit("Capture"));
}

#[test]
fn delays_add_up_and_an_error_comes_before_what_needs_the_callee() {
    let faults = Faults::new();
    let to = || call("checkout", "payment");
    let delay = |ms| fault(to(), FaultKind::Delay(Duration::from_millis(ms)), Some(2));
    let mut all = vec![
        (FaultId(1), delay(30)),
        (FaultId(2), delay(70)),
        (FaultId(3), fault(to(), FaultKind::LostAnswer, Some(2))),
        (FaultId(4), fault(to(), FaultKind::Duplicate, Some(2))),
    ];
    faults.replace(all.clone());
    let hit = strike(&faults, "Capture");
    assert_eq!(hit.delay(), Duration::from_millis(100));
    assert!(hit.error.is_none() && hit.lost.is_some() && hit.twice.is_some());
    all.push((FaultId(5), fault(to(), FaultKind::Error(FaultError::Internal), None)));
    faults.replace(all);
    let hit = strike(&faults, "Capture");
    assert_eq!(hit.error.as_ref().map(|(error, _)| *error), Some(FaultError::Internal));
    assert!(hit.lost.is_none() && hit.twice.is_none() && hit.delay() == Duration::from_millis(100));
}

#[test]
fn rates_are_real_rates() {
    let faults = Faults::new();
    let mut random = 1_u64;
    // SplitMix64, by Steele, Lea and Flood.
    let mut draw = || {
        random = random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (random ^ (random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    for (parts, low, high) in [(300_000, 29_000, 31_000), (1, 0, 10), (1_000_000, 100_000, 100_000)] {
        let rate = FaultRate(parts);
        let lost = Fault { rate, ..fault(call("checkout", "payment"), FaultKind::LostAnswer, None) };
        faults.replace(vec![(FaultId(1), lost)]);
        let (caller, callee, replica) = (name("checkout"), name("payment"), "payment-1".parse().unwrap());
        let it = Try { caller: &caller, callee: &callee, replica: &replica, method: "Capture" };
        let hits = (0..100_000).filter(|_| faults.strike(&it, Millis(0), &mut draw).lost.is_some()).count();
        assert!((low..=high).contains(&hits), "{parts} in a million: {hits} of 100,000");
    }
}

#[derive(Clone, Debug)]
enum Happening {
    /// A call is made: the fault is drawn, and happens or does not.
    Call { happens: bool },
    /// The counts go up, as far as they are heard.
    Report,
    /// The one who decides says anew what there is, with what it had counted then.
    Publish { counted: u64 },
    /// What the publisher knows goes down.
    Tell,
}

proptest! {
    #[test]
    fn one_holder_makes_a_fault_happen_as_often_as_it_may_and_never_more_often(
        times in 1_u32..6,
        story in proptest::collection::vec(
            prop_oneof![
                any::<bool>().prop_map(|happens| Happening::Call { happens }),
                Just(Happening::Report),
                (0_u64..6).prop_map(|counted| Happening::Publish { counted }),
                Just(Happening::Tell),
            ],
            0..60,
        ),
    ) {
        let original = fault(call("checkout", "payment"), FaultKind::LostAnswer, Some(times));
        let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
        publisher.set_faults(published([(1, original.clone())]));
        let (faults, mut holder) = (Faults::new(), Holder::new(HolderName("checkout-1".to_owned()), only(&["payment"])));
        let id = join(&mut publisher, &mut holder);
        tell(&mut publisher, id, &mut holder, &faults);
        let (mut happened, mut reported, mut held) = (0_u64, 0, None);
        let enough = std::iter::repeat_n(Happening::Call { happens: true }, 10);
        for happening in story.into_iter().chain(enough) {
            match happening {
                Happening::Call { happens: true } => {
                    if let Some(hit) = strike(&faults, "Capture").lost {
                        hit.happened();
                        happened += 1;
                    }
                }
                // Under way while the next things happen.
                Happening::Call { happens: false } => held = strike(&faults, "Capture").lost,
                Happening::Report => {
                    let counts = vec![(FaultId(1), happened - reported)];
                    publisher.receive(id, FromHolder::FaultsHappened { counts }, Millis(0)).unwrap();
                    reported = happened;
                }
                Happening::Publish { counted } => {
                    let counted = counted.min(reported);
                    let left = times - u32::try_from(counted).unwrap();
                    let fault = Fault { times: Some(left), ..original.clone() };
                    publisher.set_faults(vec![PublishedFault { id: FaultId(1), fault, happened: counted }]);
                }
                Happening::Tell => tell(&mut publisher, id, &mut holder, &faults),
            }
            prop_assert!(happened <= u64::from(times));
        }
        drop(held);
        // Whatever was counted late or twice, none was lost.
        while faults.is_any() && let Some(hit) = strike(&faults, "Capture").lost {
            hit.happened();
            happened += 1;
        }
        prop_assert_eq!(happened, u64::from(times));
    }
}

#[test]
fn a_crash_point_kills_as_often_as_it_may_over_all_replicas() {
    let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
    let target = FaultTarget::Service(name("checkout"));
    publisher.set_faults(published([
        (1, fault(target.clone(), kill("S.called"), Some(2))),
        (2, Fault { until: Some(Millis(5)), ..fault(target.clone(), kill("S.called"), None) }),
        (3, fault(target, FaultKind::Pause, None)),
    ]));
    let mut may = |holder: &str, fault, now| {
        let holder = HolderName(holder.to_owned());
        let asked = FromHolder::CrashAt { version: shoal_discovery::VERSION, holder, fault: FaultId(fault) };
        publisher.crash_at(asked, Millis(now)).unwrap() == CrashAnswer::Now
    };
    assert!(may("checkout-1", 1, 0) && may("checkout-2", 1, 0) && !may("checkout-3", 1, 0));
    assert!(may("checkout-3", 2, 4) && !may("checkout-3", 2, 5), "its time is over");
    assert!(!may("payment-1", 2, 0), "not one of its replicas");
    assert!(!may("checkout-1", 3, 0) && !may("checkout-1", 4, 0), "no crash point's");
    let mut told = publisher.newly_happened(Millis(0));
    told.sort();
    assert_eq!(told, [(FaultId(1), 2)], "the other has no bound, and is told later");
    assert_eq!(publisher.newly_happened(Millis(1000)), [(FaultId(2), 1)]);
    assert_eq!(publisher.newly_happened(Millis(9000)), [], "each is told once");
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("discovery.sock");
    (folder, socket)
}

fn serve(socket: &Path) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    serve_with(socket, false)
}

fn serve_with(socket: &Path, keeps_counts: bool) -> (DiscoveryServer, mpsc::Receiver<Observation>) {
    if socket.exists() {
        std::fs::remove_file(socket).unwrap();
    }
    let (sender, observations) = mpsc::channel(64);
    // No loaded machine lets this lease run out.
    let lease = Duration::from_secs(600);
    let heartbeat = Duration::from_millis(100);
    let settings =
        PublisherSettings { lease, heartbeat, holders_before: false, keeps_counts, ..PublisherSettings::default() };
    (DiscoveryServer::start_with(settings, UnixListener::bind(socket).unwrap(), sender), observations)
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn happened(observations: &mut mpsc::Receiver<Observation>, wanted: (FaultId, u64)) {
    let wait = async {
        loop {
            if let Observation::FaultHappened { fault, total } = observations.recv().await.unwrap()
                && (fault, total) == wanted
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("counted in time");
}

#[tokio::test]
async fn faults_reach_a_process_and_their_counts_come_back_over_sockets() {
    let (_folder, socket) = folder();
    let (server, mut observations) = serve(&socket);
    let (faults, watches) = (Faults::new(), only(&["payment"]));
    let holder = HolderName("checkout-1".to_owned());
    let follower = Follower::start(socket.clone(), holder, watches, Edges::new("checkout"), faults.clone());
    follower.declare_crash_points(BTreeSet::from(["S.called".to_owned()]));
    until("the crash points are known", || server.crash_points(&name("checkout")).is_some()).await;
    assert_eq!(server.crash_points(&name("checkout")), Some(BTreeSet::from(["S.called".to_owned()])));
    assert_eq!(server.crash_points(&name("payment")), None);
    let lost = |times| fault(call("checkout", "payment"), FaultKind::LostAnswer, times);
    server.set_faults(published([(1, lost(Some(2))), (2, lost(None))]));
    assert!(server.faults_applied(PATIENCE).await);
    for _ in 0..3 {
        strike(&faults, "Capture").lost.unwrap().happened();
    }
    happened(&mut observations, (FaultId(1), 2)).await;
    happened(&mut observations, (FaultId(2), 1)).await;
    // The supervisor dies: the faults go on, and what happens meanwhile is told to the next.
    drop(server);
    assert!(faults.is_any());
    strike(&faults, "Capture").lost.unwrap().happened();
    let (server, mut observations) = serve(&socket);
    server.set_faults(vec![PublishedFault { id: FaultId(2), fault: lost(None), happened: 1 }]);
    happened(&mut observations, (FaultId(2), 2)).await;
    strike(&faults, "Capture").lost.unwrap().happened();
    server.set_faults(Vec::new());
    assert!(server.faults_applied(PATIENCE).await);
    assert!(!faults.is_any());
    assert_eq!(server.fault_total(FaultId(2)), Some(3), "nothing of it is lost");
    assert_eq!(server.fault_total(FaultId(3)), None);
}

#[tokio::test]
async fn a_process_at_a_crash_point_is_told_whether_it_may_die() {
    let (_folder, socket) = folder();
    let holder = HolderName("checkout-1".to_owned());
    let asked = socket.clone();
    let ask = async move || {
        let (socket, holder) = (asked.clone(), holder.clone());
        tokio::task::spawn_blocking(move || may_crash(&socket, &holder, FaultId(1))).await.unwrap()
    };
    assert!(ask().await.is_err(), "nobody is there to count it");
    let (server, mut observations) = serve(&socket);
    assert!(!ask().await.unwrap(), "there is no such fault");
    server.set_faults(published([(1, fault(FaultTarget::Service(name("checkout")), kill("here"), Some(1)))]));
    assert!(ask().await.unwrap());
    assert!(!ask().await.unwrap());
    happened(&mut observations, (FaultId(1), 1)).await;
    assert!(wall_clock() > Millis(1_600_000_000_000), "the time that faults end by is that of the world");
}

#[tokio::test]
async fn nobody_dies_by_a_fault_with_a_bound_before_that_is_kept() {
    let (_folder, socket) = folder();
    let ask = |holder: &str, fault| {
        let (socket, holder) = (socket.clone(), HolderName(holder.to_owned()));
        tokio::task::spawn_blocking(move || may_crash(&socket, &holder, FaultId(fault)).unwrap())
    };
    let (server, mut observations) = serve_with(&socket, true);
    let target = FaultTarget::Service(name("checkout"));
    server.set_faults(published([
        (1, fault(target.clone(), kill("here"), Some(3))),
        (2, fault(target, kill("here"), None)),
    ]));
    server.faults_kept(&[(FaultId(1), 0)]);
    let asked = ask("checkout-1", 1);
    happened(&mut observations, (FaultId(1), 1)).await;
    assert!(!asked.await.unwrap(), "nobody said that it is kept");
    let asked = ask("checkout-1", 1);
    happened(&mut observations, (FaultId(1), 2)).await;
    server.faults_kept(&[(FaultId(1), 2)]);
    assert!(asked.await.unwrap());
    assert!(ask("checkout-1", 2).await.unwrap(), "without a bound there is nothing to exceed");
}
