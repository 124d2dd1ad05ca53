//! Which process is which: a pid together with its start time and the boot it belongs to.
//!
//! Never: signals a pid. A signal goes through a pidfd, after the start time behind it was compared.

use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, pidfd_open, pidfd_send_signal, prlimit};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;

/// A process of this boot: its pid, and its start time so that a reused pid is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ProcessMark {
    /// The process id.
    pub(crate) pid: u32,
    /// Clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub(crate) started: u64,
}

impl ProcessMark {
    /// The process that has this pid now; `None` when there is none.
    pub(crate) fn of(pid: u32) -> io::Result<Option<Self>> {
        Ok(stat(pid)?.map(|stat| stat.mark()))
    }

    /// Whether this very process still runs. A zombie counts as exited.
    pub(crate) fn is_alive(self) -> bool {
        matches!(stat(self.pid), Ok(Some(stat)) if stat.started == self.started && !stat.has_exited())
    }

    /// Sends a signal to this very process; `false` when it is gone, even if its pid was given to another.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<bool> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return Ok(false) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        // Compared after the handle was opened: from here on the handle means this process, or none.
        if !self.is_alive() {
            return Ok(false);
        }
        match pidfd_send_signal(&handle, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

impl ProcessMark {
    /// Limits how large this very process can make a file; answers what was allowed before, or nothing when it is gone.
    pub(crate) fn limit_files(self, limit: Rlimit) -> io::Result<Option<Rlimit>> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(pid) = pid.filter(|_| self.is_alive()) else { return Ok(None) };
        let before = match prlimit(Some(pid), Resource::Fsize, limit) {
            Ok(before) => before,
            Err(rustix::io::Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // No handle does this, so that between the look and the deed its pid may have become a stranger's.
        if stat(self.pid)?.is_some_and(|now| now.started != self.started) {
            prlimit(Some(pid), Resource::Fsize, before)?;
            return Ok(None);
        }
        Ok(Some(before))
    }
}

/// What `/proc/<pid>/stat` says, as far as it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: u32,
    state: u8,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    pub(crate) session: u32,
    /// Clock ticks of processor time, its own and that of children it has waited for.
    pub(crate) ticks: u64,
    pub(crate) started: u64,
}

impl Stat {
    /// Whether only its exit status is left of it.
    pub(crate) fn has_exited(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    pub(crate) fn mark(&self) -> ProcessMark {
        ProcessMark { pid: self.pid, started: self.started }
    }
}

/// The boot this machine runs in.
pub(crate) fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

/// A text that was never given before and cannot be guessed.
pub(crate) fn unique_text() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned())
}

/// One process; `None` when there is none with this pid.
pub(crate) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(text) => Ok(parse_stat(&text)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Every process that can be seen.
pub(crate) fn processes() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        found.extend(stat(pid)?);
    }
    Ok(found)
}

/// Whether a read under `/proc/<pid>` failed because the process is gone; reading may also find it half-way out.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH)
}

/// The program's name, in parentheses, may hold anything, parentheses and spaces too: fields count from the last `)`.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let text = String::from_utf8_lossy(text);
    let (head, tail) = text.rsplit_once(')')?;
    let pid = head.split(' ').next()?.parse().ok()?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        pid,
        state: *fields.first()?.as_bytes().first()?,
        parent: u32::try_from(number(1)?).ok()?,
        group: u32::try_from(number(2)?).ok()?,
        // Negative for a process without a session, which none of ours is.
        session: fields.get(3)?.parse::<i64>().ok().and_then(|session| u32::try_from(session).ok()).unwrap_or(0),
        ticks: number(11)? + number(12)? + number(13)? + number(14)?,
        started: number(19)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let text = b"42 (a) b (c)) S 7 42 40 0 -1 4194560 1 2 3 4 10 20 1 2 20 0 1 0 987654 1000 1\n";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.pid, stat.parent, stat.session, stat.ticks, stat.started), (42, 7, 40, 33, 987_654));
        assert!(!stat.has_exited());
        assert_eq!(parse_stat(b"garbage"), None);
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_not() {
        let own = ProcessMark::of(std::process::id()).unwrap().unwrap();
        assert!(own.is_alive());
        let other = ProcessMark { started: own.started + 1, ..own };
        assert!(!other.is_alive());
        // A signal that would end the test if it were sent.
        assert!(!other.signal(Signal::KILL).unwrap());
    }

    #[test]
    fn a_zombie_counts_as_exited() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let mark = ProcessMark::of(child.id()).unwrap().unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while mark.is_alive() && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        // Not waited for yet: it is still in the table, and must not count.
        assert!(stat(child.id()).unwrap().is_some_and(|stat| stat.has_exited()));
        assert!(!mark.is_alive());
        child.wait().unwrap();
    }
}
