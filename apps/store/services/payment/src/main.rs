//! Runs the payment service.
fn main() {}
