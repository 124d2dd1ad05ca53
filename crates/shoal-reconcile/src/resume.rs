//! After a restart of the supervisor: what of a stored state still holds. Never starts or stops anything itself.

use crate::backoff::DELAY_MOST;
use crate::drain;
use crate::reasons::{Reason, ReasonKind, exit_text};
use crate::state::{Issued, Phase, Probing, State, named};
use crate::status::LastExit;
use shoal_model::{Exit, Millis, ReplicaName};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long to wait for word of a replica that was ready. A runtime soon says of each whether it runs or has ended; this is
/// for one that does not.
const HEARD_WITHIN: Duration = Duration::from_secs(10);

impl State {
    /// Takes up a stored state. Replicas, targets and scales stay; what cannot be known any more (failures counted,
    /// waits begun) starts over; routes are published again; and actions that were issued but never seen to happen go
    /// out again under their ids. Restarts nothing. Call it once after [`open`](Self::open), before
    /// [`adopted`](Self::adopted).
    pub fn resumed(&mut self, now: Millis) {
        self.resume_faults();
        for service in self.services.values_mut() {
            service.routes.again = service.routes.generation.0 > 0;
            for slot in service.slots.values_mut() {
                // The machine's clock may have been set back meanwhile.
                slot.not_before = slot.not_before.min(now.after(DELAY_MOST));
            }
            for replica in service.replicas.values_mut() {
                replica.probing = Probing::default();
                if replica.is_ready() {
                    // It goes on counting: it served all the while, unless it ended unseen.
                    replica.unheard_until = Some(now.after(HEARD_WITHIN));
                    continue;
                }
                replica.since = now;
                if let Some(running) = &mut replica.running {
                    running.since = now;
                }
                if let Phase::Terminating { deadline } = &mut replica.phase {
                    // It may never have been told: the signal goes out again, and it gets its time from then on.
                    let timeout = drain::timeout(service.revisions.get(&replica.revision));
                    *deadline = now.after(drain::grace(replica.ending.as_ref(), timeout));
                }
                replica.issued.again = replica.is_live();
            }
        }
    }

    /// Tells which replicas the runtime found running or ended after a restart. A known replica that was seen running
    /// before and is not among them is gone, without being blamed for it; one whose start was never confirmed is asked
    /// for again. Call it after [`resumed`](Self::resumed), once the runtime has looked everywhere.
    ///
    /// Returns why each of them will be replaced.
    #[must_use = "reasons are for the log"]
    pub fn adopted(&mut self, found: &BTreeSet<ReplicaName>, now: Millis) -> Vec<Reason> {
        for name in found {
            // Its name is taken, also when the state that gave it was lost.
            let service = self.services.entry(name.service.clone()).or_default();
            service.next_serial = service.next_serial.max(name.serial.saturating_add(1));
        }
        let mut reasons = Vec::new();
        for (name, service) in &mut self.services {
            for (serial, replica) in &mut service.replicas {
                let replica_name = named(name, *serial);
                if found.contains(&replica_name) {
                    // It exists, so it was started; its own report follows. What else it was told may have been lost.
                    replica.issued.start = None;
                    continue;
                }
                if !replica.is_live() || (replica.running.is_none() && replica.phase == Phase::Starting) {
                    continue;
                }
                replica.enter(Phase::Exited, now);
                replica.issued = Issued::default();
                reasons.push(Reason {
                    service: name.clone(),
                    replica: Some(replica_name),
                    text: "ended while no supervisor was watching".to_owned(),
                    kind: ReasonKind::Exited,
                    log: Vec::new(),
                });
            }
            if !service.has_live() {
                // As after a reboot: start order matters again.
                service.has_started = false;
            }
        }
        reasons
    }
}

/// What is kept of an exit.
pub(crate) fn last_exit(serial: u64, exit: &Exit, log: &[String], at: Millis) -> LastExit {
    LastExit { replica: serial, text: exit_text(exit), log: bounded(log), at }
}

/// At most 20 lines of 400 letters: a program's output must not fill the state.
pub(crate) fn bounded(log: &[String]) -> Vec<String> {
    const LINES_MOST: usize = 20;
    let skipped = log.len().saturating_sub(LINES_MOST);
    log.iter().skip(skipped).map(|line| line.chars().take(400).collect()).collect()
}
