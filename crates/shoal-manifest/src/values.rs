//! The kinds of value that tables are made of: texts, numbers, lists, named things, spans of time, free settings.
//!
//! Never: accepts a value without a limit on its size.

use crate::Code;
use crate::diagnostic::Problems;
use crate::read::{At, LIST, Read, join, wrong_type};
use crate::words::shown;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The longest text, in bytes. A program's argument or variable may be longer, but nobody writes that by hand.
const TEXT_MAX: usize = 32 * 1024;
/// The most entries of one list or map. The largest of them, routes, is checked where it is read.
const ENTRIES_MAX: usize = 10_000;

impl Read for String {
    const KIND: &'static str = "a text";
    const FORM: &'static str = "\"text\"";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        if text.len() > TEXT_MAX {
            let message = format!("`{path}` has {} bytes, at most {TEXT_MAX} are allowed", text.len());
            problems.add(Code::PastLimit, &value.span(), message, "keep long texts in a file of the service");
            return None;
        }
        if text.contains('\0') {
            let message = format!("`{path}` holds a NUL character");
            problems.add(Code::NulCharacter, &value.span(), message, "remove `\\u0000`: no program can be given one");
            return None;
        }
        Some(text.to_string())
    }
}

impl Read for bool {
    const KIND: &'static str = "true or false";
    const FORM: &'static str = "true";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Boolean(boolean) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        Some(*boolean)
    }
}

/// A whole number of the manifest. Where it must lie within bounds, whoever uses it says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Count(pub i64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            i64::MIN | i64::MAX => f.write_str("far out of range"),
            number => write!(f, "{number}"),
        }
    }
}

impl Read for Count {
    const KIND: &'static str = "a whole number";
    const FORM: &'static str = "3";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Integer(integer) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        let digits = integer.as_str();
        // More digits than an i64 holds are as far past every bound as its ends are.
        let end = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
        Some(Self(i64::from_str_radix(digits, integer.radix()).unwrap_or(end)))
    }
}

impl JsonSchema for Count {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Count".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0 })
    }
}

impl<T: Read> Read for Vec<At<T>> {
    const KIND: &'static str = LIST;
    const FORM: &'static str = "[ … ]";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Array(items) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        if too_many(items.len(), value, path, problems) {
            return None;
        }
        let read = |(index, item): (usize, &Spanned<DeValue<'_>>)| {
            let value = T::read(item, &format!("{path}[{index}]"), problems)?;
            Some(At { key: item.span(), span: item.span(), value })
        };
        Some(items.iter().enumerate().filter_map(read).collect())
    }
}

fn too_many(count: usize, value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> bool {
    if count > ENTRIES_MAX {
        let message = format!("`{path}` has {count} entries, at most {ENTRIES_MAX} are allowed");
        problems.add(Code::PastLimit, &value.span(), message, "remove entries");
    }
    count > ENTRIES_MAX
}

/// Things by a name that the manifest chooses, in the order of the names.
#[derive(Debug)]
pub(crate) struct Named<T>(pub Vec<(String, At<T>)>);

impl<T: Read> Read for Named<T> {
    const KIND: &'static str = "a table";
    const FORM: &'static str = "{ name = … }";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        if too_many(table.len(), value, path, problems) {
            return None;
        }
        let read = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
            // What a thing lacks is shown at its name, which is shorter than the whole of it and never elsewhere.
            let named = Spanned::new(key.span(), value.get_ref().clone());
            let place = if value.get_ref().is_table() { &named } else { value };
            let read = T::read(place, &join(path, key.get_ref()), problems)?;
            Some((key.get_ref().to_string(), At { key: key.span(), span: value.span(), value: read }))
        };
        Some(Self(table.iter().filter_map(read).collect()))
    }
}

impl<T: JsonSchema> JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Named_{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let each = generator.subschema_for::<T>();
        json_schema!({ "type": "object", "additionalProperties": each })
    }
}

/// A span of time: a whole number and `ms`, `s`, `m` or `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeSpan(pub Duration);

