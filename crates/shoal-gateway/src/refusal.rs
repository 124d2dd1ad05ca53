//! The gateway's own answers: what went wrong, in the form the asker reads. Pure.
//!
//! Plain text by default, JSON where `Accept` or the protocol asks for it, a small page for browsers, and a status in
//! the headers for gRPC.

use crate::disturbance::OnPurpose;
use crate::headers::is_grpc;
use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use shoal_model::{ReplicaName, ServiceName};

/// The longest host and path that a sentence repeats, in characters.
const SHOWN_MAX: usize = 200;

/// Why the gateway answers by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The service has no replica that takes requests.
    NoReplica { service: ServiceName },
    /// More requests wait for a replica than the gateway holds.
    HeldFull { service: ServiceName },
    /// The service has as many requests under way as it takes of this route's priority.
    Saturated { service: ServiceName },
    /// The route has its most requests under way.
    RouteFull { service: ServiceName, most: usize },
    /// The answer did not begin in time.
    TimedOut { service: ServiceName },
    /// No route matches.
    NoRoute { host: String, path: String },
    /// The replica could not be connected to.
    NotConnected { service: ServiceName, replica: ReplicaName, why: String },
    /// The replica's connection ended, or made no sense, before its answer began.
    Lost { service: ServiceName, replica: ReplicaName, why: String },
    /// The request is not one that the gateway can pass on.
    BadRequest { why: String },
    /// More headers than the limit.
    TooManyHeaders { count: usize, most: usize },
    /// A larger head than the limit, in bytes.
    HeadTooLarge { most: usize },
    /// A larger body than the limit, in bytes.
    BodyTooLarge { most: u64 },
    /// The client sends its request too slowly.
    TooSlow { why: String },
    /// The method asks for a tunnel.
    Connect,
    /// Somebody asked for this error.
    OnPurpose { service: ServiceName, on_purpose: OnPurpose },
}

/// What a request says of the form it wants its answer in; cheap to take along.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asker {
    accept: Option<HeaderValue>,
    content_type: Option<HeaderValue>,
    is_connect: bool,
}

impl Asker {
    /// As these headers say.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self {
            accept: headers.get(header::ACCEPT).cloned(),
            content_type: headers.get(header::CONTENT_TYPE).cloned(),
            is_connect: headers.contains_key("connect-protocol-version"),
        }
    }

    pub(crate) fn form(&self) -> Form {
        let content = self.content_type.as_ref().map(HeaderValue::as_bytes).unwrap_or_default();
        Form::of(self.accept.as_ref().map(HeaderValue::as_bytes), content, self.is_connect)
    }
}

impl Form {
    /// What these headers of a request ask for.
    pub(crate) fn of(accept: Option<&[u8]>, content_type: &[u8], is_connect: bool) -> Self {
        if is_grpc(content_type) {
            return Self::Grpc;
        }
        if is_connect || content_type.starts_with(b"application/connect+") {
            return Self::Json;
        }
        match accept {
            None | Some(b"*/*") => Self::Text,
            Some(accept) => accepted_form(std::str::from_utf8(accept).unwrap_or_default()),
        }
    }
}

/// What an answer is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Text,
    Json,
    Page,
    Grpc,
}

