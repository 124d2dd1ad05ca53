//! The way of one request over HTTP/2: host, route, limits, replica, headers, answer. Reads top to bottom.

use crate::clock;
use crate::connection::{Client, Door, RequestGuard};
use crate::deadline::Deadline;
use crate::destination::{Admission, Destination, TurnedAway};
use crate::headers::{self, Host};
use crate::identify::{self, REQUEST_ID};
use crate::outgoing::{Outgoing, Way};
use crate::reading;
use crate::refusal::{Asker, Refusal};
use crate::tracked::{AnswerBody, AnswerLimits, OpenCall, outcome};
use crate::tries::{Reached, Tries};
use crate::upload::{Upload, UploadError, UploadLimits};
use crate::upstream::{Answer, Failure, send};
use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use shoal_balance::{Outcome, Pick};
use shoal_discovery::InFlight;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A client's deadline that is shorter than this says nothing about the replica that did not meet it.
const TELLING: Duration = Duration::from_secs(1);

/// Answers one request: with a replica's answer, or with a sentence of the gateway's own.
pub(crate) async fn answer(
    client: Arc<Client>,
    mut request: Request<Incoming>,
) -> Result<Response<AnswerBody>, Infallible> {
    let guard = RequestGuard::new(&client);
    let (asker, is_head) = (Asker::of(request.headers()), request.method() == Method::HEAD);
    let incoming = Asked::of(&request);
    // Before the gateway adds anything: a client must not have its additions removed by naming them in `Connection`.
    headers::remove_hop_by_hop(request.headers_mut());
    let request_id = identify::identify(request.headers_mut());
    let passed = match incoming {
        Ok(asked) => pass(&client, &guard, request, asked).await,
        Err(refusal) => Err(refusal),
    };
    let mut response = match passed {
        Ok(Passed { response, call: Some((call, limits)) }) => {
            response.map(|body| AnswerBody::passed(body, call, limits, guard))
        }
        Ok(Passed { response, call: None }) => response.map(|_| AnswerBody::own(Bytes::new(), guard)),
        Err(refusal) => {
            client.core.complaints.note(&refusal, request_id.to_str().unwrap_or_default());
            let mut response = refusal.answer(asker.form());
            if is_head {
                // Its length is told, but it has no body (RFC 9110 section 9.3.2).
                let length = response.body().len();
                response.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            response.map(|body| AnswerBody::own(if is_head { Bytes::new() } else { body }, guard))
        }
    };
    if !response.headers().contains_key(REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, request_id);
    }
    Ok(response)
}

/// A replica's answer, and the call that ends with its body, if it has one to pass.
struct Passed {
    response: Response<Incoming>,
    call: Option<(OpenCall, AnswerLimits)>,
}

/// A call from its admission on.
struct Begun {
    in_flight: InFlight,
    started: Instant,
    deadline: Deadline,
}

/// What the head of a request says, read before anything in it is changed.
struct Asked {
    host: Host,
    way: Way,
    takes_trailers: bool,
    /// How many headers the client sent.
    headers: usize,
}

impl Asked {
    fn of(request: &Request<Incoming>) -> Result<Self, Refusal> {
        if request.method() == Method::CONNECT {
            return Err(Refusal::Connect);
        }
        let (version, headers) = (request.version(), request.headers());
        let bad = |why: &str| Refusal::BadRequest { why: why.to_owned() };
        reading::check(request.method(), request.uri(), version, headers).map_err(bad)?;
        let host = headers::host(request.uri(), version, headers).map_err(bad)?;
        let way = Way::of(headers);
        Ok(Self { host, way, takes_trailers: headers::takes_trailers(headers), headers: headers.len() })
    }
}

