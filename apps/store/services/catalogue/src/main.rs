//! Runs the catalogue service.
fn main() {}
