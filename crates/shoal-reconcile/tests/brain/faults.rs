//! Faults on purpose: whom they reach and when, how they end, and the sentences with which they are refused.

use crate::application::{address, identity, replica, service, target};
use crate::world::told;
use shoal_model::{
    Fault, FaultId, FaultKind, FaultRate, FaultTarget, Millis, Observation, ProbeKind, ProbeOutcome, ReplicaLife,
};
use shoal_reconcile::{FAULTS_MAX, State, step};
use std::collections::BTreeSet;
use std::time::Duration;

const NOW: Millis = Millis(1_000_000);

fn running(name: &str) -> Observation {
    let name = replica(name);
    let life = ReplicaLife::Running { identity: identity(&name), address: Some(address(&name)) };
    Observation::ReplicaChanged { replica: name, life }
}

fn ready(name: &str) -> Observation {
    Observation::ProbeFinished { replica: replica(name), kind: ProbeKind::Readiness, outcome: ProbeOutcome::Passed }
}

/// Two replicas of `payment`, of which only the first was seen running, and `checkout`, which calls it.
fn state() -> State {
    let mut state = State::new();
    let mut checkout = target("checkout", "a", 1);
    checkout.revision.launch.calls.insert(service("payment"));
    let services = [(service("payment"), target("payment", "a", 2)), (service("checkout"), checkout)];
    state.set_target(services.into(), NOW);
    let state = step(state, &[], NOW).state;
    step(state, &[running("payment-1"), ready("payment-1")], NOW).state
}

fn fault(target: FaultTarget, kind: FaultKind) -> Fault {
    Fault { target, kind, rate: FaultRate::ALWAYS, method: None, times: None, until: None }
}

fn on_payment(kind: FaultKind) -> Fault {
    fault(FaultTarget::Service(service("payment")), kind)
}

/// A step's state and actions.
fn turn(state: State, observations: &[Observation], now: Millis) -> (State, Vec<String>) {
    let step = step(state, observations, now);
    let actions = step.actions.iter().map(|action| told(&action.kind)).collect();
    (step.state, actions)
}

#[test]
fn a_pause_reaches_who_runs_then_who_runs_later_and_ends_by_itself() {
    let mut state = state();
    let until = NOW.after(Duration::from_secs(2));
    let id = state.add_fault(Fault { until: Some(until), ..on_payment(FaultKind::Pause) }, NOW).unwrap();
    let paused = step(state, &[], NOW);
    assert!(paused.changed && paused.wake_at.is_some_and(|at| at <= until));
    assert_eq!(
        paused.actions.iter().map(|action| told(&action.kind)).collect::<Vec<_>>(),
        ["disturb payment-1: pause"]
    );
    let (state, actions) = turn(paused.state, &[running("payment-2")], NOW);
    assert_eq!(actions, ["disturb payment-2: pause"]);
    assert_eq!((state.faults()[0].id, state.faults()[0].happened), (id, 2));
    let (state, actions) = turn(state, &[running("payment-2")], NOW);
    assert!(actions.is_empty(), "once is enough: {actions:?}");
    let over = step(state, &[], until);
    let actions: Vec<String> = over.actions.iter().map(|action| told(&action.kind)).collect();
    assert_eq!(actions, ["disturb payment-1:", "disturb payment-2:"]);
    assert!(over.state.faults().is_empty());
    assert_eq!(over.reasons[0].text, "is rid of fault 1 (payment: pause; happened 2 times): its time is over");
}

#[test]
fn what_is_added_and_taken_away_is_all_of_what_a_process_suffers() {
    let mut state = state();
    let paused = state.add_fault(on_payment(FaultKind::Pause), NOW).unwrap();
    let one = FaultTarget::Replica(replica("payment-1"));
    state.add_fault(fault(one, FaultKind::DiskFull), NOW).unwrap();
    let (mut state, actions) = turn(state, &[running("payment-2")], NOW);
    assert_eq!(actions, ["disturb payment-1: pause disk-full", "disturb payment-2: pause"]);
    assert_eq!(state.remove_fault(paused).unwrap().happened, 2);
    assert!(state.remove_fault(paused).unwrap_err().to_string().starts_with("there is no fault 1;"));
    let (mut state, actions) = turn(state, &[], NOW);
    assert_eq!(actions, ["disturb payment-1: disk-full", "disturb payment-2:"]);
    assert_eq!(state.remove_faults().len(), 1);
    assert_eq!(turn(state, &[], NOW).1, ["disturb payment-1:"]);
}

