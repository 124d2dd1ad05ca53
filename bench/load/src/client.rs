//! A client with kept connections, as a browser or a reverse proxy in front would be. Never: shares a connection between
//! two requests at once.

use crate::connection::{Connection, Failure, Keep, Progress, Response, Stage, Target};
use crate::request::Request;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// The limits of a client.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The most requests under way, each on a connection of its own, and the most idle connections; a request beyond waits
    /// for its turn, which counts as its time.
    pub connections_max: usize,
    /// How long a request may take, waiting included.
    pub timeout: Duration,
    /// The largest answer, in bytes.
    pub answer_bytes_max: usize,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self { connections_max: 256, timeout: Duration::from_secs(30), answer_bytes_max: 16 * 1024 * 1024 }
    }
}

/// A client of one address. Cheap to clone; clones share connections.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    target: Target,
    settings: ClientSettings,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
    opened: AtomicU64,
    repeated: AtomicU64,
}

impl Client {
    /// A client without a connection yet.
    #[must_use]
    pub fn new(target: Target, settings: ClientSettings) -> Self {
        let places = Semaphore::new(settings.connections_max.clamp(1, Semaphore::MAX_PERMITS));
        let shared = Shared {
            target,
            settings,
            idle: Mutex::default(),
            places,
            opened: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// How many connections were opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.shared.opened.load(Ordering::Relaxed)
    }

    /// How many requests were sent again because a kept connection turned out to be closed: idempotent ones, of which no
    /// byte of an answer had come (RFC 9112, section 9.3.1). No server can prevent that; a browser does the same.
    #[must_use]
    pub fn repeated(&self) -> u64 {
        self.shared.repeated.load(Ordering::Relaxed)
    }

    /// Sends a request and reads the answer.
    ///
    /// # Errors
    /// When there is no whole answer in time.
    pub async fn send(&self, request: &Request) -> Result<Response, Failure> {
        self.exchange(request, Keep::All).await
    }

    /// The same, of which only the status is kept.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub async fn status(&self, request: &Request) -> Result<u16, Failure> {
        self.exchange(request, Keep::Status).await.map(|response| response.status)
    }

    async fn exchange(&self, request: &Request, keep: Keep) -> Result<Response, Failure> {
        let progress = Progress::default();
        let limit = self.shared.settings.timeout;
        let exchanged = tokio::time::timeout(limit, self.exchange_in_time(request, keep, &progress)).await;
        let (late, why) = match exchanged {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(why)) => (false, why),
            Err(_) => (true, format!("it took longer than {} ms", limit.as_millis())),
        };
        Err(Failure { stage: progress.stage(), late, why })
    }

    async fn exchange_in_time(&self, request: &Request, keep: Keep, progress: &Progress) -> Result<Response, String> {
        // One place for each request under way.
        let _place = self.shared.places.acquire().await.map_err(|error| error.to_string())?;
        loop {
            let mut connection = self.connection(request.is_idempotent()).await?;
            let used = connection.used;
            let bytes_max = self.shared.settings.answer_bytes_max;
            match connection.exchange(request, keep, bytes_max, progress).await {
                Ok((response, reusable)) => {
                    if reusable {
                        self.keep(connection);
                    }
                    return Ok(response);
                }
                Err(_) if used && request.is_idempotent() && progress.stage() == Stage::Unanswered => {
                    self.shared.repeated.fetch_add(1, Ordering::Relaxed);
                    progress.set(Stage::Unsent);
                }
                Err(why) => return Err(why),
            }
        }
    }

    /// A kept connection where that may be, or a new one. A kept one may be closed at this very moment, and what must not be
    /// asked twice would be lost on it (RFC 9112, section 9.3.1).
    async fn connection(&self, may_be_kept: bool) -> Result<Connection, String> {
        if may_be_kept && let Some(kept) = self.kept() {
            return Ok(kept);
        }
        let connection = Connection::open(&self.shared.target).await.map_err(|error| error.to_string())?;
        self.shared.opened.fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    /// An idle connection that is not known to be closed.
    fn kept(&self) -> Option<Connection> {
        let mut idle = self.idle();
        std::iter::from_fn(|| idle.pop()).find(Connection::is_open)
    }

    /// Keeps a connection for the next request, unless there are enough.
    fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() < self.shared.settings.connections_max {
            idle.push(connection);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