impl Refusal {
    /// The answer, in the form that was asked for.
    pub(crate) fn answer(&self, form: Form) -> Response<Bytes> {
        let (kind, body) = match form {
            Form::Text => ("text/plain; charset=utf-8", format!("{}\n", self.sentence())),
            Form::Json => {
                let value = serde_json::json!({ "code": self.code().0, "message": self.sentence() });
                ("application/json", value.to_string())
            }
            Form::Page => ("text/html; charset=utf-8", self.page()),
            Form::Grpc => ("application/grpc", String::new()),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = if form == Form::Grpc { StatusCode::OK } else { self.status() };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if form == Form::Grpc {
            headers.insert(HeaderName::from_static("grpc-status"), HeaderValue::from_static(self.code().1));
            if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.sentence())) {
                headers.insert(HeaderName::from_static("grpc-message"), message);
            }
        }
        response
    }

    /// The HTTP status.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NoReplica { .. }
            | Self::NotConnected { .. }
            | Self::HeldFull { .. }
            | Self::Saturated { .. }
            | Self::RouteFull { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::NoRoute { .. } => StatusCode::NOT_FOUND,
            Self::Lost { .. } => StatusCode::BAD_GATEWAY,
            Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::TooManyHeaders { .. } | Self::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::BodyTooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::Connect => StatusCode::NOT_IMPLEMENTED,
            Self::OnPurpose { on_purpose, .. } => on_purpose.status(),
        }
    }

    /// Whether nothing more is to be read from the client over HTTP/1.1: it may have another idea than the gateway of
    /// where its request ends, or goes on sending what nobody takes.
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::NoRoute { .. } | Self::OnPurpose { .. })
            && (self.status().is_client_error() || matches!(self, Self::Connect))
    }

    /// The code of Connect, and gRPC's number for it.
    fn code(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoReplica { .. }
            | Self::NotConnected { .. }
            | Self::Lost { .. }
            | Self::HeldFull { .. }
            | Self::Saturated { .. }
            | Self::RouteFull { .. } => ("unavailable", "14"),
            Self::TimedOut { .. } | Self::TooSlow { .. } => ("deadline_exceeded", "4"),
            Self::NoRoute { .. } | Self::Connect => ("unimplemented", "12"),
            Self::BadRequest { .. } => ("invalid_argument", "3"),
            Self::TooManyHeaders { .. } | Self::HeadTooLarge { .. } | Self::BodyTooLarge { .. } => {
                ("resource_exhausted", "8")
            }
            Self::OnPurpose { on_purpose, .. } => on_purpose.code(),
        }
    }

    /// What went wrong, in one sentence.
    pub(crate) fn sentence(&self) -> String {
        match self {
            Self::NoReplica { service } => {
                format!("The service `{service}` has no replica ready to answer; try again in a moment.")
            }
            Self::HeldFull { service } => {
                format!("The service `{service}` has no replica ready, and too many requests wait for one already.")
            }
            Self::Saturated { service } => {
                format!("The service `{service}` has as much to do as it can take; try again in a moment.")
            }
            Self::RouteFull { service, most } => format!(
                "This route to the service `{service}` has its {most} requests under way, which is the most; try again \
                 in a moment."
            ),
            Self::TimedOut { service } => format!("The service `{service}` did not answer in time."),
            Self::NoRoute { host, path } => {
                let target: String = format!("{host}{path}").chars().take(SHOWN_MAX).collect();
                format!("No route of this application matches `{target}`.")
            }
            Self::NotConnected { service, replica, why } => {
                format!("The service `{service}` could not be reached: its replica `{replica}` {why}.")
            }
            Self::Lost { service, replica, why } => {
                format!("The service `{service}` did not answer: its replica `{replica}` {why}.")
            }
            Self::BadRequest { why } | Self::TooSlow { why } => why.clone(),
            Self::TooManyHeaders { count, most } => {
                format!("The request has {count} headers, and the gateway takes at most {most}.")
            }
            Self::HeadTooLarge { most } => {
                format!("The request's head is larger than {most} bytes, which is the most this route takes.")
            }
            Self::BodyTooLarge { most } => {
                format!("The request's body is larger than {most} bytes, which is the most this route takes.")
            }
            Self::Connect => "The gateway does not open tunnels with the method CONNECT.".to_owned(),
            Self::OnPurpose { service, on_purpose } => {
                format!("The service `{service}` was not asked: fault {} is on.", on_purpose.fault.0)
            }
        }
    }

    fn page(&self) -> String {
        let status = self.status();
        let title = match self {
            _ if status == StatusCode::SERVICE_UNAVAILABLE => "One moment, please",
            Self::NoRoute { .. } => "Nothing here",
            Self::Lost { .. } | Self::TimedOut { .. } => "That did not work",
            _ => "This request cannot be answered",
        };
        // A service that is starting is worth another look, without the visitor's doing.
        let again =
            if status == StatusCode::SERVICE_UNAVAILABLE { "<meta http-equiv=\"refresh\" content=\"2\">" } else { "" };
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width,initial-scale=1\">{again}<title>{title}</title><style>{STYLE}</style></head>\
             <body><main><p class=\"status\">{}</p><h1>{title}</h1><p>{}</p></main></body></html>\n",
            status.as_u16(),
            escaped(&self.sentence())
        )
    }
}

