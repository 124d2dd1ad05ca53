//! Runs the orders service.
fn main() {}
