//! What an order may look like. Each refusal is one sentence that names the field and the mend. It never reads what is
//! stored.

use std::collections::BTreeSet;

use shoal_sdk::Error;
use store_contracts::store::orders::v1::{OpenRequest, OrderLine};
use store_contracts::store::types::v1::{Address, Money};

const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "JPY"];
const LINES_MAX: usize = 50;
const PIECES_MAX: i32 = 99;
const UNIT_PRICE_MAX: i64 = 100_000_000;

/// An order id: a UUID of version 7.
pub fn order_id(id: &str) -> Result<(), Error> {
    let fits = id.len() == 36 && uuid::Uuid::parse_str(id).is_ok_and(|uuid| uuid.get_version_num() == 7);
    if fits {
        return Ok(());
    }
    Err(Error::invalid_argument("`order_id` must be a UUID of version 7, with hyphens."))
}

/// Whose an order is.
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

/// A fencing token: 0 when there is none.
pub fn fence(fence: i64) -> Result<(), Error> {
    if fence >= 0 {
        return Ok(());
    }
    Err(Error::invalid_argument("`fence` must not be negative."))
}

/// Why an order is cancelled.
pub fn reason(reason: &str) -> Result<(), Error> {
    text("reason", reason, 0, 300)
}

/// The size of a page: `default` when 0.
pub fn page(limit: i32, default: i64, max: i32) -> Result<i64, Error> {
    match limit {
        0 => Ok(default),
        _ if (1..=max).contains(&limit) => Ok(i64::from(limit)),
        _ => Err(Error::invalid_argument(format!("`limit` must be 0 to {max}."))),
    }
}

/// The whole order, and that its sums are right. Answers the total.
pub fn order(request: &OpenRequest) -> Result<Money, Error> {
    order_id(&request.order_id)?;
    shopper_id(&request.shopper_id)?;
    fence(request.fence)?;
    email(&request.email)?;
    address(request.address.as_option())?;
    let total = money("total", request.total.as_option())?;
    let currency = total.currency.as_str();
    let sum = lines(&request.lines, currency)?;
    let subtotal = money_in("subtotal", request.subtotal.as_option(), currency)?;
    let shipping = money_in("shipping", request.shipping.as_option(), currency)?;
    if subtotal != sum {
        return Err(Error::invalid_argument("`subtotal` must be the sum of the lines."));
    }
    if subtotal.checked_add(shipping) != Some(total.minor) {
        return Err(Error::invalid_argument("`total` must be `subtotal` + `shipping`."));
    }
    Ok(total)
}

fn lines(lines: &[OrderLine], currency: &str) -> Result<i64, Error> {
    if lines.is_empty() || lines.len() > LINES_MAX {
        return Err(Error::invalid_argument(format!("An order has 1 to {LINES_MAX} lines.")));
    }
    let mut seen = BTreeSet::new();
    let mut sum = 0i64;
    for line in lines {
        let slug =
            line.product_id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !slug || !(1..=64).contains(&line.product_id.len()) {
            return Err(Error::invalid_argument(
                "A line's `product_id` is 1 to 64 characters of `a-z`, `0-9` and `-`.",
            ));
        }
        if !seen.insert(line.product_id.as_str()) {
            return Err(Error::invalid_argument(format!(
                "`{}` is listed twice: put it into one line.",
                line.product_id
            )));
        }
        text("name", &line.name, 1, 120)?;
        if !(1..=PIECES_MAX).contains(&line.quantity) {
            return Err(Error::invalid_argument(format!("A line's `quantity` must be 1 to {PIECES_MAX}.")));
        }
        let unit = money_in("unit_price", line.unit_price.as_option(), currency)?;
        let total = money_in("total", line.total.as_option(), currency)?;
        if !(1..=UNIT_PRICE_MAX).contains(&unit) {
            return Err(Error::invalid_argument("A line's `unit_price` must be 1 to 100,000,000 minor units."));
        }
        if unit.checked_mul(i64::from(line.quantity)) != Some(total) {
            return Err(Error::invalid_argument("A line's `total` must be `quantity` × `unit_price`."));
        }
        sum = sum.checked_add(total).ok_or_else(|| Error::invalid_argument("The sum of the lines is too large."))?;
    }
    Ok(sum)
}

fn money(name: &str, money: Option<&Money>) -> Result<Money, Error> {
    let money = money.ok_or_else(|| Error::invalid_argument(format!("`{name}` is missing.")))?;
    if !CURRENCIES.contains(&money.currency.as_str()) {
        return Err(Error::invalid_argument(format!("`{name}.currency` must be `EUR`, `USD`, `GBP` or `JPY`.")));
    }
    if money.minor < 0 {
        return Err(Error::invalid_argument(format!("`{name}.minor` must not be negative.")));
    }
    Ok(money.clone())
}

fn money_in(name: &str, amount: Option<&Money>, currency: &str) -> Result<i64, Error> {
    let amount = money(name, amount)?;
    if amount.currency != currency {
        return Err(Error::invalid_argument(format!("`{name}` must be in `{currency}`, as the total is.")));
    }
    Ok(amount.minor)
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
    if address.country.len() == 2 && address.country.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(());
    }
    Err(Error::invalid_argument("`address.country` must be two capital letters, such as `DE`."))
}

fn text(name: &str, text: &str, min: usize, max: usize) -> Result<(), Error> {
    let length = text.trim().chars().count();
    if length < min && text.chars().count() <= max {
        return Err(Error::invalid_argument(format!("`{name}` is missing.")));
    }
    if text.chars().count() > max {
        return Err(Error::invalid_argument(format!("`{name}` must be at most {max} characters.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid_argument(format!("`{name}` must not contain line breaks or control characters.")));
    }
    Ok(())
}
