//! Runs the shipping service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(shipping::service)
}
