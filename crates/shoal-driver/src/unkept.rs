//! What was seen and could not be taken account of, because nothing could be written. Holds the last word on each subject only,
//! so that a disk may be full for any time.

use shoal_model::{FaultId, Observation, ReplicaName, ServiceName};
use std::collections::BTreeMap;

/// What was seen while the state could not be written. A runtime need not say again that a replica has ended, so it waits
/// here; an unanswered probe is asked again.
#[derive(Default)]
pub(crate) struct Unkept {
    lives: BTreeMap<ReplicaName, Observation>,
    leaving: BTreeMap<ReplicaName, Observation>,
    acknowledged: BTreeMap<ServiceName, Observation>,
    happened: BTreeMap<FaultId, Observation>,
    /// Whether it was said already that nothing can be written.
    pub(crate) is_told: bool,
}

impl Unkept {
    /// These could not be taken account of.
    pub(crate) fn hold(&mut self, observations: Vec<Observation>) {
        for observation in observations {
            match &observation {
                Observation::ReplicaChanged { replica, .. } => {
                    self.lives.insert(replica.clone(), observation);
                }
                Observation::ReplicaLeaving { replica } => {
                    self.leaving.insert(replica.clone(), observation);
                }
                Observation::RoutesAcknowledged { service, .. } => {
                    self.acknowledged.insert(service.clone(), observation);
                }
                Observation::FaultHappened { fault, .. } => {
                    self.happened.insert(*fault, observation);
                }
                Observation::ProbeFinished { .. } => {}
            }
        }
    }

    /// All of them, for the next turn.
    pub(crate) fn take(&mut self) -> Vec<Observation> {
        let lives = std::mem::take(&mut self.lives).into_values();
        let leaving = std::mem::take(&mut self.leaving).into_values();
        let happened = std::mem::take(&mut self.happened).into_values();
        lives.chain(leaving).chain(std::mem::take(&mut self.acknowledged).into_values()).chain(happened).collect()
    }
}
