//! Runs the shipping service.
fn main() {}
