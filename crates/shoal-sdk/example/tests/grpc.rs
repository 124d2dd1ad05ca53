//! gRPC as others speak it: an independent client, with messages written by hand.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use prost::Message as _;
use running::Running;
use std::time::Duration;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

#[derive(Clone, PartialEq, prost::Message)]
struct Amount {
    #[prost(int64, tag = "1")]
    count: i64,
    #[prost(string, tag = "2")]
    unit: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GreetRequest {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    wish: Option<Amount>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GreetResponse {
    #[prost(string, tag = "1")]
    text: String,
    #[prost(message, optional, tag = "2")]
    wish: Option<Amount>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct FailRequest {
    #[prost(string, tag = "1")]
    how: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct WaitRequest {
    #[prost(int64, tag = "1")]
    milliseconds: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Empty {}

#[derive(Clone, PartialEq, prost::Message)]
struct Shortage {
    #[prost(message, optional, tag = "1")]
    missing: Option<Amount>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthRequest {
    #[prost(string, tag = "1")]
    service: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HealthResponse {
    #[prost(int32, tag = "1")]
    status: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReflectionRequest {
    #[prost(string, optional, tag = "4")]
    file_containing_symbol: Option<String>,
    #[prost(string, optional, tag = "7")]
    list_services: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ReflectionResponse {
    #[prost(message, optional, tag = "4")]
    files: Option<Files>,
    #[prost(message, optional, tag = "6")]
    services: Option<Services>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Files {
    #[prost(bytes = "vec", repeated, tag = "1")]
    descriptors: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Services {
    #[prost(message, repeated, tag = "1")]
    service: Vec<Service>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Service {
    #[prost(string, tag = "1")]
    name: String,
}

async fn client(running: &Running) -> Grpc<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", running.address)).unwrap();
    let mut client = Grpc::new(endpoint.connect().await.unwrap());
    client.ready().await.unwrap();
    client
}

async fn unary<Req, Res>(client: &mut Grpc<Channel>, path: &'static str, request: Request<Req>) -> Result<Res, Status>
where
    Req: prost::Message + 'static,
    Res: prost::Message + Default + 'static,
{
    client.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static(path);
    let response = client.unary(request, path, ProstCodec::<Req, Res>::default()).await?;
    Ok(response.into_inner())
}

fn fail(how: &str) -> Request<FailRequest> {
    Request::new(FailRequest { how: how.to_owned() })
}

const FAIL: &str = "/example.greeter.v1.Greeter/Fail";

#[tokio::test]
async fn a_call_is_answered() {
    let running = Running::start().await;
    let mut client = client(&running).await;
    let wish = Some(Amount { count: -1, unit: "mugs".to_owned() });
    let request = GreetRequest { name: "tonic".to_owned(), wish: wish.clone() };
    let response: GreetResponse =
        unary(&mut client, "/example.greeter.v1.Greeter/Greet", Request::new(request)).await.unwrap();
    assert_eq!(response, GreetResponse { text: "Hello, tonic!".to_owned(), wish });
    running.stop().await;
}

#[tokio::test]
async fn errors_have_code_message_and_details() {
    let running = Running::start().await;
    let mut client = client(&running).await;
    let status = unary::<_, Empty>(&mut client, FAIL, fail("not_found")).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "nobody is here, ☃ excepted"));
    let status = unary::<_, Empty>(&mut client, FAIL, fail("aborted")).await.unwrap_err();
    assert_eq!(status.code(), Code::Aborted);
    let detailed = RpcStatus::decode(status.details()).unwrap();
    assert_eq!(detailed.details.len(), 1);
    assert_eq!(detailed.details[0].type_url, "type.googleapis.com/example.greeter.v1.Shortage");
    let shortage = Shortage::decode(detailed.details[0].value.as_slice()).unwrap();
    assert_eq!(shortage.missing, Some(Amount { count: 3, unit: "mugs".to_owned() }));
    // A panic takes nothing along: the same connection goes on.
    let status = unary::<_, Empty>(&mut client, FAIL, fail("panic")).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    let status = unary::<_, Empty>(&mut client, FAIL, fail("internal")).await.unwrap_err();
    assert_eq!(status.message(), "a defect");
    let nothing = unary::<_, Empty>(&mut client, "/example.greeter.v1.Greeter/Nothing", fail("x")).await;
    assert_eq!(nothing.unwrap_err().code(), Code::Unimplemented);
    running.stop().await;
}

#[tokio::test]
async fn the_callers_deadline_is_kept_by_the_server() {
    let running = Running::start().await;
    // Without the layers of tonic's own channel, nobody but the server watches the time.
    let bare = Client::builder(TokioExecutor::new()).http2_only(true).build_http::<tonic::body::Body>();
    let origin = format!("http://{}", running.address).parse().unwrap();
    let mut client = Grpc::with_origin(bare, origin);
    client.ready().await.unwrap();
    let mut request = Request::new(WaitRequest { milliseconds: 60_000 });
    request.metadata_mut().insert("grpc-timeout", "30m".parse().unwrap());
    let path = http::uri::PathAndQuery::from_static("/example.greeter.v1.Greeter/Wait");
    let waited = client.unary(request, path, ProstCodec::<WaitRequest, Empty>::default());
    let status = tokio::time::timeout(Duration::from_secs(30), waited).await.unwrap().unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    running.stop().await;
}

#[tokio::test]
async fn health_is_answered() {
    let running = Running::start().await;
    let mut client = client(&running).await;
    let path = "/grpc.health.v1.Health/Check";
    for service in ["", "example.greeter.v1.Greeter"] {
        let request = Request::new(HealthRequest { service: service.to_owned() });
        let response: HealthResponse = unary(&mut client, path, request).await.unwrap();
        assert_eq!(response.status, 1, "SERVING");
    }
    let request = Request::new(HealthRequest { service: "nobody".to_owned() });
    let status = unary::<_, HealthResponse>(&mut client, path, request).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    running.stop().await;
}

#[tokio::test]
async fn a_watcher_of_the_health_sees_the_end_and_does_not_delay_it() {
    let running = Running::start().await;
    let mut client = client(&running).await;
    let path = http::uri::PathAndQuery::from_static("/grpc.health.v1.Health/Watch");
    let request = Request::new(HealthRequest::default());
    let codec = ProstCodec::<HealthRequest, HealthResponse>::default();
    let mut watched = client.server_streaming(request, path, codec).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 1);
    running.shutdown.request();
    assert_eq!(watched.message().await.unwrap().unwrap().status, 2, "NOT_SERVING");
    // The watcher stays, and yet it ends well before the time to drain is over.
    tokio::time::timeout(Duration::from_secs(15), running.served).await.unwrap().unwrap().unwrap();
    drop(watched);
}

async fn reflect(client: &mut Grpc<Channel>, path: &'static str, request: ReflectionRequest) -> ReflectionResponse {
    client.ready().await.unwrap();
    let requests = tonic::codegen::tokio_stream::iter([request]);
    let codec = ProstCodec::<ReflectionRequest, ReflectionResponse>::default();
    let path = http::uri::PathAndQuery::from_static(path);
    let answers = client.streaming(Request::new(requests), path, codec).await.unwrap();
    answers.into_inner().message().await.unwrap().unwrap()
}

#[tokio::test]
async fn reflection_is_answered() {
    let running = Running::start().await;
    let mut client = client(&running).await;
    for path in [
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ] {
        let list = ReflectionRequest { list_services: Some(String::new()), ..Default::default() };
        let services = reflect(&mut client, path, list).await.services.unwrap().service;
        let names: Vec<&str> = services.iter().map(|service| service.name.as_str()).collect();
        for expected in ["example.greeter.v1.Greeter", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"] {
            assert!(names.contains(&expected), "{names:?}");
        }
        let symbol = Some("example.greeter.v1.Greeter".to_owned());
        let file = ReflectionRequest { file_containing_symbol: symbol, ..Default::default() };
        let files = reflect(&mut client, path, file).await.files.unwrap().descriptors;
        let all = files.concat();
        let found = |text: &str| all.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(found("Shortage") && found("example/types/v1/amount.proto"));
    }
    running.stop().await;
}
