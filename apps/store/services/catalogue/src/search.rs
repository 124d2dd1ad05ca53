//! The full-text index, and what a shopper types as a query of it. Never: lets an operator through.

use crate::products::Text;
use shoal_sdk::{Connection, Dialect, Error, query};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Words of a query that count; the rest is ignored.
const WORDS_MAX: usize = 8;
/// Characters of a query, at most.
const QUERY_MAX: usize = 200;

/// The words of a query; none when there is nothing to look for.
pub fn words(query: &str) -> Result<Vec<String>, Error> {
    if query.len() > QUERY_MAX * 4 || query.chars().count() > QUERY_MAX {
        return Err(Error::invalid_argument(format!("`query` must be at most {QUERY_MAX} characters long")));
    }
    let words = query.split(|letter: char| !letter.is_alphanumeric());
    // Accents alone are letters to some and nothing to the index.
    let words = words.filter(|word| !plain(word).trim().is_empty());
    Ok(words.take(WORDS_MAX).map(str::to_lowercase).collect())
}

/// The ids of matching products, best first: those with all words, or, when there are none, those with any.
pub async fn ids(connection: &mut Connection, words: &[String], limit: i64) -> Result<Vec<String>, Error> {
    let dialect = connection.dialect();
    for all in [true, false] {
        let found = matching(connection, &expression(dialect, words, all), limit).await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Each word in quotation marks, where the index knows no operators; the last may go on.
fn expression(dialect: Dialect, words: &[String], all: bool) -> String {
    match dialect {
        Dialect::Sqlite => {
            let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
            format!("{}*", quoted.join(if all { " AND " } else { " OR " }))
        }
        Dialect::Postgres => {
            let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", plain(word))).collect();
            format!("{}:*", quoted.join(if all { " & " } else { " | " }))
        }
    }
}

// A name weighs most, then tags, summary and category; the id is not indexed.
async fn matching(connection: &mut Connection, expression: &str, limit: i64) -> Result<Vec<String>, Error> {
    let rows: Vec<(String,)> = query(match connection.dialect() {
        Dialect::Sqlite => {
            "SELECT product_id FROM words WHERE words MATCH $1
             ORDER BY bm25(words, 0.0, 10.0, 4.0, 3.0, 5.0, 1.0), product_id LIMIT $2"
        }
        Dialect::Postgres => {
            "SELECT product_id FROM words, to_tsquery('shop', $1) AS wanted WHERE document @@ wanted
             ORDER BY ts_rank('{0.1, 0.4, 0.5, 1.0}', document, wanted) DESC, product_id LIMIT $2"
        }
    })
    .bind(expression)
    .bind(limit)
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Adds a product to the index.
pub async fn index(connection: &mut Connection, text: &Text) -> Result<(), Error> {
    let fields = [&text.name, &text.summary, &text.category, &text.tags.join(" "), &text.description];
    let (statement, fields) = match connection.dialect() {
        Dialect::Sqlite => (
            "INSERT INTO words (product_id, name, summary, category, tags, description)
             VALUES ($1, $2, $3, $4, $5, $6)",
            fields.map(String::clone),
        ),
        Dialect::Postgres => (
            "INSERT INTO words (product_id, document) VALUES ($1,
                 setweight(to_tsvector('shop', $2), 'A') || setweight(to_tsvector('shop', $3), 'C') ||
                 setweight(to_tsvector('shop', $4), 'C') || setweight(to_tsvector('shop', $5), 'B') ||
                 setweight(to_tsvector('shop', $6), 'D'))",
            fields.map(|field| plain(field)),
        ),
    };
    let insert = fields.iter().fold(query(statement).bind(&text.id), |insert, field| insert.bind(field));
    insert.execute(connection).await?;
    Ok(())
}

/// Takes a product out of the index.
pub async fn forget(connection: &mut Connection, product_id: &str) -> Result<(), Error> {
    query("DELETE FROM words WHERE product_id = $1").bind(product_id).execute(connection).await?;
    Ok(())
}

/// Words in lower case, without accents and with nothing but spaces between them; SQLite's index does this by itself.
fn plain(text: &str) -> String {
    let letters = text.nfd().filter(|letter| !is_combining_mark(*letter)).flat_map(char::to_lowercase);
    letters.map(|letter| if letter.is_alphanumeric() { letter } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operators_are_only_words() {
        assert_eq!(words("mug AND \"tea\" NOT(x*) name:^y").unwrap(), ["mug", "and", "tea", "not", "x", "name", "y"]);
        assert_eq!(words("  ;--\u{0} ").unwrap(), Vec::<String>::new());
        assert_eq!(words("\u{345} mug \u{345}\u{93e}").unwrap(), ["mug"], "accents without a letter");
        assert!(words(&"x".repeat(201)).is_err());
    }

    #[test]
    fn plain_words_have_no_accents() {
        assert_eq!(plain("Crème-brûlée: Straße 9"), "creme brulee  straße 9");
    }

    proptest! {
        #[test]
        fn no_quotation_mark_survives(query in ".{0,200}") {
            let words = words(&query).unwrap();
            prop_assert!(words.len() <= WORDS_MAX);
            prop_assert!(words.iter().all(|word| !word.contains('"') && !plain(word).trim().is_empty()));
            let quoted = expression(Dialect::Postgres, &words, true);
            prop_assert!(words.is_empty() || quoted.matches('\'').count() == 2 * words.len());
        }
    }
}
