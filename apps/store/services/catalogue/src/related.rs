//! Which products are like one: those that share its tags, then its category. Never: looks at more of them than a
//! bound, however large the shop is.

use crate::products;
use shoal_sdk::{Connection, Error, query};

/// Of each tag the first 200 products in the shop's order are compared (the `OFFSET` is one less): a shop with more has
/// many that are as close as each other. What belongs to them is found by index, one by one.
macro_rules! closest {
    () => {
        "WITH own AS (
             SELECT tag, COALESCE((SELECT n.position FROM product_tags n WHERE n.tag = t.tag
                                   ORDER BY n.position LIMIT 1 OFFSET 199), 9000000000000000000) AS last
             FROM product_tags t WHERE t.product_id = $1),
         near AS (
             SELECT DISTINCT t.product_id, t.position FROM own CROSS JOIN product_tags t
             WHERE t.tag = own.tag AND t.position <= own.last AND t.product_id <> $1)
         SELECT product_id FROM near
         ORDER BY CASE WHEN (SELECT category FROM products p WHERE p.product_id = near.product_id) = $2
                  THEN 1 ELSE 0 END
             + 2 * (SELECT COUNT(*) FROM product_tags t
                    WHERE t.product_id = near.product_id AND t.tag IN (SELECT tag FROM own)) DESC, position, product_id
         LIMIT $3"
    };
}

/// The ids of products that share tags or the category with one, closest first; `not_found` when there is no such product.
pub async fn ids(connection: &mut Connection, id: &str, limit: i64) -> Result<Vec<String>, Error> {
    let own = query("SELECT category FROM products WHERE product_id = $1").bind(id);
    let Some((category,)) = own.fetch_optional::<(String,)>(connection).await? else {
        return Err(products::no_such_product(id));
    };
    let closest = query(closest!()).bind(id).bind(&category).bind(limit);
    let mut ids: Vec<String> = closest.fetch_all::<(String,)>(connection).await?.into_iter().map(|row| row.0).collect();
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    if ids.len() < most {
        // As many as there can be, with the product itself and those that are there already.
        let shelf = query("SELECT product_id FROM products WHERE category = $1 ORDER BY position, product_id LIMIT $2");
        let shelf = shelf.bind(&category).bind(limit.saturating_mul(2)).fetch_all::<(String,)>(connection).await?;
        for (other,) in shelf {
            if ids.len() < most && other != id && !ids.contains(&other) {
                ids.push(other);
            }
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shoal_sdk::Environment;
    use test_databases::{Kind, TestDatabase};

    #[tokio::test]
    async fn no_table_is_read_from_end_to_end() {
        let at = TestDatabase::new(Kind::Sqlite);
        let environment = Environment::for_tests(std::path::Path::new("/nowhere")).with_database(at.url());
        let database = environment.database(crate::migrations()).await.unwrap();
        let mut connection = database.read().await.unwrap();
        let plan = query(concat!("EXPLAIN QUERY PLAN ", closest!())).bind("a").bind("b").bind(4);
        let plan: Vec<(i64, i64, i64, String)> = plan.fetch_all(&mut connection).await.unwrap();
        assert!(!plan.is_empty());
        for (.., step) in plan {
            let is_scan = step.starts_with("SCAN ") && !step.starts_with("SCAN own") && !step.starts_with("SCAN near");
            assert!(!is_scan, "{step}");
        }
    }
}
