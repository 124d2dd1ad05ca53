//! Runs the customer service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(customer::service)
}
