//! Runs the storefront service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(storefront::service)
}
