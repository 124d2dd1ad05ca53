//! The caller's end of a connection: sends calls, and wakes each caller once its answer is there. Never: sends a call a
//! second time; it says whether it was sent, and the channel decides.

use super::codec::{self, ANSWER_HEAD, Frame, Hello, Violation};
use super::outbox::Outbox;
use super::pipe::Pipe;
use super::{Invitation, VERSION, listen};
use crate::{Call, Error};
use buffa::{Message, SizeCache};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::UnixStream;

/// The largest answer, in bytes.
pub(crate) const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// The most calls that wait for an answer on one connection.
const CALLS_MAX: usize = 1_000;
/// How many bytes may wait to be written before a further call is turned away.
const OUTBOX_MAX: usize = 8 * 1024 * 1024;

/// Why a call has no response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Unanswered {
    /// The callee has seen nothing of it, as the connection is gone.
    Unsent(String),
    /// The callee leaves it alone, since it is about to stop or has too many; for this it is not to blame.
    Refused(String),
    /// The callee may have seen it, and the connection broke.
    Broken(String),
    /// The callee answered with this.
    Answered(Error),
}

/// A connection to a callee. Cheap to clone; it is closed when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Caller {
    shared: Arc<Shared>,
    _handle: Arc<Handle>,
}

/// Tells the driver that nobody can call any more.
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.unused = true;
        let driver = state.outbox.rouse();
        drop(state);
        wake(driver);
    }
}

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    outbox: Outbox,
    calls: Vec<Slot>,
    free: Vec<u32>,
    /// How many calls were begun.
    begun: u64,
    /// The largest request that the callee takes.
    message_max: usize,
    /// Nobody can call any more.
    unused: bool,
    /// The callee takes no more calls.
    leaving: bool,
    /// Why the connection is gone.
    ended: Option<String>,
}

/// A place for a call. Its generation makes ids differ, so that a late answer to a call that was given up finds nobody.
#[derive(Default)]
struct Slot {
    generation: u32,
    call: Option<Waiting>,
}

struct Waiting {
    /// Which call of this connection it is, from 1.
    number: u64,
    /// Where in all the bytes ever written it starts.
    starts_at: u64,
    waker: Option<Waker>,
    answer: Option<Result<Bytes, Unanswered>>,
}

impl Shared {
    // Nothing below can leave the state half-made, so a poisoned lock is as good as a sound one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn slot(&mut self, id: u64) -> Option<&mut Slot> {
        let slot = self.calls.get_mut(usize::try_from(id & u64::from(u32::MAX)).ok()?)?;
        (u64::from(slot.generation) == id >> 32).then_some(slot)
    }

    fn enter(&mut self, starts_at: u64) -> u64 {
        self.begun += 1;
        let waiting = Waiting { number: self.begun, starts_at, waker: None, answer: None };
        let index = self.free.pop().unwrap_or_else(|| {
            self.calls.push(Slot::default());
            // At most `CALLS_MAX`.
            self.calls.len() as u32 - 1
        });
        let generation = match self.calls.get_mut(index as usize) {
            Some(slot) => {
                slot.generation = slot.generation.wrapping_add(1);
                slot.call = Some(waiting);
                slot.generation
            }
            None => 0,
        };
        u64::from(generation) << 32 | u64::from(index)
    }

    fn leave(&mut self, id: u64) -> Option<Waiting> {
        let call = self.slot(id)?.call.take();
        if call.is_some() {
            self.free.push(id as u32);
        }
        call
    }

    fn waiting(&self) -> usize {
        self.calls.len() - self.free.len()
    }

    /// Gives a call its answer; whoever is returned is to be woken.
    fn answer(&mut self, id: u64, answer: Result<Bytes, Unanswered>) -> Option<Waker> {
        // One that was given up is not there.
        let call = self.slot(id)?.call.as_mut()?;
        call.answer = Some(answer);
        call.waker.take()
    }

    /// Gives all that still wait, and that `chosen` tells, no answer.
    fn abandon(&mut self, why: impl Fn(&Waiting) -> Option<Unanswered>) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for call in self.calls.iter_mut().filter_map(|slot| slot.call.as_mut()) {
            if call.answer.is_none()
                && let Some(why) = why(call)
            {
                call.answer = Some(Err(why));
                wakers.extend(call.waker.take());
            }
        }
        wakers
    }
}

impl Caller {
    /// Connects to where an invitation leads. Needs a tokio runtime; put a limit on its time.
    pub async fn connect(invitation: &Invitation) -> io::Result<Self> {
        let mut stream = UnixStream::connect(&invitation.socket).await?;
        listen::check_owner(&stream)?;
        let own = Hello { version: VERSION, message_max: MESSAGE_MAX as u32, token: invitation.token };
        listen::send_hello(&mut stream, &own).await?;
        let other = listen::receive_hello(&mut stream, &invitation.token).await?;
        let shared = Arc::new(Shared::default());
        shared.state().message_max = usize::try_from(other.message_max).unwrap_or(usize::MAX);
        let mut driver = Driver { shared: Arc::clone(&shared), pipe: Pipe::new(stream), unwritable: None };
        tokio::spawn(async move {
            let ended = std::future::poll_fn(|context| driver.poll(context)).await;
            driver.end(&ended.err().map_or_else(|| "it was closed".to_owned(), |error| error.to_string()));
        });
        Ok(Self { _handle: Arc::new(Handle(Arc::clone(&shared))), shared })
    }

    /// Calls a method; the encoded response. `timeout` is told to the callee; the caller keeps its own. Dropping the
    /// future tells the callee that nobody waits any more.
    pub async fn call(
        &self,
        path: &str,
        call: &Call,
        timeout: Duration,
        request: &impl Message,
    ) -> Result<Bytes, Unanswered> {
        let answer = self.begin(path, call, timeout, request)?;
        answer.await
    }

