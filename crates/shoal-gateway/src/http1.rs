//! HTTP/1.1 between a client and a replica, in one task and without a copy of what passes.
//!
//! Written for the gateway, since a general library spends more on each request than all of the rest: a request's head is
//! read where it came and written where it goes, no map of headers is built, and no timer is set. What a request may look
//! like is the same as over HTTP/2 ([`crate::reading`]); what is not plain HTTP/1.1 is refused, never mended.
//!
//! Never: holds a body, or leaves it to the next reader to find where a message ends.

mod answer;
mod chunked;
mod download;
mod exchange;
mod facts;
mod request;
mod serve;
mod upload;
mod wire;
mod wires;

pub(crate) use serve::serve;
pub(crate) use wires::Wires;

#[cfg(test)]
mod tests;
