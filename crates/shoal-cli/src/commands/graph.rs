//! `shoal graph`: who calls whom, as the manifest declares it.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::screen;
use serde_json::json;

/// Prints each service with what leads to it and what it calls.
pub fn run(at: &Where, as_json: bool) -> Result<(), Failure> {
    let folders = Application::at(at)?.folders;
    let manifest = shoal_server::read_manifest(&folders)
        .map_err(|diagnostics| Failure::rendered(diagnostics.render(screen::color())))?;
    let application = manifest.application;
    let routes = application.gateway.map(|gateway| gateway.routes).unwrap_or_default();
    if as_json {
        let services: Vec<_> = application
            .services
            .iter()
            .map(|(name, service)| json!({ "name": name, "purpose": service.purpose, "calls": service.calls }))
            .collect();
        return screen::json(&json!({ "application": application.name, "routes": routes, "services": services }));
    }
    let bold = anstyle::Style::new().bold();
    for route in &routes {
        let host = route.host.as_deref().unwrap_or("*");
        crate::say!("{host}{} → {bold}{}{bold:#}", route.path, route.service);
    }
    for (name, service) in &application.services {
        let purpose = service.purpose.as_deref().unwrap_or_default();
        crate::say!("{bold}{name}{bold:#}  {purpose}");
        for (position, callee) in service.calls.iter().enumerate() {
            let branch = if position + 1 == service.calls.len() { "└─" } else { "├─" };
            crate::say!("  {branch} {callee}");
        }
    }
    Ok(())
}
