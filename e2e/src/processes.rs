//! Looks at processes, and does to the test's own what faults do.

use rustix::process::{Pid, Signal, kill_process};
use std::path::Path;

/// Whether a process runs; a zombie does not.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// `kill -9`.
///
/// # Panics
/// When there is no such process.
pub fn kill(pid: u32) {
    signal(pid, Signal::KILL);
}

/// `kill -TERM`.
///
/// # Panics
/// When there is no such process.
pub fn terminate(pid: u32) {
    signal(pid, Signal::TERM);
}

/// Stops a process where it is, as a hang would.
///
/// # Panics
/// When there is no such process.
pub fn pause(pid: u32) {
    signal(pid, Signal::STOP);
}

/// Lets a paused process go on.
///
/// # Panics
/// When there is no such process.
pub fn resume(pid: u32) {
    signal(pid, Signal::CONT);
}

fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid fits")).expect("a pid is positive");
    kill_process(pid, signal).expect("the process is there");
}

/// The processes whose environment or command line mentions `folder`: all that an application in it may have left behind.
#[must_use]
pub fn pids_with_variable(folder: &Path) -> Vec<u32> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let mentions = |pid: u32, file: &str| {
        let bytes = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        bytes.windows(needle.len()).any(|window| window == needle)
    };
    let entries = std::fs::read_dir("/proc").expect("/proc is there");
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != std::process::id() && alive(*pid))
        .filter(|pid| mentions(*pid, "environ") || mentions(*pid, "cmdline"))
        .collect()
}
