//! Payments as stored, and their entries in the ledger. Every function works inside the caller's transaction; a state
//! and the transfer that goes with it are written together. It never speaks to the bank.

use shoal_sdk::{Connection, Error, query};

use crate::ledger::{self, Kind};
use crate::lifecycle::State;

/// A payment as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub order_id: String,
    pub state: State,
    pub amount: i64,
    pub currency: String,
    pub brand: String,
    pub last_four: String,
    pub reason: String,
}

type Row = (String, i64, String, String, String, String, i64);

/// The payment of an order, if there is one.
pub async fn find(connection: &mut Connection, order_id: &str) -> Result<Option<Record>, Error> {
    Ok(read(connection, order_id).await?.map(|(record, _)| record))
}

/// The payment of an order, and its fence checked and raised: a command with a lower one than was seen before comes
/// from somebody who lost the order to another and is refused. A fence of 0 is none.
pub async fn load(connection: &mut Connection, order_id: &str, fence: i64) -> Result<Option<Record>, Error> {
    let Some((record, seen)) = read(connection, order_id).await? else { return Ok(None) };
    if fence != 0 && fence < seen {
        return Err(Error::aborted(format!("The order `{order_id}` is worked on by somebody newer (fence {seen}).")));
    }
    if fence > seen {
        query("UPDATE payments SET fence = $2 WHERE order_id = $1")
            .bind(order_id)
            .bind(fence)
            .execute(connection)
            .await?;
    }
    Ok(Some(record))
}

async fn read(connection: &mut Connection, order_id: &str) -> Result<Option<(Record, i64)>, Error> {
    let row: Option<Row> =
        query("SELECT state, amount, currency, brand, last_four, reason, fence FROM payments WHERE order_id = $1")
            .bind(order_id)
            .fetch_optional(connection)
            .await?;
    let Some((state, amount, currency, brand, last_four, reason, fence)) = row else { return Ok(None) };
    let state = State::from_name(&state)?;
    let order_id = order_id.to_owned();
    Ok(Some((Record { order_id, state, amount, currency, brand, last_four, reason }, fence)))
}

/// Stores a new payment.
pub async fn insert(connection: &mut Connection, record: &Record, fence: i64, now: i64) -> Result<(), Error> {
    query(
        "INSERT INTO payments (order_id, state, amount, currency, brand, last_four, reason, fence, at_millis)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&record.order_id)
    .bind(record.state.name())
    .bind(record.amount)
    .bind(&record.currency)
    .bind(&record.brand)
    .bind(&record.last_four)
    .bind(&record.reason)
    .bind(fence)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves a payment to `state`, with the transfer that this means, if any.
pub async fn advance(
    connection: &mut Connection,
    record: &mut Record,
    state: State,
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    query("UPDATE payments SET state = $2, reason = $3 WHERE order_id = $1")
        .bind(&record.order_id)
        .bind(state.name())
        .bind(reason)
        .execute(connection)
        .await?;
    record.state = state;
    reason.clone_into(&mut record.reason);
    match state.transfer() {
        Some(kind) => transfer(connection, record, kind, now).await,
        None => Ok(()),
    }
}

async fn transfer(connection: &mut Connection, record: &Record, kind: Kind, now: i64) -> Result<(), Error> {
    let entries = ledger::entries(kind, record.amount)
        .ok_or_else(|| Error::internal(format!("The payment of the order `{}` has no amount.", record.order_id)))?;
    let (transfer_id,): (i64,) =
        query("INSERT INTO transfers (order_id, kind, at_millis) VALUES ($1, $2, $3) RETURNING transfer_id")
            .bind(&record.order_id)
            .bind(kind.name())
            .bind(now)
            .fetch_one(connection)
            .await?;
    for (account, amount) in entries {
        query("INSERT INTO entries (transfer_id, account, amount, currency) VALUES ($1, $2, $3, $4)")
            .bind(transfer_id)
            .bind(account.name())
            .bind(amount)
            .bind(&record.currency)
            .execute(connection)
            .await?;
    }
    Ok(())
}
