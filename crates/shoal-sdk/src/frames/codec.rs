//! Frames as bytes: what each holds, and how it is read from bytes that anybody may have written. Never: a socket, or a
//! message's content.
//!
//! A frame is its length (32 bits, of all that follows), its kind (8 bits) and its fields; numbers are little-endian.
//!
//! | kind | from | fields |
//! |---|---|---|
//! | 1 hello | both, first | the text `shoal frames`, version 16, the largest message taken 32, token 128 |
//! | 2 call | caller | id 64, microseconds left 64, trace 128, span 64, flags 8, lengths of path 16, request id 8 and trace state 16, these three, the request |
//! | 3 cancel | caller | id 64 |
//! | 4 answer | callee | id 64, the response |
//! | 5 error | callee | id 64, code 8, length of the message 32, the message, count of details 8, of each: length of the name 16, the name, length of the value 32, the value |
//! | 6 leaving | callee | how many calls of this connection it took 64; it takes no more |

use crate::trace::Trace;
use crate::{Call, Code, Detail, Error};
use bytes::Bytes;
use std::time::Duration;

/// What each callee makes anew at its start, to be told apart from one that had the same socket before.
pub(crate) type Token = [u8; 16];

/// What a frame may be longer than its message.
pub(crate) const HEAD_MAX: usize = 16 * 1024;
/// The bytes before an answer's response: length, kind and id.
pub(crate) const ANSWER_HEAD: usize = 13;
/// The most details of an error.
const DETAILS_MAX: usize = 32;

const MAGIC: &[u8; 12] = b"shoal frames";
const HELLO: u8 = 1;
const CALL: u8 = 2;
const CANCEL: u8 = 3;
const ANSWER: u8 = 4;
const ERROR: u8 = 5;
const LEAVING: u8 = 6;

/// One frame, read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame<'a> {
    Hello(Hello),
    Call(CallFrame<'a>),
    Cancel {
        id: u64,
    },
    /// Its response is all from [`ANSWER_HEAD`] on.
    Answer {
        id: u64,
    },
    Error {
        id: u64,
        error: Error,
    },
    Leaving {
        taken: u64,
    },
}

/// How each side introduces itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hello {
    pub(crate) version: u16,
    /// The largest message that it takes, in bytes.
    pub(crate) message_max: u32,
    pub(crate) token: Token,
}

/// A call, as far as it must be read before its method is known.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CallFrame<'a> {
    pub(crate) id: u64,
    pub(crate) timeout: Duration,
    pub(crate) trace: Option<Trace>,
    pub(crate) path: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) message: &'a [u8],
}

/// What breaks the rules of frames; the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(usize),
    #[error("a frame is malformed")]
    Malformed,
    #[error("a frame came that has no place here")]
    Unexpected,
    #[error("the other side speaks another version of frames")]
    Version,
    #[error("the other side is not the one that was asked for")]
    Stranger,
}

/// The length of the first frame in `bytes`, its length field included; `None` while too little of it is there.
pub(crate) fn length(bytes: &[u8], message_max: usize) -> Result<Option<usize>, Violation> {
    let Some(field) = bytes.first_chunk::<4>() else {
        return Ok(None);
    };
    // A frame fits into memory, as its length is below the limit.
    let length = usize::try_from(u32::from_le_bytes(*field)).unwrap_or(usize::MAX);
    if length > message_max.saturating_add(HEAD_MAX) {
        return Err(Violation::TooLong(length));
    }
    Ok(Some(length + 4))
}

/// Reads one whole frame.
pub(crate) fn read(frame: &[u8]) -> Result<Frame<'_>, Violation> {
    let mut fields = Fields(frame.get(4..).unwrap_or_default());
    fields.frame().ok_or(Violation::Malformed)
}

/// What of a frame is not read yet.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn frame(&mut self) -> Option<Frame<'a>> {
        Some(match self.array::<1>()? {
            [HELLO] => {
                if &self.array::<12>()? != MAGIC {
                    return None;
                }
                let version = u16::from_le_bytes(self.array()?);
                let message_max = u32::from_le_bytes(self.array()?);
                // A later version may say more.
                Frame::Hello(Hello { version, message_max, token: self.array()? })
            }
            [CALL] => Frame::Call(self.call()?),
            [CANCEL] => Frame::Cancel { id: self.number()? },
            [ANSWER] => Frame::Answer { id: self.number()? },
            [ERROR] => Frame::Error { id: self.number()?, error: self.error()? },
            [LEAVING] => Frame::Leaving { taken: self.number()? },
            _ => return None,
        })
    }

    fn call(&mut self) -> Option<CallFrame<'a>> {
        let id = self.number()?;
        let timeout = Duration::from_micros(self.number()?);
        let (trace, span, [flags]) = (self.array()?, self.array()?, self.array()?);
        let path = usize::from(u16::from_le_bytes(self.array()?));
        let [request_id] = self.array()?;
        let state = usize::from(u16::from_le_bytes(self.array()?));
        let path = self.text(path)?;
        let request_id = self.text(usize::from(request_id))?;
        let state = self.text(state)?;
        let trace = Trace::of_parts(trace, span, flags, state);
        Some(CallFrame { id, timeout, trace, path, request_id, message: self.0 })
    }

    fn error(&mut self) -> Option<Error> {
        let [code] = self.array()?;
        let length = self.length()?;
        let mut error = Error::new(code_of(code), self.text(length)?);
        let [count] = self.array()?;
        for _ in 0..count {
            let name = usize::from(u16::from_le_bytes(self.array()?));
            let name = self.text(name)?.to_owned();
            let length = self.length()?;
            error.details.push(Detail { name, value: Bytes::copy_from_slice(self.take(length)?) });
        }
        Some(error)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn text(&mut self, length: usize) -> Option<&'a str> {
        std::str::from_utf8(self.take(length)?).ok()
    }
}

