//! Runs the greeter.
fn main() -> std::process::ExitCode {
    shoal_sdk::run(shoal_sdk_example::service)
}
