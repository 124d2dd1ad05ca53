//! `shoal down`: stops everything, draining first.

use crate::application::Application;
use crate::args::Where;
use crate::failure::Failure;
use crate::application::patient;
use shoal_sdk::Call;
use shoal_server::api::{ControlClient as Control, DownRequest, EventsRequest};
use std::sync::Arc;

/// How long one question for news waits.
const PATIENCE_MS: u32 = 10_000;

/// Stops the application at `at`, also one whose supervisor was killed.
pub async fn run(at: &Where) -> Result<(), Failure> {
    let application = Application::at(at)?;
    let control = match application.try_control().await? {
        Some(control) => control,
        None if !shoal_server::has_leftovers(&application.folders) => {
            anstream::println!("{} is not running.", application.folders.application.display());
            return Ok(());
        }
        // Whatever its supervisor left running is found, and stopped, by a new one.
        None => {
            shoal_server::start(&application.folders)
                .await
                .map_err(|error| Failure::because("what still runs could not be stopped", error))?;
            application.control().await?
        }
    };
    stop(control).await
}

/// Asks for the end and tells of it until the supervisor is gone too.
pub async fn stop(control: Arc<dyn Control>) -> Result<(), Failure> {
    let mut after = control.down(&Call::new(), DownRequest::default()).await?.place;
    loop {
        let request = EventsRequest { after, wait_ms: PATIENCE_MS, ..Default::default() };
        // The socket's end is the end: the supervisor takes it away last.
        let Ok(news) = control.events(&patient(), request).await else {
            anstream::println!("Stopped.");
            return Ok(());
        };
        after = news.next;
        for event in news.events {
            anstream::println!("{}", event.text);
        }
    }
}
