//! The callee's end of a connection: reads calls, lets the methods answer, and writes what they say. Never: knows a
//! method; it is given them by their paths.

use super::codec::{self, CallFrame, Frame, Hello, Violation};
use super::outbox::Outbox;
use super::pipe::Pipe;
use crate::serve::{DEADLINE_MAX, Held, InFlight};
use crate::{Call, Error, Shutdown};
use buffa::{Message, SizeCache};
use bytes::Bytes;
use futures::future::BoxFuture;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::net::UnixStream;
use tokio::task::AbortHandle;

/// The largest request, in bytes.
pub(crate) const MESSAGE_MAX: usize = crate::serve::MESSAGE_MAX;
/// The most calls of one connection that are answered at once. As many more are read but wait, so that a cancelled one
/// among those that are under way makes room; what comes then waits unread.
const CALLS_MAX: usize = 1_000;
/// How many bytes of requests may be under way before the next ones wait, and how many may wait.
const REQUESTS_MAX: usize = 64 * 1024 * 1024;
/// How many bytes of answers may wait to be written before further calls wait unread.
const OUTBOX_MAX: usize = 4 * 1024 * 1024;

/// Answers one method's calls: reads the request, and makes the future that answers. `None` when it has answered already.
pub(crate) type Method = Box<dyn Fn(Call, &[u8], Reply) -> Option<BoxFuture<'static, ()>> + Send + Sync>;

/// The methods by their paths, `/package.Service/Method`.
pub(crate) type Methods = BTreeMap<String, Method>;

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    outbox: Outbox,
    /// Calls that did not answer at once.
    running: BTreeMap<u64, Running>,
    /// The bytes of their requests.
    running_bytes: usize,
    /// The largest answer that the caller takes.
    message_max: usize,
}

struct Running {
    task: AbortHandle,
    bytes: usize,
}

impl Shared {
    // Nothing below can leave the state half-made, so a poisoned lock is as good as a sound one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn leave(&mut self, id: u64) -> Option<AbortHandle> {
        let running = self.running.remove(&id)?;
        self.running_bytes = self.running_bytes.saturating_sub(running.bytes);
        Some(running.task)
    }

    fn is_full(&self) -> bool {
        self.running.len() >= CALLS_MAX || self.running_bytes >= REQUESTS_MAX || self.outbox.waiting() >= OUTBOX_MAX
    }
}

/// Where one call's answer goes.
pub(crate) struct Reply {
    shared: Arc<Shared>,
    id: u64,
}

impl Reply {
    /// Answers. What is larger than the caller takes becomes an error.
    pub fn send<M: Message>(self, result: Result<M, Error>) {
        let response = match result {
            Ok(response) => response,
            Err(error) => return self.fail(&error),
        };
        let mut sizes = SizeCache::new();
        let size = usize::try_from(response.compute_size(&mut sizes)).unwrap_or(usize::MAX);
        let message_max = self.shared.state().message_max;
        if size > message_max {
            let why = format!("the response has {size} bytes, more than the {message_max} that the caller takes");
            return self.fail(&Error::resource_exhausted(why));
        }
        self.append(|out| codec::put_answer(out, self.id, |out| response.write_to(&mut sizes, out)));
    }

    pub fn fail(&self, error: &Error) {
        let message_max = self.shared.state().message_max;
        self.append(|out| codec::put_error(out, self.id, error, message_max));
    }

