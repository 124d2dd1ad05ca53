//! Runs the checkout service.
fn main() {}
