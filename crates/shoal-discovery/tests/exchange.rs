//! Publisher and holders as pure state machines, driven through random histories. No sockets, no clock.

#![allow(clippy::unwrap_used)] // A test that cannot go on panics.

use proptest::prelude::*;
use shoal_discovery::holder::{Effect, Holder};
use shoal_discovery::publisher::{ConnectionId, Publisher, PublisherSettings};
use shoal_discovery::{Caller, FromHolder, FromPublisher, HolderName, RoutingTable, VERSION, Watches};
use shoal_model::{Address, Endpoint, Generation, Millis, ReplicaName, RevisionId, ServiceName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const LEASE: Duration = Duration::from_secs(3);
const HEARTBEAT: Duration = Duration::from_secs(1);
const SERVICES: [&str; 2] = ["catalogue", "payment"];

fn service(index: usize) -> ServiceName {
    SERVICES[index % SERVICES.len()].parse().unwrap()
}

fn endpoint(service: &ServiceName, serial: u64, weight: u32) -> Endpoint {
    Endpoint {
        replica: format!("{service}-{serial}").parse().unwrap(),
        revision: RevisionId("r1".to_owned()),
        address: Address::Tcp(([127, 0, 0, 1], u16::try_from(serial).unwrap()).into()),
        weight,
        identity: None,
    }
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

/// One holder process and its connection.
struct Process {
    holder: Holder,
    connection: Option<ConnectionId>,
    heard: Millis,
    /// By service, the lowest generation it may still use: what it last applied.
    applied: BTreeMap<ServiceName, Generation>,
    watches: Watches,
}

#[derive(Clone, Debug)]
enum Event {
    Publish {
        service: usize,
        endpoints: BTreeMap<u64, u32>,
    },
    Callers {
        /// Serial number and number of callees.
        of: BTreeMap<u64, usize>,
    },
    Connect {
        process: usize,
    },
    Disconnect {
        process: usize,
    },
    /// Up to this many lines reach the holder.
    Hear {
        process: usize,
        lines: usize,
    },
    Apply {
        process: usize,
    },
    Pass {
        millis: u64,
    },
    /// The publisher stands still; what holders say meanwhile waits.
    Stall {
        millis: u64,
    },
    RestartPublisher,
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (0..2usize, proptest::collection::btree_map(1..6u64, 1..3u32, 0..5))
            .prop_map(|(service, endpoints)| Event::Publish { service, endpoints }),
        2 => proptest::collection::btree_map(1..6u64, 1..3usize, 0..5).prop_map(|of| Event::Callers { of }),
        2 => (0..3usize).prop_map(|process| Event::Connect { process }),
        1 => (0..3usize).prop_map(|process| Event::Disconnect { process }),
        4 => (0..3usize, 1..5usize).prop_map(|(process, lines)| Event::Hear { process, lines }),
        4 => (0..3usize).prop_map(|process| Event::Apply { process }),
        2 => (1..4000u64).prop_map(|millis| Event::Pass { millis }),
        1 => (1..20_000u64).prop_map(|millis| Event::Stall { millis }),
        1 => Just(Event::RestartPublisher),
    ]
}

/// A whole application, as far as discovery is concerned.
struct World {
    now: Millis,
    publisher: Publisher,
    publisher_started: Millis,
    published: BTreeMap<ServiceName, (Generation, Arc<[Endpoint]>)>,
    callers: Arc<BTreeMap<ReplicaName, Caller>>,
    processes: Vec<Process>,
    acknowledged: BTreeMap<ServiceName, Generation>,
}

impl World {
    fn new() -> Self {
        let now = Millis(1_000_000);
        let process = |index: usize| {
            let watches = match index {
                0 => Watches::All,
                1 => Watches::Only(BTreeSet::from([service(0)])),
                _ => Watches::Only(BTreeSet::from([service(0), service(1)])),
            };
            Process {
                holder: Holder::new(HolderName(format!("holder-{index}")), watches.clone()),
                connection: None,
                heard: Millis(0),
                applied: BTreeMap::new(),
                watches,
            }
        };
        Self {
            now,
            publisher: Publisher::new(PublisherSettings { lease: LEASE, ..PublisherSettings::default() }, now),
            publisher_started: now,
            published: BTreeMap::new(),
            callers: Arc::default(),
            processes: (0..3).map(process).collect(),
            acknowledged: BTreeMap::new(),
        }
    }

    fn run(&mut self, event: Event) {
        match event {
            Event::Publish { service: index, endpoints } => {
                let name = service(index);
                let generation = self.published.get(&name).map_or(Generation(1), |(generation, _)| generation.next());
                let endpoints: Vec<_> =
                    endpoints.into_iter().map(|(serial, weight)| endpoint(&name, serial, weight)).collect();
                self.publisher.publish(name.clone(), generation, endpoints.clone());
                self.published.insert(name, (generation, endpoints.into()));
            }
            Event::Callers { of } => {
                self.callers = callers(of.into_iter().map(|(serial, callees)| caller(serial, callees)));
                self.publisher.set_callers(Arc::clone(&self.callers));
            }
            Event::Connect { process } => self.connect(process),
            Event::Disconnect { process } => self.disconnect(process),
            Event::Hear { process, lines } => {
                for _ in 0..lines {
                    if !self.hear(process) {
                        break;
                    }
                }
            }
            Event::Apply { process } => self.apply(process),
            Event::Pass { millis } => self.pass(Duration::from_millis(millis)),
            Event::Stall { millis } => self.stall(Duration::from_millis(millis)),
            Event::RestartPublisher => self.restart(),
        }
        self.check();
    }

    /// Time passes, and the publisher is looked at each heartbeat.
    fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            self.now = self.now.after(HEARTBEAT).min(end);
            self.check();
        }
    }

    /// Whoever said each heartbeat that it lives goes on saying so, and is read only after the publisher decided.
    fn stall(&mut self, span: Duration) {
        let before = self.now;
        self.now = before.after(span);
        let spoke = |process: &&mut Process| process.connection.is_some() && before <= process.heard.after(HEARTBEAT);
        let connections: Vec<ConnectionId> = self
            .processes
            .iter_mut()
            .filter(spoke)
            .filter_map(|process| {
                process.heard = self.now;
                process.connection
            })
            .collect();
        self.check();
        for connection in connections {
            self.publisher.receive(connection, FromHolder::Alive, self.now).unwrap();
        }
    }

    fn connect(&mut self, index: usize) {
        self.disconnect(index);
        let process = &mut self.processes[index];
        let hello = process.holder.hello();
        process.connection = Some(self.publisher.join(hello, self.now).unwrap());
        process.heard = self.now;
    }

    fn disconnect(&mut self, index: usize) {
        if let Some(connection) = self.processes[index].connection.take() {
            self.publisher.leave(connection);
        }
    }

    /// One line reaches a holder; `false` when there was none.
    fn hear(&mut self, index: usize) -> bool {
        let Some(connection) = self.processes[index].connection else { return false };
        let Some(line) = self.publisher.next_line(connection) else { return false };
        let through_text = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        let effect = self.processes[index].holder.receive(through_text);
        assert!(!matches!(effect, Effect::Reconnect { .. } | Effect::Refused { .. }), "{effect:?} after {line:?}");
        self.acknowledge(index);
        true
    }

    fn apply(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let view = process.holder.view().clone();
        process.holder.applied(&view);
        process.applied = view.endpoints.iter().map(|(name, (generation, _))| (name.clone(), *generation)).collect();
        self.acknowledge(index);
    }

    fn acknowledge(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let Some(connection) = process.connection else { return };
        for line in process.holder.due() {
            process.heard = self.now;
            self.publisher.receive(connection, line, self.now).unwrap();
        }
    }

    fn restart(&mut self) {
        for process in &mut self.processes {
            process.connection = None;
        }
        self.publisher = Publisher::new(PublisherSettings { lease: LEASE, ..PublisherSettings::default() }, self.now);
        self.publisher_started = self.now;
        self.acknowledged.clear();
        for (name, (generation, endpoints)) in &self.published {
            self.publisher.publish(name.clone(), *generation, endpoints.to_vec());
        }
        self.publisher.set_callers(Arc::clone(&self.callers));
    }

    /// What was acknowledged is true of every process that is connected, or was within a lease.
    fn check(&mut self) {
        for (name, generation) in self.publisher.newly_acknowledged(self.now) {
            let before = self.acknowledged.insert(name.clone(), generation);
            assert!(before < Some(generation), "each rise is told once");
            assert!(generation <= self.published[&name].0);
            assert!(self.now >= self.publisher_started.after(LEASE), "an earlier publisher's holders have a lease");
            for process in &self.processes {
                // A process that was heard of by this publisher, or by the one before within a lease of its start.
                let leased = self.now < process.heard.after(LEASE);
                if leased && process.watches.includes(&name) {
                    let applied = process.applied.get(&name).copied();
                    assert!(applied >= Some(generation), "{name} {generation:?} acknowledged, {applied:?} applied");
                }
            }
        }
    }

    /// Everything settles once everyone is connected, hears and applies.
    fn settle(&mut self) {
        for index in 0..self.processes.len() {
            self.connect(index);
            while self.hear(index) {}
            self.apply(index);
        }
        // What its own standing still took of an earlier publisher's holders' lease is added to it.
        self.pass(LEASE + HEARTBEAT);
        for process in &self.processes {
            let told = if process.watches == Watches::All { (*self.callers).clone() } else { BTreeMap::new() };
            assert_eq!(*process.holder.view().callers, told, "only a holder of everything hears of callers");
            for (name, published) in &self.published {
                if process.watches.includes(name) {
                    assert_eq!(process.holder.view().endpoints.get(name), Some(published));
                }
            }
        }
        for (name, (generation, _)) in &self.published {
            assert_eq!(self.acknowledged.get(name), Some(generation), "{name}");
        }
        assert_eq!(self.publisher.wake_at(self.now), self.now.after(HEARTBEAT), "nothing is waited for");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn acknowledgements_are_true_and_holders_catch_up(history in proptest::collection::vec(events(), 0..60)) {
        let mut world = World::new();
        for event in history {
            world.run(event);
        }
        world.settle();
    }

    #[test]
    fn no_line_makes_a_holder_panic(lines in proptest::collection::vec((0..2usize, 0..4u64, 0..4u64, 0..5u64, any::<bool>()), 0..30)) {
        let mut holder = Holder::new(HolderName("a-1".to_owned()), Watches::All);
        for (index, from, generation, serial, is_delta) in lines {
            let name = service(index);
            let endpoints = vec![endpoint(&name, serial, 1)];
            let line = if is_delta {
                FromPublisher::Delta { service: name.clone(), from: Generation(from), generation: Generation(generation), added: endpoints, removed: vec![] }
            } else {
                FromPublisher::Snapshot { service: name, generation: Generation(generation), endpoints }
            };
            holder.receive(line);
            let view = holder.view().clone();
            holder.applied(&view);
            holder.due();
        }
    }
}