    fn append(&self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.shared.state();
        state.leave(self.id);
        let driver = state.outbox.append(write);
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Serves one caller that has introduced itself, until it goes, or until the shutdown is requested and everything it had
/// asked by then is answered.
pub(super) async fn serve(
    stream: UnixStream,
    caller: &Hello,
    methods: Arc<Methods>,
    in_flight: InFlight,
    shutdown: Shutdown,
) -> io::Result<()> {
    let shared = Arc::new(Shared::default());
    shared.state().message_max = usize::try_from(caller.message_max).unwrap_or(usize::MAX);
    let leaving = Box::pin(async move { shutdown.requested().await });
    let pipe = Pipe::new(stream);
    let mut driver = Driver {
        shared,
        pipe,
        methods,
        in_flight,
        leaving: Some(leaving),
        taken: 0,
        waiting: VecDeque::new(),
        waiting_bytes: 0,
    };
    std::future::poll_fn(|context| driver.poll(context)).await
}

struct Driver {
    shared: Arc<Shared>,
    pipe: Pipe,
    methods: Arc<Methods>,
    in_flight: InFlight,
    /// Until the shutdown is requested; from then on no call is taken.
    leaving: Option<BoxFuture<'static, ()>>,
    /// How many calls were taken.
    taken: u64,
    /// Calls that came while there were too many, with their frames; without one that was cancelled.
    waiting: VecDeque<(u64, Option<Bytes>)>,
    waiting_bytes: usize,
}

impl Drop for Driver {
    /// Nobody is left to hear the answers.
    fn drop(&mut self) {
        for running in std::mem::take(&mut self.shared.state().running).into_values() {
            running.task.abort();
        }
    }
}

impl Driver {
    /// Ready when the caller has gone or all is answered, or the connection broke.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.state().outbox.begin();
        if self.leaving.as_mut().is_some_and(|leaving| leaving.as_mut().poll(context).is_ready()) {
            self.leaving = None;
            // The driver is running, so there is nobody to wake.
            let _running = self.shared.state().outbox.append(|out| codec::put_leaving(out, self.taken));
            self.waiting.clear();
            self.waiting_bytes = 0;
        }
        loop {
            // Answers that were ready at once are written together.
            let full = !self.receive(context).map_err(io::Error::other)?;
            if self.pipe.is_flushed() {
                self.shared.state().outbox.take(self.pipe.outgoing());
            }
            let flushed = self.pipe.poll_flush(context)?.is_ready();
            // While it is full nothing more is read, and the caller's writing comes to rest.
            let filled = !full
                && flushed
                && match self.pipe.poll_fill(context)? {
                    Poll::Ready(0) => return Poll::Ready(Ok(())),
                    filled => filled.is_ready(),
                };
            let mut state = self.shared.state();
            if self.leaving.is_none() && state.running.is_empty() && flushed && state.outbox.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let resumed = full && flushed && (!state.is_full() || !self.must_rest(&state));
            if !filled && !resumed && (!flushed || state.outbox.is_empty()) {
                state.outbox.end(context.waker());
                return Poll::Pending;
            }
        }
    }

    /// Whether nothing more is read for now, not even what is cancelled.
    fn must_rest(&self, state: &State) -> bool {
        state.outbox.waiting() >= OUTBOX_MAX || self.waiting.len() >= CALLS_MAX || self.waiting_bytes >= REQUESTS_MAX
    }

    /// Takes the calls that have come; `false` when some must wait unread.
    fn receive(&mut self, context: &mut Context<'_>) -> Result<bool, Violation> {
        loop {
            self.take_waiting(context)?;
            let is_full = {
                let state = self.shared.state();
                if self.must_rest(&state) {
                    return Ok(false);
                }
                state.is_full()
            };
            let Some(frame) = self.pipe.next_frame(MESSAGE_MAX)? else {
                return Ok(true);
            };
            match codec::read(&frame)? {
                // The caller is told that it was not taken.
                Frame::Call(_) if self.leaving.is_none() => {}
                // One that came before is taken before.
                Frame::Call(call) if is_full || !self.waiting.is_empty() => {
                    self.waiting_bytes += frame.len();
                    self.waiting.push_back((call.id, Some(frame.clone())));
                }
                Frame::Call(call) => self.take(&call, context)?,
                Frame::Cancel { id } => self.cancel(id),
                _ => return Err(Violation::Unexpected),
            }
        }
    }

    /// Takes what waits, in the order in which it came, while there is room.
    fn take_waiting(&mut self, context: &mut Context<'_>) -> Result<(), Violation> {
        while !self.waiting.is_empty() && !self.shared.state().is_full() {
            let Some((_, frame)) = self.waiting.pop_front() else { break };
            let Some(frame) = frame else {
                // It was cancelled, but the caller counts it.
                self.taken += 1;
                continue;
            };
            self.waiting_bytes -= frame.len();
            if let Frame::Call(call) = codec::read(&frame)? {
                self.take(&call, context)?;
            }
        }
        Ok(())
    }

    fn cancel(&mut self, id: u64) {
        if let Some(task) = self.shared.state().leave(id) {
            task.abort();
        } else if let Some((_, frame)) = self.waiting.iter_mut().find(|(waiting, _)| *waiting == id) {
            self.waiting_bytes -= frame.take().map_or(0, |frame| frame.len());
        }
    }

    fn take(&mut self, frame: &CallFrame<'_>, context: &mut Context<'_>) -> Result<(), Violation> {
        self.taken += 1;
        let id = frame.id;
        if self.shared.state().running.contains_key(&id) {
            return Err(Violation::Unexpected);
        }
        let reply = Reply { shared: Arc::clone(&self.shared), id };
        let Some(method) = self.methods.get(frame.path) else {
            reply.fail(&Error::unimplemented(format!("`{}` is not served here", frame.path)));
            return Ok(());
        };
        let held = self.in_flight.begin();
        let deadline = Instant::now() + frame.timeout.min(DEADLINE_MAX);
        let call = Call::started(frame.trace.clone(), Some(frame.request_id), Some(deadline));
        // Most methods answer at the first poll, and then need no task of their own.
        if let Some(mut answering) = method(call, frame.message, reply)
            && answering.as_mut().poll(context).is_pending()
        {
            self.run(id, frame.message.len(), answering, deadline, held);
        }
        Ok(())
    }

    /// Gives a call a task, which ends with the answer, at the deadline, or when the caller gives up.
    fn run(&self, id: u64, bytes: usize, answering: BoxFuture<'static, ()>, deadline: Instant, held: Held) {
        let reply = Reply { shared: Arc::clone(&self.shared), id };
        // Held while the task is made, so that it cannot end before it is noted.
        let mut state = self.shared.state();
        let task = tokio::spawn(async move {
            let _held = held;
            if tokio::time::timeout_at(deadline.into(), answering).await.is_err() {
                reply.fail(&Error::deadline_exceeded("the method did not answer in time"));
            }
        });
        state.running_bytes += bytes;
        state.running.insert(id, Running { task: task.abort_handle(), bytes });
    }
}
