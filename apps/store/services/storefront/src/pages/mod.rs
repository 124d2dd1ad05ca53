//! The pages, one file each: a handler that asks the services, and the view of what they answer.
//! A handler only reads what it shows; every change is a form of its own that ends in a redirect.

pub mod account;
pub mod address;
pub mod admin;
pub mod admin_change;
pub mod admin_product;
pub mod asset;
pub mod basket;
pub mod basket_change;
pub mod country;
pub mod currency;
pub mod delivery;
pub mod home;
pub mod list;
pub mod mail;
pub mod missing;
pub mod order;
pub mod outcome;
pub mod pay;
pub mod picture;
pub mod product;
pub mod register;
pub mod search;
pub mod sign_in;

use std::fmt::Write as _;

use store_contracts::store::catalogue::v1::Product;
use store_contracts::store::types::v1::Money;

use crate::memory::price_minor;
use crate::money::{self, Currency};
use crate::view::Card;

/// A product as a grid shows it.
pub fn card(product: &Product, currency: Currency) -> Card {
    let code = currency.code();
    Card {
        id: product.id.clone(),
        name: product.name.clone(),
        price: price_minor(product, code).map(|minor| money::format(minor, code)),
        picture: picture_path(product),
        picture_alt: product.picture_alt.clone(),
    }
}

/// Products as a grid shows them.
pub fn cards(products: &[Product], currency: Currency) -> Vec<Card> {
    products.iter().map(|product| card(product, currency)).collect()
}

/// Where a product's picture is: the address changes when the picture does.
pub fn picture_path(product: &Product) -> String {
    format!("/pictures/{}?v={}", product.id, encoded(&product.picture_etag))
}

/// An amount of the contracts as a shopper reads it.
pub fn shown(amount: &Money) -> String {
    money::format(amount.minor, &amount.currency)
}

/// The price of sending as a shopper reads it.
pub fn postage(amount: &Money) -> String {
    if amount.minor == 0 { "Free".to_owned() } else { shown(amount) }
}

/// A text as part of an address's query.
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a `String` does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// A moment as a shopper reads it, in universal time: `22 November 2026, 03:20 UTC`.
pub fn moment(at_ms: i64) -> String {
    let minutes = at_ms.div_euclid(60_000);
    let minute_of_day = minutes.rem_euclid(24 * 60);
    format!("{}, {:02}:{:02} UTC", day(at_ms), minute_of_day / 60, minute_of_day % 60)
}

/// A day as a shopper reads it, in universal time: `22 November 2026`.
pub fn day(at_ms: i64) -> String {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    // Days are counted from 1 March 0000, so that a leap day is the last of its year; eras are 400 years of 146,097 days.
    let days = at_ms.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    let name = usize::try_from(month).ok().and_then(|month| MONTHS.get(month)).unwrap_or(&"");
    format!("{day} {name} {year}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(moment(0), "1 January 1970, 00:00 UTC");
        assert_eq!(day(951_782_400_000), "29 February 2000");
        assert_eq!(day(951_868_800_000), "1 March 2000");
        assert_eq!(day(-1), "31 December 1969");
        assert_eq!(moment(1_795_317_749_000), "22 November 2026, 03:22 UTC");
        let _ = (day(i64::MIN), moment(i64::MAX));
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }
}
