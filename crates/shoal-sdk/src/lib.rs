//! What a Rust service may link: serve, call, health, settings, database.
