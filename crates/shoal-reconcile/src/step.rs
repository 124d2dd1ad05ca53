//! One step: observations in; state, actions and reasons out. Decides the order of things and nothing else.

use crate::intents;
use crate::order::Surroundings;
use crate::reasons::{Reason, ReasonKind};
use crate::state::{ServiceState, State};
use crate::{drain, faults, life, lower, observe, routes};
use shoal_model::{Action, ActionId, ActionKind, Millis, Observation, ReplicaName, ServiceName};

/// What follows from a step.
#[derive(Clone, Debug)]
#[must_use = "a step that is not carried out never happened"]
pub struct Step {
    /// The state to commit before any action runs.
    pub state: State,
    /// What a runtime must do, in this order.
    pub actions: Vec<Action>,
    /// Why: what was decided in this step, each said once. For a log; what holds now is [`State::reasons`].
    pub reasons: Vec<Reason>,
    /// When to step again even if nothing is observed; `None` when only an observation or a command can change anything.
    pub wake_at: Option<Millis>,
    /// Whether the state must be committed: what changed otherwise, such as counted probe failures, a restart forgets.
    pub changed: bool,
}

/// Compares the target with what is, and decides what must happen next.
///
/// Pure, and level-triggered: the same state, observations and time give the same step; a repeated observation changes
/// nothing; a lost one delays until it is repeated.
pub fn step(mut state: State, observations: &[Observation], now: Millis) -> Step {
    let mut outcome = Outcome::new(state.next_action, now);
    for observation in observations {
        observe::apply(&mut state, observation, &mut outcome);
    }
    // Lives first: what ended or failed in one service may free or hold another.
    for (name, service) in &mut state.services {
        life::advance(name, service, &mut outcome);
    }
    // Before anybody is told to end, who could not heed it while it stands still.
    faults::advance(&mut state, &mut outcome);
    let surroundings = Surroundings::of(&state);
    let stopping = state.stopping;
    for (name, service) in &mut state.services {
        settle(name, service, &surroundings, stopping, &mut outcome);
    }
    faults::forget_gone(&mut state, &mut outcome);
    state.next_action = outcome.next_action;
    Step {
        state,
        actions: outcome.actions,
        reasons: outcome.reasons,
        wake_at: outcome.wake_at,
        changed: outcome.changed,
    }
}

fn settle(
    name: &ServiceName,
    service: &mut ServiceState,
    surroundings: &Surroundings,
    stopping: bool,
    outcome: &mut Outcome,
) {
    for intent in intents::decide(name, service, surroundings.gate(name, service, stopping), stopping) {
        lower::carry_out(name, service, &intent, outcome);
    }
    // Out of the routes before anything is done to whoever left them.
    routes::publish(name, service, outcome);
    routes::settle_generations(service);
    drain::advance(name, service, outcome);
    forget_revisions(service, outcome);
}

/// Drops the revisions that neither the target nor a replica needs.
fn forget_revisions(service: &mut ServiceState, outcome: &mut Outcome) {
    if service.revisions.len() <= 1 && service.target.is_some() {
        return;
    }
    let ServiceState { revisions, replicas, target, .. } = service;
    let before = revisions.len();
    revisions.retain(|id, _| {
        target.as_ref().is_some_and(|target| target.revision == *id)
            || replicas.values().any(|replica| replica.revision == *id)
    });
    outcome.changed |= revisions.len() != before;
}

/// Gathers what a step brings about.
pub(crate) struct Outcome {
    pub(crate) now: Millis,
    pub(crate) changed: bool,
    actions: Vec<Action>,
    reasons: Vec<Reason>,
    wake_at: Option<Millis>,
    next_action: u64,
}

impl Outcome {
    fn new(next_action: u64, now: Millis) -> Self {
        Self { now, changed: false, actions: Vec::new(), reasons: Vec::new(), wake_at: None, next_action }
    }

    /// Asks for an action under a new id.
    pub(crate) fn act(&mut self, kind: ActionKind) -> ActionId {
        let id = ActionId(self.next_action);
        self.next_action = self.next_action.saturating_add(1);
        self.again(id, kind);
        id
    }

    /// Asks for an action once more, under the id it had.
    pub(crate) fn again(&mut self, id: ActionId, kind: ActionKind) {
        self.changed = true;
        self.actions.push(Action { id, kind });
    }

    pub(crate) fn say(&mut self, reason: Reason) {
        self.reasons.push(reason);
    }

    /// Says something about one replica.
    pub(crate) fn tell(&mut self, replica: &ReplicaName, kind: ReasonKind, text: String) {
        self.say(Reason {
            service: replica.service.clone(),
            replica: Some(replica.clone()),
            text,
            kind,
            log: Vec::new(),
        });
    }

    /// Asks for a step at that time, unless one comes sooner.
    pub(crate) fn wake(&mut self, at: Millis) {
        self.wake_at = Some(self.wake_at.map_or(at, |sooner| sooner.min(at)));
    }
}
