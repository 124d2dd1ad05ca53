//! From a launch to a running program, in the order that survives a crash at any point: socket, log, a child that waits,
//! its record on disk, and only then the program.
//!
//! Never: lets the program run before its record is in place.

use super::children::Children;
use super::log_writer::{FILE_MAX, LogWriter};
use super::protocol::Launch;
use crate::clock;
use crate::identity::{self, ProcessMark};
use crate::record::{Ended, Record, VERSION};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, WaitOptions};
use shoal_model::Exit;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A running program with all that a keeper needs to watch it.
pub(crate) struct Started {
    pub(crate) record: Record,
    pub(crate) record_path: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) listener: UnixListener,
    pub(crate) log: LogWriter,
    pub(crate) out: OwnedFd,
    pub(crate) err: OwnedFd,
    pub(crate) children: Children,
    pub(crate) drain_timeout: Duration,
    /// By name: the sockets that it is called at, or that others will serve on after it.
    pub(crate) kept: Vec<(String, OwnedFd)>,
    /// Held as long as the keeper lives; that it is free proves the keeper dead.
    pub(crate) lock: OwnedFd,
}

/// Why the program does not run, with the record that says so where one could be made.
pub(crate) struct NotStarted {
    pub(crate) why: String,
    pub(crate) record: Option<Box<Record>>,
}

/// How long the child may take to become the program.
const EXEC_TIMEOUT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// Starts the program.
pub(crate) fn start(launch: Launch, descriptors: Vec<OwnedFd>) -> Result<Started, NotStarted> {
    let mut record = match new_record(&launch) {
        Ok(record) => record,
        Err(error) => {
            let why = format!("failed to read `/proc`, which Shoal needs to tell processes apart: {error}");
            return Err(NotStarted { why, record: None });
        }
    };
    let record_path = launch.record.clone();
    run(launch, descriptors, &mut record).map_err(|why| {
        record.program = None;
        record.ended = Some(Ended { exit: Exit::NotStarted { why: why.clone() }, at: clock::now() });
        // The supervisor is told over the socket; the record is for the case that it is gone.
        if let Err(error) = record.write(&record_path) {
            eprintln!("shoal keeper: failed to write `{}`: {error}", record_path.display());
        }
        NotStarted { why, record: Some(Box::new(record.clone())) }
    })
}

fn new_record(launch: &Launch) -> io::Result<Record> {
    let keeper = ProcessMark::of(std::process::id())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(Record {
        version: VERSION,
        replica: launch.replica.clone(),
        revision: launch.revision.clone(),
        boot: identity::boot_id()?,
        launch: launch.launch.clone(),
        keeper,
        program: None,
        address: launch.address.clone(),
        calls: launch.calls.clone(),
        is_fixed: launch.is_fixed,
        log: launch.log.clone(),
        health: launch.health.clone(),
        probes: launch.probes.clone(),
        ended: None,
    })
}

