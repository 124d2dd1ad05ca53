//! What sending a parcel costs: a rate per zone and currency, for each started twenty pieces. Never: reads a clock or a database.

use shoal_sdk::Error;
use store_contracts::store::shipping::v1::QuoteResponse;
use store_contracts::store::types::v1::Money;

/// Pieces that fit into one parcel.
const PIECES_PER_PARCEL: i64 = 20;
/// Pieces in one quote, at most: a full basket.
const PIECES_MAX: i32 = 4_950;

/// Where a country lies, as seen from the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Zone {
    /// The shop's own country.
    Home,
    /// Its neighbours.
    Europe,
    /// Everywhere else.
    World,
}

const HOME: &str = "DE";
const EUROPE: [&str; 36] = [
    "AD", "AT", "BE", "BG", "CH", "CY", "CZ", "DK", "EE", "ES", "FI", "FR", "GB", "GR", "HR", "HU", "IE", "IS", "IT",
    "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "SM", "UA", "VA",
];

impl Zone {
    /// Of a country; `invalid_argument` when it is not two capital letters.
    pub fn of(country: &str) -> Result<Zone, Error> {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(Error::invalid_argument("`country` must be two capital letters such as `DE`"));
        }
        Ok(match country {
            HOME => Zone::Home,
            country if EUROPE.contains(&country) => Zone::Europe,
            _ => Zone::World,
        })
    }

    /// As callers see it.
    pub fn name(self) -> &'static str {
        match self {
            Zone::Home => "home",
            Zone::Europe => "europe",
            Zone::World => "world",
        }
    }

    /// Working days to arrive, at least and at most.
    pub fn days(self) -> (i32, i32) {
        match self {
            Zone::Home => (1, 3),
            Zone::Europe => (3, 6),
            Zone::World => (7, 16),
        }
    }

    /// Who carries parcels there.
    pub fn carrier(self) -> &'static str {
        match self {
            Zone::Home => "Heron Post",
            Zone::Europe => "Continental Parcel",
            Zone::World => "Albatross Air",
        }
    }
}

/// A parcel's price, and the subtotal from which it is free, in minor units.
fn rate(currency: &str, zone: Zone) -> Option<(i64, Option<i64>)> {
    Some(match (currency, zone) {
        ("EUR", Zone::Home) => (490, Some(6_000)),
        ("EUR", Zone::Europe) => (990, Some(12_000)),
        ("EUR", Zone::World) => (1_990, None),
        ("USD", Zone::Home) => (550, Some(6_500)),
        ("USD", Zone::Europe) => (1_090, Some(13_000)),
        ("USD", Zone::World) => (2_190, None),
        ("GBP", Zone::Home) => (420, Some(5_000)),
        ("GBP", Zone::Europe) => (850, Some(10_000)),
        ("GBP", Zone::World) => (1_690, None),
        ("JPY", Zone::Home) => (800, Some(9_500)),
        ("JPY", Zone::Europe) => (1_600, Some(19_000)),
        ("JPY", Zone::World) => (3_200, None),
        _ => return None,
    })
}

/// The price of sending so many pieces of so much value.
pub fn quote(country: &str, subtotal: &Money, pieces: i32) -> Result<QuoteResponse, Error> {
    let zone = Zone::of(country)?;
    if !(1..=PIECES_MAX).contains(&pieces) {
        return Err(Error::invalid_argument(format!("`pieces` must be 1 to {PIECES_MAX}")));
    }
    if subtotal.minor < 0 {
        return Err(Error::invalid_argument("`subtotal` must not be negative"));
    }
    let (each, free_from) = rate(&subtotal.currency, zone)
        .ok_or_else(|| Error::invalid_argument("`subtotal.currency` must be `EUR`, `USD`, `GBP` or `JPY`"))?;
    let money = |minor| Money { minor, currency: subtotal.currency.clone(), ..Default::default() };
    let parcels = (i64::from(pieces) + PIECES_PER_PARCEL - 1) / PIECES_PER_PARCEL;
    let free = free_from.is_some_and(|from| subtotal.minor >= from);
    // At most 248 parcels at a few thousand minor units: far from any overflow.
    let amount = if free { 0 } else { each * parcels };
    let (days_min, days_max) = zone.days();
    Ok(QuoteResponse {
        amount: money(amount).into(),
        zone: zone.name().to_owned(),
        days_min,
        days_max,
        free_from: free_from.map(money).into(),
        ..Default::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(country: &str, minor: i64, currency: &str, pieces: i32) -> Result<i64, Error> {
        let subtotal = Money { minor, currency: currency.to_owned(), ..Default::default() };
        Ok(quote(country, &subtotal, pieces)?.amount.minor)
    }

    #[test]
    fn rates_depend_on_zone_currency_value_and_pieces() {
        assert_eq!(amount("DE", 1_000, "EUR", 1).unwrap(), 490);
        assert_eq!(amount("FR", 1_000, "GBP", 20).unwrap(), 850);
        assert_eq!(amount("NZ", 1_000, "JPY", 21).unwrap(), 6_400);
        assert_eq!(amount("DE", 6_000, "EUR", 99).unwrap(), 0);
        assert_eq!(amount("NZ", 9_000_000, "EUR", 1).unwrap(), 1_990);
    }

    #[test]
    fn every_currency_has_every_zone() {
        for currency in ["EUR", "USD", "GBP", "JPY"] {
            for zone in [Zone::Home, Zone::Europe, Zone::World] {
                assert!(rate(currency, zone).is_some());
            }
        }
    }

    #[test]
    fn bad_input_is_refused() {
        for (country, minor, currency, pieces) in [
            ("", 1, "EUR", 1),
            ("de", 1, "EUR", 1),
            ("DE", -1, "EUR", 1),
            ("DE", 1, "CHF", 1),
            ("DE", 1, "EUR", 0),
            ("DE", 1, "EUR", i32::MAX),
        ] {
            assert!(amount(country, minor, currency, pieces).is_err(), "{country} {minor} {currency} {pieces}");
        }
        assert!(amount("DE", i64::MAX, "EUR", PIECES_MAX).is_ok());
    }
}
