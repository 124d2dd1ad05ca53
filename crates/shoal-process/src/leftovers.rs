//! Finding and killing what a dead keeper's program left running.
//!
//! A process is ours when its environment carries the mark of the launch. One such process in the keeper's session proves
//! the whole session ours: a session's number is not given again while any process is in it.
//!
//! Never: signals a process without such a proof, of another boot, or above the one that runs this.

use crate::environment::LAUNCH;
use crate::identity::{self, ProcessMark, Stat};
use crate::record::Record;
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::time::{Duration, Instant};

/// More than any process's environment has, in bytes.
const ENVIRONMENT_MAX: u64 = 4 * 1024 * 1024;

/// From one look to the next.
const PERIOD: Duration = Duration::from_millis(20);

/// Kills what is left of this launch, its program and its keeper with it, until nothing is or the time is over. Blocks.
/// Returns the pids that are left.
pub(crate) fn kill_launch(record: &Record, within: Duration) -> io::Result<Vec<u32>> {
    if identity::boot_id()? != record.boot {
        return Ok(Vec::new());
    }
    let until = Instant::now() + within;
    kill_until(until, || {
        let mut ours = marked(record.keeper, |mark| mark == record.launch)?;
        // Both were written down with their start times, which proves them whatever their environment says.
        ours.extend([Some(record.keeper), record.program].into_iter().flatten().filter(|mark| mark.is_alive()));
        Ok(ours)
    })
}

/// Kills every process that carries the mark of this application, whatever launch it is of. Blocks.
pub(crate) fn kill_application(mark: &str, within: Duration) -> io::Result<Vec<u32>> {
    let until = Instant::now() + within;
    let prefix = format!("{mark}-");
    let nobody = ProcessMark { pid: 0, started: 0 };
    kill_until(until, || marked(nobody, |mark| mark.starts_with(&prefix)))
}

fn kill_until(until: Instant, find: impl Fn() -> io::Result<BTreeSet<ProcessMark>>) -> io::Result<Vec<u32>> {
    loop {
        let left = find()?;
        if left.is_empty() || Instant::now() >= until {
            return Ok(left.into_iter().map(|mark| mark.pid).collect());
        }
        for mark in &left {
            if let Err(error) = mark.signal(Signal::KILL) {
                tracing::warn!(pid = mark.pid, %error, "failed to kill what a replica left behind");
            }
        }
        std::thread::sleep(PERIOD);
    }
}

/// The processes whose mark is accepted, those in the keeper's session when one of them is in it, and all below them.
fn marked(keeper: ProcessMark, accepted: impl Fn(&str) -> bool) -> io::Result<BTreeSet<ProcessMark>> {
    let all: Vec<Stat> = identity::processes()?.into_iter().filter(|process| !process.has_exited()).collect();
    let above = ancestors(&all);
    let may_be_ours = |process: &&Stat| process.started >= keeper.started && !above.contains(&process.pid);
    let mut ours: BTreeSet<u32> = all
        .iter()
        .filter(may_be_ours)
        .filter(|process| launch_of(process).is_some_and(|mark| accepted(&mark)))
        .map(|process| process.pid)
        .collect();
    let session_is_ours =
        keeper.pid != 0 && all.iter().any(|process| ours.contains(&process.pid) && process.session == keeper.pid);
    let in_session = |process: &&Stat| session_is_ours && process.session == keeper.pid;
    ours.extend(all.iter().filter(may_be_ours).filter(in_session).map(|process| process.pid));
    loop {
        let found = |process: &&Stat| !ours.contains(&process.pid) && ours.contains(&process.parent);
        let below: Vec<u32> = all.iter().filter(may_be_ours).filter(found).map(|process| process.pid).collect();
        if below.is_empty() {
            break;
        }
        ours.extend(below);
    }
    Ok(all.iter().filter(|process| ours.contains(&process.pid)).map(Stat::mark).collect())
}

/// This process and all above it.
fn ancestors(all: &[Stat]) -> BTreeSet<u32> {
    let mut above = BTreeSet::new();
    let mut next = std::process::id();
    while next != 0 && above.insert(next) {
        next = all.iter().find(|process| process.pid == next).map_or(0, |process| process.parent);
    }
    above
}

/// The mark in a process's environment; `None` where there is none, or where it may not be read: then it is not ours.
fn launch_of(process: &Stat) -> Option<String> {
    let mut environment = Vec::new();
    let file = File::open(format!("/proc/{}/environ", process.pid)).ok()?;
    file.take(ENVIRONMENT_MAX).read_to_end(&mut environment).ok()?;
    let prefix = format!("{LAUNCH}=");
    let found = environment.split(|&byte| byte == 0).find_map(|variable| variable.strip_prefix(prefix.as_bytes()))?;
    Some(String::from_utf8_lossy(found).into_owned())
}
