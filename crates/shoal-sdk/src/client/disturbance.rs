//! What goes wrong on purpose with one try of a call: it comes late, fails, is made twice, or its answer is lost. Never: asks
//! what the caller does about it.

use super::peer::{Attempt, Peer};
use crate::frames::Unanswered;
use crate::{Code, Error};
use buffa::Message;
use bytes::Bytes;
use shoal_discovery::faults::wall_clock;
use shoal_discovery::{Faults, Hit, Strike, Try};
use shoal_model::{FaultError, ReplicaName, ServiceName};
use std::sync::Arc;

/// The largest request that is sent twice, in bytes: what the gateway keeps of one as well.
const TWICE_MAX: usize = 64 * 1024;

/// The faults that calls of one caller meet.
#[derive(Clone, Debug)]
pub(super) struct Disturbance {
    caller: ServiceName,
    faults: Faults,
}

impl Disturbance {
    pub fn new(caller: ServiceName, faults: Faults) -> Self {
        Self { caller, faults }
    }

    /// Whether there are any.
    pub fn is_any(&self) -> bool {
        self.faults.is_any()
    }

    /// One try at a replica, with what goes wrong.
    pub async fn call(
        &self,
        peer: &Arc<Peer>,
        attempt: &Attempt<'_>,
        (callee, replica): (&ServiceName, &ReplicaName),
        request: &impl Message,
    ) -> Result<Bytes, Unanswered> {
        let method = attempt.path.rsplit('/').next().unwrap_or_default();
        let it = Try { caller: &self.caller, callee, replica, method };
        let mut strike = self.faults.strike(&it, wall_clock(), &mut crate::random::number);
        let delay = strike.delay();
        if !delay.is_zero() {
            strike.delayed();
            tokio::time::sleep(delay).await;
        }
        let Strike { error, lost, twice, .. } = strike;
        if let Some((error, hit)) = error {
            let message = format!("`{callee}` was not asked: fault {} is on", hit.id().0);
            hit.happened();
            return Err(Unanswered::Answered(Error::new(code(error), message)));
        }
        let mut answer = peer.call(attempt, request).await;
        if let Some(hit) = twice.filter(|_| is_answer(&answer) && size(request) <= TWICE_MAX) {
            hit.happened();
            answer = peer.call(attempt, request).await;
        }
        match lost.filter(|_| is_answer(&answer)) {
            Some(hit) => Err(Unanswered::Broken(lose(hit))),
            None => answer,
        }
    }
}

fn lose(hit: Hit) -> String {
    let why = format!("its answer was lost, since fault {} is on", hit.id().0);
    hit.happened();
    why
}

fn is_answer(answer: &Result<Bytes, Unanswered>) -> bool {
    matches!(answer, Ok(_) | Err(Unanswered::Answered(_)))
}

fn size(request: &impl Message) -> usize {
    usize::try_from(request.compute_size(&mut buffa::SizeCache::new())).unwrap_or(usize::MAX)
}

fn code(error: FaultError) -> Code {
    match error {
        FaultError::Unavailable => Code::Unavailable,
        FaultError::Internal => Code::Internal,
        FaultError::ResourceExhausted => Code::ResourceExhausted,
        FaultError::DeadlineExceeded => Code::DeadlineExceeded,
    }
}
