//! Runs the basket service.
fn main() {}
