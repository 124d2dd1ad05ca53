//! What a request may look like. Each refusal is one sentence that names the field and the mend; none repeats a card
//! number. It never calls a service.

use shoal_sdk::Error;
use store_contracts::store::checkout::v1::PlaceRequest;
use store_contracts::store::types::v1::{Address, Money};

const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];
const TOTAL_MAX: i64 = 1_000_000_000_000;

/// The key an order is placed under.
pub fn key(key: &str) -> Result<(), Error> {
    let fits = (8..=64).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(Error::invalid_argument("`idempotency_key` must be 8 to 64 characters of `A-Z`, `a-z`, `0-9`, `_` and `-`."))
}

/// An order's id.
pub fn order_id(id: &str) -> Result<(), Error> {
    if id.len() == 36 && uuid::Uuid::parse_str(id).is_ok() {
        return Ok(());
    }
    Err(Error::invalid_argument("`order_id` must be a UUID with hyphens."))
}

/// Whose basket it is.
pub fn shopper_id(id: &str) -> Result<(), Error> {
    let named =
        ["guest:", "customer:"].iter().filter_map(|prefix| id.strip_prefix(prefix)).any(|name| !name.is_empty());
    let letters =
        id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b':' | b'-'));
    if named && letters && id.len() <= 80 {
        return Ok(());
    }
    Err(Error::invalid_argument("`shopper_id` must be `guest:<uuid>` or `customer:<id>`, at most 80 characters."))
}

/// The currency to pay in.
pub fn currency(code: &str) -> Result<(), Error> {
    if CURRENCIES.contains(&code) {
        return Ok(());
    }
    Err(Error::invalid_argument("`currency` must be `EUR`, `USD`, `GBP` or `JPY`."))
}

/// Where the parcel goes.
pub fn country(code: &str) -> Result<(), Error> {
    if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Error::invalid_argument("`country` must be two capital letters, such as `DE`."))
}

/// A whole order. Answers what the shopper expects to pay.
pub fn place(request: &PlaceRequest) -> Result<Money, Error> {
    key(&request.idempotency_key)?;
    shopper_id(&request.shopper_id)?;
    if request.basket_version < 0 {
        return Err(Error::invalid_argument("`basket_version` must be the version that the quote gave."));
    }
    let missing = || Error::invalid_argument("`expected_total` must be the total that the quote gave.");
    let total = request.expected_total.as_option().ok_or_else(missing)?;
    currency(&total.currency)?;
    if !(1..=TOTAL_MAX).contains(&total.minor) {
        return Err(Error::invalid_argument(format!("`expected_total.minor` must be 1 to {TOTAL_MAX}.")));
    }
    address(request.address.as_option())?;
    email(&request.email)?;
    card(&request.card_number, &request.card_expiry)?;
    Ok(total.clone())
}

/// The bank looks at a card closely; here only what could not be one is refused, before anything is held.
fn card(number: &str, expiry: &str) -> Result<(), Error> {
    let digits = number.bytes().filter(u8::is_ascii_digit).count();
    let others = number.bytes().filter(|byte| !byte.is_ascii_digit() && !matches!(byte, b' ' | b'-')).count();
    if !(12..=19).contains(&digits) || others != 0 || number.len() > 40 {
        return Err(Error::invalid_argument("The card number must be 12 to 19 digits; spaces are fine."));
    }
    if expiry.len() > 12 || expiry.chars().any(char::is_control) {
        return Err(Error::invalid_argument("The card's expiry must look like `09/30`, month first."));
    }
    Ok(())
}

fn email(email: &str) -> Result<(), Error> {
    text("email", email, 3, 254)?;
    let parts = email.split_once('@');
    let fits = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if fits && !email.contains(char::is_whitespace) {
        return Ok(());
    }
    Err(Error::invalid_argument("`email` must look like `name@example.org`."))
}

fn address(address: Option<&Address>) -> Result<(), Error> {
    let address = address.ok_or_else(|| Error::invalid_argument("`address` is missing."))?;
    text("address.name", &address.name, 1, 100)?;
    text("address.line1", &address.line1, 1, 200)?;
    text("address.line2", &address.line2, 0, 200)?;
    text("address.city", &address.city, 1, 100)?;
    text("address.region", &address.region, 0, 100)?;
    text("address.postcode", &address.postcode, 1, 20)?;
    country(&address.country)
}

fn text(name: &str, text: &str, min: usize, max: usize) -> Result<(), Error> {
    if text.chars().count() > max {
        return Err(Error::invalid_argument(format!("`{name}` must be at most {max} characters.")));
    }
    if text.trim().chars().count() < min {
        return Err(Error::invalid_argument(format!("`{name}` is missing or too short.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid_argument(format!("`{name}` must not contain line breaks or control characters.")));
    }
    Ok(())
}
