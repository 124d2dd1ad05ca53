//! A large application: a step must stay a matter of milliseconds, and its cost must grow with the number of replicas.

use crate::application::{address, identity, service, target};
use shoal_model::{ActionKind, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaLife, ReplicaName};
use shoal_reconcile::{State, step};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

fn observed(replica: &ReplicaName) -> [Observation; 2] {
    let life = ReplicaLife::Running { identity: identity(replica), address: Some(address(replica)) };
    let ready = ProbeOutcome::Passed;
    [
        Observation::ReplicaChanged { replica: replica.clone(), life },
        Observation::ProbeFinished { replica: replica.clone(), kind: ProbeKind::Readiness, outcome: ready },
    ]
}

/// All ready; also the longest step on the way.
fn settled(services: usize, replicas: u32) -> (State, Duration) {
    let mut state = State::new();
    let targets = (0..services).map(|index| {
        let name = format!("service-{index}");
        let mut target = target(&name, "a", replicas);
        if index > 0 {
            target.after = BTreeSet::from([service(&format!("service-{}", index / 2))]);
        }
        (service(&name), target)
    });
    state.set_target(targets.collect(), Millis(0));
    let mut observations = Vec::new();
    let mut longest = Duration::ZERO;
    for round in 0..1_000 {
        let started = Instant::now();
        let outcome = step(state, &observations, Millis(round));
        longest = longest.max(started.elapsed());
        state = outcome.state;
        if state.is_settled() {
            return (state, longest);
        }
        observations.clear();
        for action in outcome.actions {
            if let ActionKind::Start { replica, .. } = action.kind {
                observations.extend(observed(&replica));
            }
        }
    }
    panic!("never settled");
}

#[test]
fn ten_thousand_replicas_take_milliseconds() {
    let (mut state, starting) = settled(1_000, 10);
    let fastest = (0..5).map(|round| {
        let all: Vec<ReplicaName> =
            state.services().into_iter().flat_map(|service| service.replicas).map(|replica| replica.replica).collect();
        let observations: Vec<Observation> = all.iter().flat_map(observed).collect();
        let started = Instant::now();
        let outcome = step(std::mem::take(&mut state), &observations, Millis(200_000 + round));
        assert!(outcome.actions.is_empty() && !outcome.changed);
        state = outcome.state;
        started.elapsed()
    });
    let fastest = fastest.min().unwrap();
    println!("a step with 20,000 observations: {fastest:?}; the longest while starting: {starting:?}");
    // Generous: unoptimised, on a busy machine.
    assert!(fastest < Duration::from_millis(500), "{fastest:?}");
}

#[test]
fn one_service_of_a_thousand_replicas_is_no_square() {
    let (state, _) = settled(1, 1_000);
    let started = Instant::now();
    let outcome = step(state, &[], Millis(200_000));
    println!("a step of one service with 1,000 replicas: {:?}", started.elapsed());
    assert!(outcome.actions.is_empty());
}
