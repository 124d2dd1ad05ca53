//! Answers requests over HTTP: RPC by its path, everything else with the pages. Never: knows a method; the routes do.

mod body;
mod connections;
mod drain;
pub(crate) mod listen;
mod refusal;

pub use body::{Body, BoxError};
pub(crate) use connections::{Listener, Ways, serve};
pub(crate) use drain::{Held, InFlight};

use crate::call::REQUEST_ID;
use crate::frames::{self, Methods};
use crate::service::Serve;
use crate::wire::{Routes, panic_text};
use crate::{Call, DEADLINE_DEFAULT, StartError};
use body::Counted;
use buffa::Message as _;
use buffa_descriptor::generated::descriptor::FileDescriptorSet;
use connectrpc::{ConnectRpcBody, ConnectRpcService, DeadlinePolicy, Limits};
use connectrpc_health::StaticChecker;
use futures::FutureExt as _;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tower::Service as _;
use tower::util::BoxCloneSyncService;

pub(crate) type Pages = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The largest request message, in bytes, also of one that is split into frames.
pub(crate) const MESSAGE_MAX: usize = 4 * 1024 * 1024;
/// The longest deadline a caller may ask for.
pub(crate) const DEADLINE_MAX: Duration = Duration::from_secs(10 * 60);

/// Answers the requests of all connections. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Answerer {
    rpc: ConnectRpcService,
    /// The Protobuf services that are served; their names are the first part of a method's path.
    services: Arc<BTreeSet<String>>,
    pages: Option<Pages>,
    in_flight: InFlight,
    health: Arc<StaticChecker>,
    methods: Arc<Methods>,
    /// What invites callers that know frames; set once frames are served.
    invitation: Option<HeaderValue>,
}

impl Answerer {
    pub fn new(
        servers: &BTreeMap<&'static str, Box<dyn Serve + Send + Sync>>,
        pages: Option<Pages>,
    ) -> Result<Self, StartError> {
        let mut routes = Routes::new();
        for server in servers.values() {
            routes = server.register(routes);
        }
        let names = servers.keys().copied();
        let methods = Arc::new(routes.methods);
        let (router, health) = connectrpc_health::install_static(routes.router, names.clone());
        let mut services: BTreeSet<String> = names.map(str::to_owned).collect();
        services.insert(connectrpc_health::HEALTH_SERVICE_NAME.to_owned());
        services.insert(connectrpc_reflection::SERVER_REFLECTION_SERVICE_NAME.to_owned());
        services.insert(connectrpc_reflection::SERVER_REFLECTION_V1ALPHA_SERVICE_NAME.to_owned());
        let described = descriptors(servers)?;
        let reflector = connectrpc_reflection::Reflector::from_descriptor_set_bytes(&described)
            .map_err(|error| StartError::new("the contracts do not fit together").because(error))?
            .with_services(services.iter().cloned());
        let router = connectrpc_reflection::install(router, reflector);
        let limits = Limits::default().with_max_request_body_size(MESSAGE_MAX).with_max_message_size(MESSAGE_MAX);
        let deadlines = DeadlinePolicy::new().with_default_timeout(DEADLINE_DEFAULT).with_max(DEADLINE_MAX);
        let rpc = ConnectRpcService::new(router).with_limits(limits).with_deadline_policy(deadlines);
        let (services, in_flight) = (Arc::new(services), InFlight::default());
        Ok(Self { rpc, services, pages, in_flight, health, methods, invitation: None })
    }

    /// Invites callers that know frames to where this leads.
    pub fn invite(&mut self, invitation: Option<HeaderValue>) {
        self.invitation = invitation;
    }

    pub fn invites(&self) -> bool {
        self.invitation.is_some()
    }

    pub fn methods(&self) -> &Arc<Methods> {
        &self.methods
    }

    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// From now on the gRPC health service answers `NOT_SERVING`.
    pub fn leave(&self) {
        self.health.shutdown();
    }

