//! Baskets in the database. Each function that changes something runs inside the caller's write transaction; none checks a request.

use crate::checks::{LINES_MAX, QUANTITY_MAX};
use crate::parts::{Line, Part, not_bought};
use shoal_sdk::{Connection, Error, query};
use std::collections::BTreeSet;
use store_contracts::store::basket::v1::{BasketContents, BasketLine};

/// The basket as it is now; empty at version 0 when nobody ever changed it.
pub async fn read(connection: &mut Connection, shopper: &str) -> Result<BasketContents, Error> {
    // One statement, so that lines and version are of one moment.
    let rows: Vec<(i64, Option<String>, Option<i64>)> = query(
        "SELECT b.version, l.product_id, l.quantity FROM baskets b LEFT JOIN lines l ON l.shopper_id = b.shopper_id
         WHERE b.shopper_id = $1 ORDER BY l.position",
    )
    .bind(shopper)
    .fetch_all(connection)
    .await?;
    let version = rows.first().map_or(0, |row| row.0);
    let lines = rows.into_iter().filter_map(|(_, product_id, quantity)| {
        let quantity = i32::try_from(quantity?).unwrap_or(i32::MAX);
        Some(BasketLine { product_id: product_id?, quantity, ..Default::default() })
    });
    Ok(BasketContents { shopper_id: shopper.to_owned(), version, lines: lines.collect(), ..Default::default() })
}

/// Sets a line to an absolute quantity.
pub async fn set(
    connection: &mut Connection,
    shopper: &str,
    (product, quantity): (&str, i64),
    expected_version: Option<i64>,
) -> Result<(), Error> {
    let current = read(connection, shopper).await?;
    let line = current.lines.iter().find(|line| line.product_id == product);
    if line.map_or(0, |line| i64::from(line.quantity)) == quantity {
        return Ok(());
    }
    if expected_version.is_some_and(|expected| expected != current.version) {
        return Err(Error::aborted(format!(
            "the basket changed: it is at version {}, read it and try again",
            current.version
        )));
    }
    if line.is_none() && current.lines.len() >= LINES_MAX {
        return Err(Error::resource_exhausted(format!("a basket holds at most {LINES_MAX} different products")));
    }
    let version = next_version(connection, shopper).await?;
    store(connection, shopper, product, quantity, version, &[]).await
}

/// Moves a guest's lines into a customer's basket; what does not fit stays.
pub async fn merge(connection: &mut Connection, guest: &str, customer: &str) -> Result<(), Error> {
    let into = lines_of(connection, customer).await?;
    let mut room = LINES_MAX.saturating_sub(into.len());
    let mut moved = Vec::new();
    for line in lines_of(connection, guest).await? {
        let present = into.iter().find(|present| present.product_id == line.product_id);
        if present.is_some() || room > 0 {
            room -= usize::from(present.is_none());
            moved.push((line, present.cloned()));
        }
    }
    if moved.is_empty() {
        return Ok(());
    }
    let version = next_version(connection, customer).await?;
    next_version(connection, guest).await?;
    for (line, present) in moved {
        let before = present.as_ref().map_or(0, |present| present.quantity);
        let after = (before + line.quantity).min(QUANTITY_MAX);
        let mut parts = present.map(|present| present.into_parts(customer)).unwrap_or_default();
        if after > before {
            parts.push(Part {
                origin: guest.to_owned(),
                origin_version: line.changed_version,
                arrived_version: version,
                quantity: after - before,
            });
            store(connection, customer, &line.product_id, after, version, &parts).await?;
        }
        store(connection, guest, &line.product_id, 0, version, &[]).await?;
    }
    Ok(())
}

