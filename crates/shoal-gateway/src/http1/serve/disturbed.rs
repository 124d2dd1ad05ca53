//! One try over HTTP/1.1, with what goes wrong on purpose. Never: costs anything while nothing does.

use super::super::answer::Answer;
use super::super::download::Download;
use super::super::exchange::Unanswered;
use super::super::request::Request;
use super::super::upload::{Stuck, Upload};
use super::super::wire::Wire;
use super::super::wires::Replica;
use super::Connection;
use crate::connection::Abort;
use crate::deadline::Deadline;
use crate::destination::Destination;
use crate::disturbance::{OnPurpose, lose};
use crate::tries::{Reached, Tries};
use shoal_balance::Pick;
use shoal_discovery::Strike;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> Connection<'_, S> {
    /// One try at one replica.
    pub(super) async fn tried(
        &mut self,
        request: &Request,
        tries: &mut Tries<'_>,
        pick: &Pick,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(Replica, Answer), Unanswered> {
        if tries.destination.disturbance.is_any() {
            // On the heap, so that the requests of every other day keep a small future.
            return Box::pin(self.disturbed(request, tries, pick, upload, deadline)).await;
        }
        self.attempt(request, tries, pick, upload, deadline).await
    }

    /// One try at one replica, with the faults that hit it.
    async fn disturbed(
        &mut self,
        request: &Request,
        tries: &mut Tries<'_>,
        pick: &Pick,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(Replica, Answer), Unanswered> {
        let destination = tries.destination;
        let mut strike = destination.disturbance.strike(&destination.target.service, pick, request.path());
        let delay = strike.delay();
        if !delay.is_zero() {
            strike.delayed();
            let until = Instant::now() + delay;
            let begin = Instant::from_std(deadline.begin);
            let paused = self.while_here(tokio::time::sleep_until(until.min(begin)), request.ahead()).await;
            paused.map_err(|_| Unanswered::Gone)?;
            if until >= begin {
                return Err(Unanswered::TimedOut);
            }
        }
        let Strike { error, mut lost, mut twice, .. } = strike;
        if let Some(error) = error {
            return Err(Unanswered::OnPurpose(OnPurpose::of(error)));
        }
        if request.upgrade.is_some() {
            // What comes after a switch of protocols is no answer.
            (lost, twice) = (None, None);
        }
        let mut answered = self.attempt(request, tries, pick, upload, deadline).await?;
        if let Some(hit) = twice.filter(|_| upload.is_over() && upload.is_whole()) {
            self.swallow(answered, destination, upload, deadline).await?;
            hit.happened();
            answered = self.attempt(request, tries, pick, upload, deadline).await?;
        }
        if let Some(hit) = lost {
            self.swallow(answered, destination, upload, deadline).await?;
            return Err(Unanswered::Replica(Reached::Replica, lose(hit)));
        }
        Ok(answered)
    }

    /// Reads an answer to its end, or for as long as one may take, and has the client see nothing of it. What is left of the
    /// request is sent meanwhile.
    async fn swallow(
        &mut self,
        (mut replica, answer): (Replica, Answer),
        destination: &Destination,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(), Unanswered> {
        self.wire.forget();
        let mut download = Download::new(answer.framing, false);
        let mut nowhere = Wire::new(tokio::io::empty());
        let until = Instant::from_std(deadline.begin).min(Instant::now() + destination.limits.idle_timeout);
        std::future::poll_fn(|context| {
            if let Poll::Ready(Err(Stuck::Client(error))) = upload.poll(context, &mut self.wire, &mut replica) {
                return Poll::Ready(Err(Unanswered::Client(error)));
            }
            // Should it break, its end was lost as well.
            if download.poll(context, &mut nowhere, &mut replica).is_ready() {
                return Poll::Ready(Ok(()));
            }
            self.alarm.poll(context, until).map(Ok)
        })
        .await
    }
}
