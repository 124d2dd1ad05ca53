//! The children of a keeper: the program, and everything orphaned below it, which the kernel hands to the keeper.
//!
//! Never: signals anyone but its own children. A child keeps its pid until the keeper has waited for it, so that the pid
//! cannot be a stranger's; grandchildren become children when their parents are killed.

use crate::identity::{self, ProcessMark, Stat};
use rustix::io::Errno;
use rustix::process::{self, Pid, Signal, WaitOptions};
use shoal_model::Exit;
use std::collections::BTreeSet;
use std::io;

/// The program and what it started.
pub(crate) struct Children {
    program: Pid,
    exit: Option<Exit>,
}

impl Children {
    /// Watches over a child that was just started.
    pub(crate) fn new(program: Pid) -> Self {
        Self { program, exit: None }
    }

    /// Takes note of everyone who ended; whether any child is left.
    pub(crate) fn reap(&mut self) -> bool {
        loop {
            match process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.program => {
                    self.exit = match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => Some(Exit::Code { code }),
                        (None, Some(signal)) => Some(Exit::Signal { signal }),
                        (None, None) => continue,
                    };
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }

    /// How the program ended; `None` while it runs.
    pub(crate) fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    /// Sends a signal to the program and its process group, so that a shell's children hear it too.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        // Once the program was waited for, its pid and group may be somebody else's.
        if self.exit.is_some() {
            return Ok(());
        }
        let in_own_group = process::getpgid(Some(self.program)).is_ok_and(|group| group == self.program);
        let group = process::kill_process_group(self.program, signal);
        if !in_own_group || group.is_err() {
            process::kill_process(self.program, signal)?;
        }
        Ok(())
    }

    /// Every process below the keeper that runs: the program, and all that came of it, wherever it went.
    pub(crate) fn all() -> io::Result<Vec<ProcessMark>> {
        let (every, mut below) = (identity::processes()?, BTreeSet::from([std::process::id()]));
        loop {
            let found = every.iter().filter(|process| below.contains(&process.parent)).map(|process| process.pid);
            let before = below.len();
            below.extend(found.collect::<Vec<_>>());
            if below.len() == before {
                break;
            }
        }
        below.remove(&std::process::id());
        let running = every.iter().filter(|process| below.contains(&process.pid) && !process.has_exited());
        Ok(running.map(Stat::mark).collect())
    }

    /// Kills every child there is now.
    pub(crate) fn kill_all(&self) -> io::Result<()> {
        Self::signal_each(Signal::KILL, |_| true)
    }

    /// Tells the children to end that are not in the program's process group, and so were not told together with it.
    pub(crate) fn terminate_others(&self) -> io::Result<()> {
        let group = u32::try_from(self.program.as_raw_nonzero().get()).unwrap_or(0);
        Self::signal_each(Signal::TERM, |child| child.group != group)
    }

    fn signal_each(signal: Signal, wanted: impl Fn(&Stat) -> bool) -> io::Result<()> {
        let own = std::process::id();
        for child in identity::processes()?.into_iter().filter(|process| process.parent == own) {
            let Some(pid) = i32::try_from(child.pid).ok().and_then(Pid::from_raw) else { continue };
            if !child.has_exited() && wanted(&child) {
                // One that may not be signalled (it runs as another user) must not keep the others from it.
                let _ = process::kill_process(pid, signal);
            }
        }
        Ok(())
    }
}
