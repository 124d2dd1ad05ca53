//! What a request may say. Never: looks anything up, or repeats a password in a sentence.

use shoal_sdk::Error;
use store_contracts::store::types::v1::Address;

/// Addresses of one account, at most.
pub const ADDRESSES_MAX: usize = 20;

/// A line of text: so many characters, none of them a control character. Surrounding spaces do not count.
pub fn text<'text>(field: &str, text: &'text str, least: usize, most: usize) -> Result<&'text str, Error> {
    let text = text.trim();
    // Bytes first: counting the characters of megabytes would be work for nothing.
    let fits = text.len() <= most * 4 && (least..=most).contains(&text.chars().count());
    if !fits || text.chars().any(char::is_control) {
        return Err(Error::invalid_argument(format!("`{field}` must be one line of {least} to {most} characters")));
    }
    Ok(text)
}

/// An e-mail address in lower case. Whether it can be reached, only a mail tells.
pub fn email(email: &str) -> Result<String, Error> {
    let wrong =
        || Error::invalid_argument("`email` must be an address such as `ada@example.org`, at most 254 characters");
    let email = email.trim();
    if email.len() > 254 || email.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err(wrong());
    }
    match email.split_once('@') {
        Some((name, domain)) if !name.is_empty() && !domain.is_empty() && !domain.contains('@') => {
            Ok(email.to_lowercase())
        }
        _ => Err(wrong()),
    }
}

/// A new password: 8 to 200 characters.
pub fn new_password(password: &str) -> Result<(), Error> {
    if password.len() > 800 || !(8..=200).contains(&password.chars().count()) {
        return Err(Error::invalid_argument("`password` must have 8 to 200 characters"));
    }
    Ok(())
}

/// A password someone claims to have; only its size is limited, so that hashing it is bounded.
pub fn claimed_password(password: &str) -> Result<(), Error> {
    if password.len() > 800 {
        return Err(Error::invalid_argument("`password` is longer than any password can be"));
    }
    Ok(())
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

/// An address, with surrounding spaces taken off.
pub fn address(address: &Address) -> Result<Address, Error> {
    let country = address.country.trim();
    if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Error::invalid_argument("`address.country` must be two capital letters such as `DE`"));
    }
    Ok(Address {
        name: text("address.name", &address.name, 1, 100)?.to_owned(),
        line1: text("address.line1", &address.line1, 1, 200)?.to_owned(),
        line2: text("address.line2", &address.line2, 0, 200)?.to_owned(),
        city: text("address.city", &address.city, 1, 100)?.to_owned(),
        region: text("address.region", &address.region, 0, 100)?.to_owned(),
        postcode: text("address.postcode", &address.postcode, 1, 20)?.to_owned(),
        country: country.to_owned(),
        ..Default::default()
    })
}
