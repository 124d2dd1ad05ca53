//! The store's shipping service.