impl TimeSpan {
    fn parse(text: &str) -> Option<Self> {
        let unit_start = text.find(|character: char| !character.is_ascii_digit())?;
        let number: u64 = text[..unit_start].parse().ok()?;
        let milliseconds: u64 = match &text[unit_start..] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 60 * 60 * 1000,
            _ => return None,
        };
        Some(Self(Duration::from_millis(number.checked_mul(milliseconds)?)))
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = self.0.as_millis();
        let units = [(60 * 60 * 1000, "h"), (60 * 1000, "m"), (1000, "s")];
        let exact = units.into_iter().find(|(unit, _)| milliseconds >= *unit && milliseconds.is_multiple_of(*unit));
        let (unit, name) = exact.unwrap_or(if milliseconds == 0 { (1, "s") } else { (1, "ms") });
        write!(f, "{}{name}", milliseconds / unit)
    }
}

impl Read for TimeSpan {
    const KIND: &'static str = "a span of time";
    const FORM: &'static str = "\"10s\"";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::String(text) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        let span = Self::parse(text);
        if span.is_none() {
            let message = format!("`{path}` is {}, which is not a span of time", shown(text));
            let mend = "write a whole number and a unit: `\"500ms\"`, `\"10s\"`, `\"2m\"` or `\"1h\"`";
            problems.add(Code::BadDuration, &value.span(), message, mend);
        }
        span
    }
}

impl JsonSchema for TimeSpan {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TimeSpan".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h)$" })
    }
}

/// A table that only the service understands.
#[derive(Debug)]
pub(crate) struct Settings(pub serde_json::Map<String, serde_json::Value>);

impl Read for Settings {
    const KIND: &'static str = "a table";
    const FORM: &'static str = "{ key = value }";

    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            wrong_type::<Self>(value, path, problems);
            return None;
        };
        json_table(table, path, problems).map(Self)
    }
}

impl JsonSchema for Settings {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Settings".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}

fn json_table(
    table: &DeTable<'_>,
    path: &str,
    problems: &mut Problems,
) -> Option<serde_json::Map<String, serde_json::Value>> {
    let entry = |(key, value): (&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        Some((key.get_ref().to_string(), json(value, &join(path, key.get_ref()), problems)?))
    };
    // All of them are read before a problem counts, so that each is told.
    let entries: Vec<_> = table.iter().map(entry).collect();
    entries.into_iter().collect()
}

/// The value as JSON; dates become texts. The parser limits how deep values nest.
fn json(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<serde_json::Value> {
    let number = match value.get_ref() {
        DeValue::String(text) => return Some(text.to_string().into()),
        DeValue::Boolean(boolean) => return Some((*boolean).into()),
        DeValue::Datetime(datetime) => return Some(datetime.to_string().into()),
        DeValue::Table(table) => {
            return json_table(table, path, problems).map(serde_json::Value::Object);
        }
        DeValue::Array(items) => {
            let items: Vec<_> = items.iter().map(|item| json(item, path, problems)).collect();
            return items.into_iter().collect::<Option<_>>().map(serde_json::Value::Array);
        }
        DeValue::Integer(integer) => {
            i64::from_str_radix(integer.as_str(), integer.radix()).ok().map(serde_json::Number::from)
        }
        DeValue::Float(float) => float.as_str().parse().ok().and_then(serde_json::Number::from_f64),
    };
    if number.is_none() {
        let message = format!("`{path}` is a number that JSON, in which settings are handed over, cannot hold");
        let mend = "use a smaller number, or put it in quotes";
        problems.add(Code::PastLimit, &value.span(), message, mend);
    }
    number.map(serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::TimeSpan;
    use std::time::Duration;

    #[test]
    fn spans_of_time_need_a_unit() {
        assert_eq!(TimeSpan::parse("500ms"), Some(TimeSpan(Duration::from_millis(500))));
        assert_eq!(TimeSpan::parse("2m"), Some(TimeSpan(Duration::from_secs(120))));
        for text in ["0s", "250ms", "90s", "5m", "2h"] {
            assert_eq!(TimeSpan::parse(text).unwrap().to_string(), text);
        }
        for wrong in ["", "10", "s", "-1s", "1.5s", "1 s", "10S", "99999999999999999h", "1é"] {
            assert_eq!(TimeSpan::parse(wrong), None, "{wrong}");
        }
    }
}
