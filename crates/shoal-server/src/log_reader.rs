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
/// About the most text in one answer, in bytes: well below what a client takes in one message.
const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;
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
        let (mut found, mut cursors) = (Vec::<LogLine>::new(), Cursors::new());
        for service in services {
            for replica in logs::replicas(&self.state, service)? {
                if let Some(before) = before
                    && size(&found) >= ANSWER_BYTES_MAX
                {
                    // There is enough for one answer: the rest is read from the same place for the next.
                    cursors.extend(before.get_key_value(&replica.to_string()).map(|(a, b)| (a.clone(), b.clone())));
                    continue;
                }
                let page = self.page(&replica, before, lines)?;
                cursors.insert(replica.to_string(), page.cursor);
                found.extend(page.lines.into_iter().map(|line| LogLine {
                    replica: replica.to_string(),
                    at_ms: line.at.0,
                    stream: stream(line.stream).to_owned(),
                    text: line.text,
                    ..Default::default()
                }));
                if before.is_none() {
                    keep_newest(&mut found);
                }
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

fn size(lines: &[LogLine]) -> usize {
    lines.iter().map(size_of_line).sum()
}

/// What a line takes in an answer: its text, and about so much beside it.
fn size_of_line(line: &LogLine) -> usize {
    line.text.len() + 100
}

/// Drops the oldest lines that one answer cannot hold.
fn keep_newest(lines: &mut Vec<LogLine>) {
    let mut excess = size(lines).saturating_sub(ANSWER_BYTES_MAX);
    if excess == 0 {
        return;
    }
    lines.sort_by_key(|line| line.at_ms);
    let is_dropped = |line: &&LogLine| {
        let dropped = excess > 0;
        excess = excess.saturating_sub(size_of_line(line));
        dropped
    };
    let count = lines.iter().take_while(is_dropped).count();
    lines.drain(..count);
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn write(state: &std::path::Path, replica: &str, lines: &[(u32, &str)]) {
        let path = logs::path(state, &replica.parse().unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let is_new = !path.exists();
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
        if is_new {
            file.write_all(b"# shoal log 1 file 1\n").unwrap();
        }
        for (second, text) in lines {
            writeln!(file, "2026-11-22T03:10:{second:02}.000Z {text}").unwrap();
        }
    }

    fn texts(response: &LogsResponse) -> Vec<&str> {
        response.lines.iter().map(|line| line.text.as_str()).collect()
    }

    async fn read(state: &std::path::Path, cursor: &str, lines: u32) -> LogsResponse {
        let services = ["a".parse().unwrap(), "b".parse().unwrap()];
        LogReader::new(state.to_path_buf()).read(&services, cursor, lines, Duration::ZERO).await.unwrap()
    }

    #[tokio::test]
    async fn lines_of_all_replicas_come_in_the_order_of_time() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), "a-1", &[(1, "out one"), (4, "err four")]);
        write(state.path(), "b-1", &[(2, "out two"), (3, "shoal three")]);
        let first = read(state.path(), "", 10).await;
        assert_eq!(texts(&first), ["one", "two", "three", "four"]);
        let streams: Vec<&str> = first.lines.iter().map(|line| line.stream.as_str()).collect();
        assert_eq!(streams, ["stdout", "stdout", "shoal", "stderr"]);
        assert_eq!(texts(&read(state.path(), "", 1).await), ["three", "four"], "the newest of each");
    }

    #[tokio::test]
    async fn a_cursor_goes_on_and_a_new_replica_is_read_from_its_beginning() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), "a-1", &[(1, "out one")]);
        let first = read(state.path(), "", 0).await;
        assert!(first.lines.is_empty());
        write(state.path(), "a-1", &[(3, "out three")]);
        write(state.path(), "a-2", &[(2, "out two")]);
        let second = read(state.path(), &first.cursor, 0).await;
        assert_eq!(texts(&second), ["two", "three"]);
        let third = read(state.path(), &second.cursor, 0).await;
        assert!(third.lines.is_empty());
        assert_eq!(third.cursor, second.cursor);
    }

    #[tokio::test]
    async fn what_comes_while_waiting_is_answered_at_once() {
        let state = tempfile::tempdir().unwrap();
        write(state.path(), "a-1", &[(1, "out one")]);
        let cursor = read(state.path(), "", 0).await.cursor;
        let path = state.path().to_path_buf();
        let waiting = tokio::spawn(async move {
            let services = ["a".parse().unwrap()];
            LogReader::new(path).read(&services, &cursor, 0, Duration::from_secs(60)).await.unwrap()
        });
        tokio::task::yield_now().await;
        write(state.path(), "a-1", &[(2, "out two")]);
        assert_eq!(texts(&waiting.await.unwrap()), ["two"]);
    }

    #[tokio::test]
    async fn a_cursor_of_somebody_else_is_refused() {
        let state = tempfile::tempdir().unwrap();
        let reader = LogReader::new(state.path().to_path_buf());
        for cursor in ["zzz", "[1]", "{\"a-1\":7}", &format!("\"{}\"", "x".repeat(CURSOR_MAX))] {
            let refused = reader.read(&[], cursor, 1, Duration::ZERO).await.unwrap_err();
            assert_eq!(refused.code, shoal_sdk::Code::InvalidArgument);
        }
    }

    #[tokio::test]
    async fn an_answer_is_bounded_and_the_next_goes_on() {
        let state = tempfile::tempdir().unwrap();
        let long = format!("out {}", "x".repeat(16_000));
        let lines: Vec<(u32, &str)> = (0..200).map(|_| (1, long.as_str())).collect();
        let begin = read(state.path(), "", 0).await;
        for replica in ["a-1", "a-2", "b-1"] {
            write(state.path(), replica, &lines);
        }
        let newest = read(state.path(), "", 1000).await;
        assert!(size(&newest.lines) <= ANSWER_BYTES_MAX && newest.lines.len() > 200);
        let (mut count, mut cursor) = (0, begin.cursor);
        loop {
            let page = read(state.path(), &cursor, 0).await;
            assert!(size(&page.lines) <= 2 * ANSWER_BYTES_MAX);
            if page.lines.is_empty() {
                break;
            }
            count += page.lines.len();
            cursor = page.cursor;
        }
        assert_eq!(count, 600, "none is lost and none comes twice");
    }
}
