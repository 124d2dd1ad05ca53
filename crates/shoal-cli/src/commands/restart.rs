//! `shoal restart`: replaces replicas one at a time.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::screen;
use shoal_sdk::Call;
use shoal_server::api::RestartRequest;

/// Asks for the restart; the replicas change while the application goes on.
pub async fn run(at: &Where, services: Vec<String>, json: bool) -> Result<(), Failure> {
    let control = Application::at(at)?.control().await?;
    let named = if services.is_empty() { "all services".to_owned() } else { services.join(", ") };
    let response = control.restart(&Call::new(), RestartRequest { services, ..Default::default() }).await?;
    if json {
        return screen::json(&response);
    }
    crate::say!("Restarting {named}: {} replicas, one at a time per service.", response.replicas);
    Ok(())
}
