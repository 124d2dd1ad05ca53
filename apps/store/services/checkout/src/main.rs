//! Runs the checkout service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(checkout::service)
}
