//! Orders and events as stored. Every function works inside the caller's transaction.

use shoal_sdk::{Connection, Error, query};
use store_contracts::store::orders::v1::{OpenRequest, Order, OrderEvent, OrderEventKind, OrderState};

/// Where an order stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Pending,
    Confirmed,
    Cancelled,
}

impl State {
    /// The name it has in the database, and the kind of the event that tells it.
    pub fn name(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Confirmed => "confirmed",
            State::Cancelled => "cancelled",
        }
    }

    fn from_name(name: &str) -> Result<State, Error> {
        [State::Pending, State::Confirmed, State::Cancelled]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| Error::internal(format!("The stored order state `{name}` is not one this release knows.")))
    }
}

/// An order as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub order_id: String,
    pub state: State,
    pub body: OpenRequest,
    pub cancel_reason: String,
    pub opened: i64,
    pub decided: i64,
}

/// The columns every read of an order selects: id, state, body, reason, opened, decided.
pub type Row = (String, String, String, String, i64, i64);

impl Record {
    /// Reads a stored order.
    pub fn from_row((order_id, state, body, cancel_reason, opened, decided): Row) -> Result<Record, Error> {
        let body = read(&order_id, &body)?;
        Ok(Record { state: State::from_name(&state)?, order_id, body, cancel_reason, opened, decided })
    }

    /// Whether this is the order's body, as far as it would be stored: what another release sends and this one does not
    /// know makes no difference, since it was not stored either.
    pub fn has_body(&self, body: &OpenRequest) -> Result<bool, Error> {
        Ok(read(&self.order_id, &write(body)?)? == self.body)
    }

    /// The order as a message.
    pub fn message(self) -> Order {
        let state = match self.state {
            State::Pending => OrderState::ORDER_STATE_PENDING,
            State::Confirmed => OrderState::ORDER_STATE_CONFIRMED,
            State::Cancelled => OrderState::ORDER_STATE_CANCELLED,
        };
        Order {
            order_id: self.order_id,
            shopper_id: self.body.shopper_id,
            email: self.body.email,
            address: self.body.address,
            lines: self.body.lines,
            subtotal: self.body.subtotal,
            shipping: self.body.shipping,
            total: self.body.total,
            state: state.into(),
            opened_at_ms: self.opened,
            decided_at_ms: self.decided,
            cancel_reason: self.cancel_reason,
            ..Default::default()
        }
    }
}

/// A body as it is stored.
fn write(body: &OpenRequest) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|cause| {
        tracing::error!(%cause, "an order cannot be written as JSON");
        Error::internal("The order cannot be stored.")
    })
}

fn read(order_id: &str, stored: &str) -> Result<OpenRequest, Error> {
    serde_json::from_str(stored).map_err(|cause| {
        tracing::error!(%cause, order = order_id, "a stored order cannot be read");
        Error::data_loss(format!("The order `{order_id}` cannot be read."))
    })
}

/// An order, if there is one.
pub async fn find(connection: &mut Connection, order_id: &str) -> Result<Option<Record>, Error> {
    let row: Option<Row> = query(
        "SELECT order_id, state, body, cancel_reason, opened_millis, decided_millis FROM orders WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(connection)
    .await?;
    row.map(Record::from_row).transpose()
}

/// Stores a new order, pending.
pub async fn insert(connection: &mut Connection, body: OpenRequest, fence: i64, now: i64) -> Result<Record, Error> {
    query(
        "INSERT INTO orders (order_id, shopper_id, state, total_minor, currency, body, fence, opened_millis)
         VALUES ($1, $2, 'pending', $3, $4, $5, $6, $7)",
    )
    .bind(&body.order_id)
    .bind(&body.shopper_id)
    .bind(body.total.minor)
    .bind(&body.total.currency)
    .bind(write(&body)?)
    .bind(fence)
    .bind(now)
    .execute(connection)
    .await?;
    let order_id = body.order_id.clone();
    Ok(Record { order_id, state: State::Pending, body, cancel_reason: String::new(), opened: now, decided: 0 })
}

/// Decides a pending order and writes the event that tells it. The caller writes alone: the event's sequence follows the
/// last one, and whoever reads it must have been able to read all that are lower.
pub async fn decide(
    connection: &mut Connection,
    record: &mut Record,
    state: State,
    reason: &str,
    now: i64,
) -> Result<(), Error> {
    query("UPDATE orders SET state = $2, cancel_reason = $3, decided_millis = $4 WHERE order_id = $1")
        .bind(&record.order_id)
        .bind(state.name())
        .bind(reason)
        .bind(now)
        .execute(&mut *connection)
        .await?;
    let (last,): (i64,) = query("SELECT COALESCE(MAX(sequence), 0) FROM events").fetch_one(&mut *connection).await?;
    query("INSERT INTO events (sequence, event_id, order_id, kind, at_millis) VALUES ($1, $2, $3, $4, $5)")
        .bind(last.saturating_add(1))
        .bind(uuid::Uuid::now_v7().to_string())
        .bind(&record.order_id)
        .bind(state.name())
        .bind(now)
        .execute(connection)
        .await?;
    record.state = state;
    record.decided = now;
    reason.clone_into(&mut record.cancel_reason);
    Ok(())
}

type EventRow = (i64, String, String, i64, String, String, String, String, i64, i64);

/// The events after a place, with their orders. An order is decided once, so it is now what it was at its event.
pub async fn events(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<OrderEvent>, Error> {
    let rows: Vec<EventRow> = query(
        "SELECT events.sequence, events.event_id, events.kind, events.at_millis, orders.order_id, orders.state,
                orders.body, orders.cancel_reason, orders.opened_millis, orders.decided_millis
         FROM events JOIN orders ON orders.order_id = events.order_id
         WHERE events.sequence > $1 ORDER BY events.sequence LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(event).collect())
}

/// What a row tells. An order that cannot be read is left out: waiting for it would hold up every event behind it.
fn event((sequence, event_id, kind, at_ms, order_id, state, body, reason, opened, decided): EventRow) -> OrderEvent {
    let kind = match State::from_name(&kind) {
        Ok(State::Confirmed) => OrderEventKind::ORDER_EVENT_KIND_CONFIRMED,
        Ok(State::Cancelled) => OrderEventKind::ORDER_EVENT_KIND_CANCELLED,
        Ok(State::Pending) | Err(_) => OrderEventKind::ORDER_EVENT_KIND_UNSPECIFIED,
    };
    let order = Record::from_row((order_id, state, body, reason, opened, decided));
    if let Err(error) = &order {
        tracing::error!(%error, sequence, "an event is told without its order");
    }
    let order = order.ok().map(Record::message).into();
    OrderEvent { sequence, event_id, kind: kind.into(), order, at_ms, ..Default::default() }
}
