//! Generates the bench's contract twice: for the SDK, and for tonic.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    if shoal_build::contracts("contracts").generate() != ExitCode::SUCCESS {
        return ExitCode::FAILURE;
    }
    if shoal_build::calls(".", "crate::contracts").service("contracts.echo.v1.Echo", &["Say"]).generate()
        != ExitCode::SUCCESS
    {
        return ExitCode::FAILURE;
    }
    match for_tonic() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=the code for tonic cannot be generated: {error}");
            ExitCode::FAILURE
        }
    }
}

fn for_tonic() -> Result<(), Box<dyn Error>> {
    let files = protox::compile(["contracts/echo/v1/echo.proto"], ["."])?;
    let folder = Path::new(&std::env::var("OUT_DIR")?).join("tonic");
    std::fs::create_dir_all(&folder)?;
    Ok(tonic_prost_build::configure().out_dir(folder).compile_fds(files)?)
}
