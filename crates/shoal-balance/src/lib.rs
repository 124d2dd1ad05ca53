//! Pure load balancing: which endpoint takes the next request.
