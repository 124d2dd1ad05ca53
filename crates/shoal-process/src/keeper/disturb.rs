//! What a program suffers on purpose: it stands still, or it can write to no file.
//!
//! The first reaches the program's process group, the second all that came of it, wherever that went; and so does their end.
//! Never: what outlives the keeper's program, or anything that somebody else may have set on it.

use super::children::Children;
use rustix::process::{self, Resource, Rlimit, Signal};
use shoal_model::Disturbance;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// How soon what could not be done is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The most looks for processes that were started since the last.
const LOOKS_MAX: usize = 10;

/// What the program suffers now.
#[derive(Debug, Default)]
pub(crate) struct Disturbed {
    wanted: Disturbance,
    now: Disturbance,
    /// How large the program's files might become before its disk was full; there while that may be so for anybody.
    file_size: Option<Rlimit>,
    retry_at: Option<Instant>,
}

impl Disturbed {
    /// Makes it suffer this and no more. Doing so twice does no harm.
    ///
    /// # Errors
    /// One sentence that says what could not be done; the rest was, and that is tried again.
    pub(crate) fn change(&mut self, wanted: Disturbance, children: &Children) -> Result<(), String> {
        self.wanted = wanted;
        self.apply(children)
    }

    /// When something is to be tried again.
    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Tries again what could not be done, once it is time.
    pub(crate) fn retry(&mut self, children: &Children) {
        if self.retry_at.is_some_and(|at| at <= Instant::now()) {
            // Why not was said when it was asked for.
            let _ = self.apply(children);
        }
    }

    fn apply(&mut self, children: &Children) -> Result<(), String> {
        let Disturbance { is_paused, is_disk_full } = self.wanted;
        let is_lifted = self.file_size.is_none();
        let is_right = is_disk_full == self.now.is_disk_full && (is_disk_full || is_lifted);
        let disk = if is_right { Ok(()) } else { self.limit(is_disk_full) };
        let paused = if is_paused == self.now.is_paused { Ok(()) } else { self.pause(is_paused, children) };
        let done = disk.and(paused);
        self.retry_at = done.is_err().then(|| Instant::now() + RETRY);
        done
    }

    fn pause(&mut self, is_paused: bool, children: &Children) -> Result<(), String> {
        let signal = if is_paused { Signal::STOP } else { Signal::CONT };
        children.signal(signal).map_err(|error| format!("the program could not be paused or go on: {error}"))?;
        self.now.is_paused = is_paused;
        Ok(())
    }

    /// A limit of 0 bytes refuses every write to a file, as a full disk does; pipes and sockets have none.
    fn limit(&mut self, is_disk_full: bool) -> Result<(), String> {
        // What it was started with, unless it has set one of its own.
        let usual = process::getrlimit(Resource::Fsize);
        let limit = match is_disk_full {
            true => Rlimit { current: Some(0), maximum: usual.maximum },
            false => self.file_size.unwrap_or(usual),
        };
        self.limit_all(limit, is_disk_full)
            .map_err(|error| format!("the limit of the program's files could not be set: {error}"))?;
        if !is_disk_full {
            self.file_size = None;
        }
        self.now.is_disk_full = is_disk_full;
        Ok(())
    }

    /// One that refuses (it runs as another user) must not keep the others from it.
    fn limit_all(&mut self, limit: Rlimit, is_disk_full: bool) -> io::Result<()> {
        let (mut known, mut refused) = (BTreeSet::new(), None);
        for _ in 0..LOOKS_MAX {
            // Whoever is started has the limit of who starts it: so until nobody is new.
            let found: Vec<_> = Children::all()?.into_iter().filter(|mark| known.insert(*mark)).collect();
            if found.is_empty() {
                break;
            }
            for mark in found {
                match mark.limit_files(limit) {
                    Ok(Some(before)) if is_disk_full => drop(self.file_size.get_or_insert(before)),
                    // One that has ended meanwhile writes nothing either.
                    Ok(_) => {}
                    Err(error) => drop(refused.get_or_insert(error)),
                }
            }
        }
        refused.map_or(Ok(()), Err)
    }
}
