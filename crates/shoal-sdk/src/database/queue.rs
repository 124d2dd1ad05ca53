//! A first-come-first-served lock between processes, that outlives the death of any of them. Blocks; has a thread of its
//! own in `turns`. Never: looks at a clock or a pid.
//!
//! Beside the database lies a folder. Who wants to write takes the next number there: under the lock of the file
//! `next`, held for an instant, it makes a file named after the number and locks that. Then it waits for the lock of
//! the file with the next lower number, and so on until no lower one is left. The system drops a dead process's locks,
//! so whoever waits for it goes on, finds the file still there, and removes it. A number in use is lower than all that
//! are taken later, so a file is never mistaken for another that had the same number.

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The folder of tickets of one database.
#[derive(Debug)]
pub(super) struct Queue {
    folder: PathBuf,
    /// The open file `next`.
    counter: File,
}

/// A place at the head of the queue, until dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    path: PathBuf,
    number: u64,
    ahead: usize,
    // Closing it drops the lock; after the file is removed.
    _file: File,
}

impl Queue {
    /// Opens the queue of this database, making it when it is new.
    pub fn open(database: &Path) -> io::Result<Self> {
        let mut name = database.as_os_str().to_owned();
        name.push("-writers");
        let folder = PathBuf::from(name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let counter = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(folder.join("next"))?;
        Ok(Self { folder, counter })
    }

    /// Takes the next number and waits until it is the lowest. Blocks the thread.
    pub fn enter(&mut self) -> io::Result<Ticket> {
        let ticket = self.take()?;
        loop {
            let lower: Vec<u64> = self.numbers()?.into_iter().filter(|number| *number < ticket.number).collect();
            let Some(nearest) = lower.into_iter().max() else {
                return Ok(ticket);
            };
            self.wait_for(nearest)?;
        }
    }

    fn take(&mut self) -> io::Result<Ticket> {
        lock(&self.counter)?;
        let taken = self.take_locked();
        // A failed unlock would stop everybody; closing the file, as the death of this process does, unlocks as well.
        flock(&self.counter, FlockOperation::Unlock)?;
        taken
    }

    fn take_locked(&mut self) -> io::Result<Ticket> {
        let mut text = String::new();
        self.counter.seek(SeekFrom::Start(0))?;
        // Damaged content counts as 0: the numbers in use decide then, and they alone matter.
        let last = match (&self.counter).take(32).read_to_string(&mut text) {
            Ok(_) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == ErrorKind::InvalidData => 0,
            Err(error) => return Err(error),
        };
        let in_use = self.numbers()?;
        let highest = in_use.iter().copied().max().unwrap_or(0);
        let number = highest.max(last).checked_add(1).ok_or(ErrorKind::InvalidData)?;
        self.counter.seek(SeekFrom::Start(0))?;
        // As many bytes each time, so that none of an earlier number is left.
        self.counter.write_all(format!("{number:020}\n").as_bytes())?;
        let path = self.path(number);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        // Nobody looks at a number that is higher than its own, so this cannot wait.
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Ticket { path, number, ahead: in_use.len(), _file: file })
    }

    /// Waits until the holder of a lower number is done or dead, and removes what a dead one left.
    fn wait_for(&self, number: u64) -> io::Result<()> {
        let path = self.path(number);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        lock(&file)?;
        remove(&path)
    }

    fn numbers(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            if let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) {
                numbers.push(number);
            }
        }
        Ok(numbers)
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(format!("{number:020}"))
    }
}

impl Ticket {
    /// Its number; each is given once.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// How many were ahead when it was taken.
    pub fn ahead(&self) -> usize {
        self.ahead
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // If it stays, the next in line removes it once the lock is gone with the file.
        if let Err(error) = remove(&self.path) {
            tracing::warn!(ticket = %self.path.display(), %error, "cannot remove a ticket of the write queue");
        }
    }
}

fn lock(file: &File) -> io::Result<()> {
    loop {
        match flock(file, FlockOperation::LockExclusive) {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
