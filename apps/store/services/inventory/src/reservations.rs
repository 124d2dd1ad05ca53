//! Reservations: held until their end, then committed, released or expired. Every function works inside the caller's
//! transaction, which holds the write lock, so nothing changes between a check and what follows from it.

use std::collections::BTreeMap;

use shoal_sdk::{Connection, Error, query};
use store_contracts::store::inventory::v1::{Shortage, Shortages};

use crate::fences;
use crate::stock::{self, Movement};

/// Where a reservation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Held,
    Committed,
    Released,
    Expired,
    Restocked,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Held => "held",
            State::Committed => "committed",
            State::Released => "released",
            State::Expired => "expired",
            State::Restocked => "restocked",
        }
    }

    fn from_name(name: &str) -> Result<State, Error> {
        [State::Held, State::Committed, State::Released, State::Expired, State::Restocked]
            .into_iter()
            .find(|state| state.name() == name)
            .ok_or_else(|| {
                Error::internal(format!("The stored reservation state `{name}` is not one this release knows."))
            })
    }
}

/// A reservation as it is stored.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub order_id: String,
    pub state: State,
    pub expires: i64,
    pub lines: BTreeMap<String, i64>,
}

/// Puts every reservation whose time is over back on the shelf. Answers how many.
pub async fn expire_overdue(connection: &mut Connection, now: i64) -> Result<u64, Error> {
    if !any_overdue(&mut *connection, now).await? {
        return Ok(0);
    }
    query(
        "INSERT INTO movements (product_id, kind, quantity, order_id, at_millis)
         SELECT line.product_id, 'expire', line.quantity, line.order_id, $1
         FROM reservations JOIN reservation_lines AS line ON line.order_id = reservations.order_id
         WHERE reservations.state = 'held' AND reservations.expires_millis <= $1",
    )
    .bind(now)
    .execute(&mut *connection)
    .await?;
    query(
        "UPDATE stock SET on_hand = on_hand + due.pieces, reserved = reserved - due.pieces
         FROM (SELECT line.product_id AS product_id, CAST(SUM(line.quantity) AS BIGINT) AS pieces
               FROM reservations JOIN reservation_lines AS line ON line.order_id = reservations.order_id
               WHERE reservations.state = 'held' AND reservations.expires_millis <= $1
               GROUP BY line.product_id) AS due
         WHERE due.product_id = stock.product_id",
    )
    .bind(now)
    .execute(&mut *connection)
    .await?;
    query("UPDATE reservations SET state = 'expired' WHERE state = 'held' AND expires_millis <= $1")
        .bind(now)
        .execute(connection)
        .await
}

/// Whether the time of any reservation is over.
pub async fn any_overdue(connection: &mut Connection, now: i64) -> Result<bool, Error> {
    let due: Option<(i32,)> = query("SELECT 1 FROM reservations WHERE state = 'held' AND expires_millis <= $1 LIMIT 1")
        .bind(now)
        .fetch_optional(connection)
        .await?;
    Ok(due.is_some())
}

/// The reservation of an order. The fence of the command is checked, and remembered with the reservation.
async fn load(connection: &mut Connection, order_id: &str, fence: i64) -> Result<Option<Reservation>, Error> {
    fences::check(&mut *connection, order_id, fence).await?;
    let row: Option<(String, i64, i64)> =
        query("SELECT state, expires_millis, fence FROM reservations WHERE order_id = $1")
            .bind(order_id)
            .fetch_optional(&mut *connection)
            .await?;
    let Some((state, expires, seen)) = row else { return Ok(None) };
    if fence > seen {
        query("UPDATE reservations SET fence = $2 WHERE order_id = $1")
            .bind(order_id)
            .bind(fence)
            .execute(&mut *connection)
            .await?;
    }
    let lines: Vec<(String, i64)> = query("SELECT product_id, quantity FROM reservation_lines WHERE order_id = $1")
        .bind(order_id)
        .fetch_all(connection)
        .await?;
    let state = State::from_name(&state)?;
    Ok(Some(Reservation { order_id: order_id.to_owned(), state, expires, lines: lines.into_iter().collect() }))
}

/// As [`load`], for a command that needs one.
async fn load_known(connection: &mut Connection, order_id: &str, fence: i64) -> Result<Reservation, Error> {
    if let Some(reservation) = load(&mut *connection, order_id, fence).await? {
        return Ok(reservation);
    }
    fences::remember(connection, order_id, fence).await?;
    Err(Error::not_found(format!("The order `{order_id}` has no reservation.")))
}

/// What a reservation is made of.
pub struct Wanted<'a> {
    pub order_id: &'a str,
    pub lines: BTreeMap<String, i64>,
    pub expires: i64,
    pub fence: i64,
    pub demo: bool,
}

