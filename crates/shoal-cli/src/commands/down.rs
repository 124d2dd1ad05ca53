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
            crate::say!("{} is not running.", application.folders.application.display());
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
        // Somebody else's `down` was first, or it was killed.
        Err(error) if error.code == Code::Unavailable => return ended(application).await,
        Err(error) => return Err(error.into()),
    };
    loop {
        let request = EventsRequest { after, wait_ms: PATIENCE_MS, ..Default::default() };
        // When it answers no more, it is about to end.
        let Ok(news) = control.events(&patient(), request).await else { break };
        after = news.next;
        let is_over = news.events.iter().any(|event| event.kind == "stopped");
        for event in news.events.iter().filter(|event| event.kind != "stopped") {
            crate::say!("{}", event.text);
        }
        if is_over {
            break;
        }
    }
    ended(application).await
}

/// Waits for the supervisor's end and says what it came to: one that was killed leaves running what it ran.
pub async fn ended(application: &Application) -> Result<(), Failure> {
    shoal_server::until_ended(&application.folders)
        .await
        .map_err(|error| Failure::because("the supervisor's end cannot be awaited", error))?;
    let folder = application.folders.application.display();
    if application.try_control().await?.is_some() {
        return Err(Failure::new(format!("{folder} was started again meanwhile; `shoal status` shows it")));
    }
    if shoal_server::has_leftovers(&application.folders) {
        return Err(Failure::new(format!(
            "the supervisor of {folder} has ended, and what it ran may still run; `shoal down` stops it, `shoal up` takes it over"
        )));
    }
    crate::say!("Stopped.");
    Ok(())
}
