//! What a new supervisor takes up again, in the cases that a simulation of whole histories has found.

use crate::application::{address, identity, replica, service, target};
use crate::world::told;
use shoal_model::{Exit, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaLife, ReplicaName};
use shoal_reconcile::{Phase, State, step};
use std::collections::{BTreeMap, BTreeSet};

const BEGUN: Millis = Millis(10_000_000);

/// One service of so many replicas, each asked to start.
fn started(replicas: u32) -> State {
    let mut state = State::new();
    state.set_target(BTreeMap::from([(service("basket"), target("basket", "a", replicas))]), BEGUN);
    step(state, &[], BEGUN).state
}

fn changed(name: &str, life: ReplicaLife) -> Observation {
    Observation::ReplicaChanged { replica: replica(name), life }
}

fn running(name: &str) -> Observation {
    let name = replica(name);
    let life = ReplicaLife::Running { identity: identity(&name), address: Some(address(&name)) };
    Observation::ReplicaChanged { replica: name, life }
}

fn ready(name: &str) -> Observation {
    Observation::ProbeFinished { replica: replica(name), kind: ProbeKind::Readiness, outcome: ProbeOutcome::Passed }
}

/// The supervisor dies, and another that finds these takes its first step.
fn restarted(mut state: State, found: &[&str], now: Millis) -> (State, Vec<String>) {
    state.resumed(now);
    let found: BTreeSet<ReplicaName> = found.iter().map(|name| replica(name)).collect();
    let _reasons = state.adopted(&found, now);
    let step = step(state, &[], now);
    let actions = step.actions.iter().map(|action| told(&action.kind)).collect();
    (step.state, actions)
}

#[test]
fn a_name_that_is_found_is_not_given_again_though_the_state_was_lost() {
    let mut state = State::new();
    let _reasons = state.adopted(&BTreeSet::from([replica("basket-7")]), BEGUN);
    state.set_target(BTreeMap::from([(service("basket"), target("basket", "a", 1))]), BEGUN);
    let actions: Vec<String> = step(state, &[], BEGUN).actions.iter().map(|action| told(&action.kind)).collect();
    assert_eq!(actions, ["start basket-8 of revision a"]);
}

#[test]
fn who_was_told_to_finish_has_its_time_again_after_a_restart() {
    let state = step(started(1), &[running("basket-1"), ready("basket-1")], BEGUN).state;
    let mut state = step(state, &[], BEGUN).state;
    state.stop(BEGUN);
    let stopping = step(state, &[], BEGUN).state;
    let (service, generation) = (service("basket"), shoal_model::Generation(2));
    let acknowledged = Observation::RoutesAcknowledged { service, generation };
    let told_to = step(stopping, &[acknowledged], BEGUN);
    assert!(told_to.actions.iter().any(|action| told(&action.kind) == "signal basket-1 terminate"));
    // The supervisor died before it did so, and stayed away for longer than the drain timeout.
    let later = Millis(BEGUN.0 + 60_000);
    let (state, actions) = restarted(told_to.state, &["basket-1"], later);
    assert!(actions.contains(&"signal basket-1 terminate".to_owned()), "{actions:?}");
    assert!(!actions.iter().any(|action| action.starts_with("kill")), "{actions:?}");
    let deadline = Millis(later.0 + 10_000);
    assert_eq!(state.replica(&replica("basket-1")).unwrap().phase, Phase::Terminating { deadline });
}

#[test]
fn who_was_never_seen_running_is_told_again_to_finish() {
    let mut state = started(1);
    state.stop(BEGUN);
    let told_to = step(state, &[], BEGUN);
    assert!(told_to.actions.iter().any(|action| told(&action.kind) == "signal basket-1 terminate"));
    let (_, actions) = restarted(told_to.state, &["basket-1"], BEGUN);
    assert_eq!(actions, ["signal basket-1 terminate"], "and it is not started again");
}

#[test]
fn a_clock_that_was_set_back_makes_nobody_wait_for_longer() {
    let mut state = started(1);
    for serial in 1..=4 {
        let exit = Exit::Code { code: 1 };
        let life = ReplicaLife::Exited { exit, at: BEGUN, log: Vec::new() };
        // Each starts after its wait, at a time far ahead.
        let now = Millis(BEGUN.0 + serial * 60_000);
        state = step(state, &[changed(&format!("basket-{serial}"), life)], now).state;
        state = step(state, &[], Millis(now.0 + 30_000)).state;
    }
    let life = ReplicaLife::Exited { exit: Exit::Code { code: 1 }, at: BEGUN, log: Vec::new() };
    let state = step(state, &[changed("basket-5", life)], Millis(BEGUN.0 + 600_000)).state;
    let (state, actions) = restarted(state, &[], Millis(1_000));
    assert!(actions.iter().all(|action| !action.starts_with("start")), "it waits: {actions:?}");
    let actions = step(state, &[], Millis(31_000)).actions;
    let actions: Vec<String> = actions.iter().map(|action| told(&action.kind)).collect();
    assert!(actions.contains(&"start basket-6 of revision a".to_owned()), "{actions:?}");
}
