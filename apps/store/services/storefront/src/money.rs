//! Amounts of money as a shopper reads and types them: minor units and a currency in, text out, and back.
//! It never uses a floating point number, never rounds and never converts between currencies.

use std::fmt;

/// The currencies a shopper can choose, in the order the menu shows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Currency {
    /// The euro.
    #[default]
    Eur,
    /// The dollar of the United States.
    Usd,
    /// The pound sterling.
    Gbp,
    /// The yen, which has no minor unit.
    Jpy,
}

impl Currency {
    /// Every currency on offer.
    pub const ALL: [Currency; 4] = [Currency::Eur, Currency::Usd, Currency::Gbp, Currency::Jpy];

    /// The currency of an ISO 4217 code, when the store offers it.
    pub fn from_code(code: &str) -> Option<Currency> {
        Currency::ALL.into_iter().find(|currency| currency.code() == code)
    }

    /// The ISO 4217 code.
    pub fn code(self) -> &'static str {
        match self {
            Currency::Eur => "EUR",
            Currency::Usd => "USD",
            Currency::Gbp => "GBP",
            Currency::Jpy => "JPY",
        }
    }

    /// The name a menu shows.
    pub fn name(self) -> &'static str {
        match self {
            Currency::Eur => "Euro",
            Currency::Usd => "US dollar",
            Currency::Gbp => "Pound sterling",
            Currency::Jpy => "Japanese yen",
        }
    }

    /// The sign written before an amount.
    pub fn symbol(self) -> &'static str {
        match self {
            Currency::Eur => "€",
            Currency::Usd => "$",
            Currency::Gbp => "£",
            Currency::Jpy => "¥",
        }
    }
}

/// Digits after the decimal point that ISO 4217 gives a currency; 2 for one it does not name here.
pub fn exponent(code: &str) -> u32 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND" | "VUV"
        | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An amount as a shopper reads it: `€1,234.50`, `¥1,500`, `-$0.05`, and `CHF 12.00` where the code has no sign.
pub fn format(minor: i64, code: &str) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let number = decimal(minor.unsigned_abs(), exponent(code), true);
    match Currency::from_code(code) {
        Some(currency) => format!("{sign}{}{number}", currency.symbol()),
        None => format!("{code} {sign}{number}"),
    }
}

/// An amount as a form field holds it: no sign of the currency and no grouping, `1234.50`.
pub fn plain(minor: i64, code: &str) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}", decimal(minor.unsigned_abs(), exponent(code), false))
}

fn decimal(minor: u64, exponent: u32, grouped: bool) -> String {
    let scale = 10_u64.pow(exponent);
    let (whole, fraction) = (minor / scale, minor % scale);
    let digits = whole.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (place, digit) in digits.chars().enumerate() {
        if grouped && place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if exponent > 0 {
        text.push_str(&format!(".{fraction:0width$}", width = exponent as usize));
    }
    text
}

/// Why a typed amount was refused; its text is meant for the person who typed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAmount {
    /// Something other than digits and one decimal point.
    NotANumber,
    /// More digits after the point than the currency has.
    TooFine {
        /// How many it has.
        digits: u32,
    },
    /// More than the store can hold.
    TooLarge,
}

impl fmt::Display for BadAmount {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadAmount::NotANumber => formatter.write_str("write an amount in digits, like 12.50"),
            BadAmount::TooFine { digits: 0 } => formatter.write_str("this currency has no digits after the point"),
            BadAmount::TooFine { digits } => {
                write!(formatter, "this currency has {digits} digits after the point")
            }
            BadAmount::TooLarge => formatter.write_str("this amount is too large"),
        }
    }
}

impl std::error::Error for BadAmount {}

/// The minor units of a typed amount that is not negative: `12.5` in EUR is 1250.
///
/// # Errors
/// See [`BadAmount`]; nothing is rounded.
pub fn parse(text: &str, code: &str) -> Result<i64, BadAmount> {
    let text = text.trim();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || text.ends_with('.') || text.len() > 32 || !numeric(whole) || !numeric(fraction) {
        return Err(BadAmount::NotANumber);
    }
    let digits = exponent(code);
    if fraction.len() > digits as usize {
        return Err(BadAmount::TooFine { digits });
    }
    let padded = format!("{whole}{fraction:0<width$}", width = digits as usize);
    padded.parse().map_err(|_| BadAmount::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_as_a_shopper_expects() {
        assert_eq!(format(123_450, "EUR"), "€1,234.50");
        assert_eq!(format(5, "USD"), "$0.05");
        assert_eq!(format(-5, "USD"), "-$0.05");
        assert_eq!(format(1500, "JPY"), "¥1,500");
        assert_eq!(format(100_000_000, "GBP"), "£1,000,000.00");
        assert_eq!(format(1234, "KWD"), "KWD 1.234");
        assert_eq!(format(i64::MIN, "EUR"), "-€92,233,720,368,547,758.08");
    }

    #[test]
    fn refuses_what_it_would_have_to_round() {
        assert_eq!(parse("12.505", "EUR"), Err(BadAmount::TooFine { digits: 2 }));
        assert_eq!(parse("12.5", "JPY"), Err(BadAmount::TooFine { digits: 0 }));
        for text in ["", ".", "12.", ".5", "1e3", "-1", "+1", "1,000", "１２", "1.2.3"] {
            assert_eq!(parse(text, "EUR"), Err(BadAmount::NotANumber), "{text}");
        }
        assert_eq!(parse("92233720368547758.08", "EUR"), Err(BadAmount::TooLarge));
        assert_eq!(parse("12.5", "EUR"), Ok(1250));
    }

    proptest! {
        #[test]
        fn what_is_shown_is_what_was_meant(
            minor in 0..=i64::MAX,
            code in prop::sample::select(vec!["EUR", "USD", "GBP", "JPY", "KWD", "XXX"]),
        ) {
            prop_assert_eq!(parse(&plain(minor, code), code), Ok(minor));
            let shown: String = format(minor, code).chars().filter(char::is_ascii_digit).collect();
            prop_assert_eq!(shown.parse::<i64>().unwrap(), minor);
        }

        #[test]
        fn groups_have_three_digits(minor in any::<i64>()) {
            let shown = format(minor, "JPY");
            let groups: Vec<&str> = shown.trim_start_matches(['-', '¥']).split(',').collect();
            prop_assert!((1..=3).contains(&groups[0].len()));
            prop_assert!(groups[1..].iter().all(|group| group.len() == 3));
        }

        #[test]
        fn no_text_makes_it_fail_unread(text in ".*", code in "[A-Z]{3}") {
            let _ = parse(&text, &code);
        }
    }
}
