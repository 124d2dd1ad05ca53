//! The store's catalogue service.
