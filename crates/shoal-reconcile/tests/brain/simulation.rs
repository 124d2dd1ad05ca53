//! Safety while faults rage, and after they stop: everything settles. A failure prints the seed's whole story.

use crate::application::{revision, service, target};
use crate::world::World;
use proptest::prelude::*;
use shoal_model::{Disturbance, Fault, FaultKind, FaultRate, FaultTarget, Millis, ReplicaName, ServiceName};
use shoal_reconcile::ServiceTarget;
use std::collections::BTreeMap;

/// The longest that settling may take: a crash loop's wait, a startup budget and a drain, a few times over.
const SETTLED_WITHIN: usize = 2_000;

fn application(random: u64) -> BTreeMap<ServiceName, ServiceTarget> {
    let ids = ["a", "b", "c"];
    let mut services = BTreeMap::new();
    let digit = |place: u32, limit: u64| (random / 7u64.pow(place)) % limit;
    let mut add = |name: &str, place: u32, after: &[&str], calls: &[&str]| {
        let mut target = target(name, ids[digit(place, 3) as usize], digit(place + 1, 4) as u32);
        target.after = after.iter().map(|name| service(name)).collect();
        target.revision.launch.calls = calls.iter().map(|name| service(name)).collect();
        services.insert(service(name), target);
    };
    add("catalogue", 0, &[], &[]);
    add("basket", 2, &[], &["catalogue"]);
    if digit(9, 3) > 0 {
        add("checkout", 4, &["catalogue", "basket"], &["basket", "catalogue"]);
    }
    let mut gateway = target("gateway", ids[digit(6, 2) as usize], 1);
    gateway.revision = revision("gateway", ids[digit(6, 2) as usize]);
    services.insert(ServiceName::gateway(), gateway);
    services
}

#[derive(Clone, Debug)]
enum Turn {
    Ticks(u8),
    Target(u64),
    Scale(u8, u32),
    Restart(u8),
    RestartAll,
    Stop,
    SupervisorDies,
    Leftover(u8, u64),
    // For so long; until it is taken away when 0.
    Fault(u8, bool, u64),
    FaultsRemoved,
    Kill(u8),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        8 => (1..30u8).prop_map(Turn::Ticks),
        2 => any::<u64>().prop_map(Turn::Target),
        3 => (0..4u8, 0..6u32).prop_map(|(which, count)| Turn::Scale(which, count)),
        2 => (0..4u8).prop_map(Turn::Restart),
        1 => Just(Turn::RestartAll),
        1 => Just(Turn::Stop),
        2 => Just(Turn::SupervisorDies),
        1 => (0..4u8, 1..40u64).prop_map(|(which, serial)| Turn::Leftover(which, serial)),
        2 => (0..4u8, any::<bool>(), 0..20_000u64).prop_map(|(which, pause, span)| Turn::Fault(which, pause, span)),
        1 => Just(Turn::FaultsRemoved),
        1 => (0..4u8).prop_map(Turn::Kill),
    ];
    prop::collection::vec(turn, 1..25)
}

fn name(which: u8) -> ServiceName {
    service(["catalogue", "basket", "checkout", "gateway"][usize::from(which) % 4])
}

fn play(world: &mut World, turn: &Turn) {
    world.story.push(format!("{} {turn:?}", world.now));
    let now = world.time();
    match turn {
        Turn::Ticks(count) => (0..*count).for_each(|_| world.tick()),
        Turn::Target(random) => world.state.set_target(application(*random), now),
        // A refusal is an answer too.
        Turn::Scale(which, count) => drop(world.state.scale(&name(*which), *count, now)),
        Turn::Restart(which) => drop(world.state.restart(&name(*which), now)),
        Turn::RestartAll => drop(world.state.restart_all(now)),
        Turn::Stop => world.state.stop(now),
        Turn::SupervisorDies => world.restart_supervisor(),
        Turn::Fault(which, pause, span) => {
            let kind = if *pause { FaultKind::Pause } else { FaultKind::DiskFull };
            let (target, until) = (FaultTarget::Service(name(*which)), Some(Millis(now.0 + span)));
            let until = until.filter(|_| *span > 0);
            let fault = Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times: None, until };
            drop(world.state.add_fault(fault, now));
        }
        Turn::FaultsRemoved => drop(world.state.remove_faults()),
        Turn::Kill(which) => drop(world.state.kill(&FaultTarget::Service(name(*which)))),
        Turn::Leftover(which, serial) => world.leave_behind(ReplicaName { service: name(*which), serial: *serial }),
    }
}

fn settle(world: &mut World, what: &str) {
    for _ in 0..SETTLED_WITHIN {
        world.tick();
        if world.state.is_settled()
            && world
                .state
                .reasons(world.time())
                .iter()
                .all(|reason| !reason.kind.is_trouble() || reason.text.starts_with("ready again"))
        {
            return;
        }
    }
    panic!("not {what}: {:?}\n{}", world.state.reasons(world.time()), world.story.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn safe_under_faults_and_settled_after(seed: u64, first: u64, turns in turns(), last: u64) {
        let mut world = World::new(seed);
        let now = world.time();
        world.state.set_target(application(first), now);
        for turn in &turns {
            play(&mut world, turn);
        }
        world.calm();
        world.state.remove_faults();
        let now = world.time();
        // Services that wait for one scaled to 0 would wait for ever, as they should.
        let mut target = application(last);
        target.values_mut().for_each(|target| target.replicas = target.replicas.max(1));
        world.state.set_target(target, now);
        for which in 0..3 {
            drop(world.state.scale(&name(which), 1 + u32::from(which), now));
        }
        settle(&mut world, "settled");
        let mut ready = std::collections::BTreeSet::new();
        for status in world.state.services() {
            prop_assert_eq!(status.ready, status.wanted as usize, "{}", status.service);
            let replicas: std::collections::BTreeSet<ReplicaName> =
                status.replicas.into_iter().map(|replica| replica.replica).collect();
            if status.service != ServiceName::gateway() {
                prop_assert_eq!(world.routed(&status.service), replicas.clone());
            }
            ready.extend(replicas);
        }
        prop_assert_eq!(world.living(), ready.clone(), "something else lives");
        for (replica, disturbance) in world.disturbed.iter().filter(|(replica, _)| ready.contains(*replica)) {
            prop_assert_eq!(*disturbance, Disturbance::default(), "{} suffers for ever", replica);
        }

        let now = world.time();
        world.state.stop(now);
        settle(&mut world, "stopped");
        prop_assert!(world.state.is_stopped());
        prop_assert!(world.living().is_empty());
        prop_assert_eq!(world.records(), 0, "something is left behind");
    }
}
