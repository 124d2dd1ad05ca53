//! Runs the storefront service.
fn main() {}
