//! Drives sagas: runs the next step, logs what came of it, and goes on until the order is placed or refused. One task
//! per saga, which holds its lease; a saga whose task died is adopted, here or in another replica, once the lease runs
//! out. What follows from an outcome is decided in `saga`, not here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use shoal_sdk::{Code, Error, Faults, Shutdown};
use store_contracts::store::checkout::v1::PlaceRequest;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::log::{Log, NewOrder, Saga, StepResult};
use crate::running::Running;
use crate::saga::{self, Outcome, State, Step};
use crate::steps::{Callees, CardInput};

/// How many sagas one replica drives at a time; more are refused before anything is held.
pub const SAGAS_MAX: usize = 512;

/// How often sagas that nobody drives are looked for, at least.
const ADOPT_EVERY: Duration = Duration::from_millis(500);

/// How many are adopted at a time.
const ADOPT_MAX: i64 = 32;

/// How long a stopping replica goes on with orders whose card only it knows.
const LAST_ORDERS: Duration = Duration::from_secs(10);

/// How often it is looked for old orders to shorten, and how many are shortened at a time.
const SHORTEN_EVERY: Duration = Duration::from_secs(60);
const SHORTEN_MAX: i64 = 200;

/// Reached before a key is logged, and after it was, when nothing of it runs yet.
const PLACE_LOGGING: &str = "place.logging";
const PLACE_LOGGED: &str = "place.logged";

/// Drives sagas in tasks of their own. Cheap to clone.
#[derive(Clone)]
pub struct Driver {
    log: Log,
    callees: Callees,
    running: Running,
    stopping: Arc<AtomicBool>,
    faults: Faults,
    lease: Duration,
}

/// A saga that was just logged, and where its decision will be told.
pub struct Started {
    pub saga: Saga,
    pub decided: oneshot::Receiver<Box<Saga>>,
}

/// Where this service can be made to die on purpose: around the log of a new key; of each step, once it is called and
/// nothing is logged, and once its outcome and the next step are logged and nothing is called.
pub fn crash_points() -> impl Iterator<Item = &'static str> {
    let steps = State::ALL.into_iter().filter_map(State::crash_points);
    [PLACE_LOGGING, PLACE_LOGGED].into_iter().chain(steps.flatten())
}

impl Driver {
    /// A driver over `log`, whose leases last for `lease`.
    pub fn new(log: Log, callees: Callees, faults: Faults, lease: Duration) -> Driver {
        Driver { log, callees, running: Running::default(), stopping: Arc::default(), faults, lease }
    }

    /// Whether another saga may be started.
    pub fn has_room(&self) -> bool {
        self.running.count() < SAGAS_MAX
    }

    /// Logs a new saga and starts it, also when whoever asks gives up meanwhile; not from `before_millis` on, unless
    /// that is 0. `None` when the key was logged by another.
    pub async fn open(
        &self,
        request: PlaceRequest,
        order: NewOrder,
        card: CardInput,
        before_millis: i64,
    ) -> Result<Option<Started>, Error> {
        let driver = self.clone();
        // A task of its own, since a request that is dropped between the log and the start would lose the card.
        let opening = tokio::spawn(async move {
            driver.faults.crash_point(PLACE_LOGGING);
            let saga = driver.log.open(&request, &order, before_millis).await?;
            driver.faults.crash_point(PLACE_LOGGED);
            Ok(saga.map(|saga| Started { decided: driver.start(saga.clone(), card), saga }))
        });
        opening.await.map_err(|_| Error::unavailable("The checkout is stopping: please try again."))?
    }

    /// Drives a saga to its end in a task of its own. The receiver hears of it once it is decided: refused, or confirmed
    /// and the basket tried to be cleared; what is left to clear or to give back goes on after that.
    fn start(&self, saga: Saga, card: CardInput) -> oneshot::Receiver<Box<Saga>> {
        let (decided, receiver) = oneshot::channel();
        let runs = self.running.enter(&saga.order_id, saga.fence);
        let driver = self.clone();
        tokio::spawn(async move {
            if let Err(error) = driver.drive(saga, card, decided).await {
                tracing::warn!(%error, order = runs.order_id(), "an order rests until its lease runs out");
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
            let points = saga.state.crash_points();
            let result = self.callees.run(&saga, &card).await;
            let next = saga::next(saga.state, result.outcome);
            if let Some([called, _]) = points.filter(|_| result.outcome != Outcome::Unknown) {
                self.faults.crash_point(called);
            }
            let stays = next == saga.state;
            let wait = if stays { saga::backoff(saga.attempts.saturating_add(1)) } else { Duration::ZERO };
            report(&saga, &result, next);
            if !self.advance(&mut saga, &result, next, wait).await? {
                tracing::info!(order = saga.order_id, "this order is finished, or another replica has taken it over");
                return Ok(());
            }
            self.running.extended([&saga.order_id]);
            if let Some([_, logged]) = points.filter(|_| !stays) {
                self.faults.crash_point(logged);
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

    /// Logs an outcome. While the log is away this waits for it, for as long as the lease lasts at least: what is known
    /// here, such as the card, is lost with this task.
    async fn advance(&self, saga: &mut Saga, result: &StepResult, next: State, wait: Duration) -> Result<bool, Error> {
        let enough = Instant::now() + self.lease;
        let mut attempts = 0;
        loop {
            match self.log.advance(saga, result, next, wait).await {
                Err(error) if may_pass(error.code) && Instant::now() < enough => {
                    tracing::warn!(%error, order = saga.order_id, "the log cannot be written; trying again");
                }
                logged => return logged,
            }
            attempts += 1;
            tokio::time::sleep(saga::backoff(attempts)).await;
        }
    }

    /// Adopts sagas that nobody drives, until the wish to stop; then hands over what another replica can go on with.
    pub async fn adopt_for_ever(self, shutdown: Shutdown) {
        // A lease is renewed once a quarter of it is over, and a second look still comes in time.
        let every = ADOPT_EVERY.min(self.lease / 8);
        let mut shortened = Instant::now();
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(every) => self.tend().await,
            }
            if shortened.elapsed() >= SHORTEN_EVERY {
                shortened = Instant::now();
                if let Err(error) = self.shorten().await {
                    tracing::warn!(%error, "could not shorten old orders; trying again in a minute");
                }
            }
        }
        self.stopping.store(true, Ordering::Relaxed);
        let enough = Instant::now() + LAST_ORDERS;
        while self.running.count() > 0 && Instant::now() < enough {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Renews the leases of the sagas that run here and were silent: a long call, or a long queue for the log's write
    /// lock, costs no saga its lease, and with it the card that only its task has. Then adopts.
    async fn tend(&self) {
        let silent = self.running.silent_for(self.lease / 4);
        match self.log.renew(&silent).await {
            Ok(()) => self.running.extended(silent.keys()),
            Err(error) => tracing::warn!(%error, "could not renew the leases of the orders under way"),
        }
        if let Err(error) = self.adopt_once().await {
            tracing::warn!(%error, "could not look for unfinished orders; trying again");
        }
    }

    /// Shortens finished orders that are old enough. Answers how many.
    pub async fn shorten(&self) -> Result<u64, Error> {
        self.log.shorten(SHORTEN_MAX).await
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

/// Whether an error of the log may be gone in a moment.
fn may_pass(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::Aborted | Code::ResourceExhausted | Code::DeadlineExceeded)
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
