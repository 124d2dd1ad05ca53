//! Faults on purpose: which are on, until when, and what that means for each process. Those of calls happen where calls are
//! made, and are only kept and counted here. Never decides that a replica starts or leaves: it suffers, and what follows is
//! decided as always.

use crate::commands::Refusal;
use crate::reasons::{Reason, ReasonKind, plural};
use crate::state::{Replica, ServiceState, State, named};
use crate::step::Outcome;
use serde::{Deserialize, Serialize};
use shoal_model::{
    ActionKind, Disturbance, Fault, FaultId, FaultKind, FaultTarget, Millis, ReplicaName, ServiceName, Signal,
};
use std::collections::{BTreeMap, BTreeSet};

/// The most faults at a time.
pub const FAULTS_MAX: usize = 100;

/// The faults of an application.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Faults {
    // How many there ever were.
    made: u64,
    kept: BTreeMap<FaultId, Kept>,
    // What the runtime was last asked to make each replica suffer, where that is anything.
    disturbed: BTreeMap<ReplicaName, Disturbance>,
    // Those of which an earlier supervisor may have ordered what was never done.
    #[serde(skip)]
    unsure: BTreeSet<ReplicaName>,
    // To be killed in this step.
    #[serde(skip)]
    condemned: BTreeSet<ReplicaName>,
}

/// One fault that is on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    fault: Fault,
    happened: u64,
    // The replicas that suffer it, each of which it happened to once.
    #[serde(default)]
    suffering: BTreeSet<ReplicaName>,
}

/// One fault, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultStatus {
    /// Which.
    pub id: FaultId,
    /// As it was added.
    pub fault: Fault,
    /// How often it has happened.
    pub happened: u64,
}

impl FaultStatus {
    /// How often it may still happen; without a bound when `None`.
    #[must_use]
    pub fn times_left(&self) -> Option<u32> {
        self.fault.times.map(|times| times.saturating_sub(u32::try_from(self.happened).unwrap_or(u32::MAX)))
    }
}

impl State {
    /// Every fault that is on, in the order in which they were added.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultStatus> {
        self.faults.kept.iter().map(|(id, kept)| kept.status(*id)).collect()
    }

    /// Puts a fault on from now on. `Kill` without a crash point is none that could be kept: see [`State::kill`].
    ///
    /// # Errors
    /// A fault that could not happen as it is said, or one too many.
    pub fn add_fault(&mut self, fault: Fault, now: Millis) -> Result<FaultId, Refusal> {
        self.refuse_while_stopping()?;
        crate::fault_rules::check(self, &fault, now)?;
        if self.faults.kept.len() >= FAULTS_MAX {
            return Err(Refusal(format!("there are {FAULTS_MAX} faults already, which is the most: remove one first")));
        }
        self.faults.made = self.faults.made.saturating_add(1);
        let id = FaultId(self.faults.made);
        self.faults.kept.insert(id, Kept { fault, happened: 0, suffering: BTreeSet::new() });
        Ok(id)
    }

    /// Takes a fault away; answers how it was.
    ///
    /// # Errors
    /// When there is no such fault (any more).
    pub fn remove_fault(&mut self, id: FaultId) -> Result<FaultStatus, Refusal> {
        let Some(kept) = self.faults.kept.remove(&id) else {
            let sentence = format!("there is no fault {}; `shoal fault` lists those that are on", id.0);
            return Err(Refusal(sentence));
        };
        Ok(kept.status(id))
    }

    /// Takes every fault away; answers how they were.
    pub fn remove_faults(&mut self) -> Vec<FaultStatus> {
        let all = self.faults();
        self.faults.kept.clear();
        all
    }

    /// Has every running replica of the target die at once, as in a crash; answers how many.
    ///
    /// # Errors
    /// When none runs, or the target is a call.
    pub fn kill(&mut self, target: &FaultTarget) -> Result<usize, Refusal> {
        self.refuse_while_stopping()?;
        crate::fault_rules::check_process_target(self, target, "kill")?;
        let hit: BTreeSet<ReplicaName> = running(&self.services).filter(|name| hits(target, name)).collect();
        if hit.is_empty() {
            return Err(Refusal(format!("nothing of {target} runs now, so nothing can be killed")));
        }
        let count = hit.len();
        self.faults.condemned.extend(hit);
        Ok(count)
    }

    /// What was ordered and not seen to happen may have been lost with the supervisor, so it is ordered again.
    pub(crate) fn resume_faults(&mut self) {
        // Where there never was a fault, there is nothing to lift either.
        if self.faults.made > 0 {
            self.faults.unsure = live(&self.services).map(|(name, _)| name).collect();
        }
    }
}

impl Faults {
    /// Takes note of how often a fault has happened.
    pub(crate) fn happened(&mut self, id: FaultId, total: u64, outcome: &mut Outcome) {
        if let Some(kept) = self.kept.get_mut(&id).filter(|kept| kept.happened < total) {
            kept.happened = total;
            outcome.changed = true;
        }
    }

    fn disturbance(&self, replica: &ReplicaName) -> Disturbance {
        let suffers = |kind: &FaultKind| {
            self.kept.values().any(|kept| kept.fault.kind == *kind && hits(&kept.fault.target, replica))
        };
        Disturbance { is_paused: suffers(&FaultKind::Pause), is_disk_full: suffers(&FaultKind::DiskFull) }
    }

