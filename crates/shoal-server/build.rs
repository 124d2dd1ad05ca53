//! Generates the control API and its client from their description.

use shoal_build::{BuildError, calls, contracts};

/// What the `shoal` command calls.
const METHODS: [&str; 10] =
    ["Up", "Events", "Status", "Scale", "Restart", "Logs", "AddFault", "RemoveFault", "ListFaults", "Down"];

fn main() -> Result<(), BuildError> {
    contracts("proto").try_generate()?;
    calls("proto", "crate").service("shoal.control.v1.Control", &METHODS).try_generate()
}