    /// Answers a request. `offer` is what a caller writes that knows frames, and believes to be on this very connection.
    pub async fn answer(
        self,
        request: Request<Incoming>,
        offer: Option<HeaderValue>,
    ) -> Result<Response<Body>, Infallible> {
        let mut request = with_call(request);
        let invitation =
            self.invitation.filter(|_| offer.is_some() && request.headers().get(frames::HEADER) == offer.as_ref());
        let request_id =
            request.extensions().get::<Call>().and_then(|call| HeaderValue::from_str(call.request_id()).ok());
        let path = request.uri().path();
        let service = path.split('/').nth(1).unwrap_or_default();
        // A watcher of the health waits for ever, and nobody waits for its end.
        let counted = !service.starts_with("grpc.");
        let is_rpc = self.services.contains(service);
        let held = counted.then(|| self.in_flight.begin());
        let mut response = match self.pages {
            Some(pages) if !is_rpc => page(pages, request.map(Body::new)).await,
            _ => {
                carry_on(&mut request);
                let mut rpc = self.rpc;
                let Ok(mut response) = rpc.call(request).await;
                if response.status() == StatusCode::BAD_REQUEST {
                    response = refusal::unquoted(response).await;
                }
                leave_status_to_trailers(&mut response);
                response.map(|body| match body {
                    // Only so is its length known, and sent as `content-length`.
                    ConnectRpcBody::Full(whole) => Body::new(whole),
                    other => Body::new(other),
                })
            }
        };
        if let Some(request_id) = request_id {
            response.headers_mut().entry(REQUEST_ID).or_insert(request_id);
        }
        if let Some(invitation) = invitation {
            response.headers_mut().insert(frames::HEADER, invitation);
        }
        Ok(response.map(|body| Body::new(Counted::new(body, held))))
    }
}

/// Turns a panic of a page into an answer, so that it takes no other request on the connection with it.
async fn page(mut pages: Pages, request: Request<Body>) -> Response<Body> {
    match AssertUnwindSafe(pages.call(request)).catch_unwind().await {
        Ok(Ok(response)) => response,
        Err(panic) => {
            tracing::error!(panic = panic_text(panic.as_ref()), "a page panicked");
            let mut response = Response::new(Body::from("The page failed unexpectedly.\n"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// The library writes a gRPC error's status into the trailers, with its details, and again into the headers, without them.
/// Clients that find it in the headers look no further, so there it must not be.
fn leave_status_to_trailers<B>(response: &mut Response<B>) {
    let headers = response.headers_mut();
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if content_type.starts_with(b"application/grpc") {
        headers.remove("grpc-status");
        headers.remove("grpc-message");
    }
}

/// Puts the call that a request belongs to among its extensions.
pub(crate) fn with_call<B>(mut request: Request<B>) -> Request<B> {
    let call = Call::from_headers(request.headers());
    request.extensions_mut().insert(call);
    request
}

/// Writes a request's id and trace into its headers, from where a method's call is read, so that both are the same.
fn carry_on(request: &mut Request<Incoming>) {
    if let Some(call) = request.extensions().get::<Call>().cloned() {
        call.write_headers(request.headers_mut());
    }
}

/// The descriptors of all servers as one set, each file once.
fn descriptors(servers: &BTreeMap<&'static str, Box<dyn Serve + Send + Sync>>) -> Result<Vec<u8>, StartError> {
    let mut all = FileDescriptorSet::default();
    let mut seen = BTreeSet::new();
    for (name, server) in servers {
        let set = FileDescriptorSet::decode_from_slice(server.descriptors())
            .map_err(|error| StartError::new(format!("the descriptors of `{name}` do not decode")).because(error))?;
        all.file.extend(set.file.into_iter().filter(|file| seen.insert(file.name.clone())));
    }
    Ok(all.encode_to_vec())
}
