//! What every verb prints alike: JSON, sizes, spans, and whether to colour.

use crate::failure::Failure;
use serde::Serialize;
use std::io::IsTerminal;

/// Prints a value as indented JSON.
///
/// # Errors
/// When it cannot be encoded.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::because("failed to print JSON", error))?;
    anstream::println!("{text}");
    Ok(())
}

/// Whether standard error takes colours.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && anstream::AutoStream::choice(&std::io::stderr()) != anstream::ColorChoice::Never
}

/// Bytes as a person reads them: `1.5 MB`.
pub fn bytes(count: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let count = count as f64;
    match count {
        ..1e3 => format!("{count:.0} B"),
        1e3..1e6 => format!("{:.0} kB", count / 1e3),
        1e6..1e9 => format!("{:.1} MB", count / 1e6),
        _ => format!("{:.1} GB", count / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn bytes_are_readable() {
        let shown: Vec<String> = [0, 999, 1_500, 12_345_678, 3_000_000_000].into_iter().map(bytes).collect();
        assert_eq!(shown, ["0 B", "999 B", "2 kB", "12.3 MB", "3.0 GB"]);
    }
}
