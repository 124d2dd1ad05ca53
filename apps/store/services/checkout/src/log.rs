//! The saga log: every Place by its key, who works on it, and each step, written before the step runs. Whoever changes
//! an entry must hold its lease: the fence it took it with must still be the entry's. It never calls a service.

use std::collections::BTreeSet;
use std::time::Duration;

use shoal_sdk::{Database, Error};
use store_contracts::store::checkout::v1::PlaceRequest;
use store_contracts::store::orders::v1::OpenRequest;

use crate::Clock;
use crate::saga::{Outcome, State, Step};

/// How long a replica may be silent about a saga before another takes it over. Longer than any one call takes.
const LEASE: Duration = Duration::from_secs(15);

/// The longest detail that is kept of a step, in characters.
const DETAIL_MAX: usize = 500;

/// One order's saga, as stored.
#[derive(Clone, Debug)]
pub struct Saga {
    pub order_id: String,
    /// The request as [`comparable`] made it.
    pub request: PlaceRequest,
    pub order: OpenRequest,
    pub basket_version: i64,
    pub state: State,
    pub step: i64,
    pub refusal: String,
    pub attempts: u32,
    pub fence: i64,
}

/// What came of a step.
#[derive(Clone, Debug)]
pub struct StepResult {
    pub outcome: Outcome,
    /// Of a refusal the sentence for the shopper, of an unknown outcome what is known of it.
    pub detail: String,
}

/// The log over one database, which other replicas may share.
#[derive(Clone)]
pub struct Log {
    database: Database,
    clock: Clock,
    holder: String,
}

/// What must be the same when a key comes again; of the card only the last four digits.
pub fn comparable(mut request: PlaceRequest) -> PlaceRequest {
    let digits: Vec<char> = request.card_number.chars().filter(char::is_ascii_digit).collect();
    request.card_number = digits.iter().skip(digits.len().saturating_sub(4)).collect();
    request.card_expiry.clear();
    request
}

/// The columns every read of a saga selects.
type Row = (String, String, String, i64, String, i64, String, i64, i64);

fn saga_of(row: Row) -> Result<Saga, Error> {
    let (order_id, request, order_body, basket_version, state, step, refusal, attempts, fence) = row;
    let unreadable = |cause: serde_json::Error| {
        tracing::error!(%cause, order = order_id, "a stored saga cannot be read");
        Error::data_loss(format!("The checkout of the order `{order_id}` cannot be read."))
    };
    let request = serde_json::from_str(&request).map_err(unreadable)?;
    let order = serde_json::from_str(&order_body).map_err(unreadable)?;
    let state = State::from_name(&state)
        .ok_or_else(|| Error::internal(format!("The stored saga state `{state}` is not one this release knows.")))?;
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    Ok(Saga { order_id, request, order, basket_version, state, step, refusal, attempts, fence })
}

impl Log {
    /// The log in `database`, for the replica called `holder`.
    pub fn new(database: Database, clock: Clock, holder: String) -> Log {
        Log { database, clock, holder }
    }

