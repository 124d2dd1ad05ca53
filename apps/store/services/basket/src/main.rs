//! Runs the basket service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(basket::service)
}
