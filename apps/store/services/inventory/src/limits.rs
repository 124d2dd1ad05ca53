//! What a request may ask for. Each refusal is one sentence that names the field and the mend. It never looks at stock.

use std::collections::BTreeMap;
use std::time::Duration;

use shoal_sdk::Error;
use store_contracts::store::inventory::v1::StockLine;

/// The most pieces of one product there may ever be.
pub const PIECES_MAX: i64 = 1_000_000_000;

const PRODUCTS_PER_READ: usize = 100;
const LINES_PER_ORDER: usize = 50;
const PIECES_PER_LINE: i32 = 99;
const PIECES_PER_DELIVERY: i32 = 100_000;
const NOTE_LENGTH: usize = 200;
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(3600);

/// A product id: a slug of 1 to 64 characters.
pub fn product_id(id: &str) -> Result<(), Error> {
    let fits = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(Error::invalid_argument("A product id is 1 to 64 characters of `a-z`, `0-9` and `-`."))
}

/// An order id or an idempotency key of `min` to 64 characters.
pub fn key(name: &str, value: &str, min: usize) -> Result<(), Error> {
    let fits = (min..=64).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    if fits {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "`{name}` must be {min} to 64 characters of `A-Z`, `a-z`, `0-9`, `_` and `-`."
    )))
}

/// A fencing token: 0 when there is none.
pub fn fence(fence: i64) -> Result<(), Error> {
    if fence >= 0 {
        return Ok(());
    }
    Err(Error::invalid_argument("`fence` must not be negative."))
}

/// The ids of a batch read.
pub fn product_ids(ids: &[String]) -> Result<(), Error> {
    if ids.is_empty() || ids.len() > PRODUCTS_PER_READ {
        return Err(Error::invalid_argument(format!("Ask for 1 to {PRODUCTS_PER_READ} products at a time.")));
    }
    ids.iter().try_for_each(|id| product_id(id))
}

/// The lines of a reservation, by product.
pub fn lines(lines: &[StockLine]) -> Result<BTreeMap<String, i64>, Error> {
    if lines.is_empty() || lines.len() > LINES_PER_ORDER {
        return Err(Error::invalid_argument(format!("A reservation has 1 to {LINES_PER_ORDER} lines.")));
    }
    let mut wanted = BTreeMap::new();
    for line in lines {
        product_id(&line.product_id)?;
        if !(1..=PIECES_PER_LINE).contains(&line.quantity) {
            return Err(Error::invalid_argument(format!(
                "The quantity of `{}` must be 1 to {PIECES_PER_LINE}.",
                line.product_id
            )));
        }
        if wanted.insert(line.product_id.clone(), i64::from(line.quantity)).is_some() {
            return Err(Error::invalid_argument(format!(
                "`{}` is listed twice: put all its pieces into one line.",
                line.product_id
            )));
        }
    }
    Ok(wanted)
}

/// How long a reservation holds, in milliseconds.
pub fn ttl(millis: i64) -> Result<i64, Error> {
    let fits = u64::try_from(millis).is_ok_and(|millis| (TTL_MIN..=TTL_MAX).contains(&Duration::from_millis(millis)));
    if fits {
        return Ok(millis);
    }
    Err(Error::invalid_argument("`ttl_ms` must be 1,000 to 3,600,000: one second to one hour."))
}

/// The size and the remark of a delivery.
pub fn delivery(quantity: i32, note: &str) -> Result<(), Error> {
    if !(1..=PIECES_PER_DELIVERY).contains(&quantity) {
        return Err(Error::invalid_argument("A delivery is 1 to 100,000 pieces."));
    }
    if note.chars().count() > NOTE_LENGTH {
        return Err(Error::invalid_argument(format!("`note` must be at most {NOTE_LENGTH} characters.")));
    }
    if note.chars().any(char::is_control) {
        return Err(Error::invalid_argument("`note` must not contain line breaks or control characters."));
    }
    Ok(())
}

/// The size of a page of the audit; 0 means the most.
pub fn page(limit: i32) -> Result<usize, Error> {
    match limit {
        0 => Ok(1000),
        1..=1000 => Ok(usize::try_from(limit).unwrap_or(1000)),
        _ => Err(Error::invalid_argument("`limit` must be 0 to 1,000.")),
    }
}
