//! What time alone does to a replica that is meant to stay: its startup budget runs out, its crashes are forgiven, word of
//! it is waited for no longer. Also what went out before a restart goes out again here. Never chooses how many replicas
//! there are.

use crate::backoff::SETTLED_AFTER;
use crate::drain;
use crate::lower;
use crate::reasons::{ReasonKind, short, spoken};
use crate::state::{Ending, Phase, ServiceState, named};
use crate::status::LastExit;
use crate::step::Outcome;
use shoal_model::{ActionKind, Revision, ServiceName, Signal};
use std::time::Duration;

/// How long a runtime may take from the start action until the program runs, before the startup budget.
const LAUNCH_MOST: Duration = Duration::from_secs(30);
const BUDGET_DEFAULT: Duration = Duration::from_secs(60);

/// How long a replica may take until its startup probe passes.
pub(crate) fn start_budget(revision: Option<&Revision>, runs: bool) -> Duration {
    let probe = revision.map(|revision| &revision.launch.probes.startup);
    let budget = probe.map_or(BUDGET_DEFAULT, |probe| probe.period.saturating_mul(probe.failures_max.max(1)));
    if runs { budget } else { budget.saturating_add(LAUNCH_MOST) }
}

/// Looks at each replica of a service.
pub(crate) fn advance(name: &ServiceName, service: &mut ServiceState, outcome: &mut Outcome) {
    let mut expired = Vec::new();
    let target = service.target.as_ref().map(|target| target.revision.clone());
    for (serial, replica) in &mut service.replicas {
        if replica.issued.again {
            replica.issued.again = false;
            outcome.changed = true;
            reissue(name, *serial, replica, &service.revisions, outcome);
        }
        match replica.unheard_until {
            Some(until) if outcome.now < until => outcome.wake(until),
            _ => replica.unheard_until = None,
        }
        match replica.phase {
            Phase::Starting => {
                let revision = service.revisions.get(&replica.revision);
                let begun = replica.running.as_ref().map_or(replica.since, |running| running.since);
                let deadline = begun.after(start_budget(revision, replica.running.is_some()));
                if outcome.now >= deadline {
                    expired.push(*serial);
                } else {
                    outcome.wake(deadline);
                }
            }
            // An older replica that still serves says nothing about the one that is to take its place.
            Phase::Ready if *serial < service.fresh_from || target.as_ref() != Some(&replica.revision) => {}
            Phase::Ready if !service.slots.is_empty() && outcome.now.since(replica.since) >= SETTLED_AFTER => {
                if let Some(slot) = replica.slot.and_then(|slot| service.slots.get_mut(&slot)) {
                    outcome.changed |= slot.crashes != 0;
                    slot.crashes = 0;
                }
            }
            Phase::Stopping => drain::give_up(&named(name, *serial), replica, outcome),
            _ => {}
        }
    }
    for serial in expired {
        give_up_starting(name, service, serial, outcome);
    }
}

fn give_up_starting(name: &ServiceName, service: &mut ServiceState, serial: u64, outcome: &mut Outcome) {
    let Some(replica) = service.replicas.get(&serial) else { return };
    let runs = replica.running.is_some();
    let budget = spoken(start_budget(service.revisions.get(&replica.revision), runs));
    let why = match &replica.probing.startup_why {
        Some(why) => format!("did not start within {budget}: {}", short(why)),
        None if runs => format!("did not start within {budget}: its startup probe never answered"),
        None => format!("was not seen running within {budget}"),
    };
    crash(service, serial, LastExit { replica: serial, text: why.clone(), log: Vec::new(), at: outcome.now }, outcome);
    lower::end(name, service, serial, &Ending::NeverStarted, &format!("it {why}"), outcome);
}

/// Counts a crash against a replica's slot, if a successor will run the same revision there.
pub(crate) fn crash(service: &mut ServiceState, serial: u64, last: LastExit, outcome: &mut Outcome) {
    let Some(replica) = service.replicas.get(&serial) else { return };
    let Some(slot) = replica.slot.filter(|_| service.is_fresh(serial, replica)) else { return };
    let ready_for = if replica.is_ready() { outcome.now.since(replica.since) } else { Duration::ZERO };
    service.slots.entry(slot).or_default().crashed(last, ready_for, outcome.now);
    outcome.changed = true;
}

/// Sends out again, under their ids, the actions that a restart may have lost.
fn reissue(
    name: &ServiceName,
    serial: u64,
    replica: &crate::state::Replica,
    revisions: &std::collections::BTreeMap<shoal_model::RevisionId, Revision>,
    outcome: &mut Outcome,
) {
    let replica_name = named(name, serial);
    if let (Some(id), Some(revision)) = (replica.issued.start, revisions.get(&replica.revision)) {
        let revision = Box::new(revision.clone());
        outcome.again(id, ActionKind::Start { replica: replica_name.clone(), revision });
        outcome.tell(
            &replica_name,
            ReasonKind::Starting,
            "is asked for again after the supervisor's restart".to_owned(),
        );
    }
    if let (Some(id), None) = (replica.issued.signal, replica.issued.stop) {
        outcome.again(id, ActionKind::Signal { replica: replica_name.clone(), signal: Signal::Terminate });
    }
    if let Some(id) = replica.issued.stop {
        outcome.again(id, ActionKind::Stop { replica: replica_name });
    }
}
