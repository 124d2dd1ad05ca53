//! Wall-clock time as milliseconds, and its RFC 3339 text in log files. Never used to measure a span that decides.

use shoal_model::Millis;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in milliseconds since the Unix epoch; 0 for a clock set before it.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// The length of every text that [`text`] makes: `2026-11-22T03:10:05.123Z`.
pub(crate) const TEXT_LENGTH: usize = 24;

/// RFC 3339 with milliseconds, in UTC.
pub(crate) fn text(at: Millis) -> String {
    let (seconds, millis) = (at.0 / 1000, at.0 % 1000);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil_from_days(i64::try_from(days).unwrap_or(0));
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Reads back what [`text`] made.
pub(crate) fn parse(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let shape = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (23, b'Z')];
    if bytes.len() != TEXT_LENGTH || shape.iter().any(|&(at, sign)| bytes.get(at) != Some(&sign)) {
        return None;
    }
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u32>().ok();
    let days = days_from_civil(i64::from(number(0, 4)?), i64::from(number(5, 7)?), i64::from(number(8, 10)?));
    let seconds = days * 86_400 + i64::from(number(11, 13)? * 3600 + number(14, 16)? * 60 + number(17, 19)?);
    Some(Millis(u64::try_from(seconds).ok()? * 1000 + u64::from(number(20, 23)?)))
}

/// The Gregorian date of a day counted from 1970-01-01: years are taken from March on, so that the leap day comes last.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// The reverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        assert_eq!(text(Millis(0)), "1970-01-01T00:00:00.000Z");
        assert_eq!(text(Millis(951_782_400_001)), "2000-02-29T00:00:00.001Z");
        assert_eq!(text(Millis(1_795_317_005_123)), "2026-11-22T03:10:05.123Z");
        assert_eq!(parse("2026-11-22 03:10:05.123Z"), None);
        assert_eq!(parse(""), None);
    }

    proptest::proptest! {
        #[test]
        fn every_time_reads_back(at in 0u64..4_000_000_000_000) {
            proptest::prop_assert_eq!(parse(&text(Millis(at))), Some(Millis(at)));
        }
    }
}