pub(crate) fn put_hello(out: &mut Vec<u8>, hello: &Hello) {
    put(out, HELLO, |out| {
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&hello.version.to_le_bytes());
        out.extend_from_slice(&hello.message_max.to_le_bytes());
        out.extend_from_slice(&hello.token);
    });
}

/// `write` appends the request.
pub(crate) fn put_call(
    out: &mut Vec<u8>,
    id: u64,
    timeout: Duration,
    path: &str,
    call: &Call,
    write: impl FnOnce(&mut Vec<u8>),
) {
    let trace = call.trace();
    // Both were held to their limits when they were read or made.
    let (request_id, state) = (call.request_id(), trace.state.as_deref().unwrap_or_default());
    put(out, CALL, |out| {
        out.extend_from_slice(&id.to_le_bytes());
        let left = u64::try_from(timeout.as_micros()).unwrap_or(u64::MAX);
        out.extend_from_slice(&left.to_le_bytes());
        out.extend_from_slice(&trace.trace);
        out.extend_from_slice(&trace.span);
        out.push(trace.flags);
        out.extend_from_slice(&(path.len() as u16).to_le_bytes());
        out.push(request_id.len() as u8);
        out.extend_from_slice(&(state.len() as u16).to_le_bytes());
        for text in [path, request_id, state] {
            out.extend_from_slice(text.as_bytes());
        }
        write(out);
    });
}

pub(crate) fn put_cancel(out: &mut Vec<u8>, id: u64) {
    put(out, CANCEL, |out| out.extend_from_slice(&id.to_le_bytes()));
}

/// `write` appends the response.
pub(crate) fn put_answer(out: &mut Vec<u8>, id: u64, write: impl FnOnce(&mut Vec<u8>)) {
    put(out, ANSWER, |out| {
        out.extend_from_slice(&id.to_le_bytes());
        write(out);
    });
}

/// An error; what of it is past the limits is left out, its code never.
pub(crate) fn put_error(out: &mut Vec<u8>, id: u64, error: &Error, message_max: usize) {
    let message = shortened(&error.message, message_max);
    let mut room = message_max - message.len();
    let details = error.details.iter().filter(|detail| {
        let fits = detail.name.len() <= usize::from(u8::MAX) && detail.value.len() <= room;
        room -= if fits { detail.value.len() } else { 0 };
        fits
    });
    let details: Vec<&Detail> = details.take(DETAILS_MAX).collect();
    put(out, ERROR, |out| {
        out.extend_from_slice(&id.to_le_bytes());
        out.push(number_of(error.code));
        out.extend_from_slice(&(message.len() as u32).to_le_bytes());
        out.extend_from_slice(message.as_bytes());
        out.push(details.len() as u8);
        for detail in details {
            out.extend_from_slice(&(detail.name.len() as u16).to_le_bytes());
            out.extend_from_slice(detail.name.as_bytes());
            out.extend_from_slice(&(detail.value.len() as u32).to_le_bytes());
            out.extend_from_slice(&detail.value);
        }
    });
}

pub(crate) fn put_leaving(out: &mut Vec<u8>, taken: u64) {
    put(out, LEAVING, |out| out.extend_from_slice(&taken.to_le_bytes()));
}

/// Appends a frame: its length, its kind, and what `fields` appends.
fn put(out: &mut Vec<u8>, kind: u8, fields: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    fields(out);
    let length = out.len() - start - 4;
    if let Some(field) = out.get_mut(start..start + 4) {
        field.copy_from_slice(&(length as u32).to_le_bytes());
    }
}

/// As much of a text as fits.
fn shortened(text: &str, length_max: usize) -> &str {
    let end = (0..=length_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The numbers are gRPC's.
fn number_of(code: Code) -> u8 {
    match code {
        Code::Canceled => 1,
        Code::Unknown => 2,
        Code::InvalidArgument => 3,
        Code::DeadlineExceeded => 4,
        Code::NotFound => 5,
        Code::AlreadyExists => 6,
        Code::PermissionDenied => 7,
        Code::ResourceExhausted => 8,
        Code::FailedPrecondition => 9,
        Code::Aborted => 10,
        Code::OutOfRange => 11,
        Code::Unimplemented => 12,
        Code::Internal => 13,
        Code::Unavailable => 14,
        Code::DataLoss => 15,
        Code::Unauthenticated => 16,
    }
}

fn code_of(number: u8) -> Code {
    match number {
        1 => Code::Canceled,
        3 => Code::InvalidArgument,
        4 => Code::DeadlineExceeded,
        5 => Code::NotFound,
        6 => Code::AlreadyExists,
        7 => Code::PermissionDenied,
        8 => Code::ResourceExhausted,
        9 => Code::FailedPrecondition,
        10 => Code::Aborted,
        11 => Code::OutOfRange,
        12 => Code::Unimplemented,
        13 => Code::Internal,
        14 => Code::Unavailable,
        15 => Code::DataLoss,
        16 => Code::Unauthenticated,
        // A later version may know more.
        _ => Code::Unknown,
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
