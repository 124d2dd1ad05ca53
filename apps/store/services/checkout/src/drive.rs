//! Drives sagas: runs the next step, logs what came of it, and goes on until the order is placed or refused. One task
//! per saga, which holds its lease; a saga whose task died is adopted, here or in another replica, once the lease runs
//! out. What follows from an outcome is decided in `saga`, not here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use shoal_sdk::{Error, Shutdown};
use tokio::sync::oneshot;

use crate::log::{Log, Saga, StepResult};
use crate::saga::{self, Outcome, State, Step};
use crate::steps::{Callees, CardInput};

/// How many sagas one replica drives at a time; more are refused before anything is held.
pub const SAGAS_MAX: usize = 512;

/// How often sagas that nobody drives are looked for.
const ADOPT_EVERY: Duration = Duration::from_millis(500);

/// How many are adopted at a time.
const ADOPT_MAX: i64 = 32;

/// How long a stopping replica goes on with orders whose card only it knows.
const LAST_ORDERS: Duration = Duration::from_secs(10);

/// Drives sagas in tasks of their own. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    log: Log,
    callees: Callees,
    running: Arc<AtomicUsize>,
    stopping: Arc<AtomicBool>,
}

/// Counts one running saga for as long as it lives.
struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Driver {
    /// A driver over `log`.
    pub fn new(log: Log, callees: Callees) -> Driver {
        Driver { log, callees, running: Arc::default(), stopping: Arc::default() }
    }

    /// Whether another saga may be started.
    pub fn has_room(&self) -> bool {
        self.running.load(Ordering::Relaxed) < SAGAS_MAX && !self.stopping.load(Ordering::Relaxed)
    }

    /// Drives a saga to its end in a task of its own. The receiver hears of it once it is decided: confirmed or
    /// refused; clearing the basket and giving back what was held goes on after that.
    pub fn start(&self, saga: Saga, card: CardInput) -> oneshot::Receiver<Saga> {
        let (decided, receiver) = oneshot::channel();
        self.running.fetch_add(1, Ordering::Relaxed);
        let running = Running(Arc::clone(&self.running));
        let driver = self.clone();
        tokio::spawn(async move {
            let _running = running;
            let order_id = saga.order_id.clone();
            if let Err(error) = driver.drive(saga, card, decided).await {
                tracing::warn!(%error, order = order_id, "an order rests until its lease runs out");
            }
        });
        receiver
    }

    async fn drive(&self, mut saga: Saga, mut card: CardInput, decided: oneshot::Sender<Saga>) -> Result<(), Error> {
        let mut decided = Some(decided);
        while !saga.state.is_finished() {
            if self.stopping.load(Ordering::Relaxed) && !needs_card(saga.state, &card) {
                return self.log.give_back(&saga).await;
            }
            let result = self.callees.run(&saga, &card).await;
            let next = saga::next(saga.state, result.outcome);
            let stays = next == saga.state;
            let wait = if stays { saga::backoff(saga.attempts.saturating_add(1)) } else { Duration::ZERO };
            report(&saga, &result, next);
            if !self.log.advance(&mut saga, &result, next, wait).await? {
                tracing::info!(order = saga.order_id, "another replica has taken this order over");
                return Ok(());
            }
            if !needs_card(saga.state, &card) {
                card = CardInput::default();
            }
            if saga.state.is_confirmed() || saga.state.is_refused() {
                // Nobody listens any more when the request's time was up; Status tells.
                decided.take().map(|decided| decided.send(saga.clone()));
            }
            if stays {
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    }

    /// Adopts sagas that nobody drives, until the wish to stop; then hands over what another replica can go on with.
    pub async fn adopt_for_ever(self, shutdown: Shutdown) {
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                () = tokio::time::sleep(ADOPT_EVERY) => {}
            }
            if let Err(error) = self.adopt_once().await {
                tracing::warn!(%error, "could not look for unfinished orders; trying again");
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
        let running_out = tokio::time::Instant::now() + LAST_ORDERS;
        while self.running.load(Ordering::Relaxed) > 0 && tokio::time::Instant::now() < running_out {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Adopts what is due now. Answers how many.
    pub async fn adopt_once(&self) -> Result<usize, Error> {
        let room = SAGAS_MAX.saturating_sub(self.running.load(Ordering::Relaxed));
        let limit = ADOPT_MAX.min(i64::try_from(room).unwrap_or(ADOPT_MAX));
        let adopted = self.log.adopt(limit).await?;
        let count = adopted.len();
        for saga in adopted {
            tracing::info!(order = saga.order_id, state = %saga.state, "resuming an order");
            // The card was never stored: payment is asked whether it got it before the other task died.
            drop(self.start(saga, CardInput::default()));
        }
        Ok(count)
    }
}

/// Whether the saga cannot be handed over without losing the card that only this task has.
fn needs_card(state: State, card: &CardInput) -> bool {
    !card.number.is_empty() && matches!(state, State::Doing(Step::Open | Step::Reserve | Step::Authorise))
}

fn report(saga: &Saga, result: &StepResult, next: State) {
    let (order, state, detail) = (&saga.order_id, saga.state, &result.detail);
    match result.outcome {
        Outcome::Done => {}
        Outcome::Refused if next == state => {
            tracing::error!(order, %state, detail, "a step that must succeed was refused; trying again");
        }
        Outcome::Refused => tracing::info!(order, %state, detail, "refused"),
        Outcome::Unknown => {
            tracing::warn!(order, %state, detail, attempts = saga.attempts, "the outcome is not known; trying again");
        }
    }
}
