//! The store's payment service.