fn hello(name: &str) -> FromHolder {
    FromHolder::Hello { version: VERSION, holder: HolderName(name.to_owned()), watches: Watches::All }
}

/// A publisher that follows none.
fn first(now: Millis) -> Publisher {
    Publisher::new(PublisherSettings { holders_before: false, ..PublisherSettings::default() }, now)
}

/// What is acknowledged while time passes, and the publisher is looked at each heartbeat.
fn pass(publisher: &mut Publisher, now: &mut Millis, span: Duration) -> Vec<(ServiceName, Generation)> {
    let (end, mut risen) = (now.after(span), Vec::new());
    while *now < end {
        *now = now.after(HEARTBEAT).min(end);
        risen.extend(publisher.newly_acknowledged(*now));
    }
    risen
}

#[test]
fn a_holder_that_neither_speaks_nor_leaves_is_waited_for_until_its_lease_ends() {
    let mut now = Millis(0);
    let mut publisher = first(now);
    publisher.publish(service(0), Generation(1), vec![]);
    publisher.join(hello("a-1"), now).unwrap();
    assert_eq!(publisher.newly_acknowledged(now), []);
    let almost = LEASE - Duration::from_millis(1);
    assert_eq!(pass(&mut publisher, &mut now, almost), []);
    assert_eq!(publisher.wake_at(now), Millis(0).after(LEASE));
    assert_eq!(pass(&mut publisher, &mut now, Duration::from_millis(1)), [(service(0), Generation(1))]);
}

