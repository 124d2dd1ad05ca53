//! Reads values out of a TOML tree, keeping where each was, and goes on after a problem so that all are told at once.
//!
//! Never: decides what a value means; that is for whoever turns the tables into the model.

use crate::Code;
use crate::diagnostic::Problems;
use crate::words::{and_list, closest, shown};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::borrow::Cow;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value, where it is, and where its key is.
#[derive(Debug)]
pub(crate) struct At<T> {
    pub key: Range<usize>,
    pub span: Range<usize>,
    pub value: T,
}

/// A type that a value of the manifest can be read as.
pub(crate) trait Read: Sized {
    /// What it is, with its article: `a text`.
    const KIND: &'static str;
    /// How one is written.
    const FORM: &'static str;

    /// Reads the value at `path`; `None` after a problem was reported.
    fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self>;
}

/// Reports that a value is not of the type that is read.
pub(crate) fn wrong_type<T: Read>(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) {
    let is = match value.get_ref() {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    let mend = match value.get_ref() {
        DeValue::Integer(integer) if T::KIND == <String as Read>::KIND => {
            format!("put it in quotes: \"{}\"", shown(&integer.to_string()).replace('`', ""))
        }
        DeValue::String(text) if T::KIND == LIST => {
            format!("put it in brackets: [\"{}\"]", shown(text).replace('`', ""))
        }
        DeValue::Table(_) if T::KIND == LIST => "put it in brackets: [{ … }]".to_owned(),
        _ => format!("write it as {}", T::FORM),
    };
    let message = format!("`{path}` must be {}, not {is}", T::KIND);
    problems.add(Code::WrongType, &value.span(), message, mend);
}

/// What a list is called.
pub(crate) const LIST: &str = "a list";

/// Reads one key of a table; `required` is an example of it when it must be there.
pub(crate) fn field<T: Read>(
    table: &DeTable<'_>,
    parent: &Parent<'_>,
    name: &str,
    required: Option<&str>,
    problems: &mut Problems,
) -> Option<At<T>> {
    let name = name.replace('_', "-");
    let path = join(parent.path, &name);
    let Some((key, value)) = table.get_key_value(name.as_str()) else {
        if let Some(example) = required {
            let place = if parent.path.is_empty() { "the manifest".to_owned() } else { format!("`{}`", parent.path) };
            let message = format!("{place} lacks `{name}`");
            problems.add(Code::MissingKey, &parent.span, message, format!("add `{example}`"));
        }
        return None;
    };
    let value_read = T::read(value, &path, problems)?;
    Some(At { key: key.span(), span: value.span(), value: value_read })
}

/// The table whose keys are read.
pub(crate) struct Parent<'a> {
    /// Its path, empty for the manifest itself.
    pub path: &'a str,
    /// Where to point when a key is missing.
    pub span: Range<usize>,
}

/// Reports every key that is not among the known ones, which are written with `_` for `-`.
pub(crate) fn unknown_keys(table: &DeTable<'_>, what: &str, known: &[&str], problems: &mut Problems) {
    let known: Vec<String> = known.iter().map(|name| name.replace('_', "-")).collect();
    for key in table.keys().filter(|key| known.iter().all(|known| known != key.get_ref())) {
        let message = format!("{} is not a key of {what}", shown(key.get_ref()));
        let mend = match closest(key.get_ref(), known.iter().map(String::as_str)) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => format!("{what} takes {}", and_list(&known)),
        };
        problems.add(Code::UnknownKey, &key.span(), message, mend);
    }
}

/// `services` and `basket` to `services.basket`; a strange key is shortened.
pub(crate) fn join(path: &str, key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let key = if key.len() <= 60 && key.bytes().all(plain) {
        Cow::Borrowed(key)
    } else {
        Cow::Owned(shown(key).replace('`', "\""))
    };
    if path.is_empty() { key.into_owned() } else { format!("{path}.{key}") }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Declares a table of the manifest: its struct, how it is read, and (through its doc comments) its JSON Schema.
/// A field is a key with `-` for `_`; `= required` marks those that must be there, with an example to show when not.
macro_rules! table {
    (
        $(#[$doc:meta])*
        struct $name:ident, $what:literal {
            $($(#[$field_doc:meta])* $field:ident: $type:ty $(= $required:ident $example:literal)?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, schemars::JsonSchema)]
        #[schemars(rename_all = "kebab-case", deny_unknown_fields)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $(#[schemars($required)])? pub(crate) $field: Option<At<$type>>,)*
        }

        impl Read for $name {
            const KIND: &'static str = "a table";
            const FORM: &'static str = "{ … }";

            fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
                let DeValue::Table(table) = value.get_ref() else {
                    wrong_type::<Self>(value, path, problems);
                    return None;
                };
                unknown_keys(table, $what, &[$(stringify!($field)),*], problems);
                let parent = Parent { path, span: value.span() };
                Some(Self {
                    $($field: field(
                        table,
                        &parent,
                        stringify!($field),
                        None$(.or(Some($example)))?,
                        problems,
                    ),)*
                })
            }
        }
    };
}

/// Declares a text that is one of a few words.
macro_rules! word {
    ($(#[$doc:meta])* enum $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema)]
        pub(crate) enum $name {
            $($(#[$word_doc])* #[schemars(rename = $word)] $variant,)*
        }

        impl Read for $name {
            const KIND: &'static str = "one of a few words";
            const FORM: &'static str = concat!("a text:", $(" \"", $word, "\""),*);

            fn read(value: &Spanned<DeValue<'_>>, path: &str, problems: &mut Problems) -> Option<Self> {
                let DeValue::String(text) = value.get_ref() else {
                    wrong_type::<Self>(value, path, problems);
                    return None;
                };
                match text.as_ref() {
                    $($word => Some(Self::$variant),)*
                    other => {
                        let message = format!("`{path}` cannot be {}", shown(other));
                        let mend = match closest(other, [$($word),*]) {
                            Some(closest) => format!("did you mean `{closest}`?"),
                            None => format!("it can be {}", and_list(&[$($word),*])),
                        };
                        problems.add(Code::UnknownWord, &value.span(), message, mend);
                        None
                    }
                }
            }
        }
    };
}

pub(crate) use {table, word};