async fn pass(
    client: &Client,
    guard: &RequestGuard,
    request: Request<Incoming>,
    asked: Asked,
) -> Result<Passed, Refusal> {
    let Asked { host, way, takes_trailers, headers } = asked;
    let destination = routed(client, &host.authority, request.uri().path())?;
    let limits = &destination.limits;
    guard.allow(limits.idle_timeout);
    let head_bytes = checked(&destination, &request, headers)?;
    let admission = destination.admit().map_err(|which| turned_away(&destination, which))?;
    let started = Instant::now();
    let deadline = Deadline::of(request.headers(), started, limits.timeout);
    let begun = Begun { in_flight: destination.edge.begin(), started, deadline };

    let (head, body) = request.into_parts();
    let is_head = head.method == Method::HEAD;
    // Whatever is sent may have to be sent twice where things go wrong on purpose.
    let may_be_twice = destination.disturbance.is_any();
    let upload = Upload::of(
        body,
        UploadLimits {
            bytes_max: limits.body_bytes_max,
            idle: limits.idle_timeout,
            keep: head.method.is_idempotent() || way == Way::Http2 || may_be_twice,
        },
    );
    let mut outgoing = Outgoing::new(client, head, upload, &host, way, deadline)?;
    outgoing.take_trailers(takes_trailers);
    if may_be_twice {
        outgoing.keep_for_two();
    }
    let bytes = held_bytes(head_bytes, &outgoing);
    let tries = Tries::new(&client.core, &destination, admission, deadline.begin, bytes);
    match answered(tries, &mut outgoing, deadline, head_bytes).await {
        Ok(answered) => returned(client, &outgoing, answered, begun, &destination, is_head),
        Err(refusal) => {
            // What the client did wrong is cancelled rather than counted as an error, which the dropped counter says.
            if !refusal.status().is_client_error() {
                begun.in_flight.finish(begun.started.elapsed(), true);
            }
            Err(refusal)
        }
    }
}

/// Where a request goes.
pub(crate) fn routed(client: &Client, authority: &str, path: &str) -> Result<Arc<Destination>, Refusal> {
    let found = match &client.door {
        Door::Call(destination) => Some(Arc::clone(destination)),
        Door::Public(listener) => {
            let current = client.core.current();
            let listening = current.listeners.get(&**listener);
            listening.and_then(|listening| listening.routes.find(authority, path)).cloned()
        }
    };
    found.ok_or_else(|| Refusal::NoRoute { host: authority.to_owned(), path: path.to_owned() })
}

/// Holds a request's head to its route's limits; returns its size in bytes.
fn checked(destination: &Destination, request: &Request<Incoming>, count: usize) -> Result<u64, Refusal> {
    let limits = &destination.limits;
    let (headers, most) = (request.headers(), limits.headers_max);
    if count > most {
        return Err(Refusal::TooManyHeaders { count, most });
    }
    let target = request.uri().path_and_query().map_or(1, |path| path.as_str().len());
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>() + target;
    if bytes > limits.header_bytes_max {
        return Err(Refusal::HeadTooLarge { most: limits.header_bytes_max });
    }
    let declared = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > limits.body_bytes_max) {
        return Err(Refusal::BodyTooLarge { most: limits.body_bytes_max });
    }
    Ok(bytes as u64)
}

pub(crate) fn turned_away(destination: &Destination, which: TurnedAway) -> Refusal {
    let service = destination.target.service.clone();
    match which {
        TurnedAway::Route => Refusal::RouteFull { service, most: destination.limits.requests_max },
        TurnedAway::Service => Refusal::Saturated { service },
    }
}

