//! The holder's IO: connects to the discovery socket, reconnects for ever, and keeps the last view when nobody is there.
//!
//! Never: empties a view because the connection broke, or acknowledges what its user has not applied.

use crate::edges::Edges;
use crate::faults::Faults;
use crate::holder::{Effect, Holder, View};
use crate::lines::{read_line, write_line};
use crate::messages::{EDGES_PER_REPORT_MAX, EdgeReport, FromHolder, HolderName, LINE_MAX, Watches};
use shoal_model::{FaultId, ServiceName};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;

/// The first pause before connecting again; doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(25);
/// The longest pause before connecting again.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// The pause after a refusal, which only a new supervisor or a new program mends.
const BACKOFF_REFUSED: Duration = Duration::from_secs(5);
/// How often changed counters are reported.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// Leases without a line from the publisher after which the connection is given up.
const SILENT_LEASES_MAX: u32 = 5;

/// Follows the endpoints of services for as long as it is kept; dropping it ends its task and its connection.
#[derive(Debug)]
pub struct Follower {
    shared: Arc<Shared>,
    views: watch::Receiver<Arc<View>>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    holder: Mutex<Holder>,
    /// Something is to be written: an acknowledgement became due.
    due: Notify,
    views: watch::Sender<Arc<View>>,
    /// Whether the publisher was told that this process ends.
    said: watch::Sender<bool>,
    edges: Edges,
    faults: Faults,
}

/// How a connection ended.
enum Ended {
    /// It may be tried again soon; whether the publisher had welcomed this holder.
    Broken {
        why: String,
        welcomed: bool,
    },
    Refused {
        why: String,
    },
}

impl Follower {
    /// Starts to follow `watches` at the supervisor's discovery socket. The socket need not exist yet. `edges` are reported;
    /// `faults` are kept to what the supervisor says, and how often they happen is reported.
    ///
    /// # Panics
    /// Outside of a tokio runtime, as `tokio::spawn` does.
    #[must_use]
    pub fn start(socket: PathBuf, holder: HolderName, watches: Watches, edges: Edges, faults: Faults) -> Self {
        let (sender, views) = watch::channel(Arc::new(View::default()));
        let shared = Arc::new(Shared {
            holder: Mutex::new(Holder::new(holder, watches)),
            due: Notify::new(),
            views: sender,
            said: watch::Sender::new(false),
            edges,
            faults,
        });
        let task = tokio::spawn(follow(socket, Arc::clone(&shared))).abort_handle();
        Self { shared, views, task }
    }

    /// The view now, and each one after it. Whoever uses it calls [`Follower::applied`].
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<View>> {
        self.views.clone()
    }

    /// This view is applied, all of it: see [`Follower::applied_service`].
    pub fn applied(&self, view: &View) {
        self.shared.holder().applied(view);
        self.shared.due.notify_one();
    }

    /// What this view says of one service is applied: no new request goes to an endpoint that it does not list, and none
    /// that went there before is still unanswered. Sends the acknowledgement, upon which such endpoints are told to stop.
    pub fn applied_service(&self, view: &View, service: &ServiceName) {
        self.shared.holder().applied_service(view, service);
        self.shared.due.notify_one();
    }

    /// This process can be made to die at these places.
    pub fn declare_crash_points(&self, names: BTreeSet<String>) {
        self.shared.holder().declare_crash_points(names);
        self.shared.due.notify_one();
    }