const STYLE: &str = ":root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;\
    font:1.05rem/1.6 system-ui,sans-serif;background:Canvas;color:CanvasText}main{max-width:32rem;padding:2rem}\
    h1{font-size:1.7rem;line-height:1.25;margin:.2rem 0 .8rem}p{margin:0;overflow-wrap:anywhere}\
    .status{font-variant-numeric:tabular-nums;letter-spacing:.08em;opacity:.6}";

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// As gRPC's `grpc-message` wants it: printable ASCII but `%` as it is, every other byte as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The form that an `Accept` header wants.
fn accepted_form(accept: &str) -> Form {
    // In falling preference among equals.
    let forms = [(Form::Json, "application", "json"), (Form::Text, "text", "plain"), (Form::Page, "text", "html")];
    let mut best = (0, 0, Form::Text);
    for (form, kind, subkind) in forms {
        let (quality, precision) = quality(accept, kind, subkind);
        if quality > 0 && (quality, precision) > (best.0, best.1) {
            best = (quality, precision, form);
        }
    }
    // Nothing named but `*/*`: text.
    if best.1 == 0 { Form::Text } else { best.2 }
}

/// How much `Accept` wants a media type, in thousandths, and how precisely it names it (2 in full, 1 `text/*`, 0 `*/*`).
fn quality(accept: &str, kind: &str, subkind: &str) -> (u32, u32) {
    let mut found = (0, 0);
    for range in accept.split(',').take(64) {
        let mut parts = range.split(';').map(str::trim);
        let (named, named_sub) = parts.next().unwrap_or_default().split_once('/').unwrap_or_default();
        let precision = match (named, named_sub) {
            ("*", "*") => 0,
            (_, "*") if named.eq_ignore_ascii_case(kind) => 1,
            _ if named.eq_ignore_ascii_case(kind) && named_sub.eq_ignore_ascii_case(subkind) => 2,
            _ => continue,
        };
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let weight = weight.map_or(1.0, |text| text.parse::<f32>().unwrap_or(0.0)).clamp(0.0, 1.0);
        if precision >= found.1 {
            found = ((weight * 1000.0) as u32, precision);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn asked(name: &'static str, value: &str) -> Asker {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        Asker::of(&headers)
    }

    #[test]
    fn each_asker_gets_its_form() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8";
        for (accept, expected) in [
            ("", Form::Text),
            ("*/*", Form::Text),
            (browser, Form::Page),
            ("application/json", Form::Json),
            ("application/json, text/plain, */*", Form::Json),
            ("text/html;q=0.1, application/json;q=0.2", Form::Json),
            ("text/html;q=0", Form::Text),
            ("image/png", Form::Text),
            ("garbage;;q=x,/", Form::Text),
        ] {
            assert_eq!(asked("accept", accept).form(), expected, "{accept}");
        }
        assert_eq!(asked("connect-protocol-version", "1").form(), Form::Json);
        assert_eq!(asked("content-type", "application/grpc+proto").form(), Form::Grpc);
    }

    #[test]
    fn a_missing_replica_is_said_in_every_form() {
        let refusal = Refusal::NoReplica { service: "catalogue".parse().unwrap() };
        let text = refusal.answer(Form::Text);
        assert_eq!((text.status().as_u16(), &text.headers()["retry-after"]), (503, &HeaderValue::from_static("1")));
        assert_eq!(text.body(), "The service `catalogue` has no replica ready to answer; try again in a moment.\n");
        let json = refusal.answer(Form::Json);
        let value: serde_json::Value = serde_json::from_slice(json.body()).unwrap();
        assert_eq!(value["code"], "unavailable");
        let grpc = refusal.answer(Form::Grpc);
        assert_eq!((grpc.status().as_u16(), &grpc.headers()["grpc-status"]), (200, &HeaderValue::from_static("14")));
        assert!(grpc.headers()["grpc-message"].to_str().unwrap().contains("`catalogue`"));
    }

    proptest! {
        #[test]
        fn a_path_never_becomes_markup(path in "[ -~]{0,300}") {
            let page = Refusal::NoRoute { host: "h".to_owned(), path: format!("/<script>{path}") }.page();
            prop_assert!(!page.contains("<script>"));
            prop_assert!(page.len() < 4000);
        }

        #[test]
        fn no_accept_header_panics(accept in proptest::collection::vec(32u8..=126, 0..200)) {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_bytes(&accept).unwrap());
            Asker::of(&headers).form();
        }
    }
}
