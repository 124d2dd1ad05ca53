//! Takes over a descriptor that was open when the process started. The one place of this crate with `unsafe`: the
//! operating system hands descriptors over as numbers, and only the process itself can know that a number is its own.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// Takes the descriptor with this number, 3 or above; the standard streams stay with the standard library.
pub(super) fn take(descriptor: i32) -> io::Result<OwnedFd> {
    if descriptor < 3 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1. It is only asked whether it is open, which harms no owner it might have.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    rustix::io::fcntl_getfd(borrowed)?;
    // SAFETY: it is open. `LISTEN_PID` names this process, so by the convention behind `LISTEN_FDS` it was passed for
    // this process to own, and `Listening::open`, which consumes its value, is called once per process by `run`.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
