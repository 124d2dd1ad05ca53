//! The clients of the services that the storefront calls, generated from their contracts; `build.rs` lists the methods.

shoal_sdk::include_calls!();
