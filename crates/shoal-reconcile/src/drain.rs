//! The fixed order in which a replica leaves: out of the routes, everyone who holds them knows, the signal, the kill past
//! its deadline, and what is kept of it is freed. Never decides who leaves.

use crate::reasons::{ReasonKind, spoken};
use crate::routes::{ACKNOWLEDGED_WITHIN, Routes};
use crate::state::{Ending, Phase, Replica, ServiceState, named};
use crate::step::Outcome;
use shoal_model::{ActionKind, ReplicaName, Revision, ServiceName, Signal};
use std::time::Duration;

/// From one kill to the next, should the first not be seen to work.
const KILL_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// After so many kills of something that was never ours, or never seen, it is taken for gone.
const KILLS_MOST: u32 = 3;
const DRAIN_DEFAULT: Duration = Duration::from_secs(10);
/// How long is waited for the requests of one that does not answer: only so that those who call it know that it left.
const UNRESPONSIVE_PATIENCE: Duration = Duration::from_secs(1);
/// How long one that does not answer gets to exit by itself.
const UNRESPONSIVE_GRACE: Duration = Duration::from_secs(5);

/// How long after it left the routes a replica is told to exit, whatever is still on its way to it.
pub(crate) fn patience(ending: Option<&Ending>) -> Duration {
    match ending {
        Some(Ending::Unresponsive) => UNRESPONSIVE_PATIENCE,
        // Somebody else has told it already.
        Some(Ending::Leaving) => Duration::ZERO,
        _ => ACKNOWLEDGED_WITHIN,
    }
}

/// How long after it was told to exit a replica is killed.
pub(crate) fn grace(ending: Option<&Ending>, drain_timeout: Duration) -> Duration {
    if ending == Some(&Ending::Unresponsive) { drain_timeout.min(UNRESPONSIVE_GRACE) } else { drain_timeout }
}

/// How long a replica of this revision may take to finish.
pub(crate) fn timeout(revision: Option<&Revision>) -> Duration {
    revision.map_or(DRAIN_DEFAULT, |revision| revision.launch.drain_timeout)
}

/// Takes what was killed often enough, and was never ours or never seen, for gone. Before anything is decided, because
/// it may hold a place that its successor needs.
pub(crate) fn give_up(name: &ReplicaName, replica: &mut Replica, outcome: &mut Outcome) {
    let unseen = replica.running.is_none() || replica.ending == Some(Ending::Leftover);
    let overdue = outcome.now >= replica.since.after(KILL_AGAIN_AFTER);
    if replica.phase == Phase::Stopping && unseen && overdue && replica.issued.stops >= KILLS_MOST {
        outcome.tell(name, ReasonKind::Killed, "was never seen to end, and is taken for gone".to_owned());
        replica.enter(Phase::Exited, outcome.now);
        outcome.changed = true;
    }
}

/// Takes each leaving replica of a service as far as it can go now.
pub(crate) fn advance(name: &ServiceName, service: &mut ServiceState, outcome: &mut Outcome) {
    let ServiceState { replicas, revisions, routes, .. } = service;
    let mut gone = Vec::new();
    for (serial, replica) in replicas.iter_mut().filter(|(_, replica)| !replica.stays()) {
        let drain_timeout = timeout(revisions.get(&replica.revision));
        // A replica may pass several stages at once: one that was never in the routes need not wait to leave them.
        let replica_name = named(name, *serial);
        leave_routes(&replica_name, replica, routes, drain_timeout, outcome);
        finish(&replica_name, replica, outcome);
        kill_again(&replica_name, replica, outcome);
        if replica.phase == Phase::Exited {
            if routes.is_behind(replica.left, outcome.now) {
                gone.push(*serial);
            } else if let Some(left) = replica.left {
                outcome.wake(left.at.after(ACKNOWLEDGED_WITHIN));
            }
        }
    }
    for serial in gone {
        replicas.remove(&serial);
        outcome.act(ActionKind::Forget { replica: named(name, serial) });
    }
}

fn leave_routes(
    name: &ReplicaName,
    replica: &mut Replica,
    routes: &Routes,
    drain_timeout: Duration,
    outcome: &mut Outcome,
) {
    if !matches!(replica.phase, Phase::Draining { .. }) {
        return;
    }
    if matches!(replica.ending, Some(Ending::NeverStarted | Ending::Leftover)) {
        // Nobody was ever sent there.
        kill(name, replica, outcome);
        return;
    }
    let overdue_at = replica.left.map(|left| left.at.after(patience(replica.ending.as_ref())));
    if routes.is_behind(replica.left, outcome.now) || overdue_at.is_some_and(|at| outcome.now >= at) {
        let deadline = outcome.now.after(grace(replica.ending.as_ref(), drain_timeout));
        replica.enter(Phase::Terminating { deadline }, outcome.now);
        replica.issued.signal =
            Some(outcome.act(ActionKind::Signal { replica: name.clone(), signal: Signal::Terminate }));
    } else if let Some(at) = overdue_at {
        outcome.wake(at);
    }
}

fn finish(name: &ReplicaName, replica: &mut Replica, outcome: &mut Outcome) {
    let Phase::Terminating { deadline } = replica.phase else { return };
    if outcome.now < deadline {
        outcome.wake(deadline);
        return;
    }
    let spent = spoken(outcome.now.since(replica.since));
    outcome.tell(name, ReasonKind::Killed, format!("did not exit within {spent} of being told to, so it is killed"));
    kill(name, replica, outcome);
}

fn kill(name: &ReplicaName, replica: &mut Replica, outcome: &mut Outcome) {
    replica.enter(Phase::Stopping, outcome.now);
    replica.issued.stops = replica.issued.stops.saturating_add(1);
    replica.issued.stop = Some(outcome.act(ActionKind::Stop { replica: name.clone() }));
}

fn kill_again(name: &ReplicaName, replica: &mut Replica, outcome: &mut Outcome) {
    if replica.phase != Phase::Stopping {
        return;
    }
    let again_at = replica.since.after(KILL_AGAIN_AFTER);
    if outcome.now < again_at {
        outcome.wake(again_at);
        return;
    }
    outcome.tell(name, ReasonKind::Killed, "was not seen to end, so it is killed once more".to_owned());
    kill(name, replica, outcome);
    outcome.wake(outcome.now.after(KILL_AGAIN_AFTER));
}
