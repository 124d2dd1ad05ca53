//! Reading the logs that keepers write: the last lines, and what came after a place one has read up to.
//!
//! Never: answers with more than asked, or with half a line. See the keeper's log writer for the format.

use crate::clock;
use serde::{Deserialize, Serialize};
use shoal_model::{Millis, ReplicaName, ServiceName};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The most lines one answer holds.
pub const LINES_MAX: usize = 10_000;

/// The most bytes one answer reads from a file.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Where a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stream {
    /// The program's standard output.
    Out,
    /// The program's standard error.
    Err,
    /// The keeper itself: lines lost, signals passed on.
    Shoal,
}

impl Stream {
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::Err => "err",
            Self::Shoal => "shoal",
        }
    }
}

/// One line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was read from the program.
    pub at: Millis,
    /// Where it came from.
    pub stream: Stream,
    /// The line, without its end; at most 16 KiB and a note of what was cut.
    pub text: String,
}

/// Some lines, and the place after them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// In the order they were written.
    pub lines: Vec<LogLine>,
    /// The place after the last of them, for [`after`]; opaque.
    pub cursor: String,
    /// Whether lines between the place asked for and the first of these are gone, as the log is bounded.
    pub missed: bool,
}

/// Where a replica's log is, in this application's state folder (`.shoal/`).
#[must_use]
pub fn path(state: &Path, replica: &ReplicaName) -> PathBuf {
    state.join("logs").join(replica.service.as_str()).join(format!("{replica}.log"))
}

/// The replicas of a service that have a log, ended ones too, in the order of their numbers; none for a service without.
///
/// # Errors
/// When the folder cannot be read.
pub fn replicas(state: &Path, service: &ServiceName) -> io::Result<Vec<ReplicaName>> {
    let entries = match fs::read_dir(state.join("logs").join(service.as_str())) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let replica = name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<ReplicaName>().ok());
        found.extend(replica.filter(|replica| replica.service == *service));
    }
    found.sort();
    Ok(found)
}

/// The last `count` lines (at most [`LINES_MAX`]) of the log at `path`; none when there is no log yet.
///
/// # Errors
/// When a file cannot be read.
pub fn last(path: &Path, count: usize) -> io::Result<Page> {
    let count = count.min(LINES_MAX);
    let Some((newer, mut old)) = open_both(path)? else {
        return Ok(Page { lines: Vec::new(), cursor: Cursor { generation: 0, offset: 0 }.text(), missed: false });
    };
    let (mut lines, end) = newer.last(count)?;
    if lines.len() < count
        && let Some(older) = old.take()
    {
        let (mut before, _) = older.last(count - lines.len())?;
        before.append(&mut lines);
        lines = before;
    }
    Ok(Page { lines, cursor: Cursor { generation: newer.generation, offset: end }.text(), missed: false })
}

/// What was written after `cursor`, at most `count` lines (and [`LINES_MAX`]): call it again for more. A cursor that is not
/// one counts as the beginning.
///
/// # Errors
/// When a file cannot be read.
pub fn after(path: &Path, cursor: &str, count: usize) -> io::Result<Page> {
    let count = count.min(LINES_MAX);
    let asked = Cursor::parse(cursor).unwrap_or(Cursor { generation: 0, offset: 0 });
    let Some((newer, old)) = open_both(path)? else {
        return Ok(Page { lines: Vec::new(), cursor: asked.text(), missed: false });
    };
    let files: Vec<LogFile> = old.into_iter().chain([newer]).collect();
    // Generation 0 is the place before everything: then nothing that is gone was ever seen.
    let first = files.first().map_or(0, |file| file.generation);
    let missed = asked.generation != 0 && asked.generation < first;
    let mut page = Page { lines: Vec::new(), cursor: asked.text(), missed };
    for file in files.iter().filter(|file| file.generation >= asked.generation) {
        if page.lines.len() >= count {
            break;
        }
        let from = if file.generation == asked.generation { asked.offset } else { 0 };
        let (mut lines, end) = file.from(from, count - page.lines.len())?;
        page.lines.append(&mut lines);
        page.cursor = Cursor { generation: file.generation, offset: end }.text();
    }
    Ok(page)
}

/// The older of the two files of a log.
pub(crate) fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

