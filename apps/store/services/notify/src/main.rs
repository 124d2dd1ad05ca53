//! Runs the notify service.
fn main() {}
