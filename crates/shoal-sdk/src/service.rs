//! What a service gives back to be run: its methods, its pages, its background tasks. Never: listens; `serve` does.

use crate::frames;
use crate::serve::{Body, BoxError, Listener, Pages, Ways};
use crate::wire::Routes;
use crate::{Shutdown, StartError};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use shoal_discovery::Health;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::Future;
use std::path::{Path, PathBuf};
use tower::util::BoxCloneSyncService;
use tower::{Service as _, ServiceExt as _};

/// A server of one Protobuf service, `CatalogueServer`. Implemented by generated code.
pub trait Serve {
    /// The Protobuf service: `store.catalogue.v1.Catalogue`.
    fn service(&self) -> &'static str;

    /// The descriptors of the service, as a serialised `google.protobuf.FileDescriptorSet`.
    fn descriptors(&self) -> &'static [u8];

    /// Adds the methods to the routes.
    #[doc(hidden)]
    fn register(&self, routes: Routes) -> Routes;
}

pub(crate) type Condition = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;
type Task = Box<dyn FnOnce(Shutdown) -> BoxFuture<'static, ()> + Send>;

/// What a service is made of. Built by its `service(Environment)` function, and run by [`run`](crate::run) or, in
/// tests, by [`serve`](Self::serve).
#[derive(Default)]
pub struct Service {
    pub(crate) servers: BTreeMap<&'static str, Box<dyn Serve + Send + Sync>>,
    pub(crate) pages: Option<Pages>,
    pub(crate) background: Vec<(&'static str, Task)>,
    pub(crate) ready_when: Option<Condition>,
    pub(crate) crash_points: BTreeSet<String>,
    frames: Option<PathBuf>,
}

impl Service {
    /// One that answers nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a Protobuf service: `CatalogueServer::new(Arc::new(catalogue))`, over Connect and gRPC, with its health
    /// and its description. Of two servers of the same Protobuf service the last counts.
    #[must_use]
    pub fn rpc(mut self, server: impl Serve + Send + Sync + 'static) -> Self {
        self.servers.insert(server.service(), Box::new(server));
        self
    }

    /// Serves everything else with this: an `axum::Router`, or any service of HTTP requests. Each request carries a
    /// [`Call`](crate::Call) among its extensions.
    #[must_use]
    pub fn pages<S, B>(mut self, pages: S) -> Self
    where
        S: tower::Service<Request<Body>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let pages = pages.map_response(|response: Response<B>| response.map(Body::new));
        self.pages = Some(BoxCloneSyncService::new(pages));
        self
    }

    /// Runs a task beside the requests, from the start until the shutdown is requested. It must end soon after; what
    /// remains when the time to drain is over is cut off. A task may end earlier, but one that panics stops the process.
    #[must_use]
    pub fn background<F, Task>(mut self, name: &'static str, task: F) -> Self
    where
        F: FnOnce(Shutdown) -> Task + Send + 'static,
        Task: Future<Output = ()> + Send + 'static,
    {
        self.background.push((name, Box::new(move |shutdown| Box::pin(task(shutdown)))));
        self
    }

    /// Says when the service is ready for requests, where that is later than once it listens. Asked every 200 ms until it
    /// answers `Ok`; `Err` is what is still waited for, in a few words, shown by `shoal status`.
    #[must_use]
    pub fn ready_when<F, Answer>(mut self, condition: F) -> Self
    where
        F: Fn() -> Answer + Send + Sync + 'static,
        Answer: Future<Output = Result<(), String>> + Send + 'static,
    {
        self.ready_when = Some(Box::new(move || Box::pin(condition())));
        self
    }

    /// Declares the names of the places where the service can be made to die on purpose: see
    /// [`Faults::crash_point`](crate::Faults::crash_point).
    #[must_use]
    pub fn crash_points<Name: Into<String>>(mut self, names: impl IntoIterator<Item = Name>) -> Self {
        self.crash_points.extend(names.into_iter().map(Into::into));
        self
    }

    /// Also serves callers with this crate on the same machine over a Unix socket at this path, which costs both a fraction
    /// of HTTP/2. They find it by themselves. [`run`](crate::run) does so beside the health socket.
    #[must_use]
    pub fn frames(mut self, socket: &Path) -> Self {
        self.frames = Some(socket.to_owned());
        self
    }

    /// Serves on this listener until the shutdown is requested, then drains. For tests, and for placing several services
    /// into one process.
    ///
    /// # Errors
    /// When the descriptors of its contracts do not fit together, or a background task panicked.
    pub async fn serve(self, listener: tokio::net::TcpListener, shutdown: Shutdown) -> Result<(), StartError> {
        self.serve_on(Listener::Tcp(listener), shutdown, None).await
    }

    /// As [`serve`](Self::serve), on a Unix socket: for an API that only this machine may reach.
    ///
    /// # Errors
    /// As [`serve`](Self::serve).
    pub async fn serve_unix(self, listener: tokio::net::UnixListener, shutdown: Shutdown) -> Result<(), StartError> {
        self.serve_on(Listener::Unix(listener), shutdown, None).await
    }

    pub(crate) async fn serve_on(
        self,
        listener: Listener,
        shutdown: Shutdown,
        health: Option<Health>,
    ) -> Result<(), StartError> {
        let frames = self.frames.as_deref().and_then(|path| {
            // The standard wire does as well, so this is no reason not to start.
            let failed = |error| tracing::warn!(socket = %path.display(), %error, "calls go over HTTP/2 only");
            frames::Listening::bind(path).map_err(failed).ok()
        });
        crate::serve::serve(self, Ways { listener, frames, health }, shutdown).await
    }

    /// Answers one request to the pages without a socket; for tests. `None` when the service has no pages.
    pub async fn page(&self, request: Request<Body>) -> Option<Response<Bytes>> {
        let mut pages = self.pages.clone()?;
        let Ok(response) = pages.call(crate::serve::with_call(request)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
        Some(Response::from_parts(parts, body))
    }
}
