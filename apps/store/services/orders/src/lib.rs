//! The store's orders service.
