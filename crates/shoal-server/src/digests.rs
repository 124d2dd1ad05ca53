//! Digests of large files, remembered by what the file system says of them, so that a program that has not changed is not
//! read again at each `up`.
//!
//! Never: trusts what it remembers of a file that was changed just before it was read: its times might not tell a second
//! change from the first.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// The most files that are remembered.
const FILES_MAX: usize = 2000;
/// How long ago a file must have changed for its times to tell it from what it may become; file systems that count in
/// seconds or two are the coarsest.
const SETTLED_AFTER_NS: i64 = 3_000_000_000;

/// What the file system says of a file; when any of it differs, so may the content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Known {
    mark: Mark,
    digest: String,
}

/// The SHA-256 of a file as hexadecimal digits. What is remembered lies in the file `memory`, which may be missing.
///
/// # Errors
/// When the file cannot be read. A memory that cannot be read or written only costs time.
pub fn digest(memory: &Path, file: &Path) -> io::Result<String> {
    let mut opened = File::open(file)?;
    let mark = Mark::of(&opened.metadata()?);
    let mut known = read(memory);
    if let Some(known) = known.get(file).filter(|known| known.mark == mark) {
        return Ok(known.digest.clone());
    }
    let digest = of_content(&mut opened)?;
    if mark == Mark::of(&opened.metadata()?) && mark.is_settled() {
        known.insert(file.to_path_buf(), Known { mark, digest: digest.clone() });
        if known.len() > FILES_MAX {
            known.retain(|path, _| path.exists());
        }
        if let Err(error) = write(memory, &known) {
            tracing::debug!("the digests in {} cannot be kept: {error}", memory.display());
        }
    }
    Ok(digest)
}

impl Mark {
    fn of(about: &Metadata) -> Self {
        let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000).saturating_add(rest);
        Self {
            device: about.dev(),
            inode: about.ino(),
            size: about.size(),
            modified_ns: nanoseconds(about.mtime(), about.mtime_nsec()),
            changed_ns: nanoseconds(about.ctime(), about.ctime_nsec()),
        }
    }

    fn is_settled(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let last = self.modified_ns.max(self.changed_ns);
        i64::try_from(now).is_ok_and(|now: i64| last.saturating_add(SETTLED_AFTER_NS) < now)
    }
}

fn of_content(file: &mut File) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(buffer.get(..count).unwrap_or_default()),
        }
    }
}

fn read(memory: &Path) -> BTreeMap<PathBuf, Known> {
    std::fs::read(memory).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn write(memory: &Path, known: &BTreeMap<PathBuf, Known>) -> io::Result<()> {
    let aside = memory.with_extension("json.new");
    std::fs::write(&aside, serde_json::to_vec(known)?)?;
    std::fs::rename(&aside, memory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// Writes a file and makes it look as old as the test wants; the change itself cannot be dated back.
    fn put(path: &Path, text: &str, age: Duration) {
        std::fs::write(path, text).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - age).unwrap();
    }

    #[test]
    fn the_digest_is_that_of_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("known.json"), folder.path().join("file"));
        put(&file, "abc", Duration::ZERO);
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&memory, &file).unwrap(), abc);
        assert!(!memory.exists(), "it was changed just now");
        put(&file, "abd", Duration::from_secs(60));
        assert_ne!(digest(&memory, &file).unwrap(), abc);
        assert!(digest(&memory, &folder.path().join("missing")).is_err());
    }

    #[test]
    fn what_is_remembered_counts_only_for_the_file_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (memory, file) = (folder.path().join("known.json"), folder.path().join("file"));
        put(&file, "abc", Duration::from_secs(60));
        let mark = Mark::of(&file.metadata().unwrap());
        write(&memory, &BTreeMap::from([(file.clone(), Known { mark, digest: "remembered".to_owned() })])).unwrap();
        assert_eq!(digest(&memory, &file).unwrap(), "remembered");
        put(&file, "abd", Duration::from_secs(60));
        assert_ne!(digest(&memory, &file).unwrap(), "remembered", "same size, other content");
        std::fs::write(&memory, "{ no").unwrap();
        assert_eq!(digest(&memory, &file).unwrap().len(), 64, "what cannot be read is made anew");
    }

    #[test]
    fn only_what_has_not_changed_for_a_while_is_remembered() {
        let mark = |age_ns: i64| {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
            let at = i64::try_from(now).unwrap() - age_ns;
            Mark { device: 1, inode: 1, size: 1, modified_ns: 0, changed_ns: at }
        };
        assert!(mark(60_000_000_000).is_settled());
        assert!(!mark(1_000_000_000).is_settled() && !mark(-5_000_000_000).is_settled());
    }
}
