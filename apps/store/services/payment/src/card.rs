//! Cards: checks what a shopper typed and keeps only what may be kept, the brand and the last four digits.
//! A card number is never stored, logged or printed: `Card` shows neither number nor code in its debug form.

use std::fmt;

/// A checked card. Lives only as long as the request that carried it.
#[derive(Clone)]
pub struct Card {
    digits: String,
}

/// The month a card is last valid in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiry {
    /// The year, four digits.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u32,
}

/// What may be kept and shown of a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFace {
    /// The brand, such as `Visa`.
    pub brand: String,
    /// The last four digits.
    pub last_four: String,
}

impl fmt::Debug for Card {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Card").field(&self.face()).finish()
    }
}

impl Card {
    /// Checks a number (spaces and dashes are fine), and the expiry unless it is empty, against today, given in
    /// milliseconds since 1970.
    ///
    /// # Errors
    /// A sentence for the shopper, which never repeats the number.
    pub fn check(number: &str, expiry: &str, now_millis: i64) -> Result<Card, String> {
        let digits = digits_of(number)?;
        if !luhn(&digits) {
            return Err("That card number has a typing error: please check its digits.".to_owned());
        }
        if !expiry.trim().is_empty() && expiry_of(expiry.trim())? < month_of(now_millis) {
            return Err("The card has expired: please use another card.".to_owned());
        }
        Ok(Card { digits })
    }

    /// What may be kept of it.
    #[must_use]
    pub fn face(&self) -> CardFace {
        CardFace {
            brand: brand_of(&self.digits).to_owned(),
            last_four: self.digits.get(self.digits.len() - 4..).unwrap_or_default().to_owned(),
        }
    }

    /// What the simulated bank does with this card.
    #[must_use]
    pub fn kind(&self) -> CardKind {
        match self.digits.as_str() {
            "4242424242424242" | "5555555555554444" | "378282246310005" => CardKind::Good,
            "4000000000000002" => CardKind::Declined,
            "4000000000009995" => CardKind::NoFunds,
            "4000000000000119" => CardKind::LosesAnswer,
            "4000000000000127" => CardKind::LosesEachAnswer,
            "4000000000000259" => CardKind::AnswersTwice,
            "4000000000000077" => CardKind::Slow,
            "4000000000000341" => CardKind::RefusesCapture,
            _ => CardKind::Stranger,
        }
    }
}

/// How the simulated bank treats a card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CardKind {
    /// Everything succeeds. 4242 4242 4242 4242, 5555 5555 5555 4444, 3782 822463 10005.
    Good,
    /// Declined. 4000 0000 0000 0002.
    Declined,
    /// Declined for want of money. 4000 0000 0000 9995.
    NoFunds,
    /// Authorised, but the first answer to that is lost. 4000 0000 0000 0119.
    LosesAnswer,
    /// Each operation takes effect, but the first answer to each is lost. 4000 0000 0000 0127.
    LosesEachAnswer,
    /// Each answer comes twice, and with it once more the one before. 4000 0000 0000 0259.
    AnswersTwice,
    /// Each operation takes 2 s. 4000 0000 0000 0077.
    Slow,
    /// Authorised, and refused at the capture. 4000 0000 0000 0341.
    RefusesCapture,
    /// Not one of the test cards: declined, since this bank is not a real one.
    Stranger,
}

impl CardKind {
    /// The name it has in the bank's book.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CardKind::Good => "good",
            CardKind::Declined => "declined",
            CardKind::NoFunds => "no-funds",
            CardKind::LosesAnswer => "loses-answers",
            CardKind::LosesEachAnswer => "loses-each-answer",
            CardKind::AnswersTwice => "answers-twice",
            CardKind::Slow => "slow",
            CardKind::RefusesCapture => "refuses-capture",
            CardKind::Stranger => "stranger",
        }
    }

    /// The kind of that name; a name this program does not know is a stranger.
    #[must_use]
    pub fn from_name(name: &str) -> CardKind {
        let kinds = [
            CardKind::Good,
            CardKind::Declined,
            CardKind::NoFunds,
            CardKind::LosesAnswer,
            CardKind::LosesEachAnswer,
            CardKind::AnswersTwice,
            CardKind::Slow,
            CardKind::RefusesCapture,
        ];
        kinds.into_iter().find(|kind| kind.name() == name).unwrap_or(CardKind::Stranger)
    }
}

