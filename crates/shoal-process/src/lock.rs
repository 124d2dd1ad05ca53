//! Locks on files that live as long as a process holds them; the kernel frees them, whatever way the process ends.
//!
//! Never: waits. Who needs a lock that is held decides how long to try.

use rustix::fs::{FlockOperation, flock};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Takes the lock for oneself; `None` when somebody holds it. The file holds it until its last copy is closed.
pub(crate) fn take(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).read(true).mode(0o600).open(path)?;
    Ok(flocked(&file, FlockOperation::NonBlockingLockExclusive)?.then_some(file))
}

/// Whether somebody holds the lock; a lock whose file is missing is free.
pub(crate) fn is_held(path: &Path) -> io::Result<bool> {
    match File::open(path) {
        // Shared, so that two who only look do not see each other.
        Ok(file) => Ok(!flocked(&file, FlockOperation::NonBlockingLockShared)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn flocked(file: &File, how: FlockOperation) -> io::Result<bool> {
    match flock(file, how) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
