//! Tests of the crate from outside: sample manifests, places, the schema, pages, and input that nobody wrote.
//!
//! Never: checks a manifest's text against a machine; whether files and addresses are there is the server's to find.

// A test that cannot go on may panic, in helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod arbitrary;
mod pages;
mod places;
mod samples;
mod schema;
