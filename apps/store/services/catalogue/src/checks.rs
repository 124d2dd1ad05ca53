//! What a request may say. Never: looks anything up.

use crate::products::Text;
use crate::seed::{CATEGORIES, CURRENCIES};
use shoal_sdk::Error;
use std::collections::BTreeSet;
use store_contracts::store::catalogue::v1::{ListProductsRequest, Sort};
use store_contracts::store::types::v1::Money;

/// Products in one answer, at most.
pub const PAGE_MAX: i32 = 100;
/// The highest price, in minor units.
const MINOR_MAX: i64 = 100_000_000;
const TAGS_MAX: usize = 12;

/// A slug of so many characters at most.
pub fn slug<'text>(field: &str, text: &'text str, most: usize) -> Result<&'text str, Error> {
    let letters = text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if text.is_empty() || text.len() > most || !letters {
        return Err(Error::invalid_argument(format!("`{field}` must be 1 to {most} characters of a-z, 0-9 and `-`")));
    }
    Ok(text)
}

/// A count of things asked for: what it means, when it is within the limits.
pub fn count(field: &str, count: i32, usual: i32, most: i32) -> Result<i64, Error> {
    match count {
        0 => Ok(i64::from(usual)),
        count if (1..=most).contains(&count) => Ok(i64::from(count)),
        _ => Err(Error::invalid_argument(format!("`{field}` must be 1 to {most}, or 0 for {usual}"))),
    }
}

/// An idempotency key.
pub fn key(key: &str) -> Result<&str, Error> {
    let letters = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !(8..=64).contains(&key.len()) || !letters {
        return Err(Error::invalid_argument(
            "`idempotency_key` must be 8 to 64 characters of A-Z, a-z, 0-9, `-` and `_`",
        ));
    }
    Ok(key)
}

/// A version that is to be replaced: 0 or more.
pub fn expected_version(version: i64) -> Result<i64, Error> {
    if version < 0 {
        return Err(Error::invalid_argument("`expected_version` must not be negative"));
    }
    Ok(version)
}

/// A price.
pub fn price(amount: &Money) -> Result<(&str, i64), Error> {
    let currency = currency("amount.currency", &amount.currency)?;
    if !(1..=MINOR_MAX).contains(&amount.minor) {
        return Err(Error::invalid_argument(format!("`amount.minor` must be 1 to {MINOR_MAX}")));
    }
    Ok((currency, amount.minor))
}

/// One of the shop's currencies.
pub fn currency<'text>(field: &str, currency: &'text str) -> Result<&'text str, Error> {
    if !CURRENCIES.contains(&currency) {
        return Err(Error::invalid_argument(format!("`{field}` must be one of {}", CURRENCIES.join(", "))));
    }
    Ok(currency)
}

/// One of the shop's categories.
pub fn category<'text>(field: &str, category: &'text str) -> Result<&'text str, Error> {
    if !CATEGORIES.iter().any(|(id, _)| *id == category) {
        let known: Vec<&str> = CATEGORIES.iter().map(|(id, _)| *id).collect();
        return Err(Error::invalid_argument(format!("`{field}` must be one of {}", known.join(", "))));
    }
    Ok(category)
}

/// What a list is asked for: category, order, currency, token and size.
pub fn list(request: &ListProductsRequest) -> Result<(&str, Sort, &str, &str, i64), Error> {
    let category = if request.category.is_empty() { "" } else { category("category", &request.category)? };
    let sort = request
        .sort
        .as_known()
        .ok_or_else(|| Error::invalid_argument("`sort` must be one of the orders of the contract"))?;
    let currency = if request.currency.is_empty() { "EUR" } else { currency("currency", &request.currency)? };
    let token = if request.page_token.is_empty() { "" } else { slug("page_token", &request.page_token, 64)? };
    Ok((category, sort, currency, token, count("page_size", request.page_size, 24, PAGE_MAX)?))
}

/// A product's text.
pub fn text(text: &Text) -> Result<(), Error> {
    slug("id", &text.id, 64)?;
    line("name", &text.name, 1, 120)?;
    line("summary", &text.summary, 0, 200)?;
    // Paragraphs need line breaks; nothing else that cannot be seen.
    let hidden = text.description.chars().any(|letter| letter.is_control() && letter != '\n');
    if text.description.len() > 16_000 || text.description.chars().count() > 4_000 || hidden {
        return Err(Error::invalid_argument("`description` must be plain text of at most 4000 characters"));
    }
    category("category", &text.category)?;
    if text.tags.len() > TAGS_MAX || text.tags.iter().collect::<BTreeSet<_>>().len() != text.tags.len() {
        return Err(Error::invalid_argument(format!("`tags` must be at most {TAGS_MAX}, all different")));
    }
    text.tags.iter().try_for_each(|tag| slug("tags", tag, 32).map(|_| ()))
}

fn line(field: &str, text: &str, least: usize, most: usize) -> Result<(), Error> {
    let fits = text.len() <= most * 4 && (least..=most).contains(&text.trim().chars().count());
    if !fits || text.chars().any(char::is_control) {
        return Err(Error::invalid_argument(format!("`{field}` must be one line of {least} to {most} characters")));
    }
    Ok(())
}
