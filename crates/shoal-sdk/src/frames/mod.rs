//! The private transport between two programs of this crate on one machine: calls as frames over a Unix socket, many at
//! once on one connection. Never needed: the standard wire is always there too, and answers the same.
//!
//! How two of them find each other, in band: the caller says on a request over HTTP/2 that it knows frames, and at which
//! address it believes the callee to be ([`offer`]). A callee that listens at just this address, so that no proxy is in
//! between, names its socket in the answer ([`Invitation`]). Both sides check that the other belongs to the same user,
//! and the callee's token proves that it is the one which was asked.
//!
//! `codec.rs` has the bytes, `pipe.rs` moves them, `caller.rs` and `callee.rs` are the two ends.

mod callee;
mod caller;
mod codec;
mod listen;
mod outbox;
mod pipe;

pub(crate) use callee::{Method, Methods, Reply};
pub(crate) use caller::{Caller, MESSAGE_MAX, Unanswered};
pub(crate) use codec::Token;
pub(crate) use listen::Listening;

use http::{HeaderName, HeaderValue};
use shoal_model::Address;
use std::fmt::Write as _;
use std::path::PathBuf;

/// The version of the frames that this release speaks. Whoever speaks another one stays with HTTP/2.
pub(crate) const VERSION: u16 = 1;

/// The header that offers frames in a request, and invites to them in its answer.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("shoal-frames");

/// What is added to the path of the health socket: where a program's frames are.
pub(crate) const SOCKET_SUFFIX: &str = ".calls";

/// The value of [`HEADER`] in a request to this address.
pub(crate) fn offer(address: &Address) -> Option<HeaderValue> {
    HeaderValue::from_str(&format!("{VERSION} {address}")).ok()
}

/// The way to a callee's frames, as [`HEADER`] tells it in an answer: `<version> <token> <path>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) token: Token,
    pub(crate) socket: PathBuf,
}

impl Invitation {
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let mut text = format!("{VERSION} ");
        for byte in self.token {
            let _ = write!(text, "{byte:02x}");
        }
        let _ = write!(text, " {}", self.socket.to_str()?);
        HeaderValue::from_str(&text).ok()
    }

    /// `None` for what this release does not understand.
    pub(crate) fn parse(header: &HeaderValue) -> Option<Self> {
        let mut parts = header.to_str().ok()?.splitn(3, ' ');
        let version: u16 = parts.next()?.parse().ok()?;
        let digits = parts.next()?;
        let socket = PathBuf::from(parts.next()?);
        if version != VERSION || digits.len() != 32 || !digits.is_ascii() || !socket.is_absolute() {
            return None;
        }
        Some(Self { token: u128::from_str_radix(digits, 16).ok()?.to_be_bytes(), socket })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invitation_is_read_back() {
        let invitation = Invitation { token: *b"0123456789abcdef", socket: "/run/user/1/s.calls".into() };
        assert_eq!(Invitation::parse(&invitation.header().unwrap()), Some(invitation));
    }

    #[test]
    fn other_headers_invite_to_nothing() {
        let token = "00".repeat(16);
        for text in [
            String::new(),
            "1".to_owned(),
            format!("2 {token} /s"),
            format!("1 {token}"),
            format!("1 {token} relative"),
            format!("1 {} /s", "0".repeat(31)),
            format!("1 {} /s", "x".repeat(32)),
        ] {
            assert_eq!(Invitation::parse(&HeaderValue::from_str(&text).unwrap()), None, "{text}");
        }
    }
}
