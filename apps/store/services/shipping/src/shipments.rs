//! Shipments, the inbox of events and the outbox, in the database. Never: asks another service.

use crate::rates::Zone;
use shoal_sdk::{Connection, Error, query};
use store_contracts::store::orders::v1::{Order, OrderEvent, OrderEventKind};
use store_contracts::store::shipping::v1::{Shipment, ShipmentEvent, ShipmentState};

/// After this long a parcel is packed, in milliseconds.
const PACKED_AFTER_MS: i64 = 10 * 60 * 1000;
/// One day, in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How long an event that was dealt with is known again, in milliseconds: far longer than any delivery is under way.
/// After that the place still stands behind it, and its order still has its one shipment.
const INBOX_KEPT_MS: i64 = 30 * DAY_MS;
/// The source of events in `places`.
const ORDERS: &str = "orders";

#[derive(sqlx::FromRow)]
struct Row {
    shipment_id: String,
    order_id: String,
    carrier: String,
    tracking_number: String,
    destination: String,
    email: String,
    created_at_ms: i64,
    expected_at_ms: i64,
}

impl Row {
    /// The simulated carrier is on time, so the state follows from the clock.
    fn at(self, now_ms: i64) -> Shipment {
        let state = if now_ms >= self.expected_at_ms {
            ShipmentState::SHIPMENT_STATE_DELIVERED
        } else if now_ms >= self.created_at_ms.saturating_add(PACKED_AFTER_MS) {
            ShipmentState::SHIPMENT_STATE_DISPATCHED
        } else {
            ShipmentState::SHIPMENT_STATE_PREPARING
        };
        Shipment {
            shipment_id: self.shipment_id,
            order_id: self.order_id,
            state: state.into(),
            carrier: self.carrier,
            tracking_number: self.tracking_number,
            destination: self.destination,
            email: self.email,
            created_at_ms: self.created_at_ms,
            expected_at_ms: self.expected_at_ms,
            ..Default::default()
        }
    }
}

/// The shipment of an order as it is at `now_ms`.
pub async fn of_order(connection: &mut Connection, order_id: &str, now_ms: i64) -> Result<Option<Shipment>, Error> {
    let row: Option<Row> = query(
        "SELECT shipment_id, order_id, carrier, tracking_number, destination, email, created_at_ms, expected_at_ms
         FROM shipments WHERE order_id = $1",
    )
    .bind(order_id)
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| row.at(now_ms)))
}

/// The sequence of the last event of the orders that was dealt with; 0 at first.
pub async fn place(connection: &mut Connection) -> Result<i64, Error> {
    let found: Option<(i64,)> =
        query("SELECT sequence FROM places WHERE source = $1").bind(ORDERS).fetch_optional(connection).await?;
    Ok(found.map_or(0, |place| place.0))
}

/// Deals with events and moves the place behind them, all within the caller's transaction. Events that were dealt with before change nothing.
pub async fn take(connection: &mut Connection, events: &[OrderEvent], now_ms: i64) -> Result<(), Error> {
    for event in events {
        let new = query("INSERT INTO inbox (event_id, at_ms) VALUES ($1, $2) ON CONFLICT DO NOTHING")
            .bind(&event.event_id)
            .bind(now_ms)
            .execute(&mut *connection)
            .await?;
        if new == 0 {
            continue;
        }
        if let Some(order) = to_ship(event) {
            create(connection, order, now_ms).await?;
        }
    }
    query("DELETE FROM inbox WHERE at_ms < $1")
        .bind(now_ms.saturating_sub(INBOX_KEPT_MS))
        .execute(&mut *connection)
        .await?;
    move_place(connection, events).await
}

/// The order that an event says to ship, if it does.
pub fn to_ship(event: &OrderEvent) -> Option<&Order> {
    if event.kind.as_known() != Some(OrderEventKind::ORDER_EVENT_KIND_CONFIRMED) {
        return None;
    }
    let order = event.order.as_option();
    if order.is_none() {
        // Waiting for it would hold up every order behind it.
        tracing::error!(event = %event.event_id, "an event of the orders carries no order; no shipment is made");
    }
    order
}

/// Moves the place behind events, never back.
pub async fn move_place(connection: &mut Connection, events: &[OrderEvent]) -> Result<(), Error> {
    let last = events.iter().map(|event| event.sequence).max().unwrap_or(0);
    query(
        "INSERT INTO places (source, sequence) VALUES ($1, $2)
         ON CONFLICT (source) DO UPDATE SET sequence = excluded.sequence WHERE places.sequence < excluded.sequence",
    )
    .bind(ORDERS)
    .bind(last)
    .execute(connection)
    .await?;
    Ok(())
}

/// Makes an order's shipment and its event, once; whether it did.
pub async fn create(connection: &mut Connection, order: &Order, now_ms: i64) -> Result<bool, Error> {
    let address = &order.address;
    // An order's address was checked when it was placed; an odd country still gets its parcel.
    let zone = Zone::of(&address.country).unwrap_or(Zone::World);
    let shipment_id = uuid::Uuid::now_v7();
    let digits = shipment_id.as_u128() % 1_000_000_000_000;
    let days = i64::from(zone.days().1);
    let made = query(
        "INSERT INTO shipments (shipment_id, order_id, carrier, tracking_number, destination, email, created_at_ms, expected_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (order_id) DO NOTHING",
    )
    .bind(shipment_id.to_string())
    .bind(&order.order_id)
    .bind(zone.carrier())
    .bind(format!("{}{digits:012}", zone.name().get(..2).unwrap_or("xx").to_uppercase()))
    .bind(format!("{}, {}", address.city, address.country))
    .bind(&order.email)
    .bind(now_ms)
    .bind(now_ms.saturating_add(days * DAY_MS))
    .execute(&mut *connection)
    .await?;
    if made == 1 {
        query("INSERT INTO events (event_id, shipment_id, at_ms) VALUES ($1, $2, $3)")
            .bind(uuid::Uuid::now_v7().to_string())
            .bind(shipment_id.to_string())
            .bind(now_ms)
            .execute(connection)
            .await?;
    }
    Ok(made == 1)
}

/// Events after a place, at most so many, by sequence.
pub async fn events(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<ShipmentEvent>, Error> {
    #[derive(sqlx::FromRow)]
    struct EventRow {
        sequence: i64,
        event_id: String,
        at_ms: i64,
        #[sqlx(flatten)]
        shipment: Row,
    }
    // Writers take turns and a sequence is given inside the turn, so no smaller one can appear later.
    let rows: Vec<EventRow> = query(
        "SELECT e.sequence, e.event_id, e.at_ms, s.shipment_id, s.order_id, s.carrier, s.tracking_number, s.destination, s.email,
                s.created_at_ms, s.expected_at_ms
         FROM events e JOIN shipments s ON s.shipment_id = e.shipment_id WHERE e.sequence > $1 ORDER BY e.sequence LIMIT $2",
    )
    .bind(after)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    let events = rows.into_iter().map(|row| ShipmentEvent {
        sequence: row.sequence,
        event_id: row.event_id,
        shipment: row.shipment.at(row.at_ms).into(),
        at_ms: row.at_ms,
        ..Default::default()
    });
    Ok(events.collect())
}