#[test]
fn a_new_supervisor_knows_the_faults_and_orders_all_of_it_again() {
    let mut state = state();
    state.add_fault(on_payment(FaultKind::Pause), NOW).unwrap();
    let (state, _) = turn(state, &[], NOW);
    let again = |state: &State| {
        let mut state = State::open(serde_json::to_value(state).unwrap()).unwrap();
        state.resumed(NOW);
        let found = ["payment-1", "payment-2", "checkout-1"].map(replica);
        let _reasons = state.adopted(&BTreeSet::from(found), NOW);
        state
    };
    let (mut state, actions) = turn(again(&state), &[], NOW);
    assert!(actions.contains(&"disturb payment-1: pause".to_owned()), "{actions:?}");
    assert_eq!(state.faults()[0].happened, 1, "it is the same that suffers");
    // Taken away, and the supervisor dies before it could say so.
    state.remove_faults();
    let (state, actions) = turn(state, &[], NOW);
    assert_eq!(actions, ["disturb payment-1:"]);
    let (_, actions) = turn(again(&state), &[], NOW);
    assert!(actions.contains(&"disturb payment-1:".to_owned()), "{actions:?}");
    assert!(!turn(again(&self::state()), &[], NOW).1.iter().any(|action| action.starts_with("disturb")));
}

#[test]
fn it_is_over_once_it_has_happened_as_often_as_was_asked_for() {
    let mut state = state();
    let call = FaultTarget::Call { caller: service("checkout"), callee: service("payment") };
    let id = state.add_fault(Fault { times: Some(3), ..fault(call, FaultKind::LostAnswer) }, NOW).unwrap();
    let happened = |total| Observation::FaultHappened { fault: id, total };
    let (state, actions) = turn(state, &[happened(2), happened(1)], NOW);
    assert!(actions.is_empty());
    assert_eq!((state.faults()[0].happened, state.faults()[0].times_left()), (2, Some(1)), "old news is none");
    let over = step(state, &[happened(3)], NOW);
    assert!(over.state.faults().is_empty() && over.changed);
    assert!(over.reasons[0].text.ends_with("it has happened as often as was asked for"));
    let mut state = step(over.state, &[happened(4)], NOW).state;
    let next = state.add_fault(on_payment(FaultKind::Duplicate), NOW).unwrap();
    assert_eq!(next, FaultId(2), "no number is given twice");
}

#[test]
fn down_forgets_them_and_lets_everybody_go_on_before_it_tells_them_to_end() {
    let mut state = state();
    state.add_fault(on_payment(FaultKind::Pause), NOW).unwrap();
    let (mut state, _) = turn(state, &[], NOW);
    state.stop(NOW);
    let (mut state, actions) = turn(state, &[], NOW);
    assert_eq!(actions[0], "disturb payment-1:");
    assert!(state.faults().is_empty());
    let refused = state.add_fault(on_payment(FaultKind::Pause), NOW).unwrap_err();
    assert!(refused.to_string().contains("is stopping"));
}

#[test]
fn a_fault_of_one_replica_goes_with_it() {
    let mut state = state();
    state.add_fault(fault(FaultTarget::Replica(replica("payment-1")), FaultKind::Pause), NOW).unwrap();
    let (state, _) = turn(state, &[], NOW);
    let exit = shoal_model::Exit::Signal { signal: 9 };
    let life = ReplicaLife::Exited { exit, at: NOW, log: Vec::new() };
    let exited = Observation::ReplicaChanged { replica: replica("payment-1"), life };
    // Once nobody routes there any more, it is forgotten.
    let (state, _) = turn(state, &[exited], NOW);
    let (state, _) = turn(state, &[], NOW.after(Duration::from_secs(60)));
    assert!(state.replica(&replica("payment-1")).is_none());
    assert!(state.faults().is_empty());
}

#[test]
fn a_kill_reaches_who_runs_and_counts_as_a_crash() {
    let mut state = state();
    assert_eq!(state.kill(&FaultTarget::Service(service("payment"))).unwrap(), 1);
    let (mut state, actions) = turn(state, &[], NOW);
    assert_eq!(actions, ["signal payment-1 kill"]);
    assert!(state.faults().is_empty());
    assert!(turn(state.clone(), &[], NOW).1.is_empty(), "it is not kept");
    let sentence = state.kill(&FaultTarget::Service(service("checkout"))).unwrap_err().to_string();
    assert_eq!(sentence, "nothing of checkout runs now, so nothing can be killed");
    let call = FaultTarget::Call { caller: service("checkout"), callee: service("payment") };
    assert!(state.kill(&call).unwrap_err().to_string().contains("name a service or a replica"));
}

