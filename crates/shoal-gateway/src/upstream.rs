//! Sends one request that came over HTTP/2 to one replica and waits for the head of its answer.
//!
//! A pooled connection may have been closed by the replica just before: a request that was not sent at all goes out
//! again on a new connection, and so does one that may be repeated (RFC 9110 section 9.2.2), which counts as a try of its
//! own. Nothing else is sent twice.

use crate::core_loop::Core;
use crate::disturbance::{OnPurpose, lose};
use crate::outgoing::{Outgoing, Way};
use crate::pool::{IDLE_MAX, IDLE_MAX_ONCE, Sender1, Sender2, connect_http1};
use crate::reading;
use crate::tries::{Reached, Tries};
use crate::upload::{Upload, UploadError};
use http::Response;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use shoal_balance::Pick;
use shoal_discovery::Strike;
use shoal_model::Address;
use std::error::Error;
use std::time::{Duration, Instant};

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The replica did not do its part; how far the request came, and what the replica did.
    Replica(Reached, String),
    /// The client did not send its request to the end, or not as it may.
    Client(UploadError),
    /// Nobody was asked, since somebody asked for this error.
    OnPurpose(OnPurpose),
}

/// An answer's head, with the connection its body comes on if that can be used again afterwards.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: Option<Sender1>,
}

/// Sends it the way it goes, to the replica that was picked.
pub(crate) async fn send(tries: &mut Tries<'_>, pick: &Pick, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    if !tries.destination.disturbance.is_any() {
        return send_to(tries, pick, outgoing).await;
    }
    // On the heap, so that the requests of every other day keep a small future.
    Box::pin(disturbed(tries, pick, outgoing)).await
}

/// One try with what goes wrong on purpose.
async fn disturbed(tries: &mut Tries<'_>, pick: &Pick, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    let destination = tries.destination;
    let mut strike = destination.disturbance.strike(&destination.target.service, pick, outgoing.path());
    let delay = strike.delay();
    if !delay.is_zero() {
        strike.delayed();
        tokio::time::sleep(delay).await;
    }
    let Strike { error, lost, twice, .. } = strike;
    if let Some(error) = error {
        return Err(Failure::OnPurpose(OnPurpose::of(error)));
    }
    let answer_max = destination.limits.idle_timeout;
    let mut answer = send_to(tries, pick, outgoing).await?;
    if let Some(hit) = twice.filter(|_| outgoing.is_whole() && outgoing.is_kept()) {
        swallow(answer, answer_max).await;
        hit.happened();
        answer = send_to(tries, pick, outgoing).await?;
    }
    if let Some(hit) = lost {
        swallow(answer, answer_max).await;
        return Err(Failure::Replica(Reached::Replica, lose(hit)));
    }
    Ok(answer)
}

/// Reads an answer to its end, or for as long as one may take.
async fn swallow(answer: Answer, within: Duration) {
    let mut body = answer.response.into_body();
    let whole = async { while let Some(Ok(_)) = body.frame().await {} };
    if tokio::time::timeout(within, whole).await.is_err() {
        tracing::debug!("an answer that goes on was broken off on purpose");
    }
}

async fn send_to(tries: &mut Tries<'_>, pick: &Pick, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    let address = &pick.endpoint().address;
    match outgoing.way {
        Way::Http1 => send_http1(tries, address, outgoing).await,
        Way::Http2 => send_http2(tries.core, address, outgoing).await,
    }
}

/// On a pooled connection where there is one.
async fn send_http1(tries: &mut Tries<'_>, address: &Address, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    let core = tries.core;
    let idle_max = if outgoing.is_repeatable() { IDLE_MAX } else { IDLE_MAX_ONCE };
    let idle = if tries.uses_idle() { core.pool.take(address, idle_max) } else { None };
    if let Some(sender) = idle {
        match try_http1(sender, outgoing).await {
            Err(Failure::Replica(Reached::Nobody, _)) if outgoing.is_whole() => {}
            Err(Failure::Replica(Reached::Replica, _)) if outgoing.is_repeatable() && tries.repeats() => {}
            done => return done,
        }
    }
    let sender = connect_http1(address, core.settings.connect_timeout).await.map_err(unreached)?;
    try_http1(sender, outgoing).await
}

async fn try_http1(mut sender: Sender1, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    match sender.try_send_request(outgoing.request()).await {
        Ok(response) => match reading::check_answer(response.headers()) {
            Ok(()) => Ok(Answer { response, connection: Some(sender) }),
            Err(why) => Err(Failure::Replica(Reached::Replica, why.to_owned())),
        },
        Err(mut error) => {
            let unsent = error.take_message();
            let reached = if unsent.is_some() { Reached::Nobody } else { Reached::Replica };
            if let Some(unsent) = unsent {
                outgoing.give_back(unsent);
            }
            Err(failure(outgoing.upload(), reached, error.error()))
        }
    }
}

/// On the replica's shared connection.
async fn send_http2(core: &Core, address: &Address, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    let came = Instant::now();
    let shared = core.pool.shared(address);
    let tried = shared.as_ref().map(|shared| shared.number);
    if let Some(shared) = shared {
        match try_http2(shared.sender, outgoing).await {
            Err(Failure::Replica(Reached::Nobody, _)) if outgoing.is_whole() => {}
            done => return done,
        }
    }
    let connecting = core.pool.connect_shared(address, tried, came, core.settings.connect_timeout);
    let sender = connecting.await.map_err(unreached)?;
    try_http2(sender, outgoing).await
}

async fn try_http2(mut sender: Sender2, outgoing: &mut Outgoing) -> Result<Answer, Failure> {
    match sender.try_send_request(outgoing.request()).await {
        Ok(response) => Ok(Answer { response, connection: None }),
        Err(mut error) => {
            let unsent = error.take_message();
            let refused = unsent.is_some() || is_unprocessed(error.error());
            if let Some(unsent) = unsent {
                outgoing.give_back(unsent);
            }
            let reached = if refused { Reached::Nobody } else { Reached::Replica };
            Err(failure(outgoing.upload(), reached, error.error()))
        }
    }
}

/// Whether the replica says that it did not look at the request: a refused stream, or one after the last that a GOAWAY
/// counts (RFC 9113 section 8.7).
fn is_unprocessed(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| {
        cause.is_remote() && (cause.is_go_away() || cause.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

fn unreached(why: String) -> Failure {
    Failure::Replica(Reached::Nobody, why)
}

fn failure(upload: Option<&Upload>, reached: Reached, error: &hyper::Error) -> Failure {
    if let Some(failure) = upload.and_then(Upload::failure) {
        return Failure::Client(failure);
    }
    let why = if error.is_parse() {
        "gave an answer that is not HTTP".to_owned()
    } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        "closed the connection before its answer".to_owned()
    } else {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        format!("broke the connection before its answer ({error}{cause})")
    };
    Failure::Replica(reached, why)
}
