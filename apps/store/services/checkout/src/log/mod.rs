//! The saga log: every Place by its key, who works on it, and each step, written before the step runs. Whoever changes
//! an entry must hold its lease: the fence it took it with must still be the entry's. It never calls a service.

mod lease;
mod pieces;
mod stored;
#[cfg(test)]
mod tests;

use std::time::Duration;

use shoal_sdk::{Connection, Database, Error, query};
use store_contracts::store::basket::v1::MergedFrom;
use store_contracts::store::checkout::v1::PlaceRequest;
use store_contracts::store::orders::v1::OpenRequest;

use crate::Clock;
use crate::planted::{Planted, PlantedBug};
use crate::saga::{Outcome, State, Step};
pub use stored::{Body, Saga, body_hash, comparable};
use stored::{Stored, columns, json};

/// The longest detail that is kept of a step, in characters.
const DETAIL_MAX: usize = 500;

/// How long the request and the steps of a finished order are kept, and for how long a bought basket is remembered.
const KEPT: Duration = Duration::from_secs(48 * 60 * 60);

/// What came of a step.
#[derive(Clone, Debug)]
pub struct StepResult {
    pub outcome: Outcome,
    /// Of a refusal the sentence for the shopper, of an unknown outcome what is known of it.
    pub detail: String,
}

/// An order that is to be logged.
#[derive(Clone, Debug, Default)]
pub struct NewOrder {
    pub body: OpenRequest,
    /// What its basket holds that was merged into it.
    pub merged_from: Vec<MergedFrom>,
}

/// The log over one database, which other replicas may share.
#[derive(Clone)]
pub struct Log {
    pub(super) database: Database,
    pub(super) clock: Clock,
    pub(super) holder: String,
    /// How long a replica may be silent about a saga before another takes it over. Longer than any one call takes.
    pub(super) lease: Duration,
    pub(super) planted: Planted,
}

impl Log {
    /// The saga placed under a key.
    pub async fn by_key(&self, key: &str) -> Result<Option<Saga>, Error> {
        by_key(&mut *self.database.read().await?, key).await
    }

    /// As [`by_key`](Self::by_key), once whoever is about to log something has done so: what is not there now was not
    /// logged by any request that was to be placed before now.
    pub async fn by_key_for_certain(&self, key: &str) -> Result<Option<Saga>, Error> {
        let mut alone = self.database.write().await?;
        let saga = by_key(&mut alone, key).await?;
        alone.rollback().await?;
        Ok(saga)
    }

    /// The saga of an order.
    pub async fn by_order(&self, order_id: &str) -> Result<Option<Saga>, Error> {
        let query = query(concat!("SELECT ", columns!(), " FROM sagas WHERE order_id = $1")).bind(order_id);
        Stored::find(query, &mut *self.database.read().await?).await
    }

    /// How many sagas are unfinished, and when the oldest was placed (0 when there is none).
    pub async fn unfinished(&self) -> Result<(i64, i64), Error> {
        query("SELECT COUNT(*), COALESCE(MIN(opened_millis), 0) FROM sagas WHERE finished = 0")
            .fetch_one(&mut *self.database.read().await?)
            .await
    }

    /// Logs a new key, with its first step and the lease for it; not from `before_millis` on, unless that is 0. `None`
    /// when the key was logged by another meanwhile.
    ///
    /// # Errors
    /// `deadline_exceeded` when it is too late, `failed_precondition` when the same basket or pieces of it are being
    /// ordered, or were, under another key.
    pub async fn open(
        &self,
        request: &PlaceRequest,
        order: &NewOrder,
        before_millis: i64,
    ) -> Result<Option<Saga>, Error> {
        let state = State::Doing(Step::Open);
        let NewOrder { body: order, merged_from } = order;
        let total = order.total.as_option().cloned().unwrap_or_default();
        // Whoever buys pieces of other baskets must not run beside orders of those. That is rare, and all of it is one
        // lock, which nobody can take in another order.
        let mut transaction = if merged_from.is_empty() {
            self.database.write_for(&format!("shopper:{}", request.shopper_id)).await?
        } else {
            self.database.write().await?
        };
        // Read inside the lock, which may have been long in coming.
        let now = (self.clock)();
        if by_key(&mut transaction, &request.idempotency_key).await?.is_some() {
            return Ok(None);
        }
        if before_millis != 0 && now >= before_millis {
            return Err(Error::deadline_exceeded("The order came too late and was not placed: please order again."));
        }
        if !self.planted.is(PlantedBug::KeyIgnored) {
            pieces::not_ordered_yet(&mut transaction, request, merged_from, now).await?;
        }
        let inserted = query(
            "INSERT INTO sagas (order_id, idempotency_key, request, order_body, basket_version, state, lease_holder,
                                lease_millis, opened_millis, shopper_id, body_hash, total_minor, total_currency)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(&order.order_id)
        .bind(&request.idempotency_key)
        .bind(json(request)?)
        .bind(json(order)?)
        .bind(request.basket_version)
        .bind(state.name())
        .bind(&self.holder)
        .bind(self.lease_until(now, Duration::ZERO))
        .bind(now)
        .bind(&request.shopper_id)
        .bind(body_hash(request))
        .bind(total.minor)
        .bind(&total.currency)
        .execute(&mut transaction)
        .await?;
        if inserted == 0 {
            return Ok(None);
        }
        pieces::remember(&mut transaction, &order.order_id, merged_from).await?;
        write_ahead(&mut transaction, &order.order_id, 1, state, 1, now).await?;
        transaction.commit().await?;
        Ok(Some(Saga {
            order_id: order.order_id.clone(),
            order: order.clone(),
            total,
            basket_version: request.basket_version,
            state,
            step: 1,
            refusal: String::new(),
            attempts: 0,
            fence: 1,
            body: Body::Hash(body_hash(request)),
        }))
    }

