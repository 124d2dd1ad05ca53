//! Runs the catalogue service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(catalogue::service)
}
