//! Products and prices in the database. Functions that change something run inside the caller's write transaction. Never: checks a request.

use crate::{picture, search};
use serde::Deserialize;
use shoal_sdk::{Connection, Dialect, Error, query};
use std::collections::BTreeMap;
use store_contracts::store::catalogue::v1::{Price, Product, Sort};
use store_contracts::store::types::v1::Money;

/// What a product says of itself; everything but its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// A slug.
    pub id: String,
    /// One line.
    pub name: String,
    /// One sentence.
    pub summary: String,
    /// Paragraphs.
    pub description: String,
    /// A category's id.
    pub category: String,
    /// Slugs.
    pub tags: Vec<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    product_id: String,
    name: String,
    summary: String,
    description: String,
    category: String,
    tags: String,
    version: i64,
    prices: String,
}

#[derive(Deserialize)]
struct PriceRow {
    currency: String,
    minor: i64,
    version: i64,
    since: i64,
}

impl Row {
    fn product(self) -> Result<Product, Error> {
        let damaged = |cause: serde_json::Error| {
            tracing::error!(product = %self.product_id, %cause, "a stored product cannot be read");
            Error::internal("a stored product cannot be read")
        };
        let tags: Vec<String> = serde_json::from_str(&self.tags).map_err(damaged)?;
        let prices: Vec<PriceRow> = serde_json::from_str(&self.prices).map_err(damaged)?;
        let form = picture::form_of(&self.product_id, &tags, &self.category);
        let prices = prices.into_iter().map(|price| Price {
            amount: Money { minor: price.minor, currency: price.currency, ..Default::default() }.into(),
            version: price.version,
            since_ms: price.since,
            ..Default::default()
        });
        Ok(Product {
            picture_etag: picture::etag(&self.product_id, form),
            picture_alt: format!("Illustration: {}", self.name),
            id: self.product_id,
            name: self.name,
            summary: self.summary,
            description: self.description,
            category: self.category,
            tags,
            prices: prices.collect(),
            version: self.version,
            ..Default::default()
        })
    }
}

macro_rules! with_prices {
    ($prices:literal, $ids:literal) => {
        concat!(
            "SELECT p.product_id, p.name, p.summary, p.description, p.category, p.tags, p.version, (SELECT ",
            $prices,
            " FROM prices c WHERE c.product_id = p.product_id AND c.current = 1) AS prices
             FROM products p WHERE p.product_id IN (SELECT ",
            $ids,
            ")"
        )
    };
}

/// The products of these ids that exist, in the order of the ids.
pub async fn by_ids(connection: &mut Connection, ids: &[String]) -> Result<Vec<Product>, Error> {
    // One statement, so that a product and its prices are of one moment.
    let rows: Vec<Row> = query(match connection.dialect() {
        Dialect::Sqlite => with_prices!(
            "json_group_array(json_object('currency', c.currency, 'minor', c.minor, 'version', c.version,
                                          'since', c.since_ms) ORDER BY c.currency)",
            "value FROM json_each($1)"
        ),
        Dialect::Postgres => with_prices!(
            "CAST(COALESCE(json_agg(json_build_object('currency', c.currency, 'minor', c.minor, 'version', c.version,
                                                      'since', c.since_ms) ORDER BY c.currency), '[]') AS TEXT)",
            "json_array_elements_text(CAST($1 AS JSON))"
        ),
    })
    .bind(serde_json::json!(ids).to_string())
    .fetch_all(connection)
    .await?;
    let mut found = BTreeMap::new();
    for row in rows {
        found.insert(row.product_id.clone(), row.product()?);
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// One product.
pub async fn by_id(connection: &mut Connection, id: &str) -> Result<Product, Error> {
    let found = by_ids(connection, &[id.to_owned()]).await?;
    found.into_iter().next().ok_or_else(|| no_such_product(id))
}

/// What every caller is told who asks for a product that is not there.
pub fn no_such_product(id: &str) -> Error {
    Error::not_found(format!("there is no product `{id}`"))
}

macro_rules! in_order_of {
    ($key:literal) => {
        concat!(
            "WITH keyed AS (
                 SELECT p.product_id AS id, ",
            $key,
            " AS key FROM products p
                 LEFT JOIN prices c ON c.product_id = p.product_id AND c.currency = $2 AND c.current = 1
                 WHERE $1 = '' OR p.category = $1)
             SELECT id FROM keyed WHERE $3 = '' OR (key, id) > (SELECT key, id FROM keyed WHERE id = $3)
             ORDER BY key, id LIMIT $4"
        )
    };
}

