//! Generates the messages, traits and servers of the store's contracts. Never: a client; callers generate what they use.

fn main() -> std::process::ExitCode {
    shoal_build::contracts("store").generate()
}