/// Holds all lines or none.
pub async fn reserve(connection: &mut Connection, wanted: Wanted<'_>, now: i64) -> Result<Reservation, Error> {
    let order_id = wanted.order_id;
    if let Some(earlier) = load(&mut *connection, order_id, wanted.fence).await? {
        return match earlier.state {
            State::Released => Err(over(order_id, "was released")),
            _ if earlier.lines != wanted.lines => Err(Error::already_exists(format!(
                "The order `{order_id}` already has a reservation with other lines."
            ))),
            State::Expired => Err(over(order_id, "has expired")),
            State::Held | State::Committed | State::Restocked => Ok(earlier),
        };
    }
    let mut shortages = Vec::new();
    for (product_id, quantity) in &wanted.lines {
        let available = stock::ensure(&mut *connection, product_id, wanted.demo, now).await?;
        if available < *quantity {
            shortages.push(shortage(product_id, *quantity, available));
        }
    }
    if !shortages.is_empty() {
        fences::remember(connection, order_id, wanted.fence).await?;
        let names: Vec<&str> = shortages.iter().map(|shortage| shortage.product_id.as_str()).collect();
        let sentence = format!("There are too few pieces of `{}`.", names.join("`, `"));
        return Err(Error::failed_precondition(sentence)
            .with_detail(&Shortages { shortages: shortages.clone(), ..Default::default() }));
    }
    insert(&mut *connection, order_id, State::Held, wanted.expires, wanted.fence, now).await?;
    for (product_id, quantity) in &wanted.lines {
        stock::shift(&mut *connection, product_id, -quantity, *quantity).await?;
        query("INSERT INTO reservation_lines (order_id, product_id, quantity) VALUES ($1, $2, $3)")
            .bind(order_id)
            .bind(product_id)
            .bind(*quantity)
            .execute(&mut *connection)
            .await?;
        stock::record(&mut *connection, of_order("reserve", order_id, product_id, *quantity), now).await?;
    }
    Ok(Reservation { order_id: order_id.to_owned(), state: State::Held, expires: wanted.expires, lines: wanted.lines })
}

/// Moves the end of a live reservation, never to an earlier moment.
pub async fn extend(
    connection: &mut Connection,
    order_id: &str,
    expires: i64,
    fence: i64,
) -> Result<Reservation, Error> {
    let mut reservation = load_known(&mut *connection, order_id, fence).await?;
    if reservation.state != State::Held {
        return Err(over(order_id, "is over"));
    }
    reservation.expires = reservation.expires.max(expires);
    query("UPDATE reservations SET expires_millis = $2 WHERE order_id = $1")
        .bind(order_id)
        .bind(reservation.expires)
        .execute(connection)
        .await?;
    Ok(reservation)
}

/// Turns a live reservation into sold goods.
pub async fn commit(connection: &mut Connection, order_id: &str, fence: i64, now: i64) -> Result<Reservation, Error> {
    let reservation = load_known(&mut *connection, order_id, fence).await?;
    match reservation.state {
        State::Held => finish(connection, reservation, State::Committed, "commit", (0, -1), now).await,
        State::Committed | State::Restocked => Ok(reservation),
        State::Released => Err(over(order_id, "was released")),
        State::Expired => Err(over(order_id, "has expired")),
    }
}

/// Gives a live reservation back; for an order never seen, makes sure that it can never be reserved.
pub async fn release(connection: &mut Connection, order_id: &str, fence: i64, now: i64) -> Result<(), Error> {
    let Some(reservation) = load(&mut *connection, order_id, fence).await? else {
        return insert(connection, order_id, State::Released, now, fence, now).await;
    };
    match reservation.state {
        State::Held => {
            finish(connection, reservation, State::Released, "release", (1, -1), now).await?;
            Ok(())
        }
        State::Released | State::Expired | State::Restocked => Ok(()),
        State::Committed => Err(Error::failed_precondition(format!(
            "The reservation of the order `{order_id}` was committed: restock it instead."
        ))),
    }
}

/// Takes a committed order's goods back onto the shelf.
pub async fn restock(connection: &mut Connection, order_id: &str, fence: i64, now: i64) -> Result<Reservation, Error> {
    let reservation = load_known(&mut *connection, order_id, fence).await?;
    match reservation.state {
        State::Committed => finish(connection, reservation, State::Restocked, "restock", (1, 0), now).await,
        State::Restocked => Ok(reservation),
        State::Held | State::Released | State::Expired => {
            Err(Error::failed_precondition(format!("The order `{order_id}` was not committed: nothing can come back.")))
        }
    }
}

/// Ends a reservation: `(shelf, reserved)` say in which direction each line's pieces go.
async fn finish(
    connection: &mut Connection,
    mut reservation: Reservation,
    state: State,
    kind: &'static str,
    (shelf, reserved): (i64, i64),
    now: i64,
) -> Result<Reservation, Error> {
    for (product_id, quantity) in &reservation.lines {
        stock::shift(&mut *connection, product_id, shelf * quantity, reserved * quantity).await?;
        stock::record(&mut *connection, of_order(kind, &reservation.order_id, product_id, *quantity), now).await?;
    }
    query("UPDATE reservations SET state = $2 WHERE order_id = $1")
        .bind(&reservation.order_id)
        .bind(state.name())
        .execute(connection)
        .await?;
    reservation.state = state;
    Ok(reservation)
}

async fn insert(
    connection: &mut Connection,
    order_id: &str,
    state: State,
    expires: i64,
    fence: i64,
    now: i64,
) -> Result<(), Error> {
    query("INSERT INTO reservations (order_id, state, expires_millis, fence, at_millis) VALUES ($1, $2, $3, $4, $5)")
        .bind(order_id)
        .bind(state.name())
        .bind(expires)
        .bind(fence)
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

fn of_order<'a>(kind: &'static str, order_id: &'a str, product_id: &'a str, quantity: i64) -> Movement<'a> {
    Movement { product_id, kind, quantity, order_id: Some(order_id), command_key: None, note: "" }
}

fn shortage(product_id: &str, wanted: i64, available: i64) -> Shortage {
    Shortage {
        product_id: product_id.to_owned(),
        wanted: i32::try_from(wanted).unwrap_or(i32::MAX),
        available: i32::try_from(available).unwrap_or(i32::MAX),
        ..Default::default()
    }
}

fn over(order_id: &str, why: &str) -> Error {
    Error::failed_precondition(format!("The reservation of the order `{order_id}` {why}."))
}
