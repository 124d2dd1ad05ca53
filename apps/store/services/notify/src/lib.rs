//! The store's notify service.
