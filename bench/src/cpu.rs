//! What the system charged to processes. Never: the bench's own process.

use crate::Failure;
use std::fs;
use std::time::Duration;

/// Seconds of CPU that these processes have used: each with all its threads that still run, to the nanosecond.
pub fn seconds(pids: &[u32]) -> Result<f64, Failure> {
    let mut sum = 0.0;
    for pid in pids {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| gone(*pid))? {
            // A thread that ends meanwhile takes its time with it.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let nanoseconds = text.split_whitespace().next().unwrap_or_default();
            sum += nanoseconds.parse::<f64>().map_err(|_| format!("`{text}` is no schedstat"))? / 1e9;
        }
    }
    Ok(sum)
}

/// The same with threads that have ended, to the hundredth of a second.
pub fn seconds_with_ended_threads(pid: u32) -> Result<f64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(|_| gone(pid))?;
    // The name may hold anything; what follows its bracket does not.
    let fields = text.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>()).unwrap_or_default();
    let ticks = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
    let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { return Err(format!("`{text}` is no stat").into()) };
    Ok((user + system) / rustix::param::clock_ticks_per_second() as f64)
}

/// The same of a process and its children.
pub fn seconds_of_family(pid: u32) -> Result<f64, Failure> {
    let mut sum = seconds_with_ended_threads(pid)?;
    for child in children(pid)? {
        // One that ended meanwhile takes its time with it.
        sum += seconds_with_ended_threads(child).unwrap_or(0.0);
    }
    Ok(sum)
}

/// How many cores the whole machine keeps busy, looked at for a moment.
pub fn busy_cores() -> Result<f64, Failure> {
    let look = || -> Result<(f64, f64), Failure> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        // User, nice, system, idle, waiting for disks, …
        let idle = numbers.iter().skip(3).take(2).sum();
        Ok((numbers.iter().sum(), idle))
    };
    let before = look()?;
    std::thread::sleep(Duration::from_millis(300)); // The moment.
    let after = look()?;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Ok((1.0 - (after.1 - before.1) / (after.0 - before.0).max(1.0)) * cores as f64)
}

/// A process's share of the memory, in bytes: what it has alone, and its part of what it shares.
pub fn share_of_memory(pid: u32) -> Result<u64, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).map_err(|_| gone(pid))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).unwrap_or_default();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().map_err(|_| "there is no `Pss:`")?;
    Ok(kibibytes * 1024)
}

/// The children of a process.
pub fn children(pid: u32) -> Result<Vec<u32>, Failure> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).map_err(|_| gone(pid))?;
    Ok(text.split_whitespace().filter_map(|child| child.parse().ok()).collect())
}

fn gone(pid: u32) -> Failure {
    format!("the process {pid} is gone").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_charged_and_memory_is_counted() {
        let own = std::process::id();
        let before = seconds(&[own]).unwrap();
        let mut sum = 0_u64;
        while seconds(&[own]).unwrap() < before + 0.02 {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(seconds_with_ended_threads(own).unwrap() >= 0.01);
        assert!(share_of_memory(own).unwrap() > 100_000);
        assert!(seconds(&[u32::MAX]).is_err());
    }
}
