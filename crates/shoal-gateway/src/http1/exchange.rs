//! One try of a request at one replica, over HTTP/1.1: the request goes out, the answer's head comes back, the bodies pass.
//! Both directions, the client's leaving and the time are looked at in one place, by one task.

use super::answer::{self, Answer, NoAnswer, Passing, Read};
use super::download::{Download, Side};
use super::upload::{Stuck, Upload};
use super::wire::{Alarm, PIECE, Wire};
use crate::disturbance::OnPurpose;
use crate::tries::Reached;
use crate::upload::UploadError;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

/// The most answers before the answer.
const INTERIM_MAX: u32 = 16;

/// A try.
pub(super) struct Exchange<'a, S, R> {
    pub(super) client: &'a mut Wire<S>,
    pub(super) replica: &'a mut Wire<R>,
    pub(super) upload: &'a mut Upload,
    pub(super) alarm: &'a mut Alarm,
    /// How long either side may keep the other waiting in the middle of a body.
    pub(super) idle: Duration,
    /// When something last moved.
    pub(super) moved: Instant,
    /// How many bytes had gone to the replica before.
    pub(super) sent_before: u64,
    /// Whether the request has gone to the replica, or the replica takes no more of it.
    pub(super) is_sent: bool,
}

/// Why a try ended without an answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// The client is gone.
    Gone,
    /// The client did not send its request as it may.
    Client(UploadError),
    /// The replica did not do its part; how far the request came, and what the replica did.
    Replica(Reached, String),
    /// The time is up.
    TimedOut,
    /// Nobody was asked, since somebody asked for this error.
    OnPurpose(OnPurpose),
}

/// Why an answer did not get through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// By the client, or because it took nothing for too long.
    Client,
    /// By the replica.
    Replica,
    /// Because the replica sent nothing for too long.
    Stalled,
    /// Its time was up.
    TimedOut,
}

impl<S, R> Exchange<'_, S, R>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    /// Sends the request and waits for the answer's head, which it writes for the client.
    pub(super) async fn begin(&mut self, passing: Passing<'_>, until: Instant) -> Result<Answer, Unanswered> {
        let mut interim = 0;
        std::future::poll_fn(|context| self.poll_begin(context, passing, until, &mut interim)).await
    }

    fn poll_begin(
        &mut self,
        context: &mut Context<'_>,
        passing: Passing<'_>,
        until: Instant,
        interim: &mut u32,
    ) -> Poll<Result<Answer, Unanswered>> {
        loop {
            if let Err(error) = self.poll_upload(context) {
                return Poll::Ready(Err(Unanswered::Client(error)));
            }
            if self.poll_left(context) {
                return Poll::Ready(Err(Unanswered::Gone));
            }
            match self.replica.poll_fill(context) {
                Poll::Ready(Ok(true)) => match self.head(passing, interim) {
                    Ok(None) => continue,
                    Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                    Err(NoAnswer) => {
                        let why = "gave an answer that is not HTTP".to_owned();
                        return Poll::Ready(Err(Unanswered::Replica(Reached::Replica, why)));
                    }
                },
                Poll::Ready(ended) => return Poll::Ready(Err(self.lost(ended))),
                Poll::Pending => {}
            }
            let waits_for_client =
                self.upload.wants_input(!self.client.data().is_empty(), self.replica.outbox.is_empty());
            let stalls = self.moved + self.idle;
            let deadline = if waits_for_client { until.min(stalls) } else { until };
            return match self.alarm.poll(context, deadline) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(()) if waits_for_client && stalls < until => {
                    Poll::Ready(Err(Unanswered::Client(UploadError::TooSlow)))
                }
                // No replica is to blame for what its client has not sent.
                Poll::Ready(()) if waits_for_client => Poll::Ready(Err(Unanswered::Client(UploadError::TooLate))),
                Poll::Ready(()) => Poll::Ready(Err(Unanswered::TimedOut)),
            };
        }
    }

    /// The answer's head, if it is there.
    fn head(&mut self, passing: Passing<'_>, interim: &mut u32) -> Result<Option<Answer>, NoAnswer> {
        loop {
            match answer::read(self.replica.data(), passing, &mut self.client.outbox)? {
                Read::Part => return Ok(None),
                Read::Whole(answer) => {
                    self.replica.consume(answer.bytes);
                    return Ok(Some(answer));
                }
                Read::Interim(bytes) => {
                    self.replica.consume(bytes);
                    *interim += 1;
                    if *interim > INTERIM_MAX {
                        return Err(NoAnswer);
                    }
                }
            }
        }
    }

    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), UploadError> {
        if self.is_sent {
            return Ok(());
        }
        let before = self.upload.passed();
        let polled = self.upload.poll(context, self.client, self.replica);
        if self.upload.passed() != before {
            self.moved = Instant::now();
        }
        match polled {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.is_sent = true,
            // It may have answered before it stopped to read.
            Poll::Ready(Err(Stuck::Replica)) => self.is_sent = true,
            Poll::Ready(Err(Stuck::Client(error))) => return Err(error),
        }
        Ok(())
    }

    /// Whether the client is gone. What it sends ahead is kept, up to a bound.
    fn poll_left(&mut self, context: &mut Context<'_>) -> bool {
        while self.upload.is_over() && self.client.data().len() < PIECE {
            match self.client.poll_fill(context) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    fn lost(&mut self, ended: io::Result<bool>) -> Unanswered {
        let reached = if self.replica.sent() > self.sent_before { Reached::Replica } else { Reached::Nobody };
        let why = match ended {
            Ok(_) => "closed the connection before its answer".to_owned(),
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
                "closed the connection before its answer".to_owned()
            }
            Err(error) => format!("broke the connection before its answer ({error})"),
        };
        Unanswered::Replica(reached, why)
    }

    /// Passes the answer's body on, to its end. `end`: when it must have ended.
    pub(super) async fn pass(&mut self, download: &mut Download, end: Option<Instant>) -> Result<(), Cut> {
        self.moved = Instant::now();
        std::future::poll_fn(|context| self.poll_pass(context, download, end)).await
    }

    fn poll_pass(
        &mut self,
        context: &mut Context<'_>,
        download: &mut Download,
        end: Option<Instant>,
    ) -> Poll<Result<(), Cut>> {
        if self.poll_upload(context).is_err() {
            return Poll::Ready(Err(Cut::Client));
        }
        let before = (self.client.sent(), download.came);
        let polled = download.poll(context, self.client, self.replica);
        if let Poll::Ready(ended) = polled {
            return Poll::Ready(ended.map_err(|broken| match broken.0 {
                Side::Client => Cut::Client,
                Side::Replica => Cut::Replica,
            }));
        }
        if self.poll_left(context) {
            return Poll::Ready(Err(Cut::Client));
        }
        if before != (self.client.sent(), download.came) {
            self.moved = Instant::now();
        }
        let stalls = self.moved + self.idle;
        match self.alarm.poll(context, end.map_or(stalls, |end| end.min(stalls))) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if end.is_some_and(|end| end <= stalls) => Poll::Ready(Err(Cut::TimedOut)),
            Poll::Ready(()) => Poll::Ready(Err(match download.waits_for {
                Side::Client => Cut::Client,
                Side::Replica => Cut::Stalled,
            })),
        }
    }
}