/// The ids of one page after a product; all categories when `category` is empty, from the start when `after` is.
pub async fn page(
    connection: &mut Connection,
    category: &str,
    sort: Sort,
    currency: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<String>, Error> {
    let statement = match sort {
        Sort::SORT_UNSPECIFIED => in_order_of!("p.position"),
        Sort::SORT_NAME => in_order_of!("lower(p.name)"),
        Sort::SORT_PRICE_ASCENDING => in_order_of!("COALESCE(c.minor, 9000000000000000000)"),
        Sort::SORT_PRICE_DESCENDING => in_order_of!("COALESCE(-c.minor, 9000000000000000000)"),
    };
    let rows: Vec<(String,)> =
        query(statement).bind(category).bind(currency).bind(after).bind(limit).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// How many of these ids there are.
pub async fn present(connection: &mut Connection, ids: &[&str]) -> Result<i64, Error> {
    let statement = match connection.dialect() {
        Dialect::Sqlite => "SELECT COUNT(*) FROM products WHERE product_id IN (SELECT value FROM json_each($1))",
        Dialect::Postgres => {
            "SELECT COUNT(*) FROM products WHERE product_id IN (SELECT json_array_elements_text(CAST($1 AS JSON)))"
        }
    };
    let (count,): (i64,) = query(statement).bind(serde_json::json!(ids).to_string()).fetch_one(connection).await?;
    Ok(count)
}

/// How many products each category has.
pub async fn counts(connection: &mut Connection) -> Result<BTreeMap<String, i64>, Error> {
    let rows: Vec<(String, i64)> =
        query("SELECT category, COUNT(*) FROM products GROUP BY category").fetch_all(connection).await?;
    Ok(rows.into_iter().collect())
}

/// The version of a product's text; none when there is no such product.
pub async fn version(connection: &mut Connection, id: &str) -> Result<Option<i64>, Error> {
    let found: Option<(i64,)> =
        query("SELECT version FROM products WHERE product_id = $1").bind(id).fetch_optional(connection).await?;
    Ok(found.map(|row| row.0))
}

/// Adds a product at version 1; at the end of the shop's order without a position.
pub async fn insert(connection: &mut Connection, text: &Text, position: Option<i64>) -> Result<(), Error> {
    query(
        "INSERT INTO products (product_id, name, summary, description, category, tags, position, version)
         VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, (SELECT COALESCE(MAX(position), 0) + 1 FROM products)), 1)",
    )
    .bind(&text.id)
    .bind(&text.name)
    .bind(&text.summary)
    .bind(&text.description)
    .bind(&text.category)
    .bind(serde_json::json!(text.tags).to_string())
    .bind(position)
    .execute(connection)
    .await?;
    search::index(connection, text).await
}

/// Replaces a product's text with its next version.
pub async fn replace(connection: &mut Connection, text: &Text) -> Result<(), Error> {
    query(
        "UPDATE products SET name = $2, summary = $3, description = $4, category = $5, tags = $6, version = version + 1
         WHERE product_id = $1",
    )
    .bind(&text.id)
    .bind(&text.name)
    .bind(&text.summary)
    .bind(&text.description)
    .bind(&text.category)
    .bind(serde_json::json!(text.tags).to_string())
    .execute(connection)
    .await?;
    search::forget(connection, &text.id).await?;
    search::index(connection, text).await
}

/// The version of a product's current price in a currency; 0 when there is none.
pub async fn price_version(connection: &mut Connection, id: &str, currency: &str) -> Result<i64, Error> {
    let found: Option<(i64,)> =
        query("SELECT version FROM prices WHERE product_id = $1 AND currency = $2 AND current = 1")
            .bind(id)
            .bind(currency)
            .fetch_optional(connection)
            .await?;
    Ok(found.map_or(0, |row| row.0))
}

/// Adds a version of a price and makes it the current one.
pub async fn add_price(
    connection: &mut Connection,
    id: &str,
    currency: &str,
    minor: i64,
    version: i64,
    now_ms: i64,
) -> Result<(), Error> {
    query("UPDATE prices SET current = 0 WHERE product_id = $1 AND currency = $2 AND current = 1")
        .bind(id)
        .bind(currency)
        .execute(connection)
        .await?;
    query(
        "INSERT INTO prices (product_id, currency, version, minor, since_ms, current) VALUES ($1, $2, $3, $4, $5, 1)",
    )
    .bind(id)
    .bind(currency)
    .bind(version)
    .bind(minor)
    .bind(now_ms)
    .execute(connection)
    .await?;
    Ok(())
}
