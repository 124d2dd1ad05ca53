//! The store's inventory service.