/// Tries replicas until one answers.
async fn answered(
    mut tries: Tries<'_>,
    outgoing: &mut Outgoing,
    deadline: Deadline,
    head_bytes: u64,
) -> Result<(Pick, Admission, Answer), Refusal> {
    let destination = tries.destination;
    let service = &destination.target.service;
    let mut pick = tries.pick().await?;
    loop {
        let sending = send(&mut tries, &pick, outgoing);
        let Ok(sent) = tokio::time::timeout_at(deadline.begin.into(), sending).await else {
            // Dropped, the pick says nothing of a replica that waits for what its client has not sent.
            let is_late = outgoing.upload().is_some_and(Upload::waits_for_client);
            return Err(if is_late {
                upload_refusal(destination, UploadError::TooLate)
            } else {
                timed_out(destination, pick, deadline)
            });
        };
        match sent {
            Ok(answer) => {
                if is_unavailable(answer.response.status())
                    && outgoing.is_repeatable()
                    && let Some(other) = tries.elsewhere(&pick)
                {
                    destination.target.finish(pick, clock::now(), Outcome::Failed);
                    pick = other;
                    continue;
                }
                if let Some(upload) = outgoing.upload() {
                    upload.forget();
                }
                return Ok((pick, tries.into_admission(), answer));
            }
            Err(Failure::Client(error)) => return Err(upload_refusal(destination, error)),
            Err(Failure::OnPurpose(error)) => {
                let may_go_on = error.is_unavailable() && outgoing.is_repeatable();
                let other = if may_go_on { tries.elsewhere(&pick) } else { None };
                destination.target.finish(pick, clock::now(), error.outcome());
                pick = other.ok_or_else(|| error.refusal(service))?;
            }
            Err(Failure::Replica(reached, why)) => {
                let (service, replica) = (service.clone(), pick.endpoint().replica.clone());
                let (failure, repeatable) = match reached {
                    Reached::Nobody if !outgoing.is_whole() => (Refusal::Lost { service, replica, why }, false),
                    Reached::Nobody => (Refusal::NotConnected { service, replica, why }, true),
                    Reached::Replica => (Refusal::Lost { service, replica, why }, outgoing.is_repeatable()),
                };
                let reached = if repeatable { reached } else { Reached::Replica };
                tries.failed(pick, reached, repeatable, failure)?;
                tries.keeps(held_bytes(head_bytes, outgoing));
                pick = tries.pick().await?;
            }
        }
    }
}

/// What a request keeps in memory while it is held.
fn held_bytes(head_bytes: u64, outgoing: &Outgoing) -> u64 {
    head_bytes + outgoing.upload().map_or(0, Upload::held_bytes)
}

/// An answer that says the replica, or what is behind it, could not serve the request.
fn is_unavailable(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT)
}

pub(crate) fn timed_out(destination: &Destination, pick: Pick, deadline: Deadline) -> Refusal {
    let now = Instant::now();
    if deadline.end.is_none_or(|end| end > now) {
        destination.target.finish(pick, clock::moment_of(now), Outcome::Unreachable);
    } else if deadline.allowed >= TELLING {
        destination.target.finish(pick, clock::moment_of(now), Outcome::Failed);
    }
    Refusal::TimedOut { service: destination.target.service.clone() }
}

pub(crate) fn upload_refusal(destination: &Destination, error: UploadError) -> Refusal {
    let limits = &destination.limits;
    match error {
        UploadError::Broken | UploadError::Superseded => {
            Refusal::BadRequest { why: "The request did not arrive whole.".to_owned() }
        }
        UploadError::TooLarge => Refusal::BodyTooLarge { most: limits.body_bytes_max },
        UploadError::TooSlow => {
            let why = format!("The request's body did not go on for {} s.", limits.idle_timeout.as_secs_f32());
            Refusal::TooSlow { why }
        }
        UploadError::TooLate => Refusal::TooSlow { why: "The request's body did not arrive in time.".to_owned() },
    }
}

/// The replica's answer as the client gets it.
fn returned(
    client: &Client,
    outgoing: &Outgoing,
    (pick, admission, answer): (Pick, Admission, Answer),
    begun: Begun,
    destination: &Arc<Destination>,
    is_head: bool,
) -> Result<Passed, Refusal> {
    let Answer { mut response, connection } = answer;
    let Begun { in_flight, started, deadline } = begun;
    let outcome = outcome(response.status(), response.headers());
    destination.target.answered(&pick, clock::now());
    let destination = Arc::clone(destination);
    let call = OpenCall { pick, destination, in_flight, admission, started, outcome, connection };
    headers::remove_hop_by_hop(response.headers_mut());
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let (service, replica) = (call.destination.target.service.clone(), call.pick.endpoint().replica.clone());
        call.end(&client.core, Some(Outcome::Failed));
        let why = "switched protocols without being asked to".to_owned();
        return Err(Refusal::Lost { service, replica, why });
    }
    if is_head {
        // Whatever its length says, this answer has no body.
        call.end(&client.core, None);
        return Ok(Passed { response, call: None });
    }
    let is_grpc = outgoing.way == Way::Http2;
    let limits = AnswerLimits { idle: call.destination.limits.idle_timeout, end: deadline.end, is_grpc };
    Ok(Passed { response, call: Some((call, limits)) })
}
