//! The shim, `shoal __exec`: the moment between keeper and program. It puts everything in order and becomes the program.
//!
//! Never: returns when it succeeds, or forks: the pid that the keeper recorded is the program's.

use crate::linux;
use rustix::process::Signal;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Open files a program may have, where the machine allows that many; the usual limit of 1024 is low for a server.
const OPEN_FILES: u64 = 65_536;

/// `shoal __exec KEEPER CONTROL SOCKETS NAMES FOLDER PROGRAM ARGUMENT…`, called by the keeper only. `SOCKETS` are descriptor
/// numbers separated by commas, `NAMES` theirs separated by colons.
pub fn exec(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter();
    let Some((mut control, mut request)) = Request::read(&mut arguments) else {
        eprintln!("shoal __exec is started by Shoal itself");
        return ExitCode::from(2);
    };
    request.command.extend(arguments);
    // The keeper may have died before this took effect: then nobody would send the signal.
    let bound = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().get());
    if bound.is_err() || parent != Some(request.keeper) {
        return ExitCode::FAILURE;
    }
    linux::reset_signals();
    linux::ignore_file_size_signal();
    // One byte: the record is on disk. The end instead: the keeper is gone.
    if control.read_exact(&mut [0]).is_err() {
        return ExitCode::FAILURE;
    }
    let (why, control) = request.run(control);
    if let Some(mut control) = control {
        // Should the keeper be gone, there is nobody to tell.
        let _ = control.write_all(why.as_bytes());
    }
    ExitCode::from(127)
}

struct Request {
    keeper: i32,
    sockets: Vec<OwnedFd>,
    names: OsString,
    folder: OsString,
    command: Vec<OsString>,
}

impl Request {
    fn read(arguments: &mut impl Iterator<Item = OsString>) -> Option<(UnixStream, Self)> {
        let keeper = arguments.next()?.to_str()?.parse().ok()?;
        let control = linux::inherited(arguments.next()?.to_str()?.parse().ok()?).ok()?;
        let mut sockets = Vec::new();
        for number in arguments.next()?.to_str()?.split(',').filter(|number| !number.is_empty()) {
            sockets.push(linux::inherited(number.parse().ok()?).ok()?);
        }
        let (names, folder) = (arguments.next()?, arguments.next()?);
        Some((UnixStream::from(control), Self { keeper, sockets, names, folder, command: Vec::new() }))
    }

    /// Becomes the program; returns only to say why not, and where to say it.
    fn run(self, control: UnixStream) -> (String, Option<UnixStream>) {
        let Some((program, arguments)) = self.command.split_first() else {
            return ("the command is empty: name a program".to_owned(), Some(control));
        };
        if let Err(error) = std::env::set_current_dir(&self.folder) {
            let folder = Path::new(&self.folder).display();
            return (
                format!("failed to enter the folder `{folder}`, where {} would run: {error}", named(program)),
                Some(control),
            );
        }
        raise_open_files();
        let count = self.sockets.len();
        let control = match linux::place_from_three(self.sockets, control.into()) {
            Ok(control) => UnixStream::from(control),
            Err(error) => return (format!("failed to pass its sockets to {}: {error}", named(program)), None),
        };
        let mut command = Command::new(program);
        command.args(arguments);
        if count > 0 {
            command.env("LISTEN_PID", std::process::id().to_string());
            command.env("LISTEN_FDS", count.to_string());
            command.env("LISTEN_FDNAMES", &self.names);
        }
        let error = command.exec();
        (why_not(program, &error), Some(control))
    }
}

fn named(program: &OsStr) -> String {
    format!("`{}`", program.display())
}

fn raise_open_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(OPEN_FILES).min(OPEN_FILES);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        // The program runs with the lower limit as well.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// One sentence that says why a program could not be started, and the mend.
fn why_not(program: &OsStr, error: &io::Error) -> String {
    let name = named(program);
    let path = Path::new(program);
    let has_folder = path.components().count() > 1;
    match error.kind() {
        io::ErrorKind::NotFound if !has_folder => {
            format!("the program {name} was not found on PATH: install it, or give its whole path")
        }
        io::ErrorKind::NotFound if path.exists() => {
            format!(
                "the program {name} exists, but what would interpret or load it does not: look at its first line (`#!…`)"
            )
        }
        io::ErrorKind::NotFound => format!("the program {name} does not exist: build it, or mend its path"),
        io::ErrorKind::PermissionDenied if path.is_dir() => format!("{name} is a folder, not a program"),
        io::ErrorKind::PermissionDenied if has_folder && !is_executable(path) => {
            format!("the program {name} is not executable: run `chmod +x` on it")
        }
        _ if error.raw_os_error() == Some(libc::ENOEXEC) => {
            format!("{name} is not a program of this machine, and its first line names no interpreter (`#!…`)")
        }
        _ => format!("failed to run the program {name}: {error}"),
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}
