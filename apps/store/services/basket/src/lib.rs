//! The store's basket service.
