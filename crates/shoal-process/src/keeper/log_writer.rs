//! The bounded log of one replica: at most two files, the older one named `….log.1`.
//!
//! A file opens with a line that numbers it, so that a reader's place survives a rotation. After it, a line of the log
//! reads `2026-11-22T03:10:05.123Z out the text`, with `out`, `err`, or `shoal` for what the keeper itself has to say.
//!
//! Never: blocks or fails the program. What cannot be written is counted, and the number is written when there is room.

use crate::clock;
use crate::logs::{self, Stream};
use shoal_model::Millis;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most bytes of one file.
pub(crate) const FILE_MAX: u64 = 4 * 1024 * 1024;

/// Lines are written together up to this many bytes.
const BATCH: usize = 64 * 1024;

/// Writes one replica's log.
pub(crate) struct LogWriter {
    path: PathBuf,
    file_max: u64,
    file: Option<File>,
    size: u64,
    generation: u64,
    batch: Vec<u8>,
    batch_lines: u64,
    lost: u64,
    why: Option<io::Error>,
}

impl LogWriter {
    /// Goes on with the log at `path`, or begins it. What fails now is tried again with the first line.
    pub(crate) fn open(path: &Path, file_max: u64) -> Self {
        let generation = logs::generation(path).ok().flatten().unwrap_or(1);
        let mut writer = Self {
            path: path.to_owned(),
            file_max,
            file: None,
            size: 0,
            generation,
            batch: Vec::new(),
            batch_lines: 0,
            lost: 0,
            why: None,
        };
        if let Err(error) = writer.reopen() {
            writer.why = Some(error);
        }
        writer
    }

    /// Adds a line; it is written by [`flush`](Self::flush), at the latest.
    pub(crate) fn line(&mut self, stream: Stream, at: Millis, text: &[u8], cut: u64) {
        self.batch.extend_from_slice(clock::text(at).as_bytes());
        self.batch.push(b' ');
        self.batch.extend_from_slice(stream.mark().as_bytes());
        self.batch.push(b' ');
        self.batch.extend_from_slice(String::from_utf8_lossy(text).as_bytes());
        if cut > 0 {
            self.batch.extend_from_slice(format!(" … [{cut} more bytes of this line were cut]").as_bytes());
        }
        self.batch.push(b'\n');
        self.batch_lines += 1;
        if self.batch.len() >= BATCH {
            self.flush();
        }
    }

    /// Writes what was added.
    pub(crate) fn flush(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if let Err(error) = self.write_batch() {
            self.lost += self.batch_lines;
            self.why = Some(error);
        }
        self.batch.clear();
        self.batch.shrink_to(4096);
        self.batch_lines = 0;
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.size > 0 && self.size + self.batch.len() as u64 > self.file_max {
            self.rotate()?;
        }
        if self.file.is_none() {
            self.reopen()?;
        }
        let mut bytes = Vec::new();
        if self.size == 0 {
            bytes.extend_from_slice(logs::header(self.generation).as_bytes());
        }
        if self.lost > 0 {
            let why = self.why.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            let note = format!("{} lines were lost here, as the log could not be written{why}", self.lost);
            let line = format!("{} {} {note}\n", clock::text(clock::now()), Stream::Shoal.mark());
            bytes.extend_from_slice(line.as_bytes());
        }
        let Some(file) = &mut self.file else { return Err(io::ErrorKind::NotFound.into()) };
        let written = if bytes.is_empty() {
            file.write_all(&self.batch)
        } else {
            bytes.extend_from_slice(&self.batch);
            file.write_all(&bytes)
        };
        if let Err(error) = written {
            // A part may have been written: back to the last whole line. Should even that fail, the file is opened
            // anew, which takes its true size.
            if file.set_len(self.size).is_err() {
                self.file = None;
            }
            return Err(error);
        }
        self.size += if bytes.is_empty() { self.batch.len() } else { bytes.len() } as u64;
        self.lost = 0;
        self.why = None;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file = None;
        match fs::rename(&self.path, logs::older(&self.path)) {
            // Somebody removed it: there is nothing to move aside.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.generation += 1;
        self.size = 0;
        self.reopen()
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?;
        self.size = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_bounded_files_and_no_line_lost_between_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1.log");
        let mut writer = LogWriter::open(&path, 2000);
        for number in 0..100 {
            writer.line(Stream::Out, Millis(number), format!("line {number}").as_bytes(), 0);
            writer.flush();
        }
        let (new, old) = (fs::metadata(&path).unwrap().len(), fs::metadata(logs::older(&path)).unwrap().len());
        assert!(new <= 2000 && old <= 2000, "{new} {old}");
        let page = logs::last(&path, 60).unwrap();
        let texts: Vec<String> = page.lines.iter().map(|line| line.text.clone()).collect();
        assert_eq!(texts.last().unwrap(), "line 99");
        let first: usize = texts[0].strip_prefix("line ").unwrap().parse().unwrap();
        assert_eq!(texts, (first..100).map(|number| format!("line {number}")).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_full_disk_loses_lines_and_says_how_many() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a-1.log");
        // Every write to it fails, as on a full disk.
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut writer = LogWriter::open(&path, 2000);
        for _ in 0..3 {
            writer.line(Stream::Err, Millis(1), b"never seen", 0);
            writer.flush();
        }
        assert_eq!(writer.lost, 3);
        fs::remove_file(&path).unwrap();
        writer.file = None;
        writer.line(Stream::Out, Millis(2), b"there is room again", 0);
        writer.flush();
        let lines = logs::last(&path, 10).unwrap().lines;
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].stream, Stream::Shoal);
        assert!(lines[0].text.starts_with("3 lines were lost here"), "{}", lines[0].text);
        assert_eq!(lines[1].text, "there is room again");
    }

    #[test]
    fn a_log_that_was_removed_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a-1.log");
        let mut writer = LogWriter::open(&path, 300);
        fs::remove_dir_all(folder.path().join("deep")).unwrap();
        for number in 0..20 {
            writer.line(Stream::Out, Millis(number), b"some text of a line", 0);
            writer.flush();
        }
        assert!(!logs::last(&path, 1).unwrap().lines.is_empty());
    }
}
