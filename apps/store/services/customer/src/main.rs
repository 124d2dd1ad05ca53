//! Runs the customer service.
fn main() {}
