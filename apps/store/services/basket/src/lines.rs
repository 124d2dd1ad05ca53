//! Baskets in the database. Each function that changes something runs inside the caller's write transaction; none checks a request.

use crate::checks::{LINES_MAX, QUANTITY_MAX};
use shoal_sdk::Error;
use sqlx::SqliteConnection;
use store_contracts::store::basket::v1::{BasketContents, BasketLine};

/// The basket as it is now; empty at version 0 when nobody ever changed it.
pub async fn read(connection: &mut SqliteConnection, shopper: &str) -> Result<BasketContents, Error> {
    // One statement, so that lines and version are of one moment.
    let rows: Vec<(i64, Option<String>, Option<i32>)> = sqlx::query_as(
        "SELECT b.version, l.product_id, l.quantity FROM baskets b LEFT JOIN lines l ON l.shopper_id = b.shopper_id
         WHERE b.shopper_id = $1 ORDER BY l.position",
    )
    .bind(shopper)
    .fetch_all(connection)
    .await?;
    let version = rows.first().map_or(0, |row| row.0);
    let lines = rows.into_iter().filter_map(|(_, product_id, quantity)| {
        Some(BasketLine { product_id: product_id?, quantity: quantity?, ..Default::default() })
    });
    Ok(BasketContents { shopper_id: shopper.to_owned(), version, lines: lines.collect(), ..Default::default() })
}

/// Sets a line to an absolute quantity.
pub async fn set(
    connection: &mut SqliteConnection,
    shopper: &str,
    product: &str,
    quantity: i64,
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
    if quantity == 0 {
        sqlx::query("DELETE FROM lines WHERE shopper_id = $1 AND product_id = $2")
            .bind(shopper)
            .bind(product)
            .execute(connection)
            .await?;
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO lines (shopper_id, product_id, quantity, position, changed_version)
         VALUES ($1, $2, $3, (SELECT COALESCE(MAX(position), 0) + 1 FROM lines WHERE shopper_id = $1), $4)
         ON CONFLICT (shopper_id, product_id) DO UPDATE SET quantity = excluded.quantity,
             changed_version = excluded.changed_version, merged_from = NULL, merged_version = NULL, merged_quantity = NULL",
    )
    .bind(shopper)
    .bind(product)
    .bind(quantity)
    .bind(version)
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves a guest's lines into a customer's basket.
pub async fn merge(connection: &mut SqliteConnection, guest: &str, customer: &str) -> Result<(), Error> {
    let from = read(connection, guest).await?;
    if from.lines.is_empty() {
        return Ok(());
    }
    let into = read(connection, customer).await?;
    let version = next_version(connection, customer).await?;
    next_version(connection, guest).await?;
    let mut held = into.lines.len();
    for line in from.lines {
        let present = into.lines.iter().find(|present| present.product_id == line.product_id);
        if present.is_none() && held >= LINES_MAX {
            continue;
        }
        held += usize::from(present.is_none());
        let before = present.map_or(0, |present| i64::from(present.quantity));
        let after = (before + i64::from(line.quantity)).min(QUANTITY_MAX);
        sqlx::query(
            "INSERT INTO lines (shopper_id, product_id, quantity, position, changed_version, merged_from, merged_version, merged_quantity)
             VALUES ($1, $2, $3, (SELECT COALESCE(MAX(position), 0) + 1 FROM lines WHERE shopper_id = $1), $4, $5, $6, $7)
             ON CONFLICT (shopper_id, product_id) DO UPDATE SET quantity = excluded.quantity,
                 changed_version = excluded.changed_version, merged_from = excluded.merged_from,
                 merged_version = excluded.merged_version, merged_quantity = excluded.merged_quantity",
        )
        .bind(customer)
        .bind(&line.product_id)
        .bind(after)
        .bind(version)
        .bind(guest)
        .bind(from.version)
        .bind(after - before)
        .execute(&mut *connection)
        .await?;
        sqlx::query("DELETE FROM lines WHERE shopper_id = $1 AND product_id = $2")
            .bind(guest)
            .bind(&line.product_id)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes out what was bought at a version: here, and in the basket it was merged into since.
pub async fn clear(connection: &mut SqliteConnection, shopper: &str, version: i64) -> Result<(), Error> {
    let bought: Option<(i64,)> = sqlx::query_as(
        "SELECT COUNT(*) FROM lines WHERE shopper_id = $1 AND changed_version <= $2 HAVING COUNT(*) > 0",
    )
    .bind(shopper)
    .bind(version)
    .fetch_optional(&mut *connection)
    .await?;
    if bought.is_some() {
        next_version(connection, shopper).await?;
        sqlx::query("DELETE FROM lines WHERE shopper_id = $1 AND changed_version <= $2")
            .bind(shopper)
            .bind(version)
            .execute(&mut *connection)
            .await?;
    }
    let merged: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT shopper_id, product_id, quantity - merged_quantity FROM lines WHERE merged_from = $1 AND merged_version <= $2",
    )
    .bind(shopper)
    .bind(version)
    .fetch_all(&mut *connection)
    .await?;
    for (owner, product, rest) in merged {
        let changed = next_version(connection, &owner).await?;
        let statement = if rest > 0 {
            "UPDATE lines SET quantity = $3, changed_version = $4, merged_from = NULL, merged_version = NULL, merged_quantity = NULL
             WHERE shopper_id = $1 AND product_id = $2"
        } else {
            "DELETE FROM lines WHERE shopper_id = $1 AND product_id = $2 AND $3 <= 0 AND $4 > 0"
        };
        sqlx::query(statement).bind(&owner).bind(&product).bind(rest).bind(changed).execute(&mut *connection).await?;
    }
    Ok(())
}

/// Makes the basket's next version.
async fn next_version(connection: &mut SqliteConnection, shopper: &str) -> Result<i64, Error> {
    let (version,): (i64,) = sqlx::query_as(
        "INSERT INTO baskets (shopper_id, version) VALUES ($1, 1)
         ON CONFLICT (shopper_id) DO UPDATE SET version = version + 1 RETURNING version",
    )
    .bind(shopper)
    .fetch_one(connection)
    .await?;
    Ok(version)
}
