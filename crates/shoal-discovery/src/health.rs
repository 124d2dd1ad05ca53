//! The health socket of a replica: is it ready, and how long ago did its event loops last tick.
//!
//! A thread of its own answers, so that a busy or hung event loop cannot keep the answer back: the answer then says how
//! old the last tick is. Whoever connects gets one line of JSON at once, and may stay: another line comes with each change,
//! and for each line that it sends. Never: decides what an old tick means.

use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The version of the health answer that this release gives and, with the one before it, understands.
pub const HEALTH_VERSION: u32 = 1;

/// How often [`Health::beat`] ticks.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);

/// The most askers that may stay connected; beyond that the one that came first is let go.
const ASKERS_MAX: usize = 16;
/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest answer that is read, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

/// What a replica answers about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthAnswer {
    /// See [`HEALTH_VERSION`].
    pub version: u32,
    /// Whether it wants requests.
    pub ready: bool,
    /// How long ago its event loop last ticked; with several, the one that is longest ago.
    pub tick_age: Duration,
    /// What it waits for before it is ready, in one sentence or less.
    #[serde(default)]
    pub waiting_for: Option<String>,
}

/// Answers on the health socket; a cheap handle. The socket is removed when the last handle is dropped.
#[derive(Clone, Debug)]
pub struct Health {
    shared: Arc<Shared>,
    _socket: Arc<Socket>,
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    ready: AtomicBool,
    waiting_for: Mutex<Option<String>>,
    /// Milliseconds since `started` plus one; 0 until [`Health::tick`] was called.
    tick: AtomicU64,
    beats: Mutex<Vec<Weak<AtomicU64>>>,
    stopping: AtomicBool,
    /// A byte here wakes the thread.
    waker: UnixStream,
}

/// The bound socket: removed from the folder, and its thread ended, on drop.
#[derive(Debug)]
struct Socket {
    path: PathBuf,
    shared: Arc<Shared>,
}

impl Health {
    /// Binds the socket (a socket left over there is replaced) and starts the thread. Not ready yet.
    pub fn serve(socket: PathBuf) -> io::Result<Self> {
        match std::fs::symlink_metadata(&socket) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&socket)?,
            Ok(_) => {
                let why = format!("{} exists and is not a socket; remove it", socket.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        let (waker, woken) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        woken.set_nonblocking(true)?;
        let shared = Arc::new(Shared {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            waiting_for: Mutex::new(None),
            tick: AtomicU64::new(0),
            beats: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
            waker,
        });
        let bound = Arc::new(Socket { path: socket, shared: Arc::clone(&shared) });
        let answering = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("health".to_owned());
        thread.spawn(move || Answering { listener, woken, shared: answering, askers: Vec::new() }.run())?;
        Ok(Self { shared, _socket: bound })
    }

    /// Whether it wants requests. Who stays connected hears of a change at once.
    pub fn set_ready(&self, ready: bool) {
        if self.shared.ready.swap(ready, Ordering::Relaxed) != ready {
            self.shared.wake();
        }
    }

    /// What it waits for before it is ready; shown by `shoal status`.
    pub fn set_waiting_for(&self, what: Option<String>) {
        let mut waiting_for = self.shared.waiting_for.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting_for != what {
            *waiting_for = what;
            drop(waiting_for);
            self.shared.wake();
        }
    }

    /// The event loop lives. For programs that do not spawn [`Health::beat`]; call it at least twice a second.
    pub fn tick(&self) {
        self.shared.tick.store(self.shared.now() + 1, Ordering::Relaxed);
    }

    /// Ticks for one event loop until dropped; spawn one on each event loop. With several, the slowest one counts.
    pub fn beat(&self) -> impl Future<Output = ()> + Send + use<> {
        let slot = Arc::new(AtomicU64::new(self.shared.now()));
        let mut beats = self.shared.beats.lock().unwrap_or_else(PoisonError::into_inner);
        beats.retain(|beat| beat.strong_count() > 0);
        beats.push(Arc::downgrade(&slot));
        drop(beats);
        let started = self.shared.started;
        async move {
            loop {
                slot.store(millis_since(started), Ordering::Relaxed);
                tokio::time::sleep(BEAT_EVERY).await;
            }
        }
    }
}

impl Shared {
    fn now(&self) -> u64 {
        millis_since(self.started)
    }

    fn wake(&self) {
        // Full, it is awake already; closed, there is no thread any more that could tell anybody.
        let _ = (&self.waker).write(&[0]);
    }

