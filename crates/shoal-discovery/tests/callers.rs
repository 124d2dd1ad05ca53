//! What a publisher tells of callers and of how much a service takes, and what a holder says of its own end. No sockets,
//! no clock.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use shoal_discovery::holder::{Effect, Holder};
use shoal_discovery::messages::CALLERS_PER_LINE_MAX;
use shoal_discovery::publisher::{ConnectionId, Publisher, PublisherSettings};
use shoal_discovery::{Caller, FromHolder, FromPublisher, HolderName, PublishedFault, RoutingTable, VERSION, Watches};
use shoal_model::{
    Fault, FaultId, FaultKind, FaultRate, FaultTarget, Generation, Millis, ReplicaName, RevisionId, ServiceName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(3);

fn service(index: usize) -> ServiceName {
    ["catalogue", "payment"][index].parse().unwrap()
}

fn caller(serial: u64, callees: usize) -> Caller {
    Caller {
        replica: format!("pages-{serial}").parse().unwrap(),
        revision: RevisionId("r1".to_owned()),
        keeper: format!("/run/k/pages-{serial}").into(),
        callees: (0..callees).map(service).collect(),
    }
}

fn callers(of: impl IntoIterator<Item = Caller>) -> Arc<BTreeMap<ReplicaName, Caller>> {
    Arc::new(of.into_iter().map(|caller| (caller.replica.clone(), caller)).collect())
}

fn hello(name: &str) -> FromHolder {
    FromHolder::Hello { version: VERSION, holder: HolderName(name.to_owned()), watches: Watches::All }
}

/// A publisher that follows none.
fn first() -> Publisher {
    Publisher::new(PublisherSettings { holders_before: false, ..PublisherSettings::default() }, Millis(0))
}

/// All that a connection is told now.
fn told(publisher: &mut Publisher, id: ConnectionId) -> Vec<FromPublisher> {
    std::iter::from_fn(|| publisher.next_line(id)).collect()
}

#[test]
fn callers_come_last_first_as_a_snapshot_then_as_what_changed() {
    let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
    publisher.publish(service(0), Generation(1), vec![]);
    publisher.set_callers(callers([caller(1, 1), caller(2, 2)]));
    let id = publisher.join(hello("gateway-1"), Millis(0)).unwrap();
    let lines = told(&mut publisher, id);
    let snapshot = FromPublisher::Callers {
        is_snapshot: true,
        added: vec![caller(1, 1), caller(2, 2)],
        removed: vec![],
        continues: false,
    };
    assert_eq!(lines.last(), Some(&snapshot), "after the endpoints that they call");
    publisher.set_callers(callers([caller(2, 1), caller(3, 1)]));
    let change = FromPublisher::Callers {
        is_snapshot: false,
        added: vec![caller(2, 1), caller(3, 1)],
        removed: vec!["pages-1".parse().unwrap()],
        continues: false,
    };
    assert_eq!(told(&mut publisher, id), [change]);
    publisher.set_callers(callers([caller(2, 1), caller(3, 1)]));
    assert_eq!(told(&mut publisher, id), []);
}

#[test]
fn many_callers_come_in_several_lines_and_are_held_together() {
    let most = CALLERS_PER_LINE_MAX as u64;
    let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
    let mut holder = Holder::new(HolderName("gateway-1".to_owned()), Watches::All);
    let id = publisher.join(holder.hello(), Millis(0)).unwrap();
    let (many, few) = (callers((1..=2 * most + 1).map(|n| caller(n, 1))), callers((1..=3).map(|n| caller(n, 1))));
    for (all, expected) in [(&many, 3), (&few, 2)] {
        publisher.set_callers(Arc::clone(all));
        let (before, mut lines) = (Arc::clone(&holder.view().callers), 0);
        for line in told(&mut publisher, id) {
            if matches!(line, FromPublisher::Callers { .. }) {
                assert_eq!(holder.view().callers, before, "nothing in between is shown");
                lines += 1;
            }
            holder.receive(line);
        }
        assert_eq!(lines, expected);
        assert_eq!(holder.view().callers, *all);
    }
    // Taken back in the middle.
    publisher.set_callers(Arc::clone(&many));
    holder.receive(publisher.next_line(id).unwrap());
    publisher.set_callers(callers((1..=most + 3).map(|n| caller(n, 1))));
    for line in told(&mut publisher, id) {
        holder.receive(line);
    }
    assert_eq!(holder.view().callers.len() as u64, most + 3);
}

#[test]
fn each_holder_hears_how_much_its_own_callees_take() {
    let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
    let table = |most| RoutingTable {
        concurrency_max: BTreeMap::from([(service(0), most), (service(1), 7)]),
        ..RoutingTable::default()
    };
    publisher.set_routing(table(5));
    let watches = Watches::Only(BTreeSet::from([service(0)]));
    let mut holder = Holder::new(HolderName("pages-1".to_owned()), watches);
    let id = publisher.join(holder.hello(), Millis(0)).unwrap();
    let mut hear = |publisher: &mut Publisher| {
        let lines = told(publisher, id);
        lines.into_iter().map(|line| holder.receive(line)).filter(|effect| *effect == Effect::Changed).count()
    };
    assert_eq!(hear(&mut publisher), 1);
    publisher.set_routing(RoutingTable { concurrency_max: BTreeMap::from([(service(0), 5)]), ..table(5) });
    assert_eq!(hear(&mut publisher), 0, "the change concerns others");
    publisher.set_routing(table(6));
    assert_eq!(hear(&mut publisher), 1);
    assert_eq!(*holder.view().concurrency_max, BTreeMap::from([(service(0), 6)]));
}

#[test]
fn a_peer_of_the_release_before_hears_and_says_nothing_new() {
    let mut publisher = first();
    publisher.set_faults(Vec::new());
    let before =
        FromHolder::Hello { version: VERSION - 1, holder: HolderName("gateway-1".to_owned()), watches: Watches::All };
    let id = publisher.join(before, Millis(0)).unwrap();
    for line in told(&mut publisher, id) {
        assert!(matches!(line, FromPublisher::Welcome { .. }), "{line:?}");
    }
    assert!(publisher.faults_applied(Millis(0)), "nobody waits for one that cannot");
    assert!(publisher.faults_unheard().is_empty(), "it does what no fault says");
    let target = FaultTarget::Service(service(0));
    let fault =
        Fault { target, kind: FaultKind::Duplicate, rate: FaultRate::ALWAYS, method: None, times: None, until: None };
    publisher.set_faults(vec![PublishedFault { id: FaultId(1), fault, happened: 0 }]);
    assert!(told(&mut publisher, id).is_empty() && publisher.faults_applied(Millis(0)));
    assert_eq!(publisher.faults_unheard(), BTreeSet::from([HolderName("gateway-1".to_owned())]), "it never will");
    let mut holder = Holder::new(HolderName("a-1".to_owned()), Watches::All);
    let names = BTreeSet::from(["here".to_owned()]);
    holder.declare_crash_points(names.clone());
    holder.leave();
    assert_eq!(holder.due(), [], "before a welcome");
    let (lease, heartbeat) = (LEASE, Duration::from_secs(1));
    holder.receive(FromPublisher::Welcome { version: VERSION - 1, lease, heartbeat });
    assert_eq!(holder.due(), [FromHolder::Leaving]);
    holder.hello();
    holder.receive(FromPublisher::Welcome { version: VERSION, lease, heartbeat });
    assert_eq!(holder.due(), [FromHolder::Leaving, FromHolder::CrashPoints { names }]);
    assert!(holder.due().is_empty(), "once on a connection");
}

#[test]
fn what_one_service_has_applied_says_nothing_of_another() {
    let (mut publisher, now) = (first(), Millis(0));
    for index in 0..2 {
        publisher.publish(service(index), Generation(1), vec![]);
    }
    let mut holder = Holder::new(HolderName("gateway-1".to_owned()), Watches::All);
    let id = publisher.join(holder.hello(), now).unwrap();
    for line in told(&mut publisher, id) {
        holder.receive(line);
    }
    let view = holder.view().clone();
    holder.applied_service(&view, &service(1));
    for line in holder.due() {
        publisher.receive(id, line, now).unwrap();
    }
    assert_eq!(publisher.newly_acknowledged(now), [(service(1), Generation(1))]);
}
