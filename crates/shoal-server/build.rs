//! Generates the control API and its client from their description.

use shoal_build::{BuildError, calls, contracts};

fn main() -> Result<(), BuildError> {
    contracts("proto").try_generate()?;
    calls("proto", "crate")
        .service("shoal.control.v1.Control", &["Up", "Events", "Status", "Scale", "Restart", "Logs", "Down"])
        .try_generate()
}
