//! The way to one callee: its endpoints, balanced, with a connection to each. Never: sends a request a second time that
//! an endpoint may have seen.

use super::connection::Connection;
use super::directory::Following;
use super::whole::Whole;
use crate::wire::from_wire;
use crate::{Call, Error};
use buffa::Message;
use bytes::Bytes;
use connectrpc::client::{BoxFuture, CallOptions, ClientBody, ClientConfig, ClientTransport, call_unary};
use connectrpc::{ConnectError, Spec, StreamType};
use http::uri::Authority;
use http::{HeaderMap, Request, Response, Uri};
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use shoal_balance::{Balancer, Pick};
use shoal_discovery::Edge;
use shoal_model::{Address, Endpoint, ReplicaName, ServiceName};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The largest answer, in bytes.
const MESSAGE_MAX: usize = 16 * 1024 * 1024;
/// How many endpoints are tried with a request that none of them has seen.
const ATTEMPTS_MAX: usize = 4;
/// How long the first call waits to hear where the callee is.
const FIRST_ENDPOINTS_MAX: Duration = Duration::from_secs(3);

/// The least time that is worth asking for; the wire counts whole milliseconds.
pub(super) const TIME_MIN: Duration = Duration::from_millis(1);

/// The way to one callee. Cheap to clone.
#[derive(Clone)]
#[doc(hidden)]
pub struct Channel {
    shared: Arc<Shared>,
    /// What keeps the endpoints up to date; `None` in the directory's own copy, which that holds.
    following: Option<Arc<Following>>,
}

struct Shared {
    callee: ServiceName,
    config: ClientConfig,
    balancer: Balancer,
    connections: Mutex<BTreeMap<Address, Arc<Connection>>>,
    /// Counts the changes of the endpoints; 0 until they are known.
    changes: watch::Sender<u64>,
    /// The state of a sequence of numbers that only has to be evenly spread.
    random: AtomicU64,
    edge: Edge,
}

impl Channel {
    pub(super) fn new(callee: &ServiceName, edge: Edge) -> Self {
        // A service's name is a valid host name.
        let authority = Authority::try_from(callee.as_str()).unwrap_or_else(|_| Authority::from_static("callee"));
        let mut base = http::uri::Parts::default();
        base.scheme = Some(http::uri::Scheme::HTTP);
        base.authority = Some(authority);
        base.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
        let base = Uri::from_parts(base).unwrap_or_else(|_| Uri::from_static("http://callee/"));
        let seed = crate::call::try_random().map_or(0x9e37_79b9_7f4a_7c15, u64::from_le_bytes);
        Self {
            shared: Arc::new(Shared {
                callee: callee.clone(),
                config: ClientConfig::new(base).with_default_max_message_size(MESSAGE_MAX),
                balancer: Balancer::new(),
                connections: Mutex::new(BTreeMap::new()),
                changes: watch::Sender::new(0),
                random: AtomicU64::new(seed),
                edge,
            }),
            following: None,
        }
    }

    /// The same channel, for somebody who calls: the endpoints are followed for as long as it is kept.
    pub(super) fn kept_by(mut self, following: Option<Arc<Following>>) -> Self {
        self.following = following;
        self
    }

    /// Makes these the endpoints. When this returns, no new request goes to any other.
    pub(super) fn apply(&self, endpoints: &[Endpoint]) {
        self.shared.balancer.replace(endpoints);
        // Connections that are let go of close once their requests in flight are finished.
        self.shared.connections().retain(|address, _| endpoints.iter().any(|endpoint| endpoint.address == *address));
        self.shared.changes.send_modify(|changes| *changes += 1);
    }

    /// Requests in flight at endpoints that have left.
    pub(super) fn leaving(&self) -> u64 {
        self.shared.balancer.leaving()
    }

