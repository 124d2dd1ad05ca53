//! Runs the payment service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(payment::service)
}
