//! The calls that only Linux has and that no safe wrapper covers: the one place with `unsafe` code.
//!
//! Never: decides when one of them is due; and takes no pointer or descriptor it has not checked.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

/// Signals that arrive as readable data instead of interrupting the process.
pub(crate) struct SignalQueue {
    file: File,
}

impl SignalQueue {
    /// Blocks these signals and queues them from now on. Processes started later inherit the mask: see [`reset_signals`].
    pub(crate) fn new(signals: &[i32]) -> io::Result<Self> {
        // SAFETY: `sigset_t` is plain data that `sigemptyset` initialises; every pointer lives through its call.
        let descriptor = unsafe {
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for &signal in signals {
                libc::sigaddset(&raw mut set, signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `signalfd` has just returned this descriptor and nobody else owns it.
        Ok(Self { file: unsafe { File::from_raw_fd(descriptor) } })
    }

    /// The numbers of the signals that arrived since the last call.
    pub(crate) fn take(&self) -> Vec<i32> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut arrived = Vec::new();
        let mut buffer = [0; SIZE];
        // The number is the structure's first field, a `u32`.
        while let Ok(SIZE) = (&self.file).read(&mut buffer) {
            let number = u32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
            arrived.extend(i32::try_from(number));
        }
        arrived
    }
}

impl AsFd for SignalQueue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Gives every signal its default disposition and blocks none: what is ignored or blocked would otherwise stay so in the
/// program that follows.
pub(crate) fn reset_signals() {
    for signal in 1..=64 {
        // SAFETY: installs no handler; signals that cannot be changed only make the call fail.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: as in `SignalQueue::new`; an empty set cannot be refused.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Has a write beyond the largest allowed file size fail with `EFBIG` rather than end the program, as a full disk would. Without
/// such a limit it makes no difference.
pub(crate) fn ignore_file_size_signal() {
    // SAFETY: installs no handler.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Takes ownership of a descriptor that this process was started with.
pub(crate) fn inherited(descriptor: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: asks the kernel about a number, and touches no memory.
    if descriptor < 3 || unsafe { libc::fcntl(descriptor, libc::F_GETFD) } < 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("descriptor {descriptor} was not passed")));
    }
    // SAFETY: the descriptor is open, and the shim takes each number of its arguments once, before it opens any other.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Closes every descriptor from 3 on: what the supervisor itself was started with is nothing a keeper should hold open.
/// Only for a process that has opened none yet.
pub(crate) fn close_inherited() {
    // SAFETY: called first in the keeper, before it owns any descriptor from 3 on. A kernel before 5.9 leaves them open.
    unsafe { libc::syscall(libc::SYS_close_range, 3 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint) };
}

/// Puts these sockets at descriptors 3, 4, … for the program that follows; every other descriptor closes when it starts.
/// `kept` moves out of their way and stays open until then.
pub(crate) fn place_from_three(sockets: Vec<OwnedFd>, kept: OwnedFd) -> io::Result<OwnedFd> {
    let end = 3 + RawFd::try_from(sockets.len()).unwrap_or(RawFd::MAX - 3);
    // First all out of the way, so that no target number is still in use by one of them.
    let moved =
        sockets.iter().map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, end)).collect::<Result<Vec<_>, _>>()?;
    let kept_high = rustix::io::fcntl_dupfd_cloexec(&kept, end)?;
    drop((sockets, kept));
    for (target, socket) in (3..).zip(&moved) {
        // SAFETY: `target` is a number from 3 to `end`, all of which were vacated above; the copy is meant to leak.
        if unsafe { libc::dup2(socket.as_raw_fd(), target) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: only marks descriptors from `end` on as close-on-exec. The result is not needed: a kernel before 5.11
    // leaves what the shim opened itself, which is marked already.
    unsafe { libc::syscall(libc::SYS_close_range, end, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    Ok(kept_high)
}

/// Gives memory that was freed back to the system; a keeper lives long and needs little.
pub(crate) fn trim_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: takes no pointer; the allocator serialises it.
    unsafe {
        libc::malloc_trim(0);
    }
}
