//! Every method of every API of the store, asked with odd values in every place of a request, in both encodings, and with
//! broken bytes: it answers that the request is wrong, and never that it failed itself. No answer and no log line repeats a
//! card's number or a password, and no file keeps one.

#![allow(clippy::unwrap_used)] // A test ends where something unexpected happens.

mod town;

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::Value;
use test_databases::Kind;
use town::methods::{self, CARD, Method, PASSWORD};
use town::{Answer, Log, Town, files, odd};

const JSON: &str = "application/json";
const PROTO: &str = "application/proto";

/// What a service may answer to a request of a stranger: it is done, or it is wrong. Never that the service failed.
const CODES: [&str; 9] = [
    "invalid_argument",
    "not_found",
    "already_exists",
    "failed_precondition",
    "aborted",
    "resource_exhausted",
    "unauthenticated",
    "permission_denied",
    "out_of_range",
];

/// Answers the code; empty when it is done.
#[track_caller]
fn checked(method: &Method, sent: &dyn std::fmt::Debug, answer: &Answer) -> String {
    let code = match answer.status {
        200 => String::new(),
        _ => {
            let body: Value = serde_json::from_str(&answer.body)
                .unwrap_or_else(|_| panic!("{} of {sent:?}: {answer:?}", method.name));
            body["code"].as_str().unwrap_or_default().to_owned()
        }
    };
    // An order that comes later than its caller waits for.
    let too_late = method.name.ends_with("/Place") && code == "deadline_exceeded";
    let fine = code.is_empty() || too_late || CODES.contains(&code.as_str());
    assert!(fine, "{} of {sent:?}: {answer:?}", method.name);
    for secret in [CARD, PASSWORD] {
        assert!(!answer.body.contains(secret), "{} of {sent:?}: {answer:?}", method.name);
    }
    code
}

fn send_json(town: &Town, method: &Method, request: &Value) -> String {
    let request = methods::anew(request);
    let answer = town.call(method.name, JSON, request.to_string().as_bytes());
    checked(method, &request, &answer)
}

fn send_proto(town: &Town, method: &Method, request: &Value) -> Option<String> {
    let bytes = method.encoded(&methods::anew(request))?;
    let answer = town.call(method.name, PROTO, &bytes);
    Some(checked_proto(method, &bytes, &answer))
}

/// A refusal is JSON in either encoding; what is done need not be text.
fn checked_proto(method: &Method, bytes: &[u8], answer: &Answer) -> String {
    if answer.status == 200 { String::new() } else { checked(method, &bytes, answer) }
}

/// Neither the log nor any file under the services' folders has a secret in it, and nothing panicked.
fn nothing_leaked(town: &Town, log: &Log) {
    let text = log.text();
    assert!(text.contains("rpc"), "the log is kept");
    assert!(!text.contains("panicked"), "{}", around(&text, "panicked"));
    for secret in [CARD, PASSWORD, "5555 5555 5555 4444"] {
        assert!(!text.contains(secret), "in the log: {}", around(&text, secret));
        for (path, content) in files(town.folder.path()) {
            let found = content.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "`{secret}` is in {path}");
        }
    }
}

fn around(text: &str, word: &str) -> String {
    text.lines().filter(|line| line.contains(word)).take(3).collect::<Vec<_>>().join("\n")
}

#[rstest]
fn odd_values_are_refused_by_name(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let log = Log::kept();
    let town = Town::start(kind);
    let mut codes = BTreeSet::new();
    for method in methods::all() {
        let code = send_json(&town, &method, &method.request);
        assert!(code != "invalid_argument", "{}: the request is in order", method.name);
        for changed in odd::replaced(&method.request, None) {
            codes.insert(send_json(&town, &method, &changed));
        }
        for value in odd::values() {
            for changed in odd::replaced(&method.request, Some(&value)) {
                codes.insert(send_json(&town, &method, &changed));
                codes.extend(send_proto(&town, &method, &changed));
            }
        }
    }
    let expected = ["", "invalid_argument", "not_found", "already_exists", "failed_precondition", "unauthenticated"];
    for code in expected {
        assert!(codes.contains(code), "`{code}` is among {codes:?}");
    }
    nothing_leaked(&town, &log);
}

#[test]
fn broken_bytes_are_refused() {
    let log = Log::kept();
    let town = Town::start(Kind::Sqlite);
    let methods = methods::all();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_500) };
    proptest!(config, |(
        method in any::<prop::sample::Index>(),
        as_json: bool,
        place in any::<prop::sample::Index>(),
        cut in 0_usize..8,
        inserted in prop::collection::vec(any::<u8>(), 0..24),
    )| {
        let method = method.get(&methods);
        let mut bytes = if as_json {
            method.request.to_string().into_bytes()
        } else {
            method.encoded(&method.request).unwrap()
        };
        let place = place.index(bytes.len() + 1);
        let end = (place + cut).min(bytes.len());
        bytes.splice(place..end, inserted);
        let answer = town.call(method.name, if as_json { JSON } else { PROTO }, &bytes);
        checked_proto(method, &bytes, &answer);
    });
    nothing_leaked(&town, &log);
}

/// Bodies that only a program would build: too deep, too long, not the type they say, nothing at all.
#[test]
fn built_bodies_are_refused() {
    let log = Log::kept();
    let town = Town::start(Kind::Sqlite);
    let deep = |open: &str, close: &str| format!("{{\"x\":{}1{}}}", open.repeat(20_000), close.repeat(20_000));
    let bodies = [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "\u{feff}{}".to_owned(),
        deep("[", "]"),
        deep("{\"x\":", "}"),
        format!("{{\"shopperId\":\"{}\"}}", "x".repeat(3 << 20)),
        "{\"shopperId\":\"a\",\"shopperId\":\"b\"}".to_owned(),
        "{\"shopperId\":\"\\ud800\"}".to_owned(),
        "\u{8}".repeat(100_000),
    ];
    for method in methods::all() {
        for body in &bodies {
            for kind in [JSON, PROTO] {
                let answer = town.call(method.name, kind, body.as_bytes());
                checked_proto(&method, body.as_bytes().get(..80.min(body.len())).unwrap(), &answer);
            }
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application/json; charset=utf-16"] {
            let answer = town.call(method.name, kind, b"{}");
            assert!(answer.status < 500, "{} as `{kind}`: {answer:?}", method.name);
        }
    }
    nothing_leaked(&town, &log);
}

/// A card's number that is sent as something other than text, or in another field's place, is not repeated either.
#[test]
fn a_card_in_the_wrong_shape_is_not_repeated() {
    let log = Log::kept();
    let town = Town::start(Kind::Sqlite);
    let number: Value = serde_json::from_str(CARD).unwrap();
    let shapes = [
        number.clone(),
        Value::Array(vec![number.clone()]),
        serde_json::json!({ "number": CARD }),
        serde_json::json!([CARD]),
        serde_json::json!(format!("{CARD}x")),
        serde_json::json!(format!("{CARD}{CARD}")),
    ];
    for method in methods::all().iter().filter(|method| method.request["cardNumber"].is_string()) {
        for shape in &shapes {
            for (field, is_wrong) in
                [("cardNumber", true), ("cardExpiry", true), ("fence", false), ("basketVersion", false)]
            {
                let mut request = method.request.clone();
                request[field] = shape.clone();
                let code = send_json(&town, method, &request);
                assert!(!is_wrong || code == "invalid_argument", "`{code}` for {request}");
            }
        }
    }
    nothing_leaked(&town, &log);
}