#[test]
fn its_own_standing_still_is_nobodys_silence() {
    let mut now = Millis(0);
    let mut publisher = first(now);
    let gateway = publisher.join(hello("gateway-1"), now).unwrap();
    publisher.join(hello("silent-1"), now).unwrap();
    let broken = publisher.join(hello("broken-1"), now).unwrap();
    publisher.leave(broken);
    // A disk that is busy for ten leases; what holders say waits, and so does who would connect.
    now = now.after(10 * LEASE);
    publisher.publish(service(0), Generation(1), vec![]);
    assert_eq!(publisher.newly_acknowledged(now), [], "nobody could be heard");
    for line in [FromHolder::Alive, FromHolder::Acknowledge { service: service(0), generation: Generation(1) }] {
        while publisher.next_line(gateway).is_some() {}
        publisher.receive(gateway, line, now).unwrap();
    }
    assert_eq!(publisher.newly_acknowledged(now), []);
    assert_eq!(pass(&mut publisher, &mut now, LEASE), [(service(0), Generation(1))], "a silence is one all the same");
}

#[test]
fn an_earlier_publishers_holders_have_a_lease_in_which_they_can_be_heard() {
    let mut now = Millis(0);
    let mut publisher = Publisher::new(PublisherSettings::default(), now);
    publisher.publish(service(0), Generation(1), vec![]);
    now = now.after(10 * LEASE);
    assert_eq!(publisher.newly_acknowledged(now), []);
    assert_eq!(pass(&mut publisher, &mut now, LEASE), [(service(0), Generation(1))]);
}

