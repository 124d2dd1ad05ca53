//! Reads shoal.toml into an application, or diagnostics that point at the line.
