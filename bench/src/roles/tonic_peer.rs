//! The same service and the same caller with tonic: the messages owned, one event loop each, one connection. Never: tuned
//! beyond what its guide says, but for the Nagle algorithm, which both turn off.

use super::caller::CALLS_PER_REQUEST;
use super::event_loop;
use crate::for_tonic::echo_client::EchoClient;
use crate::for_tonic::echo_server::{Echo, EchoServer};
use crate::for_tonic::{SayRequest, SayResponse};
use crate::{Failure, messages, report};
use hyper_util::rt::TokioIo;
use shoal_load::{Arrivals, ClosedLoop, Latency, OpenLoop};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status};

struct Plain;

#[tonic::async_trait]
impl Echo for Plain {
    async fn say(&self, request: Request<SayRequest>) -> Result<Response<SayResponse>, Status> {
        Ok(Response::new(SayResponse { product: request.into_inner().product }))
    }
}

/// Serves on any port, or on the Unix socket that is named.
pub fn serve(arguments: &[String]) -> Result<(), Failure> {
    let router = || Server::builder().add_service(EchoServer::new(Plain));
    event_loop()?.block_on(async {
        if let Some(path) = arguments.first() {
            let incoming = UnixIncoming(UnixListener::bind(path)?);
            report::line(path);
            return Ok(router().serve_with_incoming(incoming).await?);
        }
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
        report::line(&incoming.local_addr()?.to_string());
        Ok(router().serve_with_incoming(incoming).await?)
    })
}

/// The connections of a Unix socket, as tonic wants them.
struct UnixIncoming(UnixListener);

impl futures::Stream for UnixIncoming {
    type Item = std::io::Result<UnixStream>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_accept(context).map(|accepted| Some(accepted.map(|(stream, _)| stream)))
    }
}

/// A channel to an address or, where that has a slash in it, to a Unix socket.
async fn connect(address: &str) -> Result<Channel, Failure> {
    if !address.contains('/') {
        let endpoint: Endpoint = format!("http://{address}").parse()?;
        return Ok(endpoint.tcp_nodelay(true).connect().await?);
    }
    let path = address.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Ok(Endpoint::from_static("http://peer").connect_with_connector(connector).await?)
}

/// Calls the service at an address: a line of input, and its answer.
///
/// `closed CLIENTS MILLISECONDS` calls as often as it can, and answers the number of calls and of failures. `open RATE
/// MILLISECONDS` calls when calls are due, and answers p50 and p99 in nanoseconds, the number of calls and of failures.
pub fn call(arguments: &[String]) -> Result<(), Failure> {
    let address = arguments.first().ok_or("name an address")?;
    let runtime = event_loop()?;
    let channel = runtime.block_on(connect(address))?;
    report::line("ready");
    for line in std::io::stdin().lines() {
        let line = line?;
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default();
        let mut number = || words.next().unwrap_or_default().parse::<u32>();
        let (first, length) = (number()?, Duration::from_millis(number()?.into()));
        let answer = match kind {
            "closed" => runtime.block_on(closed(channel.clone(), usize::try_from(first)?, length))?,
            "open" => runtime.block_on(open(channel.clone(), f64::from(first), length))?,
            _ => return Err(format!("`{line}` is not understood").into()),
        };
        report::line(&answer);
    }
    Ok(())
}

async fn closed(channel: Channel, clients: usize, length: Duration) -> Result<String, Failure> {
    let work = move |_| {
        let channel = channel.clone();
        async move {
            for _ in 0..CALLS_PER_REQUEST {
                if !say(channel.clone()).await {
                    return false;
                }
            }
            true
        }
    };
    let spent = ClosedLoop { clients, length }.run(work).await?;
    Ok(format!("{} {}", spent.done * u64::from(CALLS_PER_REQUEST), spent.failed))
}

async fn open(channel: Channel, rate: f64, length: Duration) -> Result<String, Failure> {
    let done = OpenLoop { rate, length, arrivals: Arrivals::Even }.run(|_| say(channel.clone())).await?;
    let failed = done.iter().filter(|done| !done.value).count();
    let latency: Latency = done.into_iter().collect();
    let nanoseconds = [latency.p50(), latency.p99()].map(|took| took.as_nanos());
    Ok(format!("{} {} {} {failed}", nanoseconds[0], nanoseconds[1], latency.count()))
}

/// One call, and whether all of the answer came.
async fn say(channel: Channel) -> bool {
    let mut request = Request::new(messages::for_tonic());
    request.set_timeout(Duration::from_secs(10));
    EchoClient::new(channel).say(request).await.is_ok_and(|answer| answer.get_ref().product.is_some())
}
