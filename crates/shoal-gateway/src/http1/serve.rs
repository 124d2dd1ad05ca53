//! One client's connection: request after request, each on its way to a replica and back. Reads top to bottom.

use super::answer::{self, Answer};
use super::download::Download;
use super::exchange::{Cut, Exchange, Unanswered};
use super::request::{self, Framing, HeadLimits, Known, Read, Request};
use super::upload::Upload;
use super::wire::{Alarm, Wire};
use super::wires::Replica;
use crate::clock;
use crate::connection::{Abort, Bounds, Client, LINGER_MAX};
use crate::core_loop::stopped;
use crate::deadline::Deadline;
use crate::destination::{Admission, Destination};
use crate::forward::{routed, timed_out, turned_away, upload_refusal};
use crate::refusal::{Form, Refusal};
use crate::tracked::OpenCall;
use crate::tries::{Reached, Tries};
use shoal_balance::{Outcome, Pick};
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::Instant;

mod attempt;
mod disturbed;

/// How long, and for how many bytes, a client is listened to that sends what nobody takes, so that it sees its answer.
const DISCARD: Duration = Duration::from_secs(1);
const DISCARD_MAX: usize = 1024 * 1024;

/// Serves a connection to its end.
pub(crate) async fn serve<S>(client: &Client, io: S, bounds: Bounds, mut stop: watch::Receiver<bool>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Abort + Unpin,
{
    let patience = client.core.settings.header_timeout;
    let stopping = stop.clone();
    let mut stopped = pin!(stopped(&mut stop));
    let mut connection = Connection {
        client,
        wire: Wire::new(io),
        alarm: Alarm::new(Instant::now() + patience),
        known: Known::new(client.origin),
        limits: HeadLimits { bytes: bounds.header_bytes_max, headers: bounds.headers_max },
        memory: Vec::new(),
        leaves: None,
        stopping,
        says_close: false,
        is_cut: false,
    };
    while let Some(read) = connection.next(stopped.as_mut(), patience).await? {
        let goes_on = match read {
            Next::Request(request) => connection.answer(*request).await?,
            Next::Refused(refusal, form) => {
                let is_head = connection.wire.data().starts_with(b"HEAD ");
                connection.refuse(&refusal, Asker { form, is_head, request_id: &new_id() }, false).await?
            }
        };
        if !goes_on {
            return connection.close().await;
        }
    }
    Ok(())
}

fn new_id() -> String {
    let mut id = Vec::new();
    crate::identify::write_request_id(&mut id);
    String::from_utf8(id).unwrap_or_default()
}

enum Next {
    Request(Box<Request>),
    Refused(Refusal, Form),
}

/// Whom an answer of the gateway's own is for.
struct Asker<'a> {
    form: Form,
    is_head: bool,
    request_id: &'a str,
}

struct Connection<'a, S> {
    client: &'a Client,
    wire: Wire<S>,
    alarm: Alarm,
    known: Known,
    limits: HeadLimits,
    /// For the head of the next request.
    memory: Vec<u8>,
    /// When an idle connection ends, once the gateway stops.
    leaves: Option<Instant>,
    stopping: watch::Receiver<bool>,
    /// Whether the present answer says that the connection ends with it.
    says_close: bool,
    /// Whether the last answer was cut off where its end is told by the connection's.
    is_cut: bool,
}

/// Why a request has no answer of a replica.
enum Ended {
    Refused(Refusal),
    /// There is nobody to answer, or no way to.
    Gone,
}