    fn begin(
        &self,
        path: &str,
        call: &Call,
        timeout: Duration,
        request: &impl Message,
    ) -> Result<Answer<'_>, Unanswered> {
        let mut sizes = SizeCache::new();
        let size = usize::try_from(request.compute_size(&mut sizes)).unwrap_or(usize::MAX);
        let mut state = self.shared.state();
        if let Some(why) = &state.ended {
            return Err(Unanswered::Unsent(why.clone()));
        }
        if state.leaving {
            return Err(Unanswered::Refused("it is about to stop".to_owned()));
        }
        if size > state.message_max {
            let limit = state.message_max;
            return Err(Unanswered::Answered(Error::resource_exhausted(format!(
                "the request has {size} bytes, more than the {limit} that are taken"
            ))));
        }
        if state.waiting() >= CALLS_MAX || state.outbox.waiting() >= OUTBOX_MAX {
            return Err(Unanswered::Refused("it has too many calls under way".to_owned()));
        }
        let starts_at = state.outbox.appended();
        let id = state.enter(starts_at);
        let driver = state.outbox.append(|out| {
            codec::put_call(out, id, timeout, path, call, |out| request.write_to(&mut sizes, out));
        });
        drop(state);
        wake(driver);
        Ok(Answer { shared: &self.shared, id })
    }
}

/// Waits for the answer to one call.
struct Answer<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Future for Answer<'_> {
    type Output = Result<Bytes, Unanswered>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.shared.state();
        let Some(call) = state.slot(self.id).and_then(|slot| slot.call.as_mut()) else {
            return Poll::Ready(Err(Unanswered::Broken("it was answered before".to_owned())));
        };
        let Some(answer) = call.answer.take() else {
            if !call.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                call.waker = Some(context.waker().clone());
            }
            return Poll::Pending;
        };
        state.leave(self.id);
        Poll::Ready(answer)
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let given_up = state.leave(self.id).is_some_and(|call| call.answer.is_none());
        let driver = if given_up && state.ended.is_none() {
            state.outbox.append(|out| codec::put_cancel(out, self.id))
        } else if state.leaving || state.unused {
            state.outbox.rouse()
        } else {
            None
        };
        drop(state);
        wake(driver);
    }
}

/// The one task that reads and writes.
struct Driver {
    shared: Arc<Shared>,
    pipe: Pipe,
    /// Why nothing more can be written; what the callee has said before is still to be read.
    unwritable: Option<io::Error>,
}

impl Drop for Driver {
    /// Also when the runtime is gone, nobody waits in vain.
    fn drop(&mut self) {
        self.end("its task was stopped");
    }
}

impl Driver {
    /// Ready when the connection is no longer needed, or broke.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.state().outbox.begin();
        loop {
            if self.pipe.is_flushed() {
                self.shared.state().outbox.take(self.pipe.outgoing());
            }
            let flushed = self.poll_flush(context);
            let filled = match self.pipe.poll_fill(context) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(self.broken("the other side closed it"))),
                Poll::Ready(Ok(_)) => {
                    self.receive().map_err(io::Error::other)?;
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(self.broken(error))),
                Poll::Pending => false,
            };
            let mut state = self.shared.state();
            let written = flushed && state.outbox.is_empty() || self.unwritable.is_some();
            if (state.unused || state.leaving) && state.waiting() == 0 && written {
                return Poll::Ready(Ok(()));
            }
            if !filled && (written || !flushed) {
                state.outbox.end(context.waker());
                return Poll::Pending;
            }
        }
    }

    /// Whether everything it was given is written. A callee that is gone may have answered before, and its end is yet
    /// to be read: so a failure is only remembered.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> bool {
        if self.unwritable.is_some() {
            return false;
        }
        match self.pipe.poll_flush(context) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.unwritable = Some(error);
                false
            }
            Poll::Pending => false,
        }
    }

    /// Why the connection is gone: what failed first.
    fn broken(&mut self, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
        self.unwritable.take().unwrap_or_else(|| io::Error::other(why))
    }

    /// Hands out all answers that have come.
    fn receive(&mut self) -> Result<(), Violation> {
        let mut wakers = Vec::new();
        let mut result = Ok(());
        while let Some(frame) = self.pipe.next_frame(MESSAGE_MAX)? {
            let mut state = self.shared.state();
            match codec::read(&frame) {
                Ok(Frame::Answer { id }) => wakers.extend(state.answer(id, Ok(frame.slice(ANSWER_HEAD..)))),
                Ok(Frame::Error { id, error }) => wakers.extend(state.answer(id, Err(Unanswered::Answered(error)))),
                Ok(Frame::Leaving { taken }) => {
                    state.leaving = true;
                    wakers.extend(state.abandon(|call| {
                        (call.number > taken).then(|| Unanswered::Refused("it is about to stop".to_owned()))
                    }));
                }
                Ok(_) => result = Err(Violation::Unexpected),
                Err(violation) => result = Err(violation),
            }
            if result.is_err() {
                break;
            }
        }
        wakers.into_iter().for_each(Waker::wake);
        result
    }

    fn end(&self, why: &str) {
        let mut state = self.shared.state();
        if state.ended.is_some() {
            return;
        }
        state.ended = Some(why.to_owned());
        let written = self.pipe.written();
        let wakers = state.abandon(|call| {
            let sent = call.starts_at < written;
            Some(if sent { Unanswered::Broken(why.to_owned()) } else { Unanswered::Unsent(why.to_owned()) })
        });
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
#[path = "caller_tests.rs"]
mod tests;