fn digits_of(number: &str) -> Result<String, String> {
    if number.len() > 40 {
        return Err("That card number is too long.".to_owned());
    }
    let digits: String = number.chars().filter(|character| !matches!(character, ' ' | '-')).collect();
    if digits.is_empty() {
        return Err("Please give a card number.".to_owned());
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || !(12..=19).contains(&digits.len()) {
        return Err("A card number is 12 to 19 digits.".to_owned());
    }
    Ok(digits)
}

/// `MM/YY` or `MM/YYYY`.
fn expiry_of(text: &str) -> Result<Expiry, String> {
    let sentence = "The card's expiry must look like `09/30`, month first.";
    let (month, year) = text.split_once('/').ok_or(sentence)?;
    let digits = |part: &str| part.trim().bytes().all(|byte| byte.is_ascii_digit()) && part.trim().len() <= 4;
    if !digits(month) || !digits(year) {
        return Err(sentence.to_owned());
    }
    let month: u32 = month.trim().parse().map_err(|_| sentence)?;
    let year: i32 = year.trim().parse().map_err(|_| sentence)?;
    // Two digits are what is printed on a card.
    let year = if year < 100 { 2000 + year } else { year };
    if !(1..=12).contains(&month) || !(2000..=2100).contains(&year) {
        return Err(sentence.to_owned());
    }
    Ok(Expiry { year, month })
}

/// The check digit of ISO/IEC 7812-1.
fn luhn(digits: &str) -> bool {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(position, byte)| {
            let digit = u32::from(byte - b'0');
            match (position % 2, digit) {
                (0, digit) => digit,
                (_, digit) if digit > 4 => digit * 2 - 9,
                (_, digit) => digit * 2,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

fn brand_of(digits: &str) -> &'static str {
    match digits.as_bytes() {
        [b'4', ..] => "Visa",
        [b'5', b'1'..=b'5', ..] | [b'2', b'2'..=b'7', ..] => "Mastercard",
        [b'3', b'4' | b'7', ..] => "American Express",
        _ => "Card",
    }
}

/// The month of a moment, in UTC. The civil date is computed as in Howard Hinnant's `civil_from_days`.
#[must_use]
pub fn month_of(millis: i64) -> Expiry {
    let days = millis.div_euclid(86_400_000) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    Expiry { year: i32::try_from(year).unwrap_or(i32::MAX), month: u32::try_from(month).unwrap_or(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 15 June 2025.
    const NOW: i64 = 1_749_945_600_000;

    #[test]
    fn knows_the_month() {
        assert_eq!(month_of(0), Expiry { year: 1970, month: 1 });
        assert_eq!(month_of(NOW), Expiry { year: 2025, month: 6 });
        assert_eq!(month_of(1_709_164_800_000), Expiry { year: 2024, month: 2 });
        assert_eq!(month_of(-1), Expiry { year: 1969, month: 12 });
    }

    #[test]
    fn checks_and_hides() {
        let card = Card::check("4242 4242-4242 4242", "12/30", NOW).unwrap();
        assert_eq!(card.kind(), CardKind::Good);
        assert_eq!(card.face(), CardFace { brand: "Visa".to_owned(), last_four: "4242".to_owned() });
        assert!(!format!("{card:?}").contains("42424242"));
        for number in ["0000002", "0009995", "0000119", "0000127", "0000259", "0000077", "0000341"] {
            let kind = Card::check(&format!("400000000{number}"), "", NOW).unwrap().kind();
            assert_ne!(kind, CardKind::Stranger, "{number}");
            assert_eq!(CardKind::from_name(kind.name()), kind);
        }
        assert_eq!(Card::check("4111 1111 1111 1111", "01/2030", NOW).unwrap().kind(), CardKind::Stranger);
        assert!(Card::check("4242424242424242", "06/25", NOW).is_ok(), "valid to the end of its month");
    }

    #[test]
    fn refuses_with_a_sentence() {
        for (number, expiry) in [
            ("4242424242424241", "01/30"),
            ("", "01/30"),
            ("42", "01/30"),
            ("4242x242424242424", "01/30"),
            ("4242424242424242", "13/30"),
            ("4242424242424242", "00/30"),
            ("4242424242424242", "1230"),
            ("4242424242424242", "01/99999999999999999999"),
            ("4242424242424242", "-1/30"),
            ("4242424242424242", "/"),
            ("4242424242424242", "05/25"),
        ] {
            let sentence = Card::check(number, expiry, NOW).unwrap_err();
            assert!(sentence.ends_with('.') && !sentence.contains("4242"), "{sentence}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(number in "([0-9]{12,20}|\\PC{0,60})", expiry in "([0-9]{0,3}/[0-9]{0,5}|\\PC{0,12})", now in any::<i64>()) {
            let _ = Card::check(&number, &expiry, now);
        }
    }
}
