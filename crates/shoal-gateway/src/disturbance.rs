//! What goes wrong on purpose with the requests of one caller, as both protocols need it: which faults hit a try, and what
//! one that is answered in the replica's place amounts to. Never: waits for anything itself.

use crate::refusal::Refusal;
use http::StatusCode;
use shoal_balance::{Outcome, Pick};
use shoal_discovery::faults::wall_clock;
use shoal_discovery::{Faults, Hit, Strike, Try};
use shoal_model::{FaultError, FaultId, ServiceName};

/// The faults that requests of one caller meet.
#[derive(Clone, Debug)]
pub(crate) struct Disturbance {
    caller: ServiceName,
    faults: Faults,
}

/// An error in the place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnPurpose {
    pub(crate) fault: FaultId,
    pub(crate) error: FaultError,
}

impl Disturbance {
    pub(crate) fn new(caller: ServiceName, faults: Faults) -> Self {
        Self { caller, faults }
    }

    /// Whether there are any.
    pub(crate) fn is_any(&self) -> bool {
        self.faults.is_any()
    }

    /// What goes wrong with a try of a request for this path.
    pub(crate) fn strike(&self, callee: &ServiceName, pick: &Pick, path: &str) -> Strike {
        let replica = &pick.endpoint().replica;
        let method = path.rsplit('/').next().unwrap_or_default();
        let it = Try { caller: &self.caller, callee, replica, method };
        self.faults.strike(&it, wall_clock(), &mut crate::random::next)
    }
}

impl OnPurpose {
    /// The error that a fault gives.
    pub(crate) fn of((error, hit): (FaultError, Hit)) -> Self {
        let fault = hit.id();
        hit.happened();
        Self { fault, error }
    }

    /// What it says of the replica: the same as if that had answered it.
    pub(crate) fn outcome(self) -> Outcome {
        if self.status().is_server_error() { Outcome::Failed } else { Outcome::Succeeded }
    }

    /// Whether another replica might take the request.
    pub(crate) fn is_unavailable(self) -> bool {
        matches!(self.error, FaultError::Unavailable | FaultError::DeadlineExceeded)
    }

    pub(crate) fn refusal(self, service: &ServiceName) -> Refusal {
        Refusal::OnPurpose { service: service.clone(), on_purpose: self }
    }

    pub(crate) fn status(self) -> StatusCode {
        match self.error {
            FaultError::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FaultError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            FaultError::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            FaultError::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The code of Connect, and gRPC's number for it.
    pub(crate) fn code(self) -> (&'static str, &'static str) {
        match self.error {
            FaultError::Unavailable => ("unavailable", "14"),
            FaultError::Internal => ("internal", "13"),
            FaultError::ResourceExhausted => ("resource_exhausted", "8"),
            FaultError::DeadlineExceeded => ("deadline_exceeded", "4"),
        }
    }
}

/// The sentence for an answer that is thrown away, which has happened.
pub(crate) fn lose(hit: Hit) -> String {
    let why = format!("had its answer lost, since fault {} is on", hit.id().0);
    hit.happened();
    why
}