#[test]
fn whom_a_text_means() {
    let state = state();
    let means =
        |text: &str| state.fault_target(text).map(|target| target.to_string()).map_err(|error| error.to_string());
    for good in ["payment", "payment-1", "checkout->payment"] {
        assert_eq!(means(good).as_deref(), Ok(good));
    }
    assert_eq!(means(" checkout -> payment ").as_deref(), Ok("checkout->payment"));
    for (bad, expected) in [
        ("", "is not a service name"),
        ("paymnt", "did you mean `payment`?"),
        ("payment-7", "there is no replica `payment-7`. Of payment there are: payment-1, payment-2"),
        ("no-7", "there is no service `no-7`"),
        ("a->b->c", "is not a service name"),
        ("->payment", "is not a service name"),
        (&"a".repeat(1000), "a target is a service, a replica, or a call"),
    ] {
        let sentence = means(bad).unwrap_err();
        assert!(sentence.contains(expected), "{bad}: {sentence}");
    }
}

#[test]
fn what_could_not_happen_is_refused() {
    let call = |caller: &str, callee: &str| FaultTarget::Call { caller: service(caller), callee: service(callee) };
    let declared = || call("checkout", "payment");
    let kill = || FaultKind::Kill { at: Some("x.y".to_owned()) };
    let method = |name: &str| Some(name.to_owned());
    let cases = [
        (
            fault(call("payment", "checkout"), FaultKind::LostAnswer),
            "payment does not declare in `calls` that it calls checkout; it calls nobody",
        ),
        (fault(call("nobody", "payment"), FaultKind::LostAnswer), "there is no service `nobody`"),
        (fault(call("gateway", "payment"), FaultKind::LostAnswer), "there is no service `gateway`"),
        (fault(declared(), FaultKind::Pause), "`pause` happens to a process"),
        (fault(declared(), kill()), "`kill` happens to a process"),
        (fault(FaultTarget::Replica(replica("payment-9")), FaultKind::Pause), "there is no replica `payment-9`"),
        (fault(declared(), FaultKind::Delay(Duration::ZERO)), "a delay is 1 ms to 10 min"),
        (fault(declared(), FaultKind::Delay(Duration::from_secs(601))), "a delay is 1 ms to 10 min"),
        (Fault { rate: FaultRate(0), ..fault(declared(), FaultKind::Duplicate) }, "more than 0 and at most 1"),
        (Fault { rate: FaultRate(1_000_001), ..fault(declared(), FaultKind::Duplicate) }, "more than 0 and at most 1"),
        (Fault { rate: FaultRate(5), ..on_payment(FaultKind::Pause) }, "a rate is one of calls"),
        (Fault { method: method("Capture"), ..on_payment(FaultKind::DiskFull) }, "a method is one of calls"),
        (Fault { method: method("a/b"), ..fault(declared(), FaultKind::Duplicate) }, "the last part of its path"),
        (Fault { times: Some(1), ..on_payment(FaultKind::Pause) }, "`pause` lasts"),
        (Fault { times: Some(0), ..on_payment(kill()) }, "not 0 times"),
        (Fault { until: Some(NOW), ..on_payment(kill()) }, "1 ms to 24 h"),
        (Fault { until: Some(Millis(NOW.0 + 86_400_001)), ..on_payment(kill()) }, "1 ms to 24 h"),
        (on_payment(FaultKind::Kill { at: None }), "happens at once, and is not kept"),
        (on_payment(FaultKind::Kill { at: Some("a b".to_owned()) }), "a crash point has letters"),
    ];
    for (fault, expected) in cases {
        let mut state = state();
        let sentence = state.add_fault(fault, NOW).unwrap_err().to_string();
        assert!(sentence.contains(expected), "{sentence}");
        assert!(state.faults().is_empty());
    }
    let mut state = state();
    for _ in 0..FAULTS_MAX {
        state.add_fault(on_payment(kill()), NOW).unwrap();
    }
    assert!(state.add_fault(on_payment(kill()), NOW).unwrap_err().to_string().contains("100 faults already"));
}
