//! The smallest service: it greets. Its tests are those of the SDK that need generated code or a whole process.
//!
//! Never: part of an application.

/// What the greeter promises; a crate of its own in an application.
pub mod contracts {
    shoal_sdk::include_contracts!();
}

/// What this service calls: another greeter, when it is set to relay.
pub mod calls {
    shoal_sdk::include_calls!();
}

use contracts::example::greeter::v1::{
    EchoRequest, EchoResponse, FailRequest, FailResponse, GreetRequest, GreetResponse, Greeter, GreeterServer,
    PonderRequest, PonderResponse, Shortage, WaitRequest, WaitResponse,
};
use contracts::example::types::v1::Amount;
use serde::Deserialize;
use shoal_sdk::{Call, Environment, Error, Faults, MessageField, Service, StartError};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The settings of the greeter.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// The word that comes before the name.
    pub greeting: String,
    /// Lets another greeter answer.
    pub relay: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { greeting: "Hello".to_owned(), relay: false }
    }
}

/// Builds the service.
///
/// # Errors
/// When the settings are wrong.
pub async fn service(environment: Environment) -> Result<Service, StartError> {
    let settings: Settings = environment.settings()?;
    let greeted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&greeted);
    // Started by hand it has no folder, and only its notes need one.
    let notes = environment.data_folder().map(|folder| folder.join(environment.replica())).ok();
    let greeter = Arc::new(Plain {
        greeting: settings.greeting,
        replica: environment.replica(),
        greeted,
        faults: environment.faults(),
    });
    let server = if settings.relay {
        GreeterServer::new(Arc::new(Relay { to: calls::greeter(&environment)? }))
    } else {
        GreeterServer::new(greeter)
    };
    let pages = axum::Router::new()
        .route("/", axum::routing::get(home))
        .route("/slow", axum::routing::get(slow))
        .route("/busy/{milliseconds}", axum::routing::get(busy))
        .route("/greeted", axum::routing::get(move || async move { count.load(Ordering::Relaxed).to_string() }))
        .route("/note", axum::routing::get(move || async move { note(notes.as_deref()) }));
    let service = Service::new().rpc(server).pages(pages).crash_points(["greet.counted"]);
    Ok(service.background("clock", |shutdown| async move {
        shutdown.requested().await;
        tracing::info!("the clock stops");
    }))
}

async fn home(axum::Extension(call): axum::Extension<Call>) -> String {
    format!("request {}\n", call.request_id())
}

async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(500)).await;
    "slow\n"
}

/// Holds the event loop up, as a long computation would; at most a minute.
async fn busy(axum::extract::Path(milliseconds): axum::extract::Path<u64>) -> &'static str {
    std::thread::sleep(Duration::from_millis(milliseconds.min(60_000)));
    "done\n"
}

/// Writes a file, and says whether that went well.
fn note(path: Option<&std::path::Path>) -> String {
    let Some(path) = path else { return "there is no folder for data".to_owned() };
    std::fs::write(path, "noted").map_or_else(|error| error.to_string(), |()| "noted".to_owned())
}

/// Answers by itself.
#[derive(Default)]
pub struct Plain {
    /// The word that comes before the name.
    pub greeting: String,
    /// Said to whoever is greeted.
    pub replica: String,
    /// How many were greeted.
    pub greeted: Arc<AtomicU64>,
    /// Where it may be made to die.
    pub faults: Faults,
}

#[shoal_sdk::async_trait]
impl Greeter for Plain {
    async fn greet(&self, _call: &Call, request: GreetRequest) -> Result<GreetResponse, Error> {
        if request.name.is_empty() || request.name.chars().count() > 100 {
            return Err(Error::invalid_argument("a name has 1 to 100 characters"));
        }
        self.greeted.fetch_add(1, Ordering::Relaxed);
        self.faults.crash_point("greet.counted");
        Ok(GreetResponse {
            text: format!("{}, {}!", self.greeting, request.name),
            wish: request.wish,
            replica: self.replica.clone(),
            ..Default::default()
        })
    }

    async fn wait(&self, _call: &Call, request: WaitRequest) -> Result<WaitResponse, Error> {
        let wait =
            u64::try_from(request.milliseconds).map_err(|_| Error::invalid_argument("nobody waits backwards"))?;
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(WaitResponse::default())
    }

    async fn ponder(&self, _call: &Call, request: PonderRequest) -> Result<PonderResponse, Error> {
        let wait =
            u64::try_from(request.milliseconds).map_err(|_| Error::invalid_argument("nobody ponders backwards"))?;
        let length = usize::try_from(request.bytes).unwrap_or(0).min(32 * 1024 * 1024);
        tokio::time::sleep(Duration::from_millis(wait)).await;
        Ok(PonderResponse { replica: self.replica.clone(), thoughts: vec![7; length], ..Default::default() })
    }

    #[allow(clippy::panic)] // As asked.
    async fn fail(&self, _call: &Call, request: FailRequest) -> Result<FailResponse, Error> {
        match request.how.as_str() {
            "not_found" => Err(Error::not_found("nobody is here, ☃ excepted")),
            "aborted" => {
                let missing = Amount { count: 3, unit: "mugs".to_owned(), ..Default::default() };
                let shortage = Shortage { missing: MessageField::some(missing), ..Default::default() };
                Err(Error::aborted("some are missing").with_detail(&shortage))
            }
            "internal" => Err(Error::internal("a defect")),
            "panic" => panic!("as asked"),
            other => Err(Error::invalid_argument(format!("`{other}` is no way to fail"))),
        }
    }

    async fn echo(&self, call: &Call, _request: EchoRequest) -> Result<EchoResponse, Error> {
        Ok(EchoResponse {
            trace_id: call.trace_id(),
            request_id: call.request_id().to_owned(),
            milliseconds_left: i64::try_from(call.time_left().as_millis()).unwrap_or(i64::MAX),
            ..Default::default()
        })
    }
}

/// Lets another greeter answer.
pub struct Relay {
    /// The other one; over the wire or in process, this cannot tell.
    pub to: Arc<dyn calls::Greeter>,
}

#[shoal_sdk::async_trait]
impl Greeter for Relay {
    async fn greet(&self, call: &Call, request: GreetRequest) -> Result<GreetResponse, Error> {
        self.to.greet(call, request).await
    }

    async fn wait(&self, call: &Call, request: WaitRequest) -> Result<WaitResponse, Error> {
        self.to.wait(call, request).await
    }

    async fn ponder(&self, call: &Call, request: PonderRequest) -> Result<PonderResponse, Error> {
        self.to.ponder(call, request).await
    }

    async fn fail(&self, call: &Call, request: FailRequest) -> Result<FailResponse, Error> {
        self.to.fail(call, request).await
    }

    async fn echo(&self, call: &Call, request: EchoRequest) -> Result<EchoResponse, Error> {
        self.to.echo(call, request).await
    }
}
