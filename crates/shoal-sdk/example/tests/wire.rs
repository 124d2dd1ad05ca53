//! Calls over real sockets, by both transports, and in process: all must look the same to a caller.
#![allow(clippy::unwrap_used, clippy::panic)] // Tests; what fails here is meant to.

mod running;

use running::{Running, http1};
use shoal_sdk::{Call, Code, EnumValue, Environment, Error, MessageField};
use shoal_sdk_example::Plain;
use shoal_sdk_example::calls;
use shoal_sdk_example::contracts::example::greeter::v1 as contract;
use shoal_sdk_example::contracts::example::types::v1::Amount;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn greet_request() -> contract::GreetRequest {
    contract::GreetRequest {
        name: "Ada ☃".to_owned(),
        wish: MessageField::some(Amount { count: i64::MIN, unit: "mugs".to_owned(), ..Default::default() }),
        mood: EnumValue::from(contract::Mood::MOOD_GLAD),
        ..Default::default()
    }
}

fn fail_request(how: &str) -> contract::FailRequest {
    contract::FailRequest { how: how.to_owned(), ..Default::default() }
}

fn wait_request(milliseconds: i64) -> contract::WaitRequest {
    contract::WaitRequest { milliseconds, ..Default::default() }
}

/// The same greeter, in process, over HTTP/2 and over frames.
async fn all_ways() -> (Running, [Arc<dyn calls::Greeter>; 3]) {
    let running = Running::start().await;
    let plain = Plain { greeting: "Hello".to_owned(), replica: "tests".to_owned(), ..Plain::default() };
    let within = Environment::for_tests(running.folder.path()).provide(Arc::new(plain) as Arc<dyn contract::Greeter>);
    let greeters = [calls::greeter(&within).unwrap(), running.over_http2(), running.over_frames().await];
    (running, greeters)
}

#[tokio::test]
async fn answers_are_equal_all_ways() {
    let (running, greeters) = all_ways().await;
    for greeter in &greeters {
        let response = greeter.greet(&Call::new(), greet_request()).await.unwrap();
        assert_eq!(response.text, "Hello, Ada ☃!");
        assert_eq!(response.wish.count, i64::MIN);
        assert_eq!(response.wish.unit, "mugs");
        assert_eq!(response.replica, "tests");
    }
    running.stop().await;
}

#[tokio::test]
async fn errors_are_equal_all_ways() {
    let (running, greeters) = all_ways().await;
    for how in ["not_found", "aborted", "internal", "panic", "nonsense"] {
        let mut errors = Vec::new();
        for greeter in &greeters {
            errors.push(greeter.fail(&Call::new(), fail_request(how)).await.unwrap_err());
        }
        assert_eq!(errors[0], errors[1], "{how}, over HTTP/2");
        assert_eq!(errors[0], errors[2], "{how}, over frames");
    }
    for greeter in &greeters {
        let error = greeter.fail(&Call::new(), fail_request("aborted")).await.unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (Code::Aborted, "some are missing"));
        let shortage: contract::Shortage = error.detail().unwrap();
        assert_eq!((shortage.missing.count, shortage.missing.unit.as_str()), (3, "mugs"));
        assert_eq!(error.detail::<Amount>(), None);
    }
    running.stop().await;
}

