//! Runs the notify service.

fn main() -> std::process::ExitCode {
    shoal_sdk::run(notify::service)
}
