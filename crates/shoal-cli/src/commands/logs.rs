//! `shoal logs`: what services wrote, one or all, now or as it comes.

use crate::application::Application;
use crate::application::patient;
use crate::args::Logs;
use crate::commands::down;
use crate::failure::Failure;
use shoal_sdk::Code;
use shoal_server::api::{ControlClient as Control, LogLine, LogsRequest};
use std::sync::Arc;

/// How long one question for lines waits when following.
const PATIENCE_MS: u32 = 10_000;

/// Prints log lines.
pub async fn run(logs: Logs) -> Result<(), Failure> {
    let application = Application::at(&logs.at)?;
    let control = application.control().await?;
    let print: fn(&LogLine) -> Result<(), Failure> = if logs.json { print_json } else { print_line };
    read(&application, &control, logs.services, logs.lines, logs.follow, print).await
}

/// Reads lines and hands them to `print`; when following, until the application was stopped.
pub async fn read(
    application: &Application,
    control: &Arc<dyn Control>,
    services: Vec<String>,
    lines: u32,
    follow: bool,
    mut print: impl FnMut(&LogLine) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor = String::new();
    loop {
        let wait_ms = if cursor.is_empty() { 0 } else { PATIENCE_MS };
        let request = LogsRequest { services: services.clone(), lines, cursor, wait_ms, ..Default::default() };
        let response = match control.logs(&patient(), request).await {
            Err(error) if follow && error.code == Code::Unavailable => return down::ended(application).await,
            response => response?,
        };
        response.lines.iter().try_for_each(&mut print)?;
        if !follow {
            return Ok(());
        }
        cursor = response.cursor;
    }
}

/// `catalogue-1 │ what it wrote`, in the replica's own colour; standard error is told apart by its mark.
pub fn print_line(line: &LogLine) -> Result<(), Failure> {
    let style = anstyle::Ansi256Color(color_of(&line.replica)).on_default();
    let mark = if line.stream == "stderr" { '┆' } else { '│' };
    crate::say!("{style}{:<14} {mark}{style:#} {}", line.replica, line.text);
    Ok(())
}

fn print_json(line: &LogLine) -> Result<(), Failure> {
    let text = serde_json::to_string(line).map_err(|error| Failure::because("failed to print JSON", error))?;
    crate::say!("{text}");
    Ok(())
}

/// One of a dozen colours that can be read on light and on dark.
fn color_of(replica: &str) -> u8 {
    const COLORS: [u8; 12] = [33, 37, 64, 67, 71, 97, 130, 132, 136, 166, 168, 172];
    let service = replica.rsplit_once('-').map_or(replica, |(service, _)| service);
    let sum = service.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    COLORS[sum % COLORS.len()]
}

#[cfg(test)]
mod tests {
    use super::color_of;

    #[test]
    fn replicas_of_one_service_have_one_colour() {
        assert_eq!(color_of("catalogue-1"), color_of("catalogue-27"));
        assert_eq!(color_of("stock-room-1"), color_of("stock-room-2"));
        let colours: std::collections::BTreeSet<u8> =
            ["basket-1", "catalogue-1", "checkout-1", "customer-1", "orders-1"].into_iter().map(color_of).collect();
        assert!(colours.len() >= 3, "{colours:?}");
        color_of(""); // whatever comes in
    }
}
