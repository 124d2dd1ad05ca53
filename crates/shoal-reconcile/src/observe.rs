//! Observations: what a runtime reported is written into the state. Never acts; what follows is decided elsewhere.

use crate::life;
use crate::lower;
use crate::reasons::{Reason, ReasonKind, not_ready_text, short};
use crate::resume::last_exit;
use crate::state::{Ending, Failures, Issued, Phase, Probing, Replica, Running, ServiceState, State};
use crate::status::LastExit;
use crate::step::Outcome;
use shoal_model::{
    Address, Exit, Generation, Millis, Observation, ProbeKind, ProbeOutcome, ProbeSettings, Probes, ReplicaIdentity,
    ReplicaLife, ReplicaName, RevisionId, ServiceName,
};

/// Writes one observation into the state.
pub(crate) fn apply(state: &mut State, observation: &Observation, outcome: &mut Outcome) {
    match observation {
        Observation::ReplicaChanged { replica, life } => life_seen(state, replica, life, outcome),
        Observation::ProbeFinished { replica, kind, outcome: answer } => {
            if let Some(service) = state.services.get_mut(&replica.service) {
                probe_seen(service, replica, *kind, answer, outcome);
            }
        }
        Observation::RoutesAcknowledged { service, generation } => {
            if let Some(service) = state.services.get_mut(service) {
                acknowledged(service, *generation, outcome);
            }
        }
        Observation::ReplicaLeaving { replica } => {
            if let Some(service) = state.services.get_mut(&replica.service) {
                leaving_seen(service, replica, outcome);
            }
        }
        Observation::FaultHappened { fault, total } => state.faults.happened(*fault, *total, outcome),
    }
}

fn acknowledged(service: &mut ServiceState, generation: Generation, outcome: &mut Outcome) {
    // One beyond what was published is of another life of this application, and says nothing about this one's.
    if generation > service.routes.acknowledged && generation <= service.routes.generation {
        service.routes.acknowledged = generation;
        outcome.changed = true;
    }
}

fn life_seen(state: &mut State, name: &ReplicaName, life: &ReplicaLife, outcome: &mut Outcome) {
    let service = state.services.entry(name.service.clone()).or_default();
    if !service.replicas.contains_key(&name.serial) {
        unknown_seen(service, name, life, outcome);
        return;
    }
    match life {
        ReplicaLife::Running { identity, address } => {
            running_seen(service, name.serial, identity, address.as_ref(), outcome)
        }
        ReplicaLife::Exited { exit, at: _, log } => exit_seen(service, name, exit, log, outcome),
    }
}

fn running_seen(
    service: &mut ServiceState,
    serial: u64,
    identity: &ReplicaIdentity,
    address: Option<&Address>,
    outcome: &mut Outcome,
) {
    // Running after its exit is an old report come late.
    let Some(replica) = service.replicas.get_mut(&serial).filter(|replica| replica.is_live()) else { return };
    replica.unheard_until = None;
    let same = |running: &Running| running.identity == *identity && running.address.as_ref() == address;
    if replica.running.as_ref().is_some_and(same) {
        return;
    }
    let since = replica.running.as_ref().map_or(outcome.now, |running| running.since);
    replica.running = Some(Running { identity: identity.clone(), address: address.cloned(), since });
    replica.issued.start = None;
    outcome.changed = true;
}

/// A replica that was told to end by somebody else: it needs no telling, and no routes. Whoever has never been ready is
/// counted as crashed, lest a program that always ends while it starts be started without a pause for ever.
fn leaving_seen(service: &mut ServiceState, name: &ReplicaName, outcome: &mut Outcome) {
    // One with little to finish may have ended before this was heard.
    if service.slots.values_mut().any(|slot| slot.pardon(name.serial, outcome.now)) {
        service.slots.retain(|_, slot| slot.crashes > 0);
        outcome.changed = true;
        let text = "had been told to end by somebody else, so it has not crashed".to_owned();
        outcome.tell(name, ReasonKind::Leaving, text);
    }
    let Some(replica) = service.replicas.get(&name.serial) else { return };
    let is_told = matches!(replica.phase, Phase::Terminating { .. } | Phase::Stopping | Phase::Exited);
    // These are killed, not told; and what nobody knows may be gone already.
    if is_told || matches!(replica.ending, Some(Ending::Leftover | Ending::NeverStarted)) {
        return;
    }
    if replica.ending.is_none() && !replica.was_ready {
        let text = "was told to end before it was ready".to_owned();
        let last = LastExit { replica: name.serial, text, log: Vec::new(), at: outcome.now };
        life::crash(service, name.serial, last, outcome);
    }
    lower::leave(&name.service, service, name.serial, outcome);
}