    /// The saga placed under a key.
    pub async fn by_key(&self, key: &str) -> Result<Option<Saga>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT order_id, request, order_body, basket_version, state, step, refusal, attempts, fence
             FROM sagas WHERE idempotency_key = $1",
        )
        .bind(key)
        .fetch_optional(self.database.pool())
        .await?;
        row.map(saga_of).transpose()
    }

    /// The saga of an order.
    pub async fn by_order(&self, order_id: &str) -> Result<Option<Saga>, Error> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT order_id, request, order_body, basket_version, state, step, refusal, attempts, fence
             FROM sagas WHERE order_id = $1",
        )
        .bind(order_id)
        .fetch_optional(self.database.pool())
        .await?;
        row.map(saga_of).transpose()
    }

    /// How many sagas are unfinished, and when the oldest was placed (0 when there is none).
    pub async fn unfinished(&self) -> Result<(i64, i64), Error> {
        let row = sqlx::query_as("SELECT COUNT(*), COALESCE(MIN(opened_millis), 0) FROM sagas WHERE finished = 0")
            .fetch_one(self.database.pool())
            .await?;
        Ok(row)
    }

    /// Logs a new key, with its first step and the lease for it. `None` when the key was logged by another meanwhile.
    pub async fn open(&self, request: &PlaceRequest, order: &OpenRequest) -> Result<Option<Saga>, Error> {
        let state = State::Doing(Step::Open);
        let now = (self.clock)();
        let mut transaction = self.database.write().await?;
        let inserted = sqlx::query(
            "INSERT INTO sagas (order_id, idempotency_key, request, order_body, basket_version, state,
                                lease_holder, lease_millis, opened_millis)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING",
        )
        .bind(&order.order_id)
        .bind(&request.idempotency_key)
        .bind(json(request)?)
        .bind(json(order)?)
        .bind(request.basket_version)
        .bind(state.name())
        .bind(&self.holder)
        .bind(lease_until(now, Duration::ZERO))
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        if inserted.rows_affected() == 0 {
            return Ok(None);
        }
        write_ahead(&mut transaction, &order.order_id, 1, state, 1, now).await?;
        transaction.commit().await?;
        Ok(Some(Saga {
            order_id: order.order_id.clone(),
            request: request.clone(),
            order: order.clone(),
            basket_version: request.basket_version,
            state,
            step: 1,
            refusal: String::new(),
            attempts: 0,
            fence: 1,
        }))
    }

    /// Logs what came of the current step and, in the same write, the step that follows. `wait` is how long until it
    /// runs. `false` when the lease was lost: another replica has the saga and this one must let go of it.
    pub async fn advance(
        &self,
        saga: &mut Saga,
        result: &StepResult,
        next: State,
        wait: Duration,
    ) -> Result<bool, Error> {
        let now = (self.clock)();
        let moved = next != saga.state;
        let step = if moved { saga.step.saturating_add(1) } else { saga.step };
        let attempts = if moved { 0 } else { saga.attempts.saturating_add(1) };
        let refused = result.outcome == Outcome::Refused && next.is_refused() && saga.refusal.is_empty();
        let refusal = if refused { result.detail.clone() } else { saga.refusal.clone() };
        let mut transaction = self.database.write().await?;
        let updated = sqlx::query(
            "UPDATE sagas SET state = $3, step = $4, attempts = $5, refusal = $6, finished = $7, lease_millis = $8
             WHERE order_id = $1 AND fence = $2 AND finished = 0",
        )
        .bind(&saga.order_id)
        .bind(saga.fence)
        .bind(next.name())
        .bind(step)
        .bind(i64::from(attempts))
        .bind(&refusal)
        .bind(i64::from(next.is_finished()))
        .bind(lease_until(now, wait))
        .execute(&mut *transaction)
        .await?;
        if updated.rows_affected() == 0 {
            return Ok(false);
        }
        sqlx::query("UPDATE saga_steps SET outcome = $3, detail = $4 WHERE order_id = $1 AND step = $2")
            .bind(&saga.order_id)
            .bind(saga.step)
            .bind(outcome_name(result.outcome))
            .bind(result.detail.chars().take(DETAIL_MAX).collect::<String>())
            .execute(&mut *transaction)
            .await?;
        if moved && !next.is_finished() {
            write_ahead(&mut transaction, &saga.order_id, step, next, saga.fence, now).await?;
        }
        transaction.commit().await?;
        (saga.state, saga.step, saga.attempts, saga.refusal) = (next, step, attempts, refusal);
        Ok(true)
    }

    /// Makes the leases of these orders last from now on, as far as this replica still holds them.
    pub async fn renew(&self, orders: &BTreeSet<String>) -> Result<(), Error> {
        if orders.is_empty() {
            return Ok(());
        }
        let mut transaction = self.database.write().await?;
        // Read inside the lock, which may have been long in coming.
        let until = lease_until((self.clock)(), Duration::ZERO);
        for order_id in orders {
            sqlx::query(
                "UPDATE sagas SET lease_millis = $3
                 WHERE order_id = $1 AND lease_holder = $2 AND finished = 0 AND lease_millis < $3",
            )
            .bind(order_id)
            .bind(&self.holder)
            .bind(until)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Takes over up to `limit` unfinished sagas whose lease has run out, under a higher fence; `mine` are not adopted,
    /// since their tasks are alive here.
    pub async fn adopt(&self, limit: i64, mine: &BTreeSet<String>) -> Result<Vec<Saga>, Error> {
        let now = (self.clock)();
        let due: Vec<(String,)> = sqlx::query_as(
            "SELECT order_id FROM sagas WHERE finished = 0 AND lease_millis <= $1 ORDER BY lease_millis LIMIT $2",
        )
        .bind(now)
        .bind(limit)
        .fetch_all(self.database.pool())
        .await?;
        let due: Vec<(String,)> = due.into_iter().filter(|(order_id,)| !mine.contains(order_id)).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut adopted = Vec::new();
        let mut transaction = self.database.write().await?;
        for (order_id,) in due {
            // Another replica may have been faster between the read and the lock.
            let row: Option<Row> = sqlx::query_as(
                "UPDATE sagas SET lease_holder = $2, lease_millis = $3, fence = fence + 1
                 WHERE order_id = $1 AND finished = 0 AND lease_millis <= $4
                 RETURNING order_id, request, order_body, basket_version, state, step, refusal, attempts, fence",
            )
            .bind(&order_id)
            .bind(&self.holder)
            .bind(lease_until(now, Duration::ZERO))
            .bind(now)
            .fetch_optional(&mut *transaction)
            .await?;
            match row.map(saga_of).transpose() {
                Ok(saga) => adopted.extend(saga),
                // One that cannot be read must not keep the others from being finished.
                Err(error) => tracing::error!(%error, order = order_id, "cannot resume an order"),
            }
        }
        transaction.commit().await?;
        Ok(adopted)
    }

    /// Gives a saga back, so that another replica need not wait for the lease to run out.
    pub async fn give_back(&self, saga: &Saga) -> Result<(), Error> {
        let mut transaction = self.database.write().await?;
        sqlx::query("UPDATE sagas SET lease_millis = 0 WHERE order_id = $1 AND fence = $2 AND finished = 0")
            .bind(&saga.order_id)
            .bind(saga.fence)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

async fn write_ahead(
    connection: &mut sqlx::SqliteConnection,
    order_id: &str,
    step: i64,
    state: State,
    fence: i64,
    now: i64,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO saga_steps (order_id, step, state, fence, at_millis) VALUES ($1, $2, $3, $4, $5)")
        .bind(order_id)
        .bind(step)
        .bind(state.name())
        .bind(fence)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

fn lease_until(now: i64, wait: Duration) -> i64 {
    let held = LEASE.saturating_add(wait);
    now.saturating_add(i64::try_from(held.as_millis()).unwrap_or(i64::MAX))
}

fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Refused => "refused",
        Outcome::Unknown => "unknown",
    }
}

fn json(message: &impl serde::Serialize) -> Result<String, Error> {
    serde_json::to_string(message).map_err(|cause| {
        tracing::error!(%cause, "a message cannot be written as JSON");
        Error::internal("The order cannot be logged.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_card_but_four_digits_is_kept() {
        let request = PlaceRequest {
            card_number: "4242 4242 4242 1881".to_owned(),
            card_expiry: "12/30".to_owned(),
            ..Default::default()
        };
        let text = json(&comparable(request)).unwrap();
        assert!(text.contains("1881") && !text.contains("4242") && !text.contains("12/30"), "{text}");
    }
}
