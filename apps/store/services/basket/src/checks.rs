//! What a request may say. Never: looks anything up.

use shoal_sdk::Error;

/// Different products in one basket, at most.
pub const LINES_MAX: usize = 50;
/// Pieces of one product, at most.
pub const QUANTITY_MAX: i64 = 99;

/// A shopper id: `guest:<uuid>` or `customer:<id>`.
pub fn shopper<'id>(field: &str, id: &'id str) -> Result<&'id str, Error> {
    let body = id.strip_prefix("guest:").or_else(|| id.strip_prefix("customer:"));
    let named = body.is_some_and(|body| {
        !body.is_empty() && body.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    });
    if !named || id.len() > 80 {
        return Err(Error::invalid_argument(format!(
            "`{field}` must be `guest:` or `customer:` and an id of a-z, 0-9 and `-`, at most 80 characters in all"
        )));
    }
    Ok(id)
}

/// A shopper id of one kind: `guest:` or `customer:`.
pub fn shopper_of<'id>(kind: &str, field: &str, id: &'id str) -> Result<&'id str, Error> {
    if !id.starts_with(kind) {
        return Err(Error::invalid_argument(format!("`{field}` must begin with `{kind}`")));
    }
    shopper(field, id)
}

/// A product's id: a slug.
pub fn product(id: &str) -> Result<&str, Error> {
    let slug = id.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if id.is_empty() || id.len() > 64 || !slug {
        return Err(Error::invalid_argument("`product_id` must be 1 to 64 characters of a-z, 0-9 and `-`"));
    }
    Ok(id)
}

/// An absolute quantity, 0 to 99.
pub fn quantity(quantity: i32) -> Result<i64, Error> {
    let quantity = i64::from(quantity);
    if !(0..=QUANTITY_MAX).contains(&quantity) {
        return Err(Error::invalid_argument("`quantity` must be 0 to 99"));
    }
    Ok(quantity)
}

/// An idempotency key.
pub fn key(key: &str) -> Result<&str, Error> {
    let letters = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if !(8..=64).contains(&key.len()) || !letters {
        return Err(Error::invalid_argument(
            "`idempotency_key` must be 8 to 64 characters of A-Z, a-z, 0-9, `-` and `_`, or absent",
        ));
    }
    Ok(key)
}

/// A version: 0 or more.
pub fn version(field: &str, version: i64) -> Result<i64, Error> {
    if version < 0 {
        return Err(Error::invalid_argument(format!("`{field}` must not be negative")));
    }
    Ok(version)
}
