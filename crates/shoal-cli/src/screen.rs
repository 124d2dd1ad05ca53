//! What every verb prints alike: JSON, sizes, spans, and whether to colour.

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// The exit status when standard output was closed: as a shell reports it of others.
const UNHEARD: i32 = 141;

/// Prints a line to standard output. Ends the command, as it does others, when nobody reads any more (`shoal logs | head`).
#[macro_export]
macro_rules! say {
    ($($words:tt)*) => { $crate::screen::line(format_args!($($words)*)) };
}

/// What [`say!`] does.
pub fn line(words: std::fmt::Arguments<'_>) {
    let mut out = anstream::stdout().lock();
    if let Err(error) = writeln!(out, "{words}").and_then(|()| out.flush()) {
        unheard(&error);
    }
}

/// Ends the command when what it has to say cannot be written: quietly when nobody reads any more.
fn unheard(error: &io::Error) -> ! {
    if error.kind() != io::ErrorKind::BrokenPipe {
        // Nothing is left to do if this cannot be written either.
        let _ = writeln!(anstream::stderr(), "error: standard output cannot be written: {error}");
    }
    std::process::exit(UNHEARD);
}

/// Prints text as it is to standard output.
pub fn raw(text: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text).and_then(|()| out.flush()) {
        unheard(&error);
    }
}

/// Prints a value as indented JSON.
///
/// # Errors
/// When it cannot be encoded.
pub fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| Failure::because("failed to print JSON", error))?;
    crate::say!("{text}");
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
