//! Open files that travel with bytes over a Unix socket (`SCM_RIGHTS`): a copy of each is made on the other side.
//!
//! Never: looks at what the bytes or the files are.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The most that travel at once; the kernel's own limit is 253.
pub const DESCRIPTORS_MAX: usize = 240;

/// Sends as much of `bytes` as fits, with descriptors attached to the first of them; the number of bytes sent.
///
/// # Errors
/// When there are too many, or the socket does not take them now or any more.
pub fn send(socket: &impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut attached = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !attached.push(SendAncillaryMessage::ScmRights(descriptors)) {
        let why = format!("{} descriptors cannot be sent at once, {DESCRIPTORS_MAX} is the most", descriptors.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    Ok(rustix::io::retry_on_intr(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut attached, SendFlags::NOSIGNAL))?)
}

/// Receives bytes, and adds the descriptors attached to them; the number of bytes, 0 at the end. The descriptors close
/// when another program is executed.
///
/// # Errors
/// When the socket has nothing now, or fails.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut attached = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut attached, RecvFlags::CMSG_CLOEXEC) {
            Ok(received) => break received.bytes,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    for message in attached.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(received)
}
