//! The wording of problems: texts of the manifest made safe to show, the closest known word, TOML's own complaints.
//!
//! Never: repeats a text of the manifest at a length that would fill a screen.

use crate::Code;
use crate::diagnostic::{Problems, position};
use std::collections::BTreeSet;

/// A text of the manifest in back quotes, shortened, and without characters that would disturb a terminal.
pub(crate) fn shown(text: &str) -> String {
    const LENGTH_MAX: usize = 60;
    let mut short: String = text.chars().take(LENGTH_MAX).flat_map(char::escape_debug).collect();
    short = short.replace("\\\"", "\"").replace("\\'", "'");
    if text.chars().nth(LENGTH_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// The known word that a person most likely meant; none when nothing is close.
pub(crate) fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Comparing costs the product of both lengths; nobody mistypes a word this long.
    if word.len() > 100 {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    let distance = |known: &str| strsim::damerau_levenshtein(&word, known);
    let allowed = |known: &str| known.len().max(word.chars().count()).div_ceil(3);
    let near = known.into_iter().map(|known| (distance(known), known));
    near.filter(|(distance, known)| *distance <= allowed(known)).min().map(|(_, known)| known)
}

/// `one`, `two` and `three`; of very many only the first.
pub(crate) fn and_list<T: std::fmt::Display>(words: &[T]) -> String {
    const LISTED_MAX: usize = 30;
    let mut quoted: Vec<String> = words.iter().take(LISTED_MAX).map(|word| format!("`{word}`")).collect();
    if words.len() > LISTED_MAX {
        quoted.push(format!("{} more", words.len() - LISTED_MAX));
    }
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// Reports what the TOML parser found; true when the tree it left is not to be trusted.
pub(crate) fn report_syntax(errors: &[toml::de::Error], text: &str, problems: &mut Problems) -> bool {
    // Finding a line costs a walk through the text, so that only so many can be looked at.
    const LOOKED_AT_MAX: usize = 200;
    let is_duplicate = |error: &toml::de::Error| error.message() == "duplicate key";
    let mut lines = BTreeSet::new();
    let mut reopened = BTreeSet::new();
    for error in errors.iter().take(LOOKED_AT_MAX) {
        let span = error.span().unwrap_or(0..0);
        let (line, _) = position(text, span.start);
        if is_duplicate(error) {
            let header = header_line(text, span.start);
            // What stands in a table that is opened again need not be told as well.
            if header == Some(line) {
                reopened.insert(line);
            } else if header.is_some_and(|header| reopened.contains(&header)) {
                continue;
            }
            let key = text.get(span.clone()).unwrap_or_default();
            let mend = "keep one of the two; a table such as `[services.basket]` may be opened only once";
            problems.add(Code::DuplicateKey, &span, format!("{} is given twice", shown(key)), mend);
        } else if lines.insert(line) {
            // One slip makes the parser stumble several times on the same line; the first says it best.
            let message = format!("this is not TOML: {}", error.message());
            problems.add(Code::Syntax, &span, message, syntax_mend(error.message()));
        }
    }
    problems.omitted += errors.len().saturating_sub(LOOKED_AT_MAX);
    !errors.iter().all(is_duplicate)
}

/// The line of the `[table]` that the byte is in or under.
fn header_line(text: &str, byte: usize) -> Option<usize> {
    let line_end = text[byte..].find('\n').map_or(text.len(), |length| byte + length);
    let header = text[..line_end].rfind("\n[").map(|newline| newline + 1).or(text.starts_with('[').then_some(0))?;
    Some(position(text, header).0)
}

fn syntax_mend(message: &str) -> &'static str {
    if message.contains("recurse") || message.contains("recursion") {
        "nest values less deeply"
    } else if message.contains("string") || message.contains("quot") {
        "put the text in quotes, as in `name = \"store\"`"
    } else {
        "write `key = value`, with texts in quotes, lists in `[ ]` and tables in `{ }`; see https://toml.io"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_word_is_suggested_only_when_close() {
        let known = ["calls", "calls-later", "replicas", "run"];
        assert_eq!(closest("replica", known), Some("replicas"));
        assert_eq!(closest("calls_later", known), Some("calls-later"));
        assert_eq!(closest("colour", known), None);
        assert_eq!(closest("日本語の", known), None);
        assert_eq!(closest(&"x".repeat(1000), known), None);
    }

    #[test]
    fn shown_texts_are_short_and_tame() {
        assert_eq!(shown("a\u{1b}[31m\n"), "`a\\u{1b}[31m\\n`");
        assert!(shown(&"é".repeat(10_000)).chars().count() < 70);
    }

    #[test]
    fn lists_read_as_a_sentence() {
        assert_eq!(and_list(&["a", "b", "c"]), "`a`, `b` and `c`");
        assert_eq!(and_list(&["a"]), "`a`");
    }
}