/// The line that opens a file.
pub(crate) fn header(generation: u64) -> String {
    format!("# shoal log 1 file {generation}\n")
}

/// The number in the line that opens the file; `None` when the file or the line is missing.
pub(crate) fn generation(path: &Path) -> io::Result<Option<u64>> {
    Ok(LogFile::open(path)?.map(|file| file.generation))
}

/// A place in a log: the number of a file, and an offset in it.
struct Cursor {
    generation: u64,
    offset: u64,
}

impl Cursor {
    fn text(&self) -> String {
        format!("{}-{}", self.generation, self.offset)
    }

    fn parse(text: &str) -> Option<Self> {
        let (generation, offset) = text.split_once('-')?;
        Some(Self { generation: generation.parse().ok()?, offset: offset.parse().ok()? })
    }
}

struct LogFile {
    file: File,
    generation: u64,
    /// Where the lines begin.
    begin: u64,
}

/// Both files, the older one where there is one. The keeper may move them meanwhile: opened again until they fit together.
fn open_both(path: &Path) -> io::Result<Option<(LogFile, Option<LogFile>)>> {
    for _ in 0..10 {
        let newer = LogFile::open(path)?;
        let old = LogFile::open(&older(path))?;
        match (newer, old) {
            (Some(newer), Some(old)) if old.generation < newer.generation => return Ok(Some((newer, Some(old)))),
            (Some(newer), None) => return Ok(Some((newer, None))),
            // The newer one was moved aside between the two, or is not written yet.
            (Some(_), Some(_)) => {}
            (None, Some(old)) => return Ok(Some((old, None))),
            (None, None) => return Ok(None),
        }
    }
    Ok(None)
}

impl LogFile {
    fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut line = String::new();
        let read = BufReader::new((&file).take(64)).read_line(&mut line);
        let number = line.strip_prefix("# shoal log 1 file ").and_then(|rest| rest.strip_suffix('\n')?.parse().ok());
        match (read, number) {
            (Ok(length), Some(generation)) => Ok(Some(Self { file, generation, begin: length as u64 })),
            _ => Ok(None),
        }
    }

    /// Up to `count` whole lines from `offset` on, and the offset after them.
    fn from(&self, offset: u64, count: usize) -> io::Result<(Vec<LogLine>, u64)> {
        let mut end = offset.max(self.begin);
        let bytes = self.read(end, BYTES_MAX)?;
        let mut lines = Vec::new();
        for line in bytes.split_inclusive(|&byte| byte == b'\n').take(count) {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            lines.extend(parse(text));
            end += line.len() as u64;
        }
        Ok((lines, end))
    }

    /// The last `count` whole lines, and the offset after them.
    fn last(&self, count: usize) -> io::Result<(Vec<LogLine>, u64)> {
        let length = self.file.metadata()?.len().max(self.begin);
        let mut span = 64 * 1024;
        loop {
            let start = length.saturating_sub(span).max(self.begin);
            let bytes = self.read(start, length - start)?;
            let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            let bytes = bytes.get(..whole).unwrap_or_default();
            let ends = bytes.iter().filter(|&&byte| byte == b'\n').count();
            let at_begin = start == self.begin;
            // One more end than lines wanted: the first piece may be half a line.
            if ends <= count && !at_begin && span < BYTES_MAX {
                span *= 4;
                continue;
            }
            let skipped = ends.saturating_sub(count).max(usize::from(!at_begin));
            let lines = bytes.split(|&byte| byte == b'\n').take(ends).skip(skipped).filter_map(parse).collect();
            return Ok((lines, start + whole as u64));
        }
    }

    fn read(&self, from: u64, count: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.file).seek(SeekFrom::Start(from))?;
        (&self.file).take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// A line of the file; `None` for one that no keeper wrote.
fn parse(line: &[u8]) -> Option<LogLine> {
    let line = String::from_utf8_lossy(line);
    let at = clock::parse(line.get(..clock::TEXT_LENGTH)?)?;
    let rest = line.get(clock::TEXT_LENGTH + 1..)?;
    let (mark, text) = rest.split_once(' ')?;
    let stream = [Stream::Out, Stream::Err, Stream::Shoal].into_iter().find(|stream| stream.mark() == mark)?;
    Some(LogLine { at, stream, text: text.to_owned() })
}

#[cfg(test)]
mod tests;
