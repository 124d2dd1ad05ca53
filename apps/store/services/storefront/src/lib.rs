//! The store's storefront service.
