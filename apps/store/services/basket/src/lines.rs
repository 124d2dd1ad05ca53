//! Baskets in the database. Each function that changes something runs inside the caller's write transaction; none checks
//! a request.

use crate::checks::{LINES_MAX, QUANTITY_MAX};
use crate::parts::{self, Line, Part};
use shoal_sdk::{Connection, Error, query};
use std::collections::BTreeSet;
use store_contracts::store::basket::v1::{BasketContents, BasketLine};

/// The basket as it is now; empty at version 0 when nobody ever changed it.
pub async fn read(connection: &mut Connection, shopper: &str) -> Result<BasketContents, Error> {
    let (version, lines) = load(connection, shopper).await?;
    let line = |line: &Line| BasketLine {
        product_id: line.product_id.clone(),
        quantity: i32::try_from(line.quantity()).unwrap_or(i32::MAX),
        ..Default::default()
    };
    Ok(BasketContents {
        shopper_id: shopper.to_owned(),
        version,
        lines: lines.iter().map(line).collect(),
        merged_from: parts::merged_from(&lines, shopper),
        ..Default::default()
    })
}

/// Sets a line to an absolute quantity.
pub async fn set(
    connection: &mut Connection,
    shopper: &str,
    (product, quantity): (&str, i64),
    expected_version: Option<i64>,
) -> Result<(), Error> {
    let (version, lines) = load(connection, shopper).await?;
    // Also when the line has this quantity already: two tabs that each add one to the same line must make two of it.
    if expected_version.is_some_and(|expected| expected != version) {
        return Err(Error::aborted(format!("the basket changed: it is at version {version}, read it and try again")));
    }
    let count = lines.len();
    let line = lines.into_iter().find(|line| line.product_id == product);
    if line.as_ref().map_or(0, Line::quantity) == quantity {
        return Ok(());
    }
    if line.is_none() && count >= LINES_MAX {
        return Err(Error::resource_exhausted(format!("a basket holds at most {LINES_MAX} different products")));
    }
    let version = next_version(connection, shopper).await?;
    let parts = line.map(|line| line.parts).unwrap_or_default();
    store(connection, shopper, product, &parts::set(parts, shopper, version, quantity)).await
}