impl From<Refusal> for Ended {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl<S: AsyncRead + AsyncWrite + Abort + Unpin> Connection<'_, S> {
    /// The next request's head; `None` when there will be none.
    async fn next(
        &mut self,
        mut stopped: Pin<&mut impl Future<Output = ()>>,
        patience: Duration,
    ) -> io::Result<Option<Next>> {
        let mut until = Instant::now() + patience;
        let mut heads = request::Heads::default();
        let mut has_begun = false;
        std::future::poll_fn(|context| {
            if self.leaves.is_none() && stopped.as_mut().poll(context).is_ready() {
                let linger = LINGER_MAX.min(self.client.core.settings.drain_timeout / 2);
                self.leaves = Some(Instant::now() + linger);
            }
            loop {
                match heads.next(&mut self.wire, &mut self.memory, &mut self.known, self.limits) {
                    Read::Part => {}
                    Read::Whole(request, _) => return Poll::Ready(Ok(Some(Next::Request(request)))),
                    Read::Refused(refusal, form) => return Poll::Ready(Ok(Some(Next::Refused(refusal, form)))),
                }
                match self.wire.poll_fill(context)? {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return Poll::Ready(Ok(None)),
                    Poll::Pending => break,
                }
            }
            if !has_begun && !self.wire.data().is_empty() {
                // It has as long as any, however long the connection was idle before.
                (has_begun, until) = (true, Instant::now() + patience);
            }
            let until = self.leaves.map_or(until, |leaves| leaves.min(until));
            let late = || {
                let why = "The request's head did not arrive in time.".to_owned();
                Next::Refused(Refusal::TooSlow { why }, Form::default())
            };
            self.alarm.poll(context, until).map(|()| Ok(has_begun.then(late)))
        })
        .await
    }

    /// Answers one request; returns whether the connection goes on.
    async fn answer(&mut self, request: Request) -> io::Result<bool> {
        let ended = self.pass(&request).await;
        let goes_on = match ended {
            Ok(goes_on) => goes_on,
            Err((Ended::Gone, _)) => false,
            Err((Ended::Refused(refusal), mut upload)) => {
                // A small body may have come whole with its head: then the connection can go on.
                let keeps = request.keeps_alive && upload.skip(&mut self.wire);
                let (form, is_head, request_id) = (request.form(), request.is_head(), request.request_id());
                self.refuse(&refusal, Asker { form, is_head, request_id }, keeps).await?
            }
        };
        self.memory = request.head;
        Ok(goes_on)
    }

    /// Gives an answer of the gateway's own; returns whether the connection goes on.
    async fn refuse(&mut self, refusal: &Refusal, asker: Asker<'_>, keeps: bool) -> io::Result<bool> {
        let Asker { form, is_head, request_id } = asker;
        self.client.core.complaints.note(refusal, request_id);
        let goes_on = keeps && !refusal.ends_connection() && !*self.stopping.borrow();
        let own = refusal.answer(form);
        let (head, body) = own.into_parts();
        let out = &mut self.wire.outbox;
        answer::status_line(head.status.as_u16(), head.status.canonical_reason().unwrap_or_default(), false, out);
        for (name, value) in &head.headers {
            answer::field(out, name.as_str().as_bytes(), value.as_bytes());
        }
        answer::field(out, b"x-request-id", request_id.as_bytes());
        answer::field(out, b"content-length", body.len().to_string().as_bytes());
        answer::field(out, b"date", &clock::date());
        answer::connection(!goes_on, false, out);
        out.extend_from_slice(b"\r\n");
        if !is_head {
            // Otherwise its length is told only, and a body would be taken for the next answer (RFC 9110 section 9.3.2).
            out.extend_from_slice(&body);
        }
        let until = Instant::now() + self.client.core.settings.header_timeout;
        std::future::poll_fn(|context| {
            if let Poll::Ready(flushed) = self.wire.poll_flush(context) {
                return Poll::Ready(flushed.map(|()| goes_on));
            }
            self.alarm.poll(context, until).map(|()| Ok(false))
        })
        .await
    }

