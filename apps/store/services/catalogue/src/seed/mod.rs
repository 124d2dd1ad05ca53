//! What the shop sells when it opens: about sixty products with prices, put into the database at the first start. Never: changes a product
//! that is already there.

mod furniture;
mod generated;
mod kitchen;
mod lighting;
mod outdoor;
mod plants;
mod textiles;

use crate::products;
use shoal_sdk::{Connection, Database, Error, query};

/// The categories, in the shop's order: id and title.
pub const CATEGORIES: [(&str, &str); 6] = [
    ("kitchen", "Kitchen & table"),
    ("lighting", "Lighting"),
    ("furniture", "Furniture"),
    ("textiles", "Textiles"),
    ("plants", "Plants & pots"),
    ("outdoor", "Out of doors"),
];

/// The currencies the shop sells in, in the order of a seed's prices.
pub const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];

/// Generated products that go into the database at a time, so that other writers get their turn.
const BATCH: u32 = 500;

/// A product the shop opens with.
pub struct Seed {
    /// A slug.
    pub id: &'static str,
    /// As shown.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Paragraphs.
    pub description: &'static str,
    /// The first that names a drawing decides the picture.
    pub tags: &'static [&'static str],
    /// In minor units, in the order of [`CURRENCIES`].
    pub prices: [i64; 4],
}

const fn seed(
    id: &'static str,
    name: &'static str,
    summary: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
    prices: [i64; 4],
) -> Seed {
    Seed { id, name, summary, description, tags, prices }
}

/// The products of each category, in the order of [`CATEGORIES`].
pub const SHELVES: [&[Seed]; 6] = [
    kitchen::PRODUCTS,
    lighting::PRODUCTS,
    furniture::PRODUCTS,
    textiles::PRODUCTS,
    plants::PRODUCTS,
    outdoor::PRODUCTS,
];

/// Generated products, at most.
pub const GENERATED_MAX: u32 = 200_000;

/// Puts in what is missing: the shop's products, and so many generated ones for load tests.
pub async fn plant(database: &Database, generated: u32, now_ms: i64) -> Result<(), Error> {
    let numbered = query("SELECT COUNT(*) FROM products WHERE product_id LIKE 'load-%'");
    let (numbered,): (i64,) = numbered.fetch_one(&mut *database.read().await?).await?;
    // Looked at without the write lock: at every start but the first there is nothing to do.
    if missing(database).await? {
        let mut transaction = database.write().await?;
        for (place, shelf) in SHELVES.iter().enumerate() {
            for (row, seed) in shelf.iter().enumerate() {
                // Row by row across the shelves, so that the first page shows something of each.
                plant_seed(&mut transaction, seed, CATEGORIES[place].0, (row * SHELVES.len() + place) as i64, now_ms)
                    .await?;
            }
        }
        transaction.commit().await?;
    }
    let mut next = u32::try_from(numbered).unwrap_or(u32::MAX);
    while next < generated {
        let end = generated.min(next.saturating_add(BATCH));
        let mut transaction = database.write().await?;
        for number in next..end {
            generated::plant(&mut transaction, number, now_ms).await?;
        }
        transaction.commit().await?;
        next = end;
    }
    Ok(())
}

async fn missing(database: &Database) -> Result<bool, Error> {
    let ids: Vec<&str> = SHELVES.iter().flat_map(|shelf| shelf.iter().map(|seed| seed.id)).collect();
    let found = products::present(&mut *database.read().await?, &ids).await?;
    Ok(usize::try_from(found).unwrap_or(0) < ids.len())
}

async fn plant_seed(
    connection: &mut Connection,
    seed: &Seed,
    category: &str,
    position: i64,
    now_ms: i64,
) -> Result<(), Error> {
    let text = products::Text {
        id: seed.id.to_owned(),
        name: seed.name.to_owned(),
        summary: seed.summary.to_owned(),
        description: seed.description.to_owned(),
        category: category.to_owned(),
        tags: seed.tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    plant_text(connection, &text, seed.prices, position, now_ms).await
}

async fn plant_text(
    connection: &mut Connection,
    text: &products::Text,
    prices: [i64; 4],
    position: i64,
    now_ms: i64,
) -> Result<(), Error> {
    if products::version(connection, &text.id).await?.is_some() {
        return Ok(());
    }
    products::insert(connection, text, Some(position)).await?;
    for (currency, minor) in CURRENCIES.into_iter().zip(prices) {
        products::add_price(connection, &text.id, currency, minor, 1, now_ms).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{checks, picture};
    use std::collections::BTreeSet;

    #[test]
    fn every_seed_is_one_that_an_administrator_could_have_put() {
        for (place, shelf) in SHELVES.iter().enumerate() {
            for seed in *shelf {
                let text = products::Text {
                    id: seed.id.to_owned(),
                    name: seed.name.to_owned(),
                    summary: seed.summary.to_owned(),
                    description: seed.description.to_owned(),
                    category: CATEGORIES[place].0.to_owned(),
                    tags: seed.tags.iter().map(|tag| (*tag).to_owned()).collect(),
                };
                checks::text(&text).unwrap();
                assert!(seed.prices.iter().all(|minor| (1..=100_000_000).contains(minor)), "{}", seed.id);
                let drawn = seed.tags.iter().any(|tag| picture::FORMS.iter().any(|form| form.tag == *tag));
                assert!(drawn, "{} has no tag that names a drawing", seed.id);
            }
        }
    }

    #[test]
    fn the_stock_list_names_the_same_products() {
        let stocked: BTreeSet<&str> = include_str!("../../../../seed/stock.csv")
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next())
            .collect();
        let sold: BTreeSet<&str> = SHELVES.iter().flat_map(|shelf| shelf.iter().map(|seed| seed.id)).collect();
        assert_eq!(stocked, sold);
        assert_eq!(sold.len(), 60);
    }
}
