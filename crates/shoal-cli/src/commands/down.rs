//! `shoal down`: stops everything, draining first.

use crate::application::Application;
use crate::application::patient;
use crate::args::Where;
use crate::failure::Failure;
use shoal_sdk::{Call, Code};
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
    stop(&application, control).await
}

/// Asks for the end and tells of it until the supervisor is gone too.
pub async fn stop(application: &Application, control: Arc<dyn Control>) -> Result<(), Failure> {
    let mut after = match control.down(&Call::new(), DownRequest::default()).await {
        Ok(response) => response.place,
        // Somebody else's `down` was first.
        Err(error) if error.code == Code::Unavailable => return ended(application).await,
        Err(error) => return Err(error.into()),
    };
    loop {
        let request = EventsRequest { after, wait_ms: PATIENCE_MS, ..Default::default() };
        // When it answers no more, it is about to end.
        let Ok(news) = control.events(&patient(), request).await else { break };
        after = news.next;
        for event in news.events {
            anstream::println!("{}", event.text);
        }
    }
    ended(application).await
}

async fn ended(application: &Application) -> Result<(), Failure> {
    shoal_server::until_ended(&application.folders)
        .await
        .map_err(|error| Failure::because("the supervisor's end cannot be awaited", error))?;
    anstream::println!("Stopped.");
    Ok(())
}
