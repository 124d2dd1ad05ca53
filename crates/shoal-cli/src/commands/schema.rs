//! `shoal schema`: the JSON Schema of the manifest.

use crate::failure::Failure;
use crate::screen;

/// Prints the schema.
pub fn run() -> Result<(), Failure> {
    screen::json(&shoal_manifest::schema())
}