    /// Passes a request to a replica and its answer back; returns whether the connection goes on. What is left of the
    /// request's body comes back where it was refused.
    async fn pass(&mut self, request: &Request) -> Result<bool, (Ended, Upload)> {
        let none = || Upload::new(request.framing, u64::MAX, false, request.expects_continue);
        let client = self.client;
        let destination = match routed(client, request.authority(), request.path()) {
            Ok(destination) => destination,
            Err(refusal) => return Err((refusal.into(), none())),
        };
        let limits = &destination.limits;
        if let Err(refusal) = checked(&destination, request) {
            return Err((refusal.into(), none()));
        }
        let admission = match destination.admit() {
            Ok(admission) => admission,
            Err(which) => return Err((turned_away(&destination, which).into(), none())),
        };
        let started = std::time::Instant::now();
        let deadline = Deadline::new(request.asked, started, limits.timeout);
        let in_flight = destination.edge.begin();
        // Whatever is sent may have to be sent twice where things go wrong on purpose.
        let keep = request.is_idempotent() || destination.disturbance.is_any();
        let mut upload = Upload::new(request.framing, limits.body_bytes_max, keep, request.expects_continue);
        let bytes = (request.bytes + request.ahead()) as u64;
        let tries = Tries::new(&client.core, &destination, admission, deadline.begin, bytes);
        match self.answered(request, tries, &mut upload, deadline).await {
            Ok((pick, admission, replica, answer)) => {
                let outcome = answer.outcome;
                let call = OpenCall { pick, destination, in_flight, admission, started, outcome, connection: None };
                Ok(self.returned(request, upload, call, replica, answer, deadline.end).await)
            }
            Err(ended) => {
                // What the client did wrong is cancelled rather than counted as an error, which the dropped counter says.
                if matches!(&ended, Ended::Refused(refusal) if !refusal.status().is_client_error()) {
                    in_flight.finish(started.elapsed(), true);
                }
                Err((ended, upload))
            }
        }
    }

    /// Tries replicas until one answers.
    async fn answered(
        &mut self,
        request: &Request,
        mut tries: Tries<'_>,
        upload: &mut Upload,
        deadline: Deadline,
    ) -> Result<(Pick, Admission, Replica, Answer), Ended> {
        let destination = tries.destination;
        let mut pick = self.while_here(tries.pick(), request.ahead()).await??;
        loop {
            match self.tried(request, &mut tries, &pick, upload, deadline).await {
                Ok((replica, answer)) => {
                    let is_elsewhere =
                        matches!(answer.status, 502..=504) && request.is_idempotent() && upload.is_whole();
                    if is_elsewhere && let Some(other) = tries.elsewhere(&pick) {
                        self.wire.forget();
                        destination.target.finish(pick, clock::now(), Outcome::Failed);
                        pick = other;
                        continue;
                    }
                    upload.forget();
                    return Ok((pick, tries.into_admission(), replica, answer));
                }
                Err(Unanswered::Gone) => return Err(Ended::Gone),
                Err(Unanswered::Client(error)) => return Err(upload_refusal(destination, error).into()),
                Err(Unanswered::TimedOut) => return Err(timed_out(destination, pick, deadline).into()),
                Err(Unanswered::OnPurpose(error)) => {
                    let may_go_on = error.is_unavailable() && request.is_idempotent() && upload.is_whole();
                    let other = if may_go_on { tries.elsewhere(&pick) } else { None };
                    destination.target.finish(pick, clock::now(), error.outcome());
                    pick = other.ok_or_else(|| error.refusal(&destination.target.service))?;
                }
                Err(Unanswered::Replica(reached, why)) => {
                    let service = destination.target.service.clone();
                    let replica = pick.endpoint().replica.clone();
                    let repeatable = upload.is_whole() && (reached == Reached::Nobody || request.is_idempotent());
                    let failure = match reached {
                        Reached::Nobody => Refusal::NotConnected { service, replica, why },
                        Reached::Replica => Refusal::Lost { service, replica, why },
                    };
                    let reached = if repeatable { reached } else { Reached::Replica };
                    tries.failed(pick, reached, repeatable, failure)?;
                    tries.keeps((request.bytes + request.ahead()) as u64 + upload.kept_bytes());
                    pick = self.while_here(tries.pick(), request.ahead()).await??;
                }
            }
        }
    }