    /// Counts each replica that a fault of processes newly reaches.
    fn count(&mut self, replica: &ReplicaName, outcome: &mut Outcome) {
        for kept in self.kept.values_mut() {
            let lasts = matches!(kept.fault.kind, FaultKind::Pause | FaultKind::DiskFull);
            if lasts && hits(&kept.fault.target, replica) && kept.suffering.insert(replica.clone()) {
                kept.happened = kept.happened.saturating_add(1);
                outcome.changed = true;
            }
        }
    }

    /// Drops each fault for which `why` has an answer, and says so.
    fn drop_those(&mut self, outcome: &mut Outcome, why: impl Fn(&Kept) -> Option<&'static str>) {
        for (id, kept) in self.kept.extract_if(.., |_, kept| why(kept).is_some()) {
            let why = why(&kept).unwrap_or_default();
            outcome.changed = true;
            outcome.say(Reason {
                service: kept.fault.target.service().clone(),
                replica: None,
                text: format!("is rid of fault {}: {why}", kept.status(id)),
                kind: ReasonKind::Fault,
                log: Vec::new(),
            });
        }
    }
}

impl Kept {
    fn status(&self, id: FaultId) -> FaultStatus {
        FaultStatus { id, fault: self.fault.clone(), happened: self.happened }
    }
}

impl std::fmt::Display for FaultStatus {
    /// "3 (payment: kill at capture.called; happened once)".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({}: {}; happened {} ", self.id.0, self.fault.target, self.fault.kind, self.happened)?;
        write!(f, "{})", plural(usize::try_from(self.happened).unwrap_or(usize::MAX), "time", "times"))
    }
}

/// Drops the faults whose time is over, and has the runtime make each process suffer what it should, and no more. Before
/// anything is decided of replicas.
pub(crate) fn advance(state: &mut State, outcome: &mut Outcome) {
    let State { faults, services, stopping, .. } = state;
    let (now, stopping) = (outcome.now, *stopping);
    faults.drop_those(outcome, |kept| {
        let is_over = kept.fault.until.is_some_and(|until| until <= now);
        let is_spent = kept.status(FaultId(0)).times_left() == Some(0);
        match (stopping, is_over, is_spent) {
            (true, _, _) => Some("the application stops"),
            (_, true, _) => Some("its time is over"),
            (_, _, true) => Some("it has happened as often as was asked for"),
            _ => None,
        }
    });
    for until in faults.kept.values().filter_map(|kept| kept.fault.until) {
        outcome.wake(until);
    }
    if faults.kept.is_empty() && faults.disturbed.is_empty() && faults.unsure.is_empty() && faults.condemned.is_empty()
    {
        return;
    }
    for replica in running(services) {
        faults.count(&replica, outcome);
        let wanted = faults.disturbance(&replica);
        let is_unsure = faults.unsure.remove(&replica);
        let known = faults.disturbed.get(&replica).copied().unwrap_or_default();
        if wanted != known || is_unsure {
            faults.disturbed.insert(replica.clone(), wanted);
            outcome.act(ActionKind::Disturb { replica, disturbance: wanted });
        }
    }
    faults.disturbed.retain(|_, disturbance| *disturbance != Disturbance::default());
    for replica in std::mem::take(&mut faults.condemned) {
        outcome.tell(&replica, ReasonKind::Fault, "is killed, as somebody asked for".to_owned());
        outcome.act(ActionKind::Signal { replica, signal: Signal::Kill });
    }
}

/// Drops what concerns replicas and services that are no more. After everything was decided of them.
pub(crate) fn forget_gone(state: &mut State, outcome: &mut Outcome) {
    let State { faults, services, .. } = state;
    faults.drop_those(outcome, |kept| {
        let is_there = |service: &ServiceName| {
            services.get(service).is_some_and(|known| known.target.is_some() || !known.replicas.is_empty())
        };
        let (what, is_there) = match &kept.fault.target {
            FaultTarget::Call { caller, callee } => {
                ("a service of it was removed", is_there(caller) && is_there(callee))
            }
            FaultTarget::Service(service) => ("the service was removed", is_there(service)),
            FaultTarget::Replica(replica) => ("the replica is gone", has(services, replica)),
        };
        (!is_there).then_some(what)
    });
    let before = faults.disturbed.len();
    faults.disturbed.retain(|replica, _| has(services, replica));
    outcome.changed |= faults.disturbed.len() != before;
    faults.unsure.retain(|replica| has(services, replica));
    for kept in faults.kept.values_mut() {
        let before = kept.suffering.len();
        kept.suffering.retain(|replica| has(services, replica));
        outcome.changed |= kept.suffering.len() != before;
    }
}

/// Whether a fault of processes with this target reaches this replica.
fn hits(target: &FaultTarget, replica: &ReplicaName) -> bool {
    match target {
        FaultTarget::Call { .. } => false,
        FaultTarget::Service(service) => *service == replica.service,
        FaultTarget::Replica(hit) => hit == replica,
    }
}

fn has(services: &BTreeMap<ServiceName, ServiceState>, replica: &ReplicaName) -> bool {
    services.get(&replica.service).is_some_and(|service| service.replicas.contains_key(&replica.serial))
}

fn live(services: &BTreeMap<ServiceName, ServiceState>) -> impl Iterator<Item = (ReplicaName, &Replica)> {
    services.iter().flat_map(|(name, service)| {
        let live = service.replicas.iter().filter(|(_, replica)| replica.is_live());
        live.map(|(serial, replica)| (named(name, *serial), replica))
    })
}

/// The replicas that have a process, as far as is known.
fn running(services: &BTreeMap<ServiceName, ServiceState>) -> impl Iterator<Item = ReplicaName> {
    live(services).filter(|(_, replica)| replica.running.is_some()).map(|(name, _)| name)
}
