//! Generates the contracts of the example, and the client of one of its services. In an application the contracts are a
//! crate of their own; here one crate is both sides.

use std::process::ExitCode;

fn main() -> ExitCode {
    if shoal_build::contracts("example").generate() != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    shoal_build::calls(".", "crate::contracts")
        .service("example.greeter.v1.Greeter", &["Greet", "Wait", "Ponder", "Fail", "Echo"])
        .generate()
}