fn run(launch: Launch, descriptors: Vec<OwnedFd>, record: &mut Record) -> Result<Started, String> {
    let mut descriptors = descriptors.into_iter();
    let lock = descriptors.next().ok_or("the supervisor passed no lock")?;
    let mut sockets: Vec<OwnedFd> = descriptors.collect();
    let named = launch.sockets.len() + launch.calls.len();
    if sockets.len() != named {
        return Err(format!("the supervisor named {named} sockets and passed {}", sockets.len()));
    }
    let calls = sockets.split_off(launch.sockets.len());
    let mut kept: Vec<_> = launch.calls.iter().map(ToString::to_string).zip(calls).collect();
    // Only the holder of the lock comes here, so that a socket that is there is a dead keeper's.
    let _ = fs::remove_file(&launch.socket);
    let listener = UnixListener::bind(&launch.socket)
        .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
        .map_err(|error| format!("failed to listen on `{}`: {error}", launch.socket.display()))?;
    let log = LogWriter::open(&launch.log, FILE_MAX);

    let machine = |error: io::Error| format!("the machine refused to start `{}`: {error}", program_name(&launch));
    let (out, out_writer) = io::pipe().map_err(machine)?;
    let (err, err_writer) = io::pipe().map_err(machine)?;
    for pipe in [&out, &err] {
        rustix::io::ioctl_fionbio(pipe, true).map_err(|error| machine(error.into()))?;
    }
    let (control, controlled) = UnixStream::pair().map_err(machine)?;
    let pid = spawn(&launch, &sockets, controlled, out_writer.into(), err_writer.into()).map_err(machine)?;
    if launch.is_fixed {
        kept.extend(launch.sockets.iter().cloned().zip(sockets));
    } else {
        // From here on the program alone holds its sockets: when it dies, they refuse connections at once.
        drop(sockets);
    }

    if let Err(why) = release(&launch, pid, record, control) {
        // The child has ended, or waits and has not become the program: nothing of the service has run.
        let _ = rustix::process::kill_process(pid, Signal::KILL);
        let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
        return Err(why);
    }
    Ok(Started {
        record: record.clone(),
        record_path: launch.record,
        socket: launch.socket,
        listener,
        log,
        out: out.into(),
        err: err.into(),
        children: Children::new(pid),
        drain_timeout: launch.drain_timeout,
        kept,
        lock,
    })
}

/// Starts the shim as the leader of a new process group; it waits for a byte before it becomes the program.
fn spawn(launch: &Launch, sockets: &[OwnedFd], control: UnixStream, out: Stdio, err: Stdio) -> io::Result<Pid> {
    // The keeper has one thread, so that nobody else can start a process while these stay open across an exec.
    for socket in sockets {
        fcntl_setfd(socket, FdFlags::empty())?;
    }
    fcntl_setfd(&control, FdFlags::empty())?;
    let numbers: Vec<String> = sockets.iter().map(|socket| socket.as_raw_fd().to_string()).collect();
    // The executable that runs now, even when its file was replaced since: keeper and shim are of one release.
    let child = Command::new("/proc/self/exe")
        .arg0("shoal")
        .arg("__exec")
        .arg(std::process::id().to_string())
        .arg(control.as_raw_fd().to_string())
        .arg(numbers.join(","))
        .arg(launch.sockets.join(":"))
        .arg(&launch.folder)
        .args(&launch.command)
        .env_clear()
        .envs(&launch.env)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .spawn()?;
    i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Records the waiting child, lets it go, and hears whether it became the program.
fn release(launch: &Launch, pid: Pid, record: &mut Record, mut control: UnixStream) -> Result<(), String> {
    let name = program_name(launch);
    let number = u32::try_from(pid.as_raw_nonzero().get()).unwrap_or(0);
    let mark = ProcessMark::of(number).map_err(|error| format!("failed to read `/proc`: {error}"))?;
    record.program = Some(mark.ok_or_else(|| format!("`{name}` was killed before it could start"))?);
    record.write(&launch.record).map_err(|error| {
        let mend = if error.kind() == io::ErrorKind::StorageFull { "; make room on this disk" } else { "" };
        let path = launch.record.display();
        format!("failed to write `{path}`, without which `{name}` could not be found again: {error}{mend}")
    })?;
    control.write_all(b"g").map_err(|_| format!("`{name}` was killed before it could start"))?;

    let mut waiting = [PollFd::new(&control, PollFlags::IN)];
    while poll(&mut waiting, Some(&EXEC_TIMEOUT)) == Err(rustix::io::Errno::INTR) {}
    if waiting.iter().all(|descriptor| descriptor.revents().is_empty()) {
        return Err(format!(
            "`{name}` could not be read within {} s: is its file system reachable?",
            EXEC_TIMEOUT.tv_sec
        ));
    }
    let mut why = String::new();
    match control.take(4096).read_to_string(&mut why) {
        Ok(0) => Ok(()),
        Ok(_) => Err(why),
        // Closed by the program's start, or by the child's death, of which its exit status will tell.
        Err(_) => Ok(()),
    }
}

fn program_name(launch: &Launch) -> &str {
    launch.command.first().map_or("", String::as_str)
}
