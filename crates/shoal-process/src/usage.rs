//! What replicas use: processor time and memory, read from `/proc` when somebody asks.
//!
//! Never: samples by itself; rates are the asker's business.

use crate::identity::{self, Stat};
use crate::record::Record;
use std::fs;
use std::time::Duration;

/// What one replica uses: its program and all that the program started in its session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// The program's process id.
    pub pid: u32,
    /// Its keeper's process id.
    pub keeper_pid: u32,
    /// Processor time since the start, user and system; what ended counts once its parent has waited for it.
    pub cpu: Duration,
    /// Memory, in bytes: what is shared counts by its share (PSS), or wholly (RSS) where the kernel does not tell.
    pub memory_bytes: u64,
}

/// The usage of each of these replicas; one look at `/proc` for all. One that has just ended is left out.
pub(crate) fn of<'a, K>(records: impl IntoIterator<Item = (K, &'a Record)>) -> Vec<(K, Usage)> {
    let all = match identity::processes() {
        Ok(all) => all,
        Err(error) => {
            tracing::warn!(%error, "failed to read `/proc`");
            return Vec::new();
        }
    };
    let ticks_per_second = rustix::param::clock_ticks_per_second().max(1);
    let mut found = Vec::new();
    for (key, record) in records {
        let Some(program) = record.program else { continue };
        if !all.iter().any(|process| process.mark() == program && !process.has_exited()) {
            continue;
        }
        let is_part = |process: &&Stat| process.session == record.keeper.pid && process.pid != record.keeper.pid;
        let (mut ticks, mut memory_bytes) = (0, 0);
        for process in all.iter().filter(is_part) {
            ticks += process.ticks;
            memory_bytes += memory(process.pid);
        }
        let cpu = Duration::from_millis(ticks.saturating_mul(1000) / ticks_per_second);
        found.push((key, Usage { pid: program.pid, keeper_pid: record.keeper.pid, cpu, memory_bytes }));
    }
    found
}

/// The memory of one process, in bytes: its share (PSS), or all of it (RSS) where the kernel does not tell; 0 for one that
/// is gone.
#[must_use]
pub fn memory(pid: u32) -> u64 {
    let field = |text: &str, name: &str| -> Option<u64> {
        let kibibytes = text.lines().find_map(|line| line.strip_prefix(name))?;
        Some(kibibytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
    read("smaps_rollup")
        .and_then(|text| field(&text, "Pss:"))
        .or_else(|| field(&read("status")?, "VmRSS:"))
        .unwrap_or(0)
}
