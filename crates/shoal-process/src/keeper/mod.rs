//! The keeper, `shoal __keep`: the parent of one program, and all that stays of a replica when the supervisor is gone.
//!
//! It is single-threaded, waits in `poll`, and needs a few hundred kilobytes. It starts a session of its own, takes in
//! whatever the program orphans, owns the log, records on disk which process it started before that runs, and how it ended
//! after. It dies with nothing left running: the program gets a death signal, and what the program left is killed.
//!
//! Never: restarts anything, or does more than it is asked over its socket.

mod children;
mod clients;
mod disturb;
mod lines;
mod log_writer;
pub(crate) mod protocol;
mod start;
mod watch;

use crate::linux::SignalQueue;
use clients::Client;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::Duration;

/// The signals a keeper hears. Those that ask it to end are passed on: it goes when its program has gone.
const SIGNALS: [i32; 4] = [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// How long the supervisor may take to say what to start.
const LAUNCH_TIMEOUT: Duration = Duration::from_secs(30);

/// `shoal __keep NAME`: keeps one replica until it has ended. What to run comes over standard input; `NAME` is only there
/// for whoever reads a list of processes. Call it first in `main`, before the process has a second thread or any file of
/// its own: it closes every descriptor that it was started with.
pub fn keep(_arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal keeper: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<()> {
    crate::linux::close_inherited();
    rustix::process::setsid()?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let signals = SignalQueue::new(&SIGNALS)?;
    let supervisor = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    supervisor.set_read_timeout(Some(LAUNCH_TIMEOUT))?;
    // A launch that was not received whole starts nothing: the supervisor was killed in the middle of it.
    let first = protocol::receive_launch(&supervisor)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    std::env::set_current_dir("/")?;

    let mut supervisor = Client::new(supervisor, first.rest)?;
    match start::start(first.launch, first.descriptors) {
        Ok(started) => {
            crate::linux::trim_memory();
            watch::Watch::new(started, signals, supervisor).run()
        }
        Err(start::NotStarted { why, record }) => {
            match record {
                Some(record) => supervisor.status(&record),
                None => supervisor.refuse(why),
            }
            Ok(())
        }
    }
}
