//! The health socket of a replica: is it ready, and how long ago did its event loops last tick.
//!
//! A thread of its own answers, so that a busy or hung event loop cannot keep the answer back: the answer then says how
//! old the last tick is. One connection, one line of JSON, closed. Never: decides what an old tick means.

use crate::lines::read_line;
use serde::{Deserialize, Serialize};
use std::future::Future;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The version of the health answer that this release gives and, with the one before it, understands.
pub const HEALTH_VERSION: u32 = 1;

/// How often [`Health::beat`] ticks.
pub const BEAT_EVERY: Duration = Duration::from_millis(250);

/// How long whoever asks may take to read the answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(1);
/// The pause after a failed accept; descriptors may have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The longest answer that [`ask`] reads, in bytes.
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
        let shared = Arc::new(Shared {
            started: Instant::now(),
            ready: AtomicBool::new(false),
            waiting_for: Mutex::new(None),
            tick: AtomicU64::new(0),
            beats: Mutex::new(Vec::new()),
            stopping: AtomicBool::new(false),
        });
        let bound = Arc::new(Socket { path: socket, shared: Arc::clone(&shared) });
        let answering = Arc::clone(&shared);
        std::thread::Builder::new().name("health".to_owned()).spawn(move || answer_all(&listener, &answering))?;
        Ok(Self { shared, _socket: bound })
    }

    /// Whether it wants requests.
    pub fn set_ready(&self, ready: bool) {
        self.shared.ready.store(ready, Ordering::Relaxed);
    }

    /// What it waits for before it is ready; shown by `shoal status`.
    pub fn set_waiting_for(&self, what: Option<String>) {
        *self.shared.waiting_for.lock().unwrap_or_else(PoisonError::into_inner) = what;
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
        // A connection wakes the thread from its accept. Without one it ends with the process.
        if let Err(error) = UnixStream::connect(&self.path).map(drop).and_then(|()| std::fs::remove_file(&self.path)) {
            tracing::debug!("the health socket {} was gone already: {error}", self.path.display());
        }
    }
}

fn answer_all(listener: &UnixListener, shared: &Shared) {
    while !shared.stopping.load(Ordering::Relaxed) {
        match listener.accept() {
            Ok((stream, _)) => {
                if let Err(error) = answer_one(stream, &shared.answer()) {
                    tracing::debug!("a health question was not answered: {error}");
                }
            }
            Err(error) => {
                tracing::warn!("cannot accept on the health socket: {error}");
                std::thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

fn answer_one(mut stream: UnixStream, answer: &HealthAnswer) -> io::Result<()> {
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    stream.write_all(&line)
}

/// Asks a replica how it is. `Err` is a sentence that names the socket and says what went wrong.
pub async fn ask(socket: &Path, timeout: Duration) -> Result<HealthAnswer, String> {
    let shown = socket.display();
    let question = async {
        let stream = tokio::net::UnixStream::connect(socket)
            .await
            .map_err(|error| format!("the health socket {shown} does not answer: {error}"))?;
        let mut line = Vec::new();
        let read = read_line(&mut tokio::io::BufReader::new(stream), &mut line, ANSWER_MAX).await;
        match read {
            Ok(true) => {}
            Ok(false) => return Err(format!("the health socket {shown} closed without an answer")),
            Err(error) => return Err(format!("the answer of the health socket {shown} cannot be read: {error}")),
        }
        let answer: HealthAnswer = serde_json::from_slice(&line)
            .map_err(|error| format!("the health socket {shown} gave an answer that is not understood: {error}"))?;
        if answer.version == 0 || answer.version > HEALTH_VERSION {
            return Err(format!(
                "the health socket {shown} speaks version {}, and this supervisor {HEALTH_VERSION}: update `shoal`",
                answer.version
            ));
        }
        Ok(answer)
    };
    match tokio::time::timeout(timeout, question).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("the health socket {shown} did not answer within {} ms", timeout.as_millis())),
    }
}
