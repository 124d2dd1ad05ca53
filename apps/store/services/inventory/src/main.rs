//! Runs the inventory service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(inventory::service)
}