    fn answer(&self) -> HealthAnswer {
        let beats = self.beats.lock().unwrap_or_else(PoisonError::into_inner);
        let slowest = beats.iter().filter_map(Weak::upgrade).map(|beat| beat.load(Ordering::Relaxed)).min();
        drop(beats);
        // Without any tick the age counts from the start.
        let ticked = match (self.tick.load(Ordering::Relaxed).checked_sub(1), slowest) {
            (Some(tick), Some(beat)) => tick.min(beat),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => 0,
        };
        HealthAnswer {
            version: HEALTH_VERSION,
            ready: self.ready.load(Ordering::Relaxed),
            tick_age: Duration::from_millis(self.now().saturating_sub(ticked)),
            waiting_for: self.waiting_for.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

fn millis_since(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.shared.wake();
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("the health socket {} was gone already: {error}", self.path.display());
        }
    }
}

/// The thread's own.
struct Answering {
    listener: UnixListener,
    woken: UnixStream,
    shared: Arc<Shared>,
    askers: Vec<UnixStream>,
}

impl Answering {
    fn run(mut self) {
        while !self.shared.stopping.load(Ordering::Relaxed) {
            if let Err(error) = self.turn() {
                tracing::warn!("the health socket cannot be answered for a moment: {error}");
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }

    /// Waits for something to happen, and answers whom it concerns.
    fn turn(&mut self) -> io::Result<()> {
        let mut waiting = vec![PollFd::new(&self.woken, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        waiting.extend(self.askers.iter().map(|asker| PollFd::new(asker, PollFlags::IN)));
        match poll(&mut waiting, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if self.shared.stopping.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut spoke = waiting.iter().skip(2).map(|asker| !asker.revents().is_empty()).collect::<Vec<_>>().into_iter();
        let has_changed = heard(&mut self.woken).unwrap_or(false);
        // After the change was heard: so that none is missed.
        let mut line = serde_json::to_vec(&self.shared.answer())?;
        line.push(b'\n');
        self.askers.retain_mut(|asker| {
            let asks = match spoke.next() {
                Some(true) => heard(asker),
                _ => Some(false),
            };
            // A line is far smaller than what a socket holds: who has no room for it does not listen.
            asks.is_some_and(|asks| !(asks || has_changed) || asker.write_all(&line).is_ok())
        });
        loop {
            let mut asker = match self.listener.accept() {
                Ok((asker, _)) => asker,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if asker.set_nonblocking(true).and_then(|()| asker.write_all(&line)).is_ok() {
                if self.askers.len() >= ASKERS_MAX {
                    self.askers.remove(0);
                }
                self.askers.push(asker);
            }
        }
    }
}

/// Whether a whole line, or a byte of the waker, has come; `None` when nothing can come any more.
fn heard(stream: &mut UnixStream) -> Option<bool> {
    let mut buffer = [0; 256];
    match stream.read(&mut buffer) {
        Ok(0) => None,
        // What it says does not matter.
        Ok(_) => Some(true),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Some(false),
        Err(_) => None,
    }
}

/// A connection to a replica's health socket that stays, and hears of each change.
#[derive(Debug)]
pub struct HealthWatch {
    stream: tokio::net::UnixStream,
    input: Vec<u8>,
    shown: String,
}

impl HealthWatch {
    /// Connects; the first answer comes at once, with [`next`](Self::next). `Err` is a sentence, here and below.
    pub async fn connect(socket: &Path) -> Result<Self, String> {
        let shown = socket.display().to_string();
        match tokio::net::UnixStream::connect(socket).await {
            Ok(stream) => Ok(Self { stream, input: Vec::new(), shown }),
            Err(error) => Err(format!("the health socket {shown} does not answer: {error}")),
        }
    }

    /// Asks; the answer comes with [`next`](Self::next), perhaps after one about a change.
    pub async fn ask(&mut self) -> Result<(), String> {
        let asked = self.stream.write_all(b"\n").await;
        asked.map_err(|error| format!("the health socket {} cannot be asked: {error}", self.shown))
    }

    /// The next answer. Can be dropped and called again without losing anything.
    pub async fn next(&mut self) -> Result<HealthAnswer, String> {
        loop {
            if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                return self.understand(&line);
            }
            if self.input.len() > ANSWER_MAX {
                return Err(format!("the answer of the health socket {} is too long", self.shown));
            }
            match self.stream.read_buf(&mut self.input).await {
                Ok(0) => return Err(format!("the health socket {} closed without an answer", self.shown)),
                Ok(_) => {}
                Err(error) => {
                    return Err(format!("the answer of the health socket {} cannot be read: {error}", self.shown));
                }
            }
        }
    }

    fn understand(&self, line: &[u8]) -> Result<HealthAnswer, String> {
        let shown = &self.shown;
        let answer: HealthAnswer = serde_json::from_slice(line)
            .map_err(|error| format!("the health socket {shown} gave an answer that is not understood: {error}"))?;
        if answer.version == 0 || answer.version > HEALTH_VERSION {
            return Err(format!(
                "the health socket {shown} speaks version {}, and this supervisor {HEALTH_VERSION}: update `shoal`",
                answer.version
            ));
        }
        Ok(answer)
    }
}

/// Asks a replica once how it is. `Err` is a sentence that names the socket and says what went wrong.
pub async fn ask(socket: &Path, timeout: Duration) -> Result<HealthAnswer, String> {
    let question = async { HealthWatch::connect(socket).await?.next().await };
    tokio::time::timeout(timeout, question).await.unwrap_or_else(|_| {
        Err(format!("the health socket {} did not answer within {} ms", socket.display(), timeout.as_millis()))
    })
}
