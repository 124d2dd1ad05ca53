//! Two services with the SDK: one gives back what it gets, the other calls it as often as it is told to. Never: answers
//! without having called.

use crate::calls::{self, Echo as EchoCalls};
use crate::contracts::contracts::echo::v1::{Echo, EchoServer, SayRequest, SayResponse};
use crate::messages;
use axum::extract::{Path, State};
use axum::routing::get;
use shoal_load::ClosedLoop;
use shoal_sdk::{Call, Environment, Error, Service, StartError};
use std::sync::Arc;
use std::time::Duration;

/// Of so many calls one makes up a new [`Call`], as if that many were made for one request from outside.
pub const CALLS_PER_REQUEST: u32 = 16;

/// Gives back what it gets.
pub struct Plain;

#[shoal_sdk::async_trait]
impl Echo for Plain {
    async fn say(&self, _call: &Call, request: SayRequest) -> Result<SayResponse, Error> {
        Ok(SayResponse { product: request.product, ..Default::default() })
    }
}

/// The service that is called.
pub async fn echo(_environment: Environment) -> Result<Service, StartError> {
    Ok(Service::new().rpc(EchoServer::new(Arc::new(Plain))))
}

/// The service that calls: `GET /load/{clients}/{milliseconds}` answers how often.
pub async fn caller(environment: Environment) -> Result<Service, StartError> {
    let echo = calls::echo(&environment)?;
    let pages = axum::Router::new().route("/load/{clients}/{milliseconds}", get(load)).with_state(echo);
    Ok(Service::new().pages(pages))
}

/// The same over HTTP/2 only, as everyone else would call.
pub async fn http2_caller(environment: Environment) -> Result<Service, StartError> {
    caller(environment.without_frames()).await
}

async fn load(
    State(echo): State<Arc<dyn EchoCalls>>,
    Path((clients, milliseconds)): Path<(usize, u64)>,
) -> Result<String, String> {
    let closed = ClosedLoop { clients: clients.min(10_000), length: Duration::from_millis(milliseconds.min(600_000)) };
    let work = move |_| {
        let echo = Arc::clone(&echo);
        async move { burst(&*echo).await }
    };
    let spent = closed.run(work).await.map_err(|error| error.to_string())?;
    Ok(format!("{} {}", spent.done * u64::from(CALLS_PER_REQUEST), spent.failed))
}

/// The calls of one request from outside, one after the other.
async fn burst(echo: &dyn EchoCalls) -> bool {
    let call = Call::new();
    for _ in 0..CALLS_PER_REQUEST {
        let answer = echo.say(&call, messages::for_sdk()).await;
        if !answer.is_ok_and(|answer| messages::is_whole(&answer)) {
            return false;
        }
    }
    true
}
