//! One HTTP/1.1 request, written once and sent as often as wanted. Never: checks what it is made of; a test may want
//! to send nonsense.

use bytes::Bytes;

/// A request, ready to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    bytes: Bytes,
    idempotent: bool,
    has_no_answer_body: bool,
}

impl Request {
    /// `GET`.
    #[must_use]
    pub fn get(host: &str, path: &str, headers: &[(&str, &str)]) -> Self {
        Self::new("GET", host, path, headers, &[])
    }

    /// `POST`.
    #[must_use]
    pub fn post(host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::new("POST", host, path, headers, body)
    }

    /// Any method. The body's length is sent unless there is neither a body nor a method that has one.
    #[must_use]
    pub fn new(method: &str, host: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256 + body.len());
        for part in [method, " ", path, " HTTP/1.1\r\nhost: ", host, "\r\n"] {
            bytes.extend_from_slice(part.as_bytes());
        }
        for (name, value) in headers {
            for part in [name, ": ", value, "\r\n"] {
                bytes.extend_from_slice(part.as_bytes());
            }
        }
        let idempotent = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE");
        if !body.is_empty() || !idempotent {
            bytes.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        Self { bytes: bytes.into(), idempotent, has_no_answer_body: method == "HEAD" }
    }

    /// Whether sending it twice does no more than sending it once, by its method.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn has_no_answer_body(&self) -> bool {
        self.has_no_answer_body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_http_wants_it() {
        let get = Request::get("a:1", "/x", &[("accept", "*/*")]);
        assert_eq!(get.bytes(), b"GET /x HTTP/1.1\r\nhost: a:1\r\naccept: */*\r\n\r\n");
        let post = Request::post("a", "/", &[], b"hi");
        assert_eq!(post.bytes(), b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nhi");
        assert!(get.is_idempotent() && !post.is_idempotent());
    }
}
