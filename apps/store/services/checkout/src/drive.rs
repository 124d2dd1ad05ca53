//! Drives sagas: runs the next step, logs what came of it, and goes on until the order is placed or refused. One task
//! per saga, which holds its lease; a saga whose task died is adopted, here or in another replica, once the lease runs
//! out. What follows from an outcome is decided in `saga`, not here.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use shoal_sdk::{Error, Shutdown};
use store_contracts::store::checkout::v1::PlaceRequest;
use store_contracts::store::orders::v1::OpenRequest;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::log::{Log, Saga, StepResult};
use crate::saga::{self, Outcome, State, Step};
use crate::steps::{Callees, CardInput};

/// How many sagas one replica drives at a time; more are refused before anything is held.
pub const SAGAS_MAX: usize = 512;

/// How often sagas that nobody drives are looked for.
const ADOPT_EVERY: Duration = Duration::from_millis(500);

/// How often the leases of the sagas that run here are renewed; a fraction of the lease. A long queue for the log's
/// write lock then costs no saga its lease, and with it the card that only its task has.
const RENEW_EVERY: Duration = Duration::from_secs(4);

/// How many are adopted at a time.
const ADOPT_MAX: i64 = 32;

/// How long a stopping replica goes on with orders whose card only it knows.
const LAST_ORDERS: Duration = Duration::from_secs(10);

/// Drives sagas in tasks of their own. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    log: Log,
    callees: Callees,
    running: Running,
    stopping: Arc<AtomicBool>,
}

/// A saga that was just logged, and where its decision will be told.
pub struct Started {
    pub saga: Saga,
    pub decided: oneshot::Receiver<Box<Saga>>,
}

/// The orders whose sagas run in this process.
#[derive(Clone, Default)]
struct Running(Arc<Mutex<BTreeSet<String>>>);

/// Counts one of them for as long as it lives.
struct Runs {
    running: Running,
    order_id: String,
}

impl Running {
    fn enter(&self, order_id: &str) -> Runs {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(order_id.to_owned());
        Runs { running: self.clone(), order_id: order_id.to_owned() }
    }

    fn orders(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Runs {
    fn drop(&mut self) {
        self.running.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.order_id);
    }
}

impl Driver {
    /// A driver over `log`.
    pub fn new(log: Log, callees: Callees) -> Driver {
        Driver { log, callees, running: Running::default(), stopping: Arc::default() }
    }

    /// Whether another saga may be started.
    pub fn has_room(&self) -> bool {
        self.running.count() < SAGAS_MAX
    }

    /// Logs a new saga and starts it, also when whoever asks gives up meanwhile. `None` when the key was logged by
    /// another.
    pub async fn open(
        &self,
        request: PlaceRequest,
        order: OpenRequest,
        card: CardInput,
    ) -> Result<Option<Started>, Error> {
        let driver = self.clone();
        // A task of its own, since a request that is dropped between the log and the start would lose the card.
        let opening = tokio::spawn(async move {
            let saga = driver.log.open(&request, &order).await?;
            Ok(saga.map(|saga| Started { decided: driver.start(saga.clone(), card), saga }))
        });
        opening.await.map_err(|_| Error::unavailable("The checkout is stopping: please try again."))?
    }

    /// Drives a saga to its end in a task of its own. The receiver hears of it once it is decided: refused, or confirmed
    /// and the basket tried to be cleared; what is left to clear or to give back goes on after that.
    fn start(&self, saga: Saga, card: CardInput) -> oneshot::Receiver<Box<Saga>> {
        let (decided, receiver) = oneshot::channel();
        let runs = self.running.enter(&saga.order_id);
        let driver = self.clone();
        tokio::spawn(async move {
            if let Err(error) = driver.drive(saga, card, decided).await {
                tracing::warn!(%error, order = runs.order_id, "an order rests until its lease runs out");
            }
            drop(runs);
        });
        receiver
    }

    async fn drive(
        &self,
        mut saga: Saga,
        mut card: CardInput,
        decided: oneshot::Sender<Box<Saga>>,
    ) -> Result<(), Error> {
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
            // The basket is tried once before the shopper is told, so that the next page shows it cleared.
            let is_told = saga.state.is_refused() || saga.state.is_confirmed() && (stays || saga.state.is_finished());
            if is_told {
                // Nobody listens any more when the request's time was up; Status tells.
                drop(decided.take().map(|decided| decided.send(Box::new(saga.clone()))));
            }
            if stays {
                tokio::time::sleep(wait).await;
            }
        }
        Ok(())
    }

    /// Adopts sagas that nobody drives, until the wish to stop; then hands over what another replica can go on with.
    pub async fn adopt_for_ever(self, shutdown: Shutdown) {
        let mut renewed = Instant::now();
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(ADOPT_EVERY) => self.tend(&mut renewed).await,
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
        let enough = Instant::now() + LAST_ORDERS;
        while self.running.count() > 0 && Instant::now() < enough {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn tend(&self, renewed: &mut Instant) {
        if renewed.elapsed() >= RENEW_EVERY {
            match self.log.renew(&self.running.orders()).await {
                Ok(()) => *renewed = Instant::now(),
                Err(error) => tracing::warn!(%error, "could not renew the leases of the orders under way"),
            }
        }
        if let Err(error) = self.adopt_once().await {
            tracing::warn!(%error, "could not look for unfinished orders; trying again");
        }
    }

    /// Adopts what is due now. Answers how many.
    pub async fn adopt_once(&self) -> Result<usize, Error> {
        let room = SAGAS_MAX.saturating_sub(self.running.count());
        let limit = ADOPT_MAX.min(i64::try_from(room).unwrap_or(ADOPT_MAX));
        let adopted = self.log.adopt(limit, &self.running.orders()).await?;
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
