//! Reads the logs of many replicas as one: in the order of time, from a cursor on, waiting when there is nothing new.

use crate::api::{LogLine, LogsResponse};
use shoal_model::{ReplicaName, ServiceName};
use shoal_process::logs::{self, Page, Stream};
use shoal_sdk::Error;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// How often files are looked at while waiting for lines.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The most lines of one replica in one answer.
const LINES_EACH_MAX: usize = 2_000;
/// The longest cursor that is read back, in bytes.
const CURSOR_MAX: usize = 1024 * 1024;

/// Where each replica's log was read up to.
type Cursors = BTreeMap<String, String>;

/// Reads logs under one state folder.
pub struct LogReader {
    state: PathBuf,
}

impl LogReader {
    /// A reader of the logs under `.shoal/`.
    #[must_use]
    pub fn new(state: PathBuf) -> Self {
        Self { state }
    }

    /// The newest `lines` of each replica, or what came after `cursor`; waits up to `patience` for the first.
    ///
    /// # Errors
    /// When the cursor is not one of ours, or a file cannot be read.
    pub async fn read(
        &self,
        services: &[ServiceName],
        cursor: &str,
        lines: u32,
        patience: Duration,
    ) -> Result<LogsResponse, Error> {
        let mut cursors = (!cursor.is_empty()).then(|| parse(cursor)).transpose()?;
        let until = Instant::now() + patience;
        loop {
            let found = self.look(services, cursors.as_ref(), lines).map_err(|error| {
                tracing::error!("a log cannot be read: {error}");
                Error::unavailable(format!("a log under {} cannot be read: {error}", self.state.display()))
            })?;
            if !found.0.is_empty() || Instant::now() >= until {
                return answer(found);
            }
            cursors = Some(found.1);
            tokio::time::sleep_until((Instant::now() + LOOK_EVERY).min(until)).await;
        }
    }

    fn look(
        &self,
        services: &[ServiceName],
        before: Option<&Cursors>,
        lines: u32,
    ) -> io::Result<(Vec<LogLine>, Cursors)> {
        let (mut found, mut cursors) = (Vec::new(), Cursors::new());
        for service in services {
            for replica in logs::replicas(&self.state, service)? {
                let page = self.page(&replica, before, lines)?;
                cursors.insert(replica.to_string(), page.cursor);
                found.extend(page.lines.into_iter().map(|line| LogLine {
                    replica: replica.to_string(),
                    at_ms: line.at.0,
                    stream: stream(line.stream).to_owned(),
                    text: line.text,
                    ..Default::default()
                }));
            }
        }
        found.sort_by_key(|line| line.at_ms); // stable: the lines of one replica stay in their order
        Ok((found, cursors))
    }

    fn page(&self, replica: &ReplicaName, before: Option<&Cursors>, lines: u32) -> io::Result<Page> {
        let path = logs::path(&self.state, replica);
        match before.map(|cursors| cursors.get(&replica.to_string())) {
            None => logs::last(&path, usize::try_from(lines).unwrap_or(usize::MAX)),
            // One that came up since is read from its beginning.
            Some(cursor) => logs::after(&path, cursor.map_or("", String::as_str), LINES_EACH_MAX),
        }
    }
}

fn answer((lines, cursors): (Vec<LogLine>, Cursors)) -> Result<LogsResponse, Error> {
    let cursor = serde_json::to_string(&cursors).map_err(|error| Error::internal(error.to_string()))?;
    Ok(LogsResponse { lines, cursor, ..Default::default() })
}

fn parse(cursor: &str) -> Result<Cursors, Error> {
    let refuse = || Error::invalid_argument("the cursor is not one that an earlier answer gave; begin without one");
    if cursor.len() > CURSOR_MAX {
        return Err(refuse());
    }
    serde_json::from_str(cursor).map_err(|_| refuse())
}

fn stream(stream: Stream) -> &'static str {
    match stream {
        Stream::Out => "stdout",
        Stream::Err => "stderr",
        Stream::Shoal => "shoal",
    }
}