/// Takes out what was bought at a version: here, and in the baskets it was merged into since.
pub async fn clear(connection: &mut Connection, buyer: &str, version: i64) -> Result<(), Error> {
    let elsewhere: Vec<(String,)> =
        query("SELECT shopper_id FROM parts WHERE origin = $1 AND origin_version <= $2 AND shopper_id <> $1")
            .bind(buyer)
            .bind(version)
            .fetch_all(&mut *connection)
            .await?;
    let mut owners: BTreeSet<String> = elsewhere.into_iter().map(|(owner,)| owner).collect();
    owners.insert(buyer.to_owned());
    for owner in owners {
        let mut changed = false;
        for line in lines_of(connection, &owner).await? {
            let product = line.product_id.clone();
            let parts = line.into_parts(&owner);
            let left = not_bought(parts.clone(), &owner, buyer, version);
            if left == parts {
                continue;
            }
            let quantity = left.iter().map(|part| part.quantity).sum();
            // So that what is left is told from what an earlier release changed.
            let arrived = left.iter().map(|part| part.arrived_version).max().unwrap_or(0);
            store(connection, &owner, &product, quantity, arrived, &left).await?;
            changed = true;
        }
        if changed {
            next_version(connection, &owner).await?;
        }
    }
    Ok(())
}

/// The lines of a basket, in their order, each with its parts.
async fn lines_of(connection: &mut Connection, shopper: &str) -> Result<Vec<Line>, Error> {
    let lines: Vec<(String, i64, i64)> =
        query("SELECT product_id, quantity, changed_version FROM lines WHERE shopper_id = $1 ORDER BY position")
            .bind(shopper)
            .fetch_all(&mut *connection)
            .await?;
    let parts: Vec<(String, String, i64, i64, i64)> = query(
        "SELECT product_id, origin, origin_version, arrived_version, quantity FROM parts
         WHERE shopper_id = $1 ORDER BY arrived_version",
    )
    .bind(shopper)
    .fetch_all(connection)
    .await?;
    let line = |(product_id, quantity, changed_version): (String, i64, i64)| {
        let of_line = parts.iter().filter(|part| part.0 == product_id);
        let parts = of_line.map(|(_, origin, origin_version, arrived_version, quantity)| Part {
            origin: origin.clone(),
            origin_version: *origin_version,
            arrived_version: *arrived_version,
            quantity: *quantity,
        });
        let parts = parts.collect();
        Line { product_id, quantity, changed_version, parts }
    };
    Ok(lines.into_iter().map(line).collect())
}

/// Stores a line and its parts, or takes it out when its quantity is 0.
async fn store(
    connection: &mut Connection,
    shopper: &str,
    product: &str,
    quantity: i64,
    changed_version: i64,
    parts: &[Part],
) -> Result<(), Error> {
    query("DELETE FROM parts WHERE shopper_id = $1 AND product_id = $2")
        .bind(shopper)
        .bind(product)
        .execute(&mut *connection)
        .await?;
    if quantity == 0 {
        query("DELETE FROM lines WHERE shopper_id = $1 AND product_id = $2")
            .bind(shopper)
            .bind(product)
            .execute(connection)
            .await?;
        return Ok(());
    }
    // The columns of earlier releases say nothing any more: an earlier release must not take out what is not there.
    query(
        "INSERT INTO lines (shopper_id, product_id, quantity, position, changed_version)
         VALUES ($1, $2, $3, (SELECT COALESCE(MAX(position), 0) + 1 FROM lines WHERE shopper_id = $1), $4)
         ON CONFLICT (shopper_id, product_id) DO UPDATE SET quantity = excluded.quantity,
             changed_version = excluded.changed_version, merged_from = NULL, merged_version = NULL, merged_quantity = NULL",
    )
    .bind(shopper)
    .bind(product)
    .bind(quantity)
    .bind(changed_version)
    .execute(&mut *connection)
    .await?;
    for part in parts {
        query(
            "INSERT INTO parts (shopper_id, product_id, origin, origin_version, arrived_version, quantity)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(shopper)
        .bind(product)
        .bind(&part.origin)
        .bind(part.origin_version)
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