fn exit_seen(service: &mut ServiceState, name: &ReplicaName, exit: &Exit, log: &[String], outcome: &mut Outcome) {
    let Some(replica) = service.replicas.get(&name.serial).filter(|replica| replica.is_live()) else { return };
    let last = last_exit(name.serial, exit, log, outcome.now);
    let (expected, was_ready, slot) = (replica.ending.is_some(), replica.was_ready, replica.slot);
    let kind = match &replica.ending {
        Some(ending) => crate::reasons::ending_kind(ending),
        None => ReasonKind::Exited,
    };
    outcome.say(Reason {
        service: name.service.clone(),
        replica: Some(name.clone()),
        text: last.text.clone(),
        kind,
        log: if expected { Vec::new() } else { last.log.clone() },
    });
    if expected {
        note_log(service, &last);
    } else {
        life::crash(service, name.serial, last, outcome);
        let slot = slot.and_then(|slot| service.slots.get_mut(&slot));
        if let Some(slot) = slot.filter(|slot| slot.last.as_ref().is_some_and(|last| last.replica == name.serial)) {
            slot.pardonable = was_ready.then_some(name.serial);
        }
    }
    if let Some(replica) = service.replicas.get_mut(&name.serial) {
        replica.enter(Phase::Exited, outcome.now);
        replica.issued = Issued::default();
        outcome.changed = true;
    }
}

/// A replica that was killed for not starting or not answering left its last lines only now.
fn note_log(service: &mut ServiceState, last: &LastExit) {
    let slot = service.replicas.get(&last.replica).and_then(|replica| replica.slot);
    let noted = slot.and_then(|slot| service.slots.get_mut(&slot)).and_then(|slot| slot.last.as_mut());
    if let Some(noted) = noted.filter(|noted| noted.replica == last.replica) {
        noted.log.clone_from(&last.log);
    }
}

/// A replica that the state knows nothing of: a leftover, or one already forgotten whose report came again.
fn unknown_seen(service: &mut ServiceState, name: &ReplicaName, life: &ReplicaLife, outcome: &mut Outcome) {
    let forgotten = name.serial < service.next_serial;
    // Its name was used, whoever used it.
    service.next_serial = service.next_serial.max(name.serial.saturating_add(1));
    let running = match life {
        ReplicaLife::Running { identity, address } => {
            let text = "is not known to this application's state, so it is stopped".to_owned();
            outcome.tell(name, ReasonKind::Leftover, text);
            Some(Running { identity: identity.clone(), address: address.clone(), since: outcome.now })
        }
        ReplicaLife::Exited { .. } => {
            if !forgotten {
                outcome.tell(name, ReasonKind::Leftover, "ended before; what is left of it is freed".to_owned());
            }
            None
        }
    };
    let phase = if running.is_some() { Phase::Draining { generation: Generation(0) } } else { Phase::Exited };
    let replica = Replica {
        revision: RevisionId("unknown".to_owned()),
        phase,
        since: outcome.now,
        started_at: outcome.now,
        slot: None,
        restarts: 0,
        was_ready: false,
        running,
        ending: Some(Ending::Leftover),
        left: None,
        issued: Issued::default(),
        probing: Probing::default(),
        unheard_until: None,
    };
    service.replicas.insert(name.serial, replica);
    outcome.changed = true;
}

