//! The store's checkout service.
