//! Turns to write, for asynchronous code: a thread waits in the queue between processes, for one local writer after the
//! other. Never: holds more than one place in that queue, so that a busy replica does not crowd out a quiet one.

use super::WRITERS_WAITING_MAX;
use super::queue::{Queue, Ticket};
use crate::Error;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The local end of the queue.
#[derive(Debug)]
pub(super) struct Turns {
    wanted: mpsc::SyncSender<Wanted>,
}

type Wanted = oneshot::Sender<io::Result<Turn>>;

/// A turn to write, until dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    #[cfg_attr(not(test), allow(dead_code))]
    pub number: u64,
    #[cfg_attr(not(test), allow(dead_code))]
    pub ahead: usize,
    // Dropping it tells the thread, which gives the place in the queue back.
    _done: mpsc::Sender<()>,
}

impl Turns {
    /// Opens the queue of this database and starts the thread. It ends after the last handle is gone.
    pub fn start(database: &Path) -> io::Result<Self> {
        let queue = Queue::open(database)?;
        let (wanted, wishes) = mpsc::sync_channel(WRITERS_WAITING_MAX);
        std::thread::Builder::new().name("write-queue".to_owned()).spawn(move || give_turns(queue, &wishes))?;
        Ok(Self { wanted })
    }

    /// Waits for a turn, after all who asked before. Dropping the future gives the place up.
    pub async fn wait(&self, at_most: Duration) -> Result<Turn, Error> {
        let (wanted, turn) = oneshot::channel();
        match self.wanted.try_send(wanted) {
            Ok(()) => {}
            Err(mpsc::TrySendError::Full(_)) => {
                return Err(Error::resource_exhausted("too many writes are waiting, try again later"));
            }
            Err(mpsc::TrySendError::Disconnected(_)) => return Err(gone()),
        }
        match tokio::time::timeout(at_most, turn).await {
            Ok(Ok(Ok(turn))) => Ok(turn),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the write queue failed");
                Err(Error::unavailable("the database cannot write, its disk may be full; try again"))
            }
            Ok(Err(_)) => Err(gone()),
            Err(_) => {
                tracing::warn!("another write takes too long");
                Err(Error::unavailable("the database is too busy, try again"))
            }
        }
    }
}

fn gone() -> Error {
    tracing::error!("the thread of the write queue is gone");
    Error::internal("the database failed")
}

fn give_turns(mut queue: Queue, wishes: &mpsc::Receiver<Wanted>) {
    while let Ok(wanted) = wishes.recv() {
        // Who has given up must not make the others wait.
        if wanted.is_closed() {
            continue;
        }
        match queue.enter() {
            Ok(ticket) => give_turn(&ticket, wanted),
            // Who asked may have given up meanwhile; then nobody is left to tell.
            Err(error) => drop(wanted.send(Err(error))),
        }
    }
}

/// Returns when the turn is over.
fn give_turn(ticket: &Ticket, wanted: Wanted) {
    let (done, over) = mpsc::channel();
    let turn = Turn { number: ticket.number(), ahead: ticket.ahead(), _done: done };
    // A turn that nobody takes is dropped here, and over at once.
    drop(wanted.send(Ok(turn)));
    // Nothing is ever sent: this ends when the turn is dropped.
    let _ = over.recv();
}