/// Moves a guest's lines into a customer's basket; what does not fit stays.
pub async fn merge(connection: &mut Connection, guest: &str, customer: &str) -> Result<(), Error> {
    let (_, into) = load(connection, customer).await?;
    let mut room = LINES_MAX.saturating_sub(into.len());
    let mut moved = Vec::new();
    for line in load(connection, guest).await?.1 {
        let present = into.iter().find(|present| present.product_id == line.product_id);
        if present.is_some() || room > 0 {
            room -= usize::from(present.is_none());
            moved.push((line, present.cloned()));
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let arrived = next_version(connection, customer).await?;
    let left = next_version(connection, guest).await?;
    for (line, present) in moved {
        let mut parts = present.map(|present| present.parts).unwrap_or_default();
        let room = QUANTITY_MAX - parts::quantity(&parts);
        let fitting = parts::oldest(line.parts, room);
        if !fitting.is_empty() {
            parts.extend(parts::carried(fitting, left, arrived));
            store(connection, customer, &line.product_id, &parts).await?;
        }
        store(connection, guest, &line.product_id, &[]).await?;
    }
    Ok(())
}

/// Takes out what was bought at a version: here, and in the baskets it was merged into since.
pub async fn clear(connection: &mut Connection, buyer: &str, version: i64) -> Result<(), Error> {
    let elsewhere: Vec<(String,)> = query(
        "SELECT DISTINCT shopper_id FROM parts WHERE origin = $1 AND origin_version <= $2 AND shopper_id <> $1
         AND (left_version IS NULL OR left_version > $2)",
    )
    .bind(buyer)
    .bind(version)
    .fetch_all(&mut *connection)
    .await?;
    let mut owners: BTreeSet<String> = elsewhere.into_iter().map(|(owner,)| owner).collect();
    owners.insert(buyer.to_owned());
    for owner in owners {
        let mut changed = false;
        for line in load(connection, &owner).await?.1 {
            let left = parts::not_bought(line.parts.clone(), &owner, buyer, version);
            if left != line.parts {
                store(connection, &owner, &line.product_id, &left).await?;
                changed = true;
            }
        }
        if changed {
            next_version(connection, &owner).await?;
        }
    }
    Ok(())
}

/// A part of a line of a basket; a basket without lines has one row, and so has a line without parts.
#[derive(sqlx::FromRow)]
struct Row {
    version: i64,
    product_id: Option<String>,
    line_quantity: Option<i64>,
    changed_version: Option<i64>,
    origin: Option<String>,
    origin_version: Option<i64>,
    left_version: Option<i64>,
    arrived_version: Option<i64>,
    quantity: Option<i64>,
}

impl Row {
    fn part(self) -> Option<Part> {
        Some(Part {
            origin: self.origin?,
            origin_version: self.origin_version?,
            left_version: self.left_version,
            arrived_version: self.arrived_version?,
            quantity: self.quantity?,
        })
    }
}

/// A basket's version and its lines, in their order.
async fn load(connection: &mut Connection, shopper: &str) -> Result<(i64, Vec<Line>), Error> {
    // One statement, so that all of it is of one moment.
    let rows: Vec<Row> = query(
        "SELECT b.version, l.product_id, l.quantity AS line_quantity, l.changed_version, p.origin, p.origin_version,
                p.left_version, p.arrived_version, p.quantity
         FROM baskets b LEFT JOIN lines l ON l.shopper_id = b.shopper_id
              LEFT JOIN parts p ON p.shopper_id = l.shopper_id AND p.product_id = l.product_id
         WHERE b.shopper_id = $1 ORDER BY l.position, l.product_id, p.arrived_version, p.origin_version",
    )
    .bind(shopper)
    .fetch_all(connection)
    .await?;
    let version = rows.first().map_or(0, |row| row.version);
    let mut lines: Vec<(Line, i64, i64)> = Vec::new();
    for mut row in rows {
        let (Some(product_id), Some(quantity), Some(changed_version)) =
            (row.product_id.take(), row.line_quantity, row.changed_version)
        else {
            continue;
        };
        if lines.last().is_none_or(|(line, ..)| line.product_id != product_id) {
            lines.push((Line { product_id, parts: Vec::new() }, changed_version, quantity));
        }
        if let Some((line, ..)) = lines.last_mut() {
            line.parts.extend(row.part());
        }
    }
    let line = |(line, changed_version, quantity): (Line, i64, i64)| Line {
        parts: parts::stored(line.parts, shopper, changed_version, quantity),
        ..line
    };
    Ok((version, lines.into_iter().map(line).collect()))
}

/// Stores a line with its parts, or takes it out when it has none.
async fn store(connection: &mut Connection, shopper: &str, product: &str, parts: &[Part]) -> Result<(), Error> {
    query("DELETE FROM parts WHERE shopper_id = $1 AND product_id = $2")
        .bind(shopper)
        .bind(product)
        .execute(&mut *connection)
        .await?;
    // A line whose `changed_version` is another one was changed by a release that knew no parts.
    let Some(changed_version) = parts.iter().map(|part| part.arrived_version).max() else {
        query("DELETE FROM lines WHERE shopper_id = $1 AND product_id = $2")
            .bind(shopper)
            .bind(product)
            .execute(connection)
            .await?;
        return Ok(());
    };
    // The columns of earlier releases say nothing any more: an earlier release must not take out what is not there.
    query(
        "INSERT INTO lines (shopper_id, product_id, quantity, position, changed_version)
         VALUES ($1, $2, $3, (SELECT COALESCE(MAX(position), 0) + 1 FROM lines WHERE shopper_id = $1), $4)
         ON CONFLICT (shopper_id, product_id) DO UPDATE SET quantity = excluded.quantity,
             changed_version = excluded.changed_version, merged_from = NULL, merged_version = NULL, merged_quantity = NULL",
    )
    .bind(shopper)
    .bind(product)
    .bind(parts::quantity(parts))
    .bind(changed_version)
    .execute(&mut *connection)
    .await?;
    for part in parts {
        query(
            "INSERT INTO parts (shopper_id, product_id, origin, origin_version, left_version, arrived_version, quantity)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(shopper)
        .bind(product)
        .bind(&part.origin)
        .bind(part.origin_version)
        .bind(part.left_version)
        .bind(part.arrived_version)
        .bind(part.quantity)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Makes the basket's next version.
async fn next_version(connection: &mut Connection, shopper: &str) -> Result<i64, Error> {
    let (version,): (i64,) = query(
        "INSERT INTO baskets (shopper_id, version) VALUES ($1, 1)
         ON CONFLICT (shopper_id) DO UPDATE SET version = baskets.version + 1 RETURNING version",
    )
    .bind(shopper)
    .fetch_one(connection)
    .await?;
    Ok(version)
}
