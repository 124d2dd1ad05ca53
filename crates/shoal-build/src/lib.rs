//! Generates Rust for services from Protobuf descriptions, without protoc.
