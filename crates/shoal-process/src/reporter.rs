//! The way up for observations. It waits for whoever receives them, until everything is being ended.
//!
//! Never: keeps an end waiting for a receiver that has stopped receiving.

use shoal_model::Observation;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A cheap handle.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    observations: mpsc::Sender<Observation>,
    ending: Arc<watch::Sender<bool>>,
}

impl Reporter {
    pub(crate) fn new(observations: mpsc::Sender<Observation>) -> Self {
        Self { observations, ending: Arc::new(watch::Sender::new(false)) }
    }

    /// From now on an observation that nobody takes at once is dropped.
    pub(crate) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Reports; waits for room.
    pub(crate) async fn report(&self, observation: Observation) {
        let mut ending = self.ending.subscribe();
        // Observations are levels: one that is lost is made up for by the next, and there is none to come after the end.
        tokio::select! {
            biased;
            _ = self.observations.send(observation) => {}
            _ = ending.wait_for(|&ending| ending) => {}
        }
    }
}
