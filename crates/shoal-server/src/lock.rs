//! One supervisor per application: a lock that dies with its holder.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

/// Who waits for an end holds the lock for a moment when it comes, so one look is not enough to say that it is held.
const LOOKS_MAX: u32 = 5;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Held for as long as it lives; the kernel frees it however its holder ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the lock was not had.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another supervisor holds it.
    #[error("the application already runs{}; `shoal status` shows it, `shoal down` stops it", under(*pid))]
    Held {
        /// The holder's process id, once it wrote it.
        pid: Option<u32>,
    },
    /// The file could not be used.
    #[error("failed to lock {path}")]
    Io {
        /// The lock file.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl Lock {
    /// Takes the lock and writes this process's id into it.
    ///
    /// # Errors
    /// When another process holds it, or the file cannot be used.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.display().to_string(), source };
        let mut file = open(path).map_err(failed)?;
        let mut looks = 0;
        while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            looks += 1;
            if looks == LOOKS_MAX {
                file.rewind().map_err(failed)?;
                return Err(LockError::Held { pid: written_pid(&mut file) });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Waits until nobody holds the lock: until the supervisor has ended, whatever it still had to tidy up.
///
/// # Errors
/// When the file is there but cannot be used.
pub fn until_free(path: &Path) -> io::Result<()> {
    match File::open(path) {
        Ok(file) => Ok(flock(&file, FlockOperation::LockShared)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn under(pid: Option<u32>) -> String {
    pid.map(|pid| format!(", under supervisor {pid}")).unwrap_or_default()
}

fn written_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(20).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let lock = Lock::take(&path).unwrap();
        let message = Lock::take(&path).unwrap_err().to_string();
        assert!(message.contains(&std::process::id().to_string()), "{message}");
        drop(lock);
        assert!(Lock::take(&path).is_ok());
    }

    #[test]
    fn waiting_for_the_end_keeps_nobody_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        until_free(&path).unwrap(); // nothing to wait for, and no file is made
        assert!(!path.exists());
        let lock = Lock::take(&path).unwrap();
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || until_free(&path))
            })
            .collect();
        drop(lock);
        let lock = Lock::take(&path).unwrap();
        drop(lock);
        for wait in waits {
            wait.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_holder_that_has_not_written_its_id_yet_is_not_called_zero() {
        assert!(!LockError::Held { pid: None }.to_string().contains("supervisor"));
    }
}
