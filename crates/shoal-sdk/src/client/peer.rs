//! One endpoint and the ways to it: HTTP/2, which every callee speaks, and frames, once the callee has invited to them.
//! Never: chooses an endpoint, or tries one twice.

use super::channel::TIME_MIN;
use super::connection::{CONNECT_MAX, Connection};
use super::exchange::Exchange;
use crate::Call;
use crate::frames::{self, Caller, Invitation, Unanswered};
use buffa::Message;
use bytes::Bytes;
use http::HeaderValue;
use http::uri::Authority;
use shoal_model::Address;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long no frames are tried where they did not work.
const REFUSED: Duration = Duration::from_secs(10);

/// One endpoint. Dropping it lets calls in flight finish.
pub(super) struct Peer {
    http2: Connection,
    /// What tells the callee that frames are known here; `None` where they are not wanted.
    offer: Option<HeaderValue>,
    frames: Mutex<Frames>,
}

enum Frames {
    /// Nobody has invited yet.
    Unknown,
    Connecting,
    Open(Caller),
    /// They did not work, and are not tried before this.
    Refused(Instant),
}

/// One attempt of a call.
#[derive(Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub authority: &'a Authority,
    pub path: &'static str,
    pub call: &'a Call,
}

impl Peer {
    pub fn new(address: &Address, frames_wanted: bool) -> Self {
        Self {
            http2: Connection::new(address.clone()),
            offer: frames::offer(address).filter(|_| frames_wanted),
            frames: Mutex::new(Frames::Unknown),
        }
    }

    /// Whether calls go over frames.
    pub fn is_framed(&self) -> bool {
        matches!(*self.frames(), Frames::Open(_))
    }

    /// Calls; the encoded response.
    pub async fn call(self: &Arc<Self>, attempt: &Attempt<'_>, request: &impl Message) -> Result<Bytes, Unanswered> {
        let Attempt { authority, path, call } = *attempt;
        if let Some(caller) = self.caller() {
            let timeout = call.time_left().max(TIME_MIN);
            match caller.call(path, call, timeout, request).await {
                // Nothing of it was sent, and over HTTP/2 it may yet go.
                Err(Unanswered::Unsent(why)) => {
                    tracing::debug!(why, "a connection for frames is gone");
                    *self.frames() = Frames::Unknown;
                }
                done => return done,
            }
        }
        let exchange = Exchange { authority, path, call, offer: self.offer.as_ref() };
        exchange.send(&self.http2, request.encode_to_bytes(), |invitation| self.invited(invitation)).await
    }

    // What is behind the lock is only ever replaced, so a poisoned one is as good as a sound one.
    fn frames(&self) -> MutexGuard<'_, Frames> {
        self.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn caller(&self) -> Option<Caller> {
        match &*self.frames() {
            Frames::Open(caller) => Some(caller.clone()),
            _ => None,
        }
    }

    /// Connects to the callee's frames, beside the calls.
    fn invited(self: &Arc<Self>, invitation: Invitation) {
        let mut frames = self.frames();
        let wanted = match &*frames {
            Frames::Unknown => self.offer.is_some(),
            Frames::Refused(until) => Instant::now() >= *until,
            Frames::Connecting | Frames::Open(_) => false,
        };
        if !wanted {
            return;
        }
        *frames = Frames::Connecting;
        let peer = Arc::clone(self);
        tokio::spawn(async move {
            let connected = tokio::time::timeout(CONNECT_MAX, Caller::connect(&invitation)).await;
            let connected = connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
            *peer.frames() = match connected {
                Ok(caller) => Frames::Open(caller),
                Err(error) => {
                    tracing::debug!(socket = %invitation.socket.display(), %error, "frames do not work here");
                    Frames::Refused(Instant::now() + REFUSED)
                }
            };
            if peer.is_framed() {
                peer.http2.close().await;
            }
        });
    }
}