#[test]
fn an_endpoint_of_which_is_said_who_must_answer_there_gets_no_requests() {
    let mut holder = Holder::new(HolderName("a-1".to_owned()), Watches::All);
    let plain = endpoint(&service(0), 1, 1);
    let proved = Endpoint { identity: Some("spiffe://shop/catalogue".to_owned()), ..endpoint(&service(0), 2, 1) };
    let endpoints = vec![plain.clone(), proved.clone()];
    holder.receive(FromPublisher::Snapshot { service: service(0), generation: Generation(1), endpoints });
    let held = |holder: &Holder| holder.view().endpoints[&service(0)].1.to_vec();
    assert_eq!(held(&holder), std::slice::from_ref(&plain));
    let added = vec![Endpoint { replica: "catalogue-3".parse().unwrap(), ..proved }, endpoint(&service(0), 4, 1)];
    let removed = vec!["catalogue-2".parse().unwrap()];
    let (from, generation) = (Generation(1), Generation(2));
    let effect = holder.receive(FromPublisher::Delta { service: service(0), from, generation, added, removed });
    assert_eq!(effect, Effect::Changed);
    assert_eq!(held(&holder), [plain, endpoint(&service(0), 4, 1)]);
}

#[test]
fn a_forgotten_holder_is_not_waited_for_and_its_counts_stay() {
    let now = Millis(0);
    let mut publisher = first(now);
    publisher.publish(service(0), Generation(1), vec![]);
    let id = publisher.join(hello("a-1"), now).unwrap();
    let edge = shoal_discovery::EdgeReport {
        caller: "a".to_owned(),
        callee: service(0),
        calls: 3,
        errors: 1,
        in_flight: 2,
        durations: shoal_discovery::DurationSketch::default(),
    };
    publisher.receive(id, FromHolder::Report { edges: vec![edge.clone()] }, now).unwrap();
    publisher.receive(id, FromHolder::Report { edges: vec![edge.clone()] }, now).unwrap();
    assert_eq!(publisher.edges(), std::slice::from_ref(&edge), "totals replace, they do not add up");
    publisher.forget(&HolderName("a-1".to_owned()));
    assert_eq!(publisher.newly_acknowledged(now), [(service(0), Generation(1))]);
    assert_eq!(publisher.edges(), [shoal_discovery::EdgeReport { in_flight: 0, ..edge }]);
    assert!(publisher.receive(id, FromHolder::Alive, now).is_err(), "and its connection ends");
}

