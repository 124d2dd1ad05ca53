//! Refusals of requests that are no message: the decoder of JSON quotes the value it stumbled over, which may be a password
//! or a card's number in the wrong shape, and callers log refusals. Never: changes what a method says itself.

use bytes::Bytes;
use connectrpc::ConnectRpcBody;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;

/// What the decoder's sentences begin with.
const DECODER: &str = "failed to decode JSON: ";

/// The same refusal without what the caller sent.
pub async fn unquoted(response: Response<ConnectRpcBody>) -> Response<ConnectRpcBody> {
    let (mut head, body) = response.into_parts();
    let ConnectRpcBody::Full(whole) = body else { return Response::from_parts(head, body) };
    let Ok(bytes) = whole.collect().await;
    let bytes = bytes.to_bytes();
    let mended = mended(&bytes).unwrap_or(bytes);
    head.headers.remove(CONTENT_LENGTH);
    Response::from_parts(head, ConnectRpcBody::Full(Full::new(mended)))
}

fn mended(body: &[u8]) -> Option<Bytes> {
    let mut refusal: Value = serde_json::from_slice(body).ok()?;
    let message = refusal.get_mut("message")?;
    let sentence = without_value(message.as_str()?.strip_prefix(DECODER)?);
    *message = Value::String(sentence);
    serde_json::to_vec(&refusal).ok().map(Bytes::from)
}

/// What was expected and where, of a sentence such as "invalid type: integer `7`, expected a string at line 1 column 9".
fn without_value(sentence: &str) -> String {
    // Only of these is what follows the last "expected" certainly the decoder's own.
    let tells =
        ["invalid type: ", "invalid value: ", "invalid length "].iter().any(|start| sentence.starts_with(start));
    let expected = sentence.rfind(", expected ").filter(|_| tells).and_then(|at| sentence.get(at + 2..));
    let place = || sentence.rfind(" at line ").and_then(|at| sentence.get(at + 1..));
    match expected.or_else(place) {
        Some(rest) => format!("the request is not what the contract says: {rest}"),
        None => "the request is not what the contract says".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)] // Only read by being decoded.
    struct Card {
        number: String,
        month: u8,
        kind: Option<Kind>,
    }

    #[derive(Debug, Deserialize)]
    enum Kind {
        Credit,
    }

    fn refused(text: &str) -> String {
        without_value(&serde_json::from_str::<Card>(text).unwrap_err().to_string())
    }

    #[test]
    fn says_what_was_expected_and_where() {
        assert_eq!(
            refused(r#"{"number": 4242424242424242}"#),
            "the request is not what the contract says: expected a string at line 1 column 27"
        );
        assert!(refused("{").starts_with("the request is not what the contract says: at line 1"));
    }

    proptest! {
        #[test]
        fn repeats_no_value(secret in "[0-9]{5,18}", sneaky: bool) {
            let secret = if sneaky { format!(", expected {secret}") } else { secret };
            let text = serde_json::to_string(&secret).unwrap();
            for request in [
                format!("{{\"number\": [{text}]}}"),
                format!("{{\"month\": {text}}}"),
                format!("{{{text}: 1}}"),
                format!("{{\"kind\": {text}}}"),
                format!("{{\"number\": {}}}", secret.trim_start_matches(", expected ").trim_start_matches('0')),
                text.clone(),
            ] {
                let sentence = refused(&request);
                prop_assert!(!sentence.contains(secret.trim_start_matches(", expected ")), "{request}: {sentence}");
            }
        }
    }
}
