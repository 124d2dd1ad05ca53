//! What a program suffers on purpose: it stands still, or it can write to no file.
//!
//! Both reach the program's whole process group, and what it starts while they last. Never: what outlives the keeper's program,
//! or anything that somebody else may have set on it.

use super::children::Children;
use rustix::io::Errno;
use rustix::process::{self, Resource, Rlimit, Signal};
use shoal_model::Disturbance;

/// What the program suffers now.
#[derive(Debug, Default)]
pub(crate) struct Disturbed {
    now: Disturbance,
    /// How large the program's files might become before its disk was full.
    file_size: Option<Rlimit>,
}

impl Disturbed {
    /// Makes it suffer this and no more. Doing so twice does no harm.
    ///
    /// # Errors
    /// One sentence that says what could not be done; the rest was.
    pub(crate) fn change(&mut self, wanted: Disturbance, children: &Children) -> Result<(), String> {
        if wanted == self.now {
            return Ok(());
        }
        let disk = if wanted.is_disk_full == self.now.is_disk_full { Ok(()) } else { self.limit(wanted, children) };
        let paused = if wanted.is_paused == self.now.is_paused { Ok(()) } else { self.pause(wanted, children) };
        disk.and(paused)
    }

    fn pause(&mut self, wanted: Disturbance, children: &Children) -> Result<(), String> {
        let signal = if wanted.is_paused { Signal::STOP } else { Signal::CONT };
        children.signal(signal).map_err(|error| format!("the program could not be paused or go on: {error}"))?;
        self.now.is_paused = wanted.is_paused;
        Ok(())
    }

    /// A limit of 0 bytes refuses every write to a file, as a full disk does; pipes and sockets have none.
    fn limit(&mut self, wanted: Disturbance, children: &Children) -> Result<(), String> {
        let failed =
            |error: &dyn std::fmt::Display| format!("the limit of the program's files could not be set: {error}");
        // What it was started with, unless it has set one of its own.
        let usual = process::getrlimit(Resource::Fsize);
        let limit = match (wanted.is_disk_full, self.file_size.take()) {
            (true, _) => Rlimit { current: Some(0), maximum: usual.maximum },
            (false, before) => before.unwrap_or(usual),
        };
        for member in children.group().map_err(|error| failed(&error))? {
            match process::prlimit(Some(member), Resource::Fsize, limit) {
                Ok(before) if wanted.is_disk_full => drop(self.file_size.get_or_insert(before)),
                // One that has ended meanwhile writes nothing either.
                Ok(_) | Err(Errno::SRCH) => {}
                Err(error) => return Err(failed(&error)),
            }
        }
        self.now.is_disk_full = wanted.is_disk_full;
        Ok(())
    }
}
