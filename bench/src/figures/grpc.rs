//! gRPC through the local proxy, as a program without the SDK calls: against nginx and HAProxy in front of the same replica.
//! Never: with more than one connection from the caller; that is how gRPC clients are.

use super::sdk::{calls_done, with_echo};
use crate::application::Application;
use crate::process::{Process, own_program};
use crate::report::{Row, micros};
use crate::rounds::{Contest, Settings};
use crate::{Failure, cpu, peers};
use std::time::Duration;

/// Calls in flight when the proxy is as busy as can be, and calls a second when it is not.
const CLIENTS: usize = 64;
const RATE: u32 = 2000;
/// Seconds; what differs by less is taken for this.
const RESOLUTION: f64 = 1e-6;

/// A way to the replica, the caller that uses it, and the processes of the proxy between them.
struct Way {
    name: &'static str,
    caller: Process,
    pids: Vec<u32>,
}

const NGINX: usize = 1;
const SHOAL: usize = 3;

/// CPU of the proxy per call, and what it adds to the time of one.
pub fn proxy(settings: &Settings) -> Result<Vec<Row>, Failure> {
    let caller = format!(
        "[gateway]\nlisten = \"127.0.0.1:0\"\nroutes = [{{ path = \"/\", service = \"caller\" }}]\n\
         [services.caller]\npurpose = \"Knows nothing of Shoal\"\nrun = {{ command = [\"{}\", \"__upstream\"] }}\n\
         calls = [\"echo\"]\n",
        own_program()?.display()
    );
    let application = Application::start(&(with_echo()? + &caller))?;
    let echo = application.until_ready("echo", 1)?.pop().ok_or("there is no callee")?.address;
    let caller = application.until_ready("caller", 1)?.pop().ok_or("there is no caller")?.pid;
    let gateway = application.until_ready("gateway", 1)?.iter().map(|replica| replica.pid).collect();
    let url = variable(caller, "ECHO_URL")?;
    let local = url.strip_prefix("http://").ok_or_else(|| format!("`{url}` is no address"))?.trim_end_matches('/');
    let (nginx, haproxy) = (peers::nginx_grpc(&echo)?, peers::haproxy_grpc(&echo)?);
    let ways = [
        ("no proxy", echo, Vec::new()),
        ("nginx", nginx.address.to_string(), nginx.pids()?),
        ("HAProxy", haproxy.address.to_string(), haproxy.pids()?),
        ("Shoal's local proxy", local.to_owned(), gateway),
    ];
    let ways = ways.map(|(name, address, pids)| {
        Process::role("__tonic-client", &[address]).map(|(caller, _)| Way { name, caller, pids })
    });
    let mut ways: Vec<Way> = ways.into_iter().collect::<Result<_, _>>()?;
    let contest = Contest::hold(settings, ways.len(), |index| {
        let way = &mut ways[index];
        let closed = |length: Duration| format!("closed {CLIENTS} {}", length.as_millis().max(1));
        way.caller.ask(&closed(settings.length / 5))?;
        let before = cpu::seconds(&way.pids)?;
        let done = calls_done(&way.caller.ask(&closed(settings.length))?)?;
        let used = cpu::seconds(&way.pids)? - before;
        let open = way.caller.ask(&format!("open {RATE} {}", settings.length.as_millis().max(1)))?;
        let [p50, p99] = quantiles(&open).ok_or_else(|| format!("calls through {} failed: {open}", way.name))?;
        Ok([used / done, p50, p99])
    })?;
    let added =
        |index: usize, number: usize| contest.median(|round| round[index][number] - round[0][number]).max(RESOLUTION);
    let mut rows = vec![
        Row::new("no proxy, p50", micros(contest.value(0, 1))),
        Row::new("no proxy, p99", micros(contest.value(0, 2))),
    ];
    for (index, way) in ways.iter().enumerate().skip(1) {
        let name = format!("{}, CPU per call", way.name);
        rows.push(Row::new(name, micros(contest.value(index, 0))).ratio(contest.ratio(index, NGINX, 0)));
    }
    for (number, what) in [(1, "added p50"), (2, "added p99")] {
        for (index, way) in ways.iter().enumerate().skip(1) {
            let ratio = added(index, number) / added(NGINX, number);
            let row = Row::new(format!("{}, {what}", way.name), micros(added(index, number))).ratio(ratio);
            rows.push(if index == SHOAL { row.ratio_at_most(&[1.6]) } else { row });
        }
    }
    Ok(rows)
}

/// Two times in seconds, when no call failed.
fn quantiles(answer: &str) -> Option<[f64; 2]> {
    let numbers: Vec<f64> = answer.split(' ').filter_map(|word| word.parse().ok()).collect();
    match numbers.as_slice() {
        [p50, p99, _, failed] if *failed == 0.0 => Some([p50 / 1e9, p99 / 1e9]),
        _ => None,
    }
}

/// A variable of a process's environment.
fn variable(pid: u32, name: &str) -> Result<String, Failure> {
    let bytes = std::fs::read(format!("/proc/{pid}/environ"))?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let found = text.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    Ok(found.map(str::to_owned).ok_or_else(|| format!("the replica has no {name}"))?)
}
