//! The second level: carries an intent out on named replicas. Chooses which replica starts or leaves; never how many.

use crate::intents::{Change, Intent};
use crate::reasons::{ReasonKind, ending_kind};
use crate::state::{Ending, Issued, Phase, Probing, Replica, ServiceState, named};
use crate::step::Outcome;
use shoal_model::{ActionKind, Generation, RevisionId, ServiceName};
use std::collections::BTreeSet;

/// Replicas of one service that start at the same time: more would only slow each other down until their probes fail.
const STARTING_MOST: usize = 16;

/// Carries out one intent.
pub(crate) fn carry_out(name: &ServiceName, service: &mut ServiceState, intent: &Intent, outcome: &mut Outcome) {
    match &intent.change {
        Change::ScaleRevision { revision, replicas } => {
            scale(name, service, revision, *replicas as usize, &intent.why, outcome);
        }
        Change::RetireRevision { revision, keep, because } => {
            retire(name, service, revision, *keep as usize, because, &intent.why, outcome);
        }
        Change::SetRoutes { weights } => {
            service.routes.weights.clone_from(weights);
            outcome.changed = true;
        }
    }
}

fn scale(
    name: &ServiceName,
    service: &mut ServiceState,
    revision: &RevisionId,
    replicas: usize,
    why: &str,
    outcome: &mut Outcome,
) {
    let mut staying: Vec<(bool, u64, Option<u32>)> = Vec::new();
    let mut starting = 0;
    for (serial, replica) in &service.replicas {
        if replica.stays() && service.is_fresh(*serial, replica) {
            staying.push((replica.is_ready(), *serial, replica.slot));
            starting += usize::from(replica.phase == Phase::Starting);
        }
    }
    // Those that are not ready first, and of each kind the youngest.
    staying.sort_unstable_by_key(|(ready, serial, _)| (*ready, std::cmp::Reverse(*serial)));
    let excess = staying.len().saturating_sub(replicas);
    for (_, serial, _) in staying.drain(..excess) {
        end(name, service, serial, &Ending::ScaledDown, why, outcome);
    }
    let occupied: BTreeSet<u32> = staying.iter().filter_map(|(_, _, slot)| *slot).collect();
    let missing = replicas.saturating_sub(staying.len());
    let vacant: Vec<u32> = (0..).filter(|slot| !occupied.contains(slot)).take(missing).collect();
    // What happened in a place that is no longer needed does not matter to whoever may come to need it.
    let slots_before = service.slots.len();
    service.slots.retain(|slot, _| occupied.contains(slot) || vacant.binary_search(slot).is_ok());
    outcome.changed |= service.slots.len() != slots_before;
    fill(name, service, revision, &vacant, STARTING_MOST.saturating_sub(starting), why, outcome);
}

/// Starts a replica in each vacant place whose wait after a crash is over, as far as there is room.
fn fill(
    name: &ServiceName,
    service: &mut ServiceState,
    revision: &RevisionId,
    vacant: &[u32],
    mut room: usize,
    why: &str,
    outcome: &mut Outcome,
) {
    for slot in vacant {
        let (not_before, restarts) =
            service.slots.get(slot).map_or((outcome.now, 0), |slot| (slot.not_before, slot.restarts));
        if not_before > outcome.now {
            outcome.wake(not_before);
        } else if room > 0 {
            room -= 1;
            start(name, service, revision, *slot, restarts, why, outcome);
        }
    }
}

fn start(
    name: &ServiceName,
    service: &mut ServiceState,
    revision_id: &RevisionId,
    slot: u32,
    restarts: u32,
    why: &str,
    outcome: &mut Outcome,
) {
    let Some(revision) = service.revisions.get(revision_id) else { return };
    let serial = service.next_serial.max(1);
    service.next_serial = serial.saturating_add(1);
    service.has_started = true;
    let replica = named(name, serial);
    let id = outcome.act(ActionKind::Start { replica: replica.clone(), revision: Box::new(revision.clone()) });
    outcome.tell(
        &replica,
        ReasonKind::Starting,
        if restarts > 0 { "starts in place of one that crashed".to_owned() } else { format!("starts, because {why}") },
    );
    outcome.wake(outcome.now.after(crate::life::start_budget(Some(revision), false)));
    service.replicas.insert(
        serial,
        Replica {
            revision: revision_id.clone(),
            phase: Phase::Starting,
            since: outcome.now,
            started_at: outcome.now,
            slot: Some(slot),
            restarts,
            was_ready: false,
            running: None,
            ending: None,
            left: None,
            issued: Issued { start: Some(id), ..Issued::default() },
            probing: Probing::default(),
            unheard_until: None,
        },
    );
}

fn retire(
    name: &ServiceName,
    service: &mut ServiceState,
    revision: &RevisionId,
    keep: usize,
    because: &Ending,
    why: &str,
    outcome: &mut Outcome,
) {
    let everything = matches!(because, Ending::Down | Ending::Removed);
    let mut outdated: Vec<(bool, bool, u64)> = Vec::new();
    for (serial, replica) in &service.replicas {
        let concerned = replica.stays() && replica.revision == *revision;
        if concerned && (everything || !service.is_fresh(*serial, replica)) {
            outdated.push((replica.is_ready(), replica.phase != Phase::Starting, *serial));
        }
    }
    // Those that have not started first, then those that are not ready, and of each kind the oldest.
    outdated.sort_unstable();
    for (_, _, serial) in outdated.iter().take(outdated.len().saturating_sub(keep)) {
        end(name, service, *serial, because, why, outcome);
    }
}

/// Lets a replica go that finishes by itself: out of the routes, and killed only when it takes too long.
pub(crate) fn leave(name: &ServiceName, service: &mut ServiceState, serial: u64, outcome: &mut Outcome) {
    let ServiceState { replicas, revisions, .. } = service;
    let Some(replica) = replicas.get_mut(&serial) else { return };
    let deadline = outcome.now.after(crate::drain::timeout(revisions.get(&replica.revision)));
    replica.ending = Some(Ending::Leaving);
    replica.issued.start = None;
    replica.enter(Phase::Terminating { deadline }, outcome.now);
    outcome.changed = true;
    let text = format!("leaves, because {}", crate::reasons::ending_text(&Ending::Leaving));
    outcome.tell(&named(name, serial), ending_kind(&Ending::Leaving), text);
}

/// Begins the end of a replica: it leaves the routes, and `drain.rs` takes it from there.
pub(crate) fn end(
    name: &ServiceName,
    service: &mut ServiceState,
    serial: u64,
    because: &Ending,
    why: &str,
    outcome: &mut Outcome,
) {
    let Some(replica) = service.replicas.get_mut(&serial) else { return };
    replica.ending = Some(because.clone());
    // The generation is known once the routes without it are published, later in this step.
    replica.enter(Phase::Draining { generation: Generation(0) }, outcome.now);
    outcome.changed = true;
    outcome.tell(&named(name, serial), ending_kind(because), format!("leaves, because {why}"));
}