    /// Does something while the client is there. To see that it leaves, what it sends meanwhile has to be read; at most its
    /// body, or what of it comes in the first `ahead` bytes, and one piece more.
    async fn while_here<T>(&mut self, work: impl Future<Output = T>, ahead: usize) -> Result<T, Ended> {
        let mut work = pin!(work);
        std::future::poll_fn(|context| {
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(Ok(done));
            }
            while self.wire.data().len() <= ahead && !self.wire.is_over() {
                match self.wire.poll_fill(context) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(_) => return Poll::Ready(Err(Ended::Gone)),
                    Poll::Pending => break,
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Passes the answer's body back; returns whether the connection goes on.
    async fn returned(
        &mut self,
        request: &Request,
        mut upload: Upload,
        call: OpenCall,
        mut replica: Replica,
        answer: Answer,
        end: Option<std::time::Instant>,
    ) -> bool {
        let core = &self.client.core;
        if answer.status == 101 {
            self.tunnel(&mut replica).await;
            call.end(core, None);
            return false;
        }
        let mut download = Download::new(answer.framing, request.is_http10);
        if replica.data().is_empty() {
            // What follows may take long, and whoever is held for this replica need not wait for it.
            call.destination.target.answered(&call.pick, clock::now());
        }
        let sent_before = replica.sent();
        let mut exchange = Exchange {
            client: &mut self.wire,
            replica: &mut replica,
            upload: &mut upload,
            alarm: &mut self.alarm,
            idle: call.destination.limits.idle_timeout,
            moved: Instant::now(),
            sent_before,
            is_sent: false,
        };
        match exchange.pass(&mut download, end.map(Instant::from_std)).await {
            Ok(()) => {
                let is_done = exchange.is_sent && upload.is_over();
                if answer.keeps_alive && is_done && replica.data().is_empty() && replica.outbox.is_empty() {
                    let now = std::time::Instant::now();
                    core.pool.wires.give_back(&call.pick.endpoint().address, replica, now);
                }
                call.end(core, None);
                let closes = answer::must_close(answer.framing, request.is_http10);
                is_done && !closes && !self.says_close
            }
            Err(cut) => {
                self.is_cut = answer::must_close(answer.framing, request.is_http10);
                match cut {
                    // Dropped, the call counts as cancelled.
                    Cut::Client => {}
                    Cut::Replica => call.end(core, Some(Outcome::Unreachable)),
                    // It was reached, and may just have nothing to say.
                    Cut::Stalled => call.end(core, Some(Outcome::Failed)),
                    Cut::TimedOut => call.in_flight.finish(call.started.elapsed(), true),
                }
                false
            }
        }
    }

    /// Joins both sides until they are done. Looks into nothing.
    async fn tunnel(&mut self, replica: &mut Replica) {
        replica.outbox = self.wire.take_data();
        let came = replica.take_data();
        self.wire.outbox.extend_from_slice(&came);
        let flushed = std::future::poll_fn(|context| {
            let client = self.wire.poll_flush(context)?;
            let replica = replica.poll_flush(context)?;
            if client.is_ready() && replica.is_ready() { Poll::Ready(io::Result::Ok(())) } else { Poll::Pending }
        });
        if let Err(error) = flushed.await {
            return tracing::debug!("a tunnel was not opened: {error}");
        }
        if let Err(error) = tokio::io::copy_bidirectional(self.wire.io(), replica.io()).await {
            tracing::debug!("a tunnel broke: {error}");
        }
    }

    /// Ends the connection so that the client can read its last answer: it is listened to for a moment, since closing on
    /// bytes that were not read would take the answer from it.
    async fn close(&mut self) -> io::Result<()> {
        if self.is_cut {
            // An orderly end would make half an answer look whole.
            return self.wire.io().abort();
        }
        let until = Instant::now() + DISCARD;
        let mut discarded = 0;
        std::future::poll_fn(|context| {
            if self.alarm.poll(context, until).is_ready() {
                return Poll::Ready(Ok(()));
            }
            if self.wire.poll_shutdown(context)?.is_pending() {
                return Poll::Pending;
            }
            loop {
                discarded += self.wire.data().len();
                self.wire.consume(usize::MAX);
                match self.wire.poll_fill(context)? {
                    Poll::Ready(true) if discarded < DISCARD_MAX => {}
                    Poll::Ready(_) => return Poll::Ready(Ok(())),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await
    }
}

/// Holds a request's head to its route's limits.
fn checked(destination: &Destination, request: &Request) -> Result<(), Refusal> {
    let limits = &destination.limits;
    if request.headers > limits.headers_max {
        return Err(Refusal::TooManyHeaders { count: request.headers, most: limits.headers_max });
    }
    if request.bytes > limits.header_bytes_max {
        return Err(Refusal::HeadTooLarge { most: limits.header_bytes_max });
    }
    match request.framing {
        Framing::Sized(length) if length > limits.body_bytes_max => {
            Err(Refusal::BodyTooLarge { most: limits.body_bytes_max })
        }
        _ => Ok(()),
    }
}
