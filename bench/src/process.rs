//! Processes of a figure: the bench's own roles, and peers. Each ends when its handle is dropped. Never: leaves one behind.

use crate::{Failure, interrupt};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take to start.
const START_MAX: Duration = Duration::from_secs(20);
/// How long it may take to stop when it is asked.
const STOP_MAX: Duration = Duration::from_secs(2);

/// A process that was started here.
pub struct Process {
    child: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts a role of this program, and reads the line that says it is ready: its address, if it has one.
    pub fn role(role: &str, arguments: &[String]) -> Result<(Self, String), Failure> {
        let mut command = in_own_session(own_program()?);
        command.arg(role).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Self::started(&mut command)?;
        let ready = process.read_line()?;
        Ok((process, ready))
    }

    /// Starts a program.
    pub fn started(command: &mut Command) -> Result<Self, Failure> {
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let input = child.stdin.take();
        let output = child.stdout.take().map(BufReader::new);
        Ok(Self { child, input, output })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line, and reads the one that answers it.
    pub fn ask(&mut self, line: &str) -> Result<String, Failure> {
        let input = self.input.as_mut().ok_or("the process has no input")?;
        writeln!(input, "{line}")?;
        input.flush()?;
        self.read_line()
    }

    fn read_line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        let output = self.output.as_mut().ok_or("the process has no output")?;
        if output.read_line(&mut line)? == 0 {
            return Err("a process of the bench ended early".into());
        }
        Ok(line.trim().to_owned())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Asked first: nginx would leave its workers behind. That it has ended by itself is as good.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let asked = Instant::now();
        while asked.elapsed() < STOP_MAX && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(1)); // Between two looks, not instead of one.
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program in a session of its own, as Shoal's processes are: the system shares the cores between sessions, so that one
/// beside the load would have less of them.
pub fn in_own_session(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setsid");
    command.arg(program);
    command
}

/// This program.
pub fn own_program() -> Result<PathBuf, Failure> {
    Ok(std::env::current_exe()?)
}

/// A program that was built beside this one.
pub fn neighbour(name: &str) -> Result<PathBuf, Failure> {
    let path = own_program()?.with_file_name(name);
    let missing = || format!("{} is missing; `cargo xtask bench` builds it", path.display());
    if path.is_file() { Ok(path) } else { Err(missing().into()) }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> Result<T, Failure> {
    let deadline = Instant::now() + START_MAX;
    loop {
        interrupt::check()?;
        if let Some(answer) = ask() {
            return Ok(answer);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {} s: {what}", START_MAX.as_secs()).into());
        }
        std::thread::sleep(Duration::from_millis(1)); // Between two looks, not instead of one.
    }
}
