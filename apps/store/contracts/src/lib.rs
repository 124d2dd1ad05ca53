//! The store's contracts: what its services promise one another.
