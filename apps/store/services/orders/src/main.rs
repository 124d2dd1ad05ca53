//! Runs the orders service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(orders::service)
}
