//! The store's contracts: what its services promise one another. Messages, one trait for each Protobuf service, and its
//! server, all generated from the `.proto` files beside this crate's `src`. Never: logic; only what crosses a boundary.

shoal_sdk::include_contracts!();
