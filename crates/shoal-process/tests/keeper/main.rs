//! Stands in for the `shoal` executable in this crate's tests: it is a keeper or a shim, and nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("__keep") => shoal_process::keep(arguments),
        Some("__exec") => shoal_process::exec(arguments),
        _ => ExitCode::from(2),
    }
}
