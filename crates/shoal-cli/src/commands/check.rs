//! `shoal check`: the manifest, without running anything.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::screen;

/// Reads the manifest and says what is wrong with it, all at once.
pub fn run(at: &Where, json: bool) -> Result<(), Failure> {
    let folders = Application::at(at)?.folders;
    let found = shoal_server::read_manifest(&folders);
    if json {
        let diagnostics = found.as_ref().err();
        screen::json(&serde_json::json!({ "valid": found.is_ok(), "diagnostics": diagnostics }))?;
    }
    match found {
        Ok(manifest) => {
            if !json {
                let services = manifest.application.services.len();
                crate::say!("{}: {services} services, no problems", folders.manifest().display());
            }
            Ok(())
        }
        Err(diagnostics) if json => Err(Failure::new(diagnostics.to_string())),
        Err(diagnostics) => Err(Failure::rendered(diagnostics.render(screen::color()))),
    }
}
