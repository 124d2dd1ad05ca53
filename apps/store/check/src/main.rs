//! `store-check`: judges the store from outside, while things fail on purpose.

use std::process::ExitCode;

fn main() -> ExitCode {
    store_check::main()
}
