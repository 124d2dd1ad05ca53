//! The store's customer service.