    /// Logs what came of the current step and, in the same write, the step that follows. `wait` is how long until it
    /// runs. `false` when the lease was lost: another replica has the saga and this one must let go of it. Repeating it
    /// after an error is safe.
    pub async fn advance(
        &self,
        saga: &mut Saga,
        result: &StepResult,
        next: State,
        wait: Duration,
    ) -> Result<bool, Error> {
        let moved = next != saga.state;
        let step = if moved { saga.step.saturating_add(1) } else { saga.step };
        let attempts = if moved { 0 } else { saga.attempts.saturating_add(1) };
        let refused = result.outcome == Outcome::Refused && next.is_refused() && saga.refusal.is_empty();
        let refusal = if refused { result.detail.clone() } else { saga.refusal.clone() };
        let mut transaction = self.database.write_for(&saga.order_id).await?;
        let now = (self.clock)();
        let updated = query(
            "UPDATE sagas SET state = $3, step = $4, attempts = $5, refusal = $6, finished = $7, lease_millis = $8
             WHERE order_id = $1 AND fence <= $2 AND finished = 0",
        )
        .bind(&saga.order_id)
        .bind(self.allowed(saga.fence))
        .bind(next.name())
        .bind(step)
        .bind(i64::from(attempts))
        .bind(&refusal)
        .bind(i64::from(next.is_finished()))
        .bind(self.lease_until(now, wait))
        .execute(&mut transaction)
        .await?;
        if updated == 0 {
            return Ok(false);
        }
        query("UPDATE saga_steps SET outcome = $3, detail = $4 WHERE order_id = $1 AND step = $2")
            .bind(&saga.order_id)
            .bind(saga.step)
            .bind(outcome_name(result.outcome))
            .bind(result.detail.chars().take(DETAIL_MAX).collect::<String>())
            .execute(&mut transaction)
            .await?;
        if moved && !next.is_finished() {
            write_ahead(&mut transaction, &saga.order_id, step, next, saga.fence, now).await?;
        }
        transaction.commit().await?;
        (saga.state, saga.step, saga.attempts, saga.refusal) = (next, step, attempts, refusal);
        Ok(true)
    }

    /// Shortens up to `limit` orders that are finished and were placed more than two days ago: their key, what it was
    /// used for and what was answered stay; addresses, names and steps go. Answers how many.
    pub async fn shorten(&self, limit: i64) -> Result<u64, Error> {
        let until = (self.clock)().saturating_sub(millis(KEPT));
        let due: Vec<(String,)> = query(
            "SELECT order_id FROM sagas WHERE finished = 1 AND request <> '' AND body_hash <> '' AND opened_millis <= $1
             ORDER BY opened_millis LIMIT $2",
        )
        .bind(until)
        .bind(limit)
        .fetch_all(&mut *self.database.read().await?)
        .await?;
        let mut shortened = 0;
        for (order_id,) in due {
            let mut transaction = self.database.write_for(&order_id).await?;
            query("DELETE FROM saga_steps WHERE order_id = $1").bind(&order_id).execute(&mut transaction).await?;
            pieces::forget(&mut transaction, &order_id).await?;
            shortened += query("UPDATE sagas SET request = '', order_body = '' WHERE order_id = $1 AND request <> ''")
                .bind(&order_id)
                .execute(&mut transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(shortened)
    }

    /// The highest fence that an entry may have for a write under `fence` to change it.
    pub(super) fn allowed(&self, fence: i64) -> i64 {
        if self.planted.is(PlantedBug::NoFence) { i64::MAX } else { fence }
    }
}

async fn by_key(connection: &mut Connection, key: &str) -> Result<Option<Saga>, Error> {
    let query = query(concat!("SELECT ", columns!(), " FROM sagas WHERE idempotency_key = $1")).bind(key);
    Stored::find(query, connection).await
}

async fn write_ahead(
    connection: &mut Connection,
    order_id: &str,
    step: i64,
    state: State,
    fence: i64,
    now: i64,
) -> Result<(), Error> {
    query(
        "INSERT INTO saga_steps (order_id, step, state, fence, at_millis) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (order_id, step) DO NOTHING",
    )
    .bind(order_id)
    .bind(step)
    .bind(state.name())
    .bind(fence)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
    }
}
