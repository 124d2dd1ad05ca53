//! Who works on a saga: leases taken, renewed and given back. Each lease has a fence, one higher than the one before; a
//! write under a lower one changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_sdk::{Error, query};

use super::stored::{Stored, columns};
use super::{Log, Saga};
use crate::LEASE_MILLIS;

/// The furthest ahead that a lease can end, in milliseconds: the longest there may be, as long again for a renewal that
/// waited for its turn, and some seconds until the next try. One that ends later was taken before the clock was set back.
const AHEAD_MAX: i64 = 2 * (*LEASE_MILLIS.end()).cast_signed() + 10_000;

impl Log {
    /// Makes the leases of these orders last from now on, each as far as it is still held under this fence. They last
    /// longer by the time that this write waited for its turn, since the next one may wait as long: whoever waits in the
    /// queue is alive, and another replica, which waits less, would take the order and lose its card.
    pub async fn renew(&self, fences: &BTreeMap<String, i64>) -> Result<(), Error> {
        if fences.is_empty() {
            return Ok(());
        }
        let asked = (self.clock)();
        let mut transaction = self.database.write().await?;
        let now = (self.clock)();
        let waited = Duration::from_millis(now.saturating_sub(asked).max(0).unsigned_abs());
        let until = self.lease_until(now, waited.min(self.lease));
        for (order_id, fence) in fences {
            query(
                "UPDATE sagas SET lease_millis = $3
                 WHERE order_id = $1 AND fence <= $2 AND finished = 0 AND lease_millis < $3",
            )
            .bind(order_id)
            .bind(self.allowed(*fence))
            .bind(until)
            .execute(&mut transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Takes over up to `limit` unfinished sagas whose lease has run out, or ends later than any can, under a higher
    /// fence; `mine` are not adopted, since their tasks are alive here.
    pub async fn adopt(&self, limit: i64, mine: &BTreeMap<String, i64>) -> Result<Vec<Saga>, Error> {
        let now = (self.clock)();
        let looked_at = limit.saturating_add(i64::try_from(mine.len()).unwrap_or(i64::MAX));
        let due: Vec<(String,)> = query(
            "SELECT order_id FROM sagas WHERE finished = 0 AND (lease_millis <= $1 OR lease_millis > $2)
             ORDER BY lease_millis LIMIT $3",
        )
        .bind(now)
        .bind(now.saturating_add(AHEAD_MAX))
        .bind(looked_at)
        .fetch_all(&mut *self.database.read().await?)
        .await?;
        let others = due.into_iter().map(|(order_id,)| order_id).filter(|order_id| !mine.contains_key(order_id));
        let due: Vec<String> = others.take(usize::try_from(limit).unwrap_or(0)).collect();
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let mut adopted = Vec::new();
        let mut transaction = self.database.write().await?;
        let now = (self.clock)();
        for order_id in due {
            // Another replica may have been faster between the read and the lock.
            let taken = query(concat!(
                "UPDATE sagas SET lease_holder = $2, lease_millis = $3, fence = fence + 1
                 WHERE order_id = $1 AND finished = 0 AND (lease_millis <= $4 OR lease_millis > $5) RETURNING ",
                columns!()
            ))
            .bind(&order_id)
            .bind(&self.holder)
            .bind(self.lease_until(now, Duration::ZERO))
            .bind(now)
            .bind(now.saturating_add(AHEAD_MAX))
            .fetch_optional::<Stored>(&mut transaction)
            .await?;
            match taken.map(Stored::read).transpose() {
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
        let mut transaction = self.database.write_for(&saga.order_id).await?;
        query("UPDATE sagas SET lease_millis = 0 WHERE order_id = $1 AND fence <= $2 AND finished = 0")
            .bind(&saga.order_id)
            .bind(self.allowed(saga.fence))
            .execute(&mut transaction)
            .await?;
        transaction.commit().await
    }

    /// When a lease that is taken now ends, if nothing happens for `wait` first.
    pub(super) fn lease_until(&self, now: i64, wait: Duration) -> i64 {
        let held = self.lease.saturating_add(wait);
        now.saturating_add(i64::try_from(held.as_millis()).unwrap_or(i64::MAX))
    }
}
