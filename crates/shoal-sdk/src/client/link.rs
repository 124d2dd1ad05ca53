//! What a generated connect function decides with: is the callee in this process, or on the wire. Never: a part of the
//! public API.

use super::channel::{Channel, TIME_MIN, too_late};
use super::directory::Following;
use crate::environment::Contract;
use crate::wire::unpanicked;
use crate::{Call, Environment, Error, StartError};
use shoal_discovery::Edge;
use shoal_model::ServiceName;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

/// One callee of one environment. For generated code.
#[doc(hidden)]
pub struct Link<'a> {
    environment: &'a Environment,
    callee: ServiceName,
}

/// Starts to connect to a callee. `record` is what the executable carries about this call.
#[doc(hidden)]
pub fn link<'a>(
    environment: &'a Environment,
    callee: &'static str,
    record: &'static [u8],
) -> Result<Link<'a>, StartError> {
    // Used, so that the linker keeps it: an executable lists what it can call, and nothing else.
    std::hint::black_box(record);
    let callee = callee.parse().map_err(|why| StartError::new(format!("{why}")))?;
    Ok(Link { environment, callee })
}

impl Link<'_> {
    pub fn provided<T: ?Sized + Contract>(&self) -> Option<Arc<T>> {
        self.environment.provided::<T>()
    }

    #[must_use]
    pub fn in_process(&self) -> InProcess {
        let (edge, following) = self.environment.directory().edge(&self.callee);
        InProcess { callee: self.callee.clone(), edge, _following: following }
    }

    pub fn channel(&self) -> Result<Channel, StartError> {
        let (callee, service) = (&self.callee, self.environment.service());
        self.environment.directory().channel(callee).ok_or_else(|| {
            StartError::new(format!(
                "`{service}` calls `{callee}`, but does not say so: add \"{callee}\" to `calls` of [services.{service}] in \
                 shoal.toml (or, without Shoal, set {} to its address, such as http://127.0.0.1:8080)",
                callee.url_variable()
            ))
        })
    }
}

/// Calls that stay in the process: deadline, counters and panics as over the wire, without encoding. For generated code.
#[doc(hidden)]
pub struct InProcess {
    callee: ServiceName,
    edge: Edge,
    /// What reports the counters.
    _following: Option<Arc<Following>>,
}

impl InProcess {
    pub async fn call<F, Answer, T>(&self, call: &Call, method: F) -> Result<T, Error>
    where
        F: FnOnce(Call) -> Answer,
        Answer: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        let counted = self.edge.begin();
        let result = self.within_deadline(call, method, started).await;
        let is_error = result.as_ref().is_err_and(|error| error.code.is_failure());
        counted.finish(started.elapsed(), is_error);
        result
    }

    async fn within_deadline<F, Answer, T>(&self, call: &Call, method: F, now: Instant) -> Result<T, Error>
    where
        F: FnOnce(Call) -> Answer,
        Answer: Future<Output = Result<T, Error>>,
    {
        // As on the wire, nothing is asked when there is no time to answer.
        if call.time_left_at(now) < TIME_MIN {
            return Err(too_late(&self.callee));
        }
        let mut answer = pin!(unpanicked(method(call.child())));
        // Most methods that stay in the process answer at once, and need no timer.
        let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
        if let Poll::Ready(answer) = at_once {
            return answer;
        }
        let deadline = tokio::time::Instant::from_std(call.deadline());
        let answer = tokio::time::timeout_at(deadline, answer);
        answer.await.unwrap_or_else(|_| Err(too_late(&self.callee)))
    }
}