fn probe_seen(
    service: &mut ServiceState,
    name: &ReplicaName,
    kind: ProbeKind,
    answer: &ProbeOutcome,
    outcome: &mut Outcome,
) {
    let Some(replica) = service.replicas.get_mut(&name.serial) else { return };
    // An answer from one whose process is not known yet will come again once it is.
    if replica.ending.is_some() || !replica.is_live() || replica.running.is_none() {
        return;
    }
    let revision = service.revisions.get(&replica.revision);
    let probes = revision.map(|revision| &revision.launch.probes);
    let failed = match answer {
        ProbeOutcome::Passed => None,
        ProbeOutcome::Failed { why } => Some(short(why)),
    };
    match (kind, failed) {
        (ProbeKind::Startup, None) => {
            if replica.phase == Phase::Starting {
                replica.probing.startup_why = None;
                replica.enter(Phase::NotReady, outcome.now);
                outcome.changed = true;
            }
        }
        (ProbeKind::Startup, Some(why)) if replica.phase == Phase::Starting => replica.probing.startup_why = Some(why),
        (ProbeKind::Startup, Some(why)) => {
            // It had started before this supervisor began, and is asked nothing else until it says so again. For that it has
            // the time of one that starts; meanwhile it is not ready.
            let overdue = outcome.now >= replica.since.after(life::start_budget(revision, true));
            if overdue && !replica.is_ready() {
                unresponsive(service, name, &why, outcome);
            } else {
                readiness_failed(replica, name, why, probes, outcome);
            }
        }
        (ProbeKind::Readiness, None) => readiness_passed(replica, name, outcome),
        (ProbeKind::Readiness, Some(why)) => readiness_failed(replica, name, why, probes, outcome),
        (ProbeKind::Liveness, None) => replica.probing.liveness = Failures::default(),
        (ProbeKind::Liveness, Some(why)) => {
            let enough = replica.probing.liveness.add(why.clone(), probes.map(|probes| &probes.liveness), outcome.now);
            if enough && replica.phase != Phase::Starting {
                unresponsive(service, name, &why, outcome);
            }
        }
    }
}

fn readiness_passed(replica: &mut Replica, name: &ReplicaName, outcome: &mut Outcome) {
    replica.probing.readiness = Failures::default();
    if replica.is_ready() {
        return;
    }
    replica.probing.startup_why = None;
    replica.enter(Phase::Ready, outcome.now);
    outcome.changed = true;
    let text = if replica.was_ready {
        "is ready again".to_owned()
    } else {
        format!("is ready, {} after it was started", crate::reasons::spoken(outcome.now.since(replica.started_at)))
    };
    replica.was_ready = true;
    outcome.tell(name, ReasonKind::Ready, text);
}

fn readiness_failed(
    replica: &mut Replica,
    name: &ReplicaName,
    why: String,
    probes: Option<&Probes>,
    outcome: &mut Outcome,
) {
    let failures = &mut replica.probing.readiness;
    let enough = failures.add(why, probes.map(|probes| &probes.readiness), outcome.now);
    if enough && replica.is_ready() {
        let text = not_ready_text(replica.probing.readiness.why.as_deref());
        replica.enter(Phase::NotReady, outcome.now);
        outcome.changed = true;
        outcome.tell(name, ReasonKind::NotReady, text);
    }
}

fn unresponsive(service: &mut ServiceState, name: &ReplicaName, why: &str, outcome: &mut Outcome) {
    let text = format!("did not answer: {why}");
    let last = LastExit { replica: name.serial, text: text.clone(), log: Vec::new(), at: outcome.now };
    life::crash(service, name.serial, last, outcome);
    let service_name: &ServiceName = &name.service;
    lower::end(service_name, service, name.serial, &Ending::Unresponsive, &format!("it {text}"), outcome);
}

impl Failures {
    /// Counts a failure; whether there are now enough in a row. One sooner than half a period after the last counted
    /// one is the same failure reported twice.
    fn add(&mut self, why: String, probe: Option<&ProbeSettings>, now: Millis) -> bool {
        let apart = probe.map_or(std::time::Duration::ZERO, |probe| probe.period / 2);
        if self.count == 0 || now.since(self.counted_at) >= apart {
            self.count = self.count.saturating_add(1);
            self.counted_at = now;
        }
        self.why = Some(why);
        self.count >= probe.map_or(1, |probe| probe.failures_max.max(1))
    }
}
