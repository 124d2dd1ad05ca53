//! Requests in, a ready replica's answer out.