    /// This process was told to end, and finishes what it has: the supervisor is told, so that another takes its place.
    /// Returns once it was, or when it could not be within this time.
    pub async fn leave(&self, within: Duration) {
        self.shared.holder().leave();
        self.shared.due.notify_one();
        let mut said = self.shared.said.subscribe();
        // Should nobody be there to hear it, the process ends as it would have without.
        let _ = tokio::time::timeout(within, said.wait_for(|said| *said)).await;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn follow(socket: PathBuf, shared: Arc<Shared>) {
    let mut backoff = BACKOFF_MIN;
    let mut last_why = String::new();
    loop {
        let (why, pause) = match connection(&socket, &shared).await {
            Ended::Broken { why, welcomed: true } => {
                backoff = BACKOFF_MIN;
                (why, backoff)
            }
            Ended::Broken { why, welcomed: false } => (why, backoff),
            Ended::Refused { why } => (format!("refused: {why}"), BACKOFF_REFUSED),
        };
        // Said once, not at every try.
        if why != last_why {
            tracing::warn!(socket = %socket.display(), "discovery: {why}; keeping the last endpoints and trying again");
            last_why = why;
        }
        tokio::time::sleep(pause).await;
        backoff = (backoff * 2).min(BACKOFF_MAX);
    }
}

/// One connection, from its hello to its end.
async fn connection(socket: &Path, shared: &Shared) -> Ended {
    let stream = match UnixStream::connect(socket).await {
        Ok(stream) => stream,
        Err(error) => return Ended::Broken { why: format!("cannot connect: {error}"), welcomed: false },
    };
    let hello = shared.holder().hello();
    let (read, mut write) = stream.into_split();
    if let Err(error) = write_line(&mut write, &hello).await {
        return Ended::Broken { why: format!("cannot say hello: {error}"), welcomed: false };
    }
    let mut welcomed = false;
    // Reading and writing go on side by side: neither end may wait for the other to read first.
    let ended = tokio::select! {
        ended = hear(read, shared, &mut welcomed) => ended,
        error = speak(write, shared) => Err(format!("cannot write: {error}")),
    };
    match ended {
        Ok(why) => Ended::Refused { why },
        Err(why) => Ended::Broken { why, welcomed },
    }
}

/// Reads until the connection fails (`Err`, with the reason) or the publisher refuses (`Ok`, with its sentence).
async fn hear(read: OwnedReadHalf, shared: &Shared, welcomed: &mut bool) -> Result<String, String> {
    let mut reader = BufReader::new(read);
    let (mut line, mut is_changed) = (Vec::new(), false);
    loop {
        let silence_max = shared.holder().times().lease * SILENT_LEASES_MAX;
        match tokio::time::timeout(silence_max, read_line(&mut reader, &mut line, LINE_MAX)).await {
            Err(_) => return Err(format!("the supervisor said nothing for {} s", silence_max.as_secs())),
            Ok(Err(error)) => return Err(format!("cannot read: {error}")),
            Ok(Ok(false)) => return Err("the supervisor closed the connection".to_owned()),
            Ok(Ok(true)) => {}
        }
        let parsed = serde_json::from_slice(&line).map_err(|error| format!("a line is not understood: {error}"))?;
        let (effect, faults) = {
            let mut holder = shared.holder();
            (holder.receive(parsed), holder.take_faults())
        };
        if let Some(faults) = faults {
            shared.faults.replace(faults);
        }
        match effect {
            Effect::Nothing => shared.due.notify_one(),
            Effect::Welcomed => {
                *welcomed = true;
                tracing::debug!("discovery: connected");
                shared.due.notify_one();
            }
            Effect::Changed => is_changed = true,
            Effect::Reconnect { why } => return Err(why),
            Effect::Refused { why } => return Ok(why),
        }
        // What has come already belongs to one view: a supervisor tells a thousand services in a thousand lines.
        if is_changed && !reader.buffer().contains(&b'\n') {
            is_changed = false;
            let view = Arc::new(shared.holder().view().clone());
            shared.views.send_replace(view);
        }
    }
}

/// Writes acknowledgements when they are due, counters when they changed, and that this holder lives.
async fn speak(mut write: OwnedWriteHalf, shared: &Shared) -> io::Error {
    let mut reported = Vec::new();
    let mut report_at = tokio::time::Instant::now() + REPORT_EVERY;
    let mut alive_at = tokio::time::Instant::now();
    loop {
        let mut lines = shared.holder().due();
        let now = tokio::time::Instant::now();
        let is_report = now >= report_at;
        if is_report {
            report_at = now + REPORT_EVERY;
            lines.extend(changed_edges(&shared.edges, &mut reported));
        }
        if let Err(error) = report_faults(&mut write, shared, is_report).await {
            return error;
        }
        if now >= alive_at {
            alive_at = now + shared.holder().times().heartbeat;
            lines.push(FromHolder::Alive);
        }
        for line in &lines {
            if let Err(error) = write_line(&mut write, line).await {
                return error;
            }
            if *line == FromHolder::Leaving {
                shared.said.send_replace(true);
            }
        }
        // The heartbeat may have been shortened by a welcome that came meanwhile.
        alive_at = alive_at.min(tokio::time::Instant::now() + shared.holder().times().heartbeat);
        tokio::select! {
            () = shared.due.notified() => {}
            () = shared.faults.news() => {}
            () = tokio::time::sleep_until(report_at.min(alive_at)) => {}
        }
    }
}

/// Reports how often faults happened: what is to be reported at once, or all of it.
async fn report_faults(write: &mut OwnedWriteHalf, shared: &Shared, all: bool) -> io::Result<()> {
    let counts = shared.faults.unreported(all);
    if counts.is_empty() {
        return Ok(());
    }
    let mut unsaid = Unsaid { faults: &shared.faults, counts };
    write_line(write, &FromHolder::FaultsHappened { counts: unsaid.counts.clone() }).await?;
    unsaid.counts.clear();
    Ok(())
}

/// What is being reported; taken back when the connection ends before it was said.
struct Unsaid<'a> {
    faults: &'a Faults,
    counts: Vec<(FaultId, u64)>,
}

impl Drop for Unsaid<'_> {
    fn drop(&mut self) {
        self.faults.unsaid(&self.counts);
    }
}

/// Reports of the edges that differ from `reported`, which is brought up to date.
fn changed_edges(edges: &Edges, reported: &mut Vec<EdgeReport>) -> Vec<FromHolder> {
    let all = edges.report();
    let changed: Vec<EdgeReport> = all.iter().filter(|edge| !reported.contains(edge)).cloned().collect();
    *reported = all;
    changed.chunks(EDGES_PER_REPORT_MAX).map(|edges| FromHolder::Report { edges: edges.to_vec() }).collect()
}