#[test]
fn hellos_over_the_limits_are_refused_with_a_sentence() {
    let settings = PublisherSettings { holders_max: 2, ..PublisherSettings::default() };
    let mut publisher = Publisher::new(settings, Millis(0));
    let refused = |publisher: &mut Publisher, line| publisher.join(line, Millis(0)).unwrap_err();
    let newer = FromHolder::Hello { version: VERSION + 1, holder: HolderName("a-1".to_owned()), watches: Watches::All };
    assert!(refused(&mut publisher, newer).contains(&format!("version {VERSION}")), "says what it speaks");
    assert!(refused(&mut publisher, FromHolder::Alive).contains("hello"));
    assert!(refused(&mut publisher, hello(&"x".repeat(101))).contains("100 bytes"));
    let many = (0..1001).map(|index| format!("s{index}").parse().unwrap()).collect();
    let greedy =
        FromHolder::Hello { version: VERSION, holder: HolderName("a-1".to_owned()), watches: Watches::Only(many) };
    assert!(refused(&mut publisher, greedy).contains("at most 1000"));
    publisher.join(hello("a-1"), Millis(0)).unwrap();
    publisher.join(hello("a-2"), Millis(0)).unwrap();
    assert!(refused(&mut publisher, hello("a-3")).contains("2 holders"));
}

#[test]
fn an_acknowledgement_of_what_was_never_told_counts_for_nothing() {
    let now = Millis(0);
    let mut publisher = first(now);
    publisher.publish(service(0), Generation(1), vec![]);
    let id = publisher.join(hello("a-1"), now).unwrap();
    let acknowledge = |generation| FromHolder::Acknowledge { service: service(0), generation: Generation(generation) };
    publisher.receive(id, acknowledge(1), now).unwrap();
    assert_eq!(publisher.newly_acknowledged(now), []);
    while publisher.next_line(id).is_some() {}
    publisher.publish(service(0), Generation(2), vec![endpoint(&service(0), 1, 100)]);
    publisher.receive(id, acknowledge(7), now).unwrap();
    assert_eq!(publisher.newly_acknowledged(now), [(service(0), Generation(1))]);
}

#[test]
fn stale_publications_are_ignored_and_only_the_gateway_gets_routes() {
    let mut publisher = Publisher::new(PublisherSettings::default(), Millis(0));
    publisher.publish(service(0), Generation(5), vec![endpoint(&service(0), 1, 100)]);
    publisher.publish(service(0), Generation(4), vec![]);
    publisher.set_routing(RoutingTable::default());
    let watches = Watches::Only(BTreeSet::from([service(0)]));
    let caller = FromHolder::Hello { version: VERSION, holder: HolderName("b-1".to_owned()), watches };
    for (line, routes) in [(hello("gateway-1"), 1), (caller, 0)] {
        let id = publisher.join(line, Millis(0)).unwrap();
        let lines: Vec<_> = std::iter::from_fn(|| publisher.next_line(id)).collect();
        assert_eq!(lines.iter().filter(|line| matches!(line, FromPublisher::Routing(_))).count(), routes);
        let told = lines.iter().find_map(|line| match line {
            FromPublisher::Snapshot { generation, endpoints, .. } => Some((*generation, endpoints.len())),
            _ => None,
        });
        assert_eq!(told, Some((Generation(5), 1)));
    }
}
