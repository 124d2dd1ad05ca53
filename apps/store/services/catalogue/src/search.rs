//! What a shopper types, as a query of the full-text index. Never: lets an operator through.

use shoal_sdk::Error;
use sqlx::SqliteConnection;

/// Words of a query that count; the rest is ignored.
const WORDS_MAX: usize = 8;
/// Characters of a query, at most.
const QUERY_MAX: usize = 200;

/// The words of a query; none when there is nothing to look for.
pub fn words(query: &str) -> Result<Vec<String>, Error> {
    if query.len() > QUERY_MAX * 4 || query.chars().count() > QUERY_MAX {
        return Err(Error::invalid_argument(format!("`query` must be at most {QUERY_MAX} characters long")));
    }
    let words = query.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    Ok(words.take(WORDS_MAX).map(str::to_lowercase).collect())
}

/// The ids of matching products, best first: those with all words, or, when there are none, those with any.
pub async fn ids(connection: &mut SqliteConnection, words: &[String], limit: i64) -> Result<Vec<String>, Error> {
    for joint in [" AND ", " OR "] {
        let found = matching(connection, &expression(words, joint), limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Each word in quotation marks, where the index knows no operators; the last may go on.
fn expression(words: &[String], joint: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("{}*", quoted.join(joint))
}

async fn matching(connection: &mut SqliteConnection, expression: &str, limit: i64) -> Result<Vec<String>, Error> {
    // A name weighs most, then tags, summary and category; the id is not indexed.
    let rows: Vec<(String,)> = sqlx::query_as(
        "SELECT product_id FROM words WHERE words MATCH $1
         ORDER BY bm25(words, 0.0, 10.0, 4.0, 3.0, 5.0, 1.0), product_id LIMIT $2",
    )
    .bind(expression)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operators_are_only_words() {
        assert_eq!(words("mug AND \"tea\" NOT(x*) name:^y").unwrap(), ["mug", "and", "tea", "not", "x", "name", "y"]);
        assert_eq!(words("  ;--\u{0} ").unwrap(), Vec::<String>::new());
        assert!(words(&"x".repeat(201)).is_err());
    }

    proptest! {
        #[test]
        fn no_quotation_mark_survives(query in ".{0,200}") {
            let words = words(&query).unwrap();
            prop_assert!(words.len() <= WORDS_MAX);
            prop_assert!(words.iter().all(|word| !word.is_empty() && !word.contains('"')));
        }
    }
}