#[tokio::test]
async fn deadlines_are_equal_all_ways() {
    let (running, greeters) = all_ways().await;
    for greeter in &greeters {
        let started = Instant::now();
        let call = Call::new().with_timeout(Duration::from_millis(50));
        let error = greeter.wait(&call, wait_request(60_000)).await.unwrap_err();
        assert_eq!(error, Error::deadline_exceeded("`greeter` did not answer in time"));
        assert!(started.elapsed() < Duration::from_secs(30));
        // Nothing is left of the time, so nothing is asked.
        let error = greeter.greet(&call, greet_request()).await.unwrap_err();
        assert_eq!(error.code, Code::DeadlineExceeded);
        // The next call has its own time.
        greeter.greet(&Call::new(), greet_request()).await.unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn the_call_travels() {
    let (running, greeters) = all_ways().await;
    for greeter in &greeters {
        let call = Call::new().with_timeout(Duration::from_secs(5));
        let response = greeter.echo(&call, contract::EchoRequest::default()).await.unwrap();
        assert_eq!(response.trace_id, call.trace_id());
        assert_eq!(response.request_id, call.request_id());
        assert!((1..=5_000).contains(&response.milliseconds_left), "{}", response.milliseconds_left);
        let untold = greeter.echo(&Call::new(), contract::EchoRequest::default()).await.unwrap();
        assert!((5_001..=10_000).contains(&untold.milliseconds_left), "{}", untold.milliseconds_left);
    }
    running.stop().await;
}

#[tokio::test]
async fn json_over_plain_http_1() {
    let running = Running::start().await;
    let path = "/example.greeter.v1.Greeter/Greet";
    let body = r#"{"name":"curl","wish":{"count":"7","unit":"mugs"}}"#;
    let response = http1(running.address, "POST", path, &[("content-type", "application/json")], body).await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    let json: serde_json::Value = serde_json::from_str(response.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let expected = serde_json::json!({
        "text": "Hello, curl!", "wish": {"count": "7", "unit": "mugs"}, "replica": "tests"
    });
    assert_eq!(json, expected);

    let response = http1(running.address, "POST", path, &[("content-type", "application/json")], "{}").await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");
    assert!(response.contains(r#""code":"invalid_argument""#), "{response}");
    let response = http1(running.address, "POST", path, &[("content-type", "application/json")], "{nonsense").await;
    assert!(response.starts_with("HTTP/1.1 400"), "{response}");

    let headers = [("content-type", "application/json"), ("connect-timeout-ms", "20")];
    let wait = r#"{"milliseconds":"60000"}"#;
    let response = http1(running.address, "POST", "/example.greeter.v1.Greeter/Wait", &headers, wait).await;
    assert!(response.contains(r#""code":"deadline_exceeded""#), "{response}");
    running.stop().await;
}

#[tokio::test]
async fn what_has_no_side_effects_may_be_got() {
    let running = Running::start().await;
    let path = "/example.greeter.v1.Greeter/Echo?connect=v1&encoding=json&message=%7B%7D";
    let response = http1(running.address, "GET", path, &[("x-request-id", "mine")], "").await;
    assert!(response.contains(r#""requestId":"mine""#), "{response}");
    assert!(response.to_lowercase().contains("x-request-id: mine"), "{response}");
    let path = path.replace("Echo", "Greet");
    let response = http1(running.address, "GET", &path, &[], "").await;
    assert!(response.starts_with("HTTP/1.1 405"), "{response}");
    running.stop().await;
}

#[tokio::test]
async fn pages_and_methods_share_the_port() {
    let running = Running::start().await;
    let response = http1(running.address, "GET", "/", &[("x-request-id", "abc")], "").await;
    assert!(response.ends_with("request abc\n"), "{response}");
    let response = http1(running.address, "GET", "/nothing", &[], "").await;
    assert!(response.starts_with("HTTP/1.1 404"), "{response}");
    let json = [("content-type", "application/json")];
    let response = http1(running.address, "POST", "/example.greeter.v1.Greeter/Nothing", &json, "{}").await;
    assert!(response.starts_with("HTTP/1.1 404"), "{response}");
    running.stop().await;
}

#[tokio::test]
async fn messages_that_are_too_large_are_refused_and_large_ones_pass() {
    let (running, [_, http2, frames]) = all_ways().await;
    for greeter in [http2, frames] {
        let mut request = greet_request();
        request.name = "x".repeat(5 * 1024 * 1024);
        let error = greeter.greet(&Call::new(), request).await.unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted, "{error}");
        let ponder = |bytes| contract::PonderRequest { bytes, ..Default::default() };
        let error = greeter.ponder(&Call::new(), ponder(20 * 1024 * 1024)).await.unwrap_err();
        assert_eq!(error.code, Code::ResourceExhausted, "{error}");
        let answer = greeter.ponder(&Call::new(), ponder(15 * 1024 * 1024)).await.unwrap();
        assert_eq!(answer.thoughts.len(), 15 * 1024 * 1024);
        greeter.greet(&Call::new(), greet_request()).await.unwrap();
    }
    running.stop().await;
}

#[tokio::test]
async fn many_calls_at_once_get_their_own_answers() {
    let (running, greeters) = all_ways().await;
    for greeter in &greeters {
        let calls = (0..500).map(|number| async move {
            let name = format!("{number} {}", "x".repeat(number % 90));
            let request = contract::GreetRequest { name: name.clone(), ..Default::default() };
            let answer = greeter.greet(&Call::new(), request).await.unwrap();
            assert_eq!(answer.text, format!("Hello, {name}!"));
        });
        futures::future::join_all(calls).await;
    }
    running.stop().await;
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_says_who() {
    let (running, [_, http2, frames]) = all_ways().await;
    http2.greet(&Call::new(), greet_request()).await.unwrap();
    running.stop().await;
    for greeter in [http2, frames] {
        // It is held for as long as the call has time.
        let call = Call::new().with_timeout(Duration::from_millis(100));
        let error = greeter.greet(&call, greet_request()).await.unwrap_err();
        assert_eq!(error.code, Code::Unavailable);
        assert!(error.message.contains("`greeter`"), "{error}");
    }
}

#[tokio::test]
async fn an_undeclared_call_says_what_to_add() {
    let folder = tempfile::tempdir().unwrap();
    let error = calls::greeter(&Environment::for_tests(folder.path())).err().unwrap().to_string();
    assert!(error.contains("\"greeter\"") && error.contains("shoal.toml") && error.contains("GREETER_URL"), "{error}");
}

#[tokio::test]
async fn a_stand_in_takes_the_place_of_a_callee() {
    struct Rude;
    #[shoal_sdk::async_trait]
    impl calls::Greeter for Rude {
        async fn greet(&self, _: &Call, _: contract::GreetRequest) -> Result<contract::GreetResponse, Error> {
            Err(Error::permission_denied("no"))
        }
        async fn wait(&self, _: &Call, _: contract::WaitRequest) -> Result<contract::WaitResponse, Error> {
            Err(Error::unimplemented("no"))
        }
        async fn ponder(&self, _: &Call, _: contract::PonderRequest) -> Result<contract::PonderResponse, Error> {
            Err(Error::unimplemented("no"))
        }
        async fn fail(&self, _: &Call, _: contract::FailRequest) -> Result<contract::FailResponse, Error> {
            Err(Error::unimplemented("no"))
        }
        async fn echo(&self, _: &Call, _: contract::EchoRequest) -> Result<contract::EchoResponse, Error> {
            Err(Error::unimplemented("no"))
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::for_tests(folder.path()).provide(Arc::new(Rude) as Arc<dyn calls::Greeter>);
    let greeter = calls::greeter(&environment).unwrap();
    let error = greeter.greet(&Call::new(), greet_request()).await.unwrap_err();
    assert_eq!(error, Error::permission_denied("no"));
}

#[tokio::test]
async fn settings_that_are_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let environment = Environment::for_tests(folder.path());
    for (settings, place) in
        [(serde_json::json!({"greeting": 5}), "`greeting`"), (serde_json::json!({"greting": "Hi"}), "`greting`")]
    {
        let environment = environment.clone().with_settings(&settings).unwrap();
        let error = shoal_sdk_example::service(environment).await.err().unwrap().to_string();
        assert!(error.contains(place) && error.contains("[services.tests.settings]"), "{error}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_served_and_called() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let service = shoal_sdk_example::service(Environment::for_tests(folder.path())).await.unwrap();
    let shutdown = shoal_sdk::Shutdown::new();
    let served = tokio::spawn(service.serve_unix(listener, shutdown.clone()));
    let environment = Environment::of_client("tester", "greeter", shoal_model::Address::Unix(socket)).unwrap();
    let greeter = calls::greeter(&environment).unwrap();
    let response = greeter.greet(&Call::new(), greet_request()).await.unwrap();
    assert_eq!(response.text, "Hello, Ada ☃!");
    shutdown.request();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_background_task_that_panics_stops_the_service() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = shoal_sdk::Service::new()
        .background("ends", |_| async {})
        .background("panics", |_| async { panic!("as asked") });
    let error = service.serve(listener, shoal_sdk::Shutdown::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "a background task panicked: as asked");
}

#[tokio::test]
async fn pages_that_panic_are_answered() {
    let folder = tempfile::tempdir().unwrap();
    let pages = axum::Router::new().route("/panic", axum::routing::get(|| async { panic!("as asked") as &str }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = shoal_sdk::Shutdown::new();
    let service = shoal_sdk_example::service(Environment::for_tests(folder.path())).await.unwrap().pages(pages);
    let served = tokio::spawn(service.serve(listener, shutdown.clone()));
    let response = http1(address, "GET", "/panic", &[], "").await;
    assert!(response.starts_with("HTTP/1.1 500"), "{response}");
    shutdown.request();
    served.await.unwrap().unwrap();
}