    /// Calls a method. `path` is `/package.Service/Method`.
    ///
    /// # Errors
    /// What the callee answers; `unavailable` when no replica of it is ready or reachable; `deadline_exceeded`.
    pub async fn unary<Req, Res>(&self, path: &'static str, call: &Call, request: Req) -> Result<Res, Error>
    where
        Req: Message + Serialize,
        Res: Message + DeserializeOwned + Send + 'static,
    {
        let started = Instant::now();
        let counted = self.shared.edge.begin();
        let result = self.unary_uncounted(path, &call.child(), request).await;
        let is_error = result.as_ref().is_err_and(|error: &Error| error.code.is_failure());
        counted.finish(started.elapsed(), is_error);
        result
    }

    async fn unary_uncounted<Req, Res>(&self, path: &'static str, call: &Call, request: Req) -> Result<Res, Error>
    where
        Req: Message + Serialize,
        Res: Message + DeserializeOwned + Send + 'static,
    {
        let time_left = call.time_left();
        if time_left < TIME_MIN {
            return Err(too_late(&self.shared.callee));
        }
        let mut headers = HeaderMap::new();
        call.write_headers(&mut headers);
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        let options = CallOptions::default().with_timeout(time_left).with_headers(headers);
        let spec = Spec::client(path, StreamType::Unary);
        let answer = call_unary::<_, _, Whole<Res>>(self, &self.shared.config, spec, request, options).await;
        answer.map(connectrpc::UnaryResponse::into_owned).map_err(|error| {
            let error = from_wire(error);
            // Both ends watch the time; whichever noticed first, the caller reads the same.
            let late = error.code == crate::Code::DeadlineExceeded && call.time_left() < 2 * TIME_MIN;
            if late { too_late(&self.shared.callee) } else { error }
        })
    }

    async fn send(self, mut request: Request<ClientBody>) -> Result<Response<Answer>, ConnectError> {
        self.first_endpoints().await;
        let shared = &self.shared;
        let mut avoided: Vec<ReplicaName> = Vec::new();
        let mut why = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let before = *shared.changes.borrow();
            let Some(pick) = shared.pick(&avoided) else {
                break;
            };
            let connection = shared.connection(&pick.endpoint().address);
            let sender = connection.sender().await;
            if *shared.changes.borrow() != before && !shared.lists(&pick.endpoint().address) {
                // It left while the connection was made, and that it did may be acknowledged.
                why = format!("{} has just left", pick.endpoint().replica);
                continue;
            }
            let mut sender = match sender {
                Ok(sender) => sender,
                Err(error) => {
                    why = format!("{} at {}: {error}", pick.endpoint().replica, pick.endpoint().address);
                    avoided.push(pick.endpoint().replica.clone());
                    continue;
                }
            };
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response.map(|body| Answer { body, _pick: pick })),
                Err(mut failure) => match failure.take_message() {
                    // It was never sent, so another endpoint may have it.
                    Some(unsent) => {
                        request = unsent;
                        why = format!("{}: {}", pick.endpoint().replica, failure.error());
                        avoided.push(pick.endpoint().replica.clone());
                    }
                    None => return Err(broken(&shared.callee, &pick, failure.error())),
                },
            }
        }
        Err(ConnectError::unavailable(nobody(&shared.callee, &why)))
    }

    /// Waits a little to be told where the callee is, if it never was.
    async fn first_endpoints(&self) {
        let mut changes = self.shared.changes.subscribe();
        if *changes.borrow_and_update() > 0 {
            return;
        }
        let told = changes.wait_for(|changes| *changes > 0);
        if tokio::time::timeout(FIRST_ENDPOINTS_MAX, told).await.is_err() {
            tracing::debug!(callee = %self.shared.callee, "nobody said where the callee is");
        }
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, BTreeMap<Address, Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pick(&self, avoided: &[ReplicaName]) -> Option<Pick> {
        let random = self.random();
        if avoided.is_empty() { self.balancer.pick(random) } else { self.balancer.pick_except(random, avoided) }
    }

    fn connection(&self, address: &Address) -> Arc<Connection> {
        let mut connections = self.connections();
        let connection = connections.entry(address.clone());
        Arc::clone(connection.or_insert_with(|| Arc::new(Connection::new(address.clone()))))
    }

    fn lists(&self, address: &Address) -> bool {
        self.connections().contains_key(address)
    }

    /// SplitMix64: one step of an even sequence, without a lock.
    fn random(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

pub(super) fn too_late(callee: &ServiceName) -> Error {
    Error::deadline_exceeded(format!("`{callee}` did not answer in time"))
}

fn nobody(callee: &ServiceName, why: &str) -> String {
    if why.is_empty() {
        format!("no replica of `{callee}` is ready")
    } else {
        format!("no replica of `{callee}` can be reached ({why})")
    }
}

fn broken(callee: &ServiceName, pick: &Pick, error: &hyper::Error) -> ConnectError {
    let replica = &pick.endpoint().replica;
    tracing::debug!(%callee, %replica, %error, "a call broke");
    ConnectError::unavailable(format!("the connection to `{callee}` broke before {replica} answered"))
}

impl ClientTransport for Channel {
    type ResponseBody = Answer;
    type Error = ConnectError;

    fn send(&self, request: Request<ClientBody>) -> BoxFuture<'static, Result<Response<Answer>, ConnectError>> {
        Box::pin(self.clone().send(request))
    }
}

/// The body of an answer; its endpoint counts the request until it is read.
#[doc(hidden)]
pub struct Answer {
    body: Incoming,
    _pick: Pick,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
