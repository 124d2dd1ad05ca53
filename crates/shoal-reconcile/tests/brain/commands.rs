//! What commands accept, and the sentences with which they refuse.

use crate::application::{replica, service, target};
use shoal_model::{Exit, Millis, Observation, ReplicaLife};
use shoal_reconcile::{State, step};

const NOW: Millis = Millis(1_000);

fn state() -> State {
    let mut state = State::new();
    let gateway = target("gateway", "a", 1);
    let mut basket = target("basket", "a", 2);
    basket.replicas_max = 8;
    let services = [("basket", basket), ("catalogue", target("catalogue", "a", 2)), ("gateway", gateway)];
    state.set_target(services.into_iter().map(|(name, target)| (service(name), target)).collect(), NOW);
    state
}

fn refusal(name: &str, replicas: u32) -> String {
    let mut state = state();
    let before = state.clone();
    let text = state.scale(&service(name), replicas, NOW).unwrap_err().to_string();
    assert_eq!(state, before, "a refusal changes nothing");
    text
}

#[test]
fn refusals_say_what_to_do() {
    assert_eq!(
        refusal("catalog", 2),
        "there is no service `catalog`; did you mean `catalogue`? There are: basket, catalogue, gateway"
    );
    assert_eq!(refusal("mail", 2), "there is no service `mail`. There are: basket, catalogue, gateway");
    assert_eq!(
        refusal("basket", 9),
        "9 replicas of `basket` are more than its manifest allows: raise `max` in `[services.basket]`, or ask for 0 to 8"
    );
    assert_eq!(
        refusal("catalogue", 100_000),
        "100000 replicas of `catalogue` are too many: one machine runs 0 to 1000 of a service"
    );
    assert_eq!(refusal("gateway", 2), "the gateway always runs once, and cannot be scaled");
    let text = State::new().restart(&service("basket"), NOW).unwrap_err().to_string();
    assert_eq!(text, "there is no service `basket`: the application has none yet");
}

#[test]
fn nothing_is_scaled_while_the_application_stops() {
    let mut state = state();
    state.stop(NOW);
    let text = state.scale(&service("basket"), 1, NOW).unwrap_err().to_string();
    assert_eq!(text, "the application is stopping; start it again with `shoal up`");
    assert_eq!(state.restart_all(NOW).unwrap_err().to_string(), text);
}

#[test]
fn a_scale_holds_until_the_manifest_changes_its_number() {
    let mut state = state();
    let basket = service("basket");
    let wanted = |state: &State| state.service(&basket).unwrap().wanted;
    let again = |state: &mut State, replicas: u32, id: &str| {
        let mut basket = target("basket", id, replicas);
        basket.replicas_max = 8;
        state.set_target([(service("basket"), basket)].into(), NOW);
    };
    state.scale(&basket, 5, NOW).unwrap();
    assert_eq!(wanted(&state), 5);
    again(&mut state, 2, "b");
    assert_eq!(wanted(&state), 5, "a new revision does not undo a scale");
    let mut state = State::open(serde_json::to_value(&state).unwrap()).unwrap();
    state.resumed(NOW);
    assert_eq!(wanted(&state), 5, "nor does a restart");
    again(&mut state, 3, "b");
    assert_eq!(wanted(&state), 3);
    state.scale(&basket, 0, NOW).unwrap();
    assert_eq!(wanted(&state), 0);
}

/// A service that has crashed three times and waits for its next start.
fn looping() -> State {
    let mut state = up(State::new());
    for name in ["basket-1", "basket-2", "basket-3"] {
        let life = ReplicaLife::Exited { exit: Exit::Code { code: 1 }, at: NOW, log: Vec::new() };
        let exited = Observation::ReplicaChanged { replica: replica(name), life };
        state = step(state, &[exited], NOW).state;
        if name == "basket-2" {
            state = step(state, &[], Millis(NOW.0 + 100)).state;
        }
    }
    assert!(state.service(&service("basket")).unwrap().replicas.is_empty());
    state
}

fn up(mut state: State) -> State {
    state.set_target([(service("basket"), target("basket", "a", 1))].into(), NOW);
    step(state, &[], NOW).state
}

#[test]
fn crashes_are_forgotten_by_an_up_after_a_down_and_by_no_other() {
    let replicas = |state: &State| state.service(&service("basket")).unwrap().replicas;
    assert!(replicas(&up(looping())).is_empty(), "an `up` alone does not end its waiting");
    let mut state = looping();
    state.stop(NOW);
    let state = step(state, &[], NOW).state;
    assert!(state.is_stopped());
    let state = up(state);
    assert_eq!(replicas(&state)[0].restarts, 0);
    assert_eq!(state.service(&service("basket")).unwrap().last_exit, None);
}
