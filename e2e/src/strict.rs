//! HTTP/1.1 as its strictest reader takes it: one reading of each message, or none. What a proxy passes on must be
//! readable here, since whatever is not may be read differently by the next server.
//!
//! Never: forgives. No other line end than CRLF, no folded line, no chunk extension, no two lengths.

/// The longest head that is read, in bytes.
const HEAD_MAX: usize = 256 * 1024;

/// Names that say how long a message is or whom it is for: they have no business in a trailer.
const NOT_IN_TRAILERS: [&str; 4] = ["content-length", "transfer-encoding", "host", "connection"];

/// A message that arrived whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The three words of its first line.
    pub start: [String; 3],
    /// Its headers, names in lower case, values as text.
    pub headers: Vec<(String, String)>,
    /// Its body, without the chunks it came in.
    pub body: Vec<u8>,
    /// Its trailers, like headers.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// All values of a header.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Which side of a conversation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Requests.
    Request,
    /// Answers; `head` when it answers a HEAD request, so that no body follows.
    Answer {
        /// Whether the request was HEAD.
        head: bool,
    },
}

/// Reads the first message of `bytes`: the message and how many bytes it took, or `None` when more must come.
///
/// # Errors
/// What is wrong with it.
pub fn read(bytes: &[u8], kind: Kind) -> Result<Option<(Message, usize)>, String> {
    let Some(end) = find(bytes, b"\r\n\r\n") else {
        // What has come so far must be the start of a head.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        head(bytes.get(..whole).unwrap_or_default(), kind)?;
        return if bytes.len() > HEAD_MAX { Err("the head is too long".to_owned()) } else { Ok(None) };
    };
    let (start, headers) = head(bytes.get(..end + 2).unwrap_or_default(), kind)?;
    let mut message = Message { start, headers, ..Message::default() };
    let rest = bytes.get(end + 4..).unwrap_or_default();
    let taken = match length(&message, kind)? {
        Length::Bytes(count) => rest.get(..count).map(|body| {
            message.body = body.to_vec();
            count
        }),
        Length::Chunked => chunks(rest, &mut message)?,
        Length::ToTheEnd => None,
    };
    Ok(taken.map(|taken| (message, end + 4 + taken)))
}

/// How long a body is.
enum Length {
    Bytes(usize),
    Chunked,
    ToTheEnd,
}

fn length(message: &Message, kind: Kind) -> Result<Length, String> {
    let codings: Vec<&str> = message.values("transfer-encoding").collect();
    let lengths: Vec<&str> = message.values("content-length").collect();
    let stated = match (codings.as_slice(), lengths.as_slice()) {
        ([], []) => None,
        (["chunked"], []) => Some(Length::Chunked),
        ([], [one]) if (1..=15).contains(&one.len()) && one.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(Length::Bytes(one.parse().map_err(|_| format!("content-length `{one}`"))?))
        }
        _ => return Err(format!("its length is said as content-length {lengths:?}, transfer-encoding {codings:?}")),
    };
    let status = message.start[1].as_str();
    match kind {
        Kind::Request => Ok(stated.unwrap_or(Length::Bytes(0))),
        Kind::Answer { head } if head || status.starts_with('1') || matches!(status, "204" | "304") => {
            Ok(Length::Bytes(0))
        }
        Kind::Answer { .. } => Ok(stated.unwrap_or(Length::ToTheEnd)),
    }
}

type Head = ([String; 3], Vec<(String, String)>);

/// Reads the lines of a head, or as many as there are yet.
fn head(bytes: &[u8], kind: Kind) -> Result<Head, String> {
    let mut lines = lines(bytes)?.into_iter();
    let Some(first) = lines.next() else { return Ok(Head::default()) };
    let shown = || format!("the first line is `{}`", first.escape_ascii());
    let text = std::str::from_utf8(first).map_err(|_| shown())?;
    let mut words = text.splitn(3, ' ');
    let start = [(); 3].map(|()| words.next().unwrap_or_default().to_owned());
    let is_proper = match kind {
        Kind::Request => {
            let target = start[1].as_str();
            let visible = target.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'#');
            is_token(&start[0])
                && visible
                && (target.starts_with('/') || (target == "*" && start[0] == "OPTIONS"))
                && start[2] == "HTTP/1.1"
        }
        Kind::Answer { .. } => {
            matches!(start[0].as_str(), "HTTP/1.1" | "HTTP/1.0")
                && start[1].len() == 3
                && start[1].bytes().all(|byte| byte.is_ascii_digit())
        }
    };
    if !is_proper {
        return Err(shown());
    }
    let headers: Vec<(String, String)> = lines.map(field).collect::<Result<_, _>>()?;
    let hosts: Vec<&str> = headers.iter().filter(|(name, _)| name == "host").map(|(_, value)| value.as_str()).collect();
    if hosts.len() > 1 || hosts.iter().any(|host| !is_host(host)) {
        return Err(format!("the hosts are {hosts:?}"));
    }
    Ok((start, headers))
}

/// The lines of `bytes`, each of which must end with CRLF and hold neither CR nor LF.
fn lines(bytes: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = find(rest, b"\n") {
        let line = rest.get(..end).and_then(|line| line.strip_suffix(b"\r"));
        let Some(line) = line.filter(|line| !line.contains(&b'\r')) else {
            return Err(format!("a line ends as in `{}`", rest.get(..=end).unwrap_or_default().escape_ascii()));
        };
        lines.push(line);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    Ok(lines)
}

fn field(line: &[u8]) -> Result<(String, String), String> {
    let wrong = || format!("a header is `{}`", line.escape_ascii());
    let colon = line.iter().position(|byte| *byte == b':').ok_or_else(wrong)?;
    let (name, value) = line.split_at(colon);
    let name = std::str::from_utf8(name).ok().filter(|name| is_token(name)).ok_or_else(wrong)?;
    let value = value.get(1..).unwrap_or_default();
    if value.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return Err(wrong());
    }
    let value = String::from_utf8_lossy(value).trim_matches([' ', '\t']).to_owned();
    Ok((name.to_ascii_lowercase(), value))
}

fn is_token(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(allowed)
}

fn is_host(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(&byte);
    text.bytes().all(allowed)
}

/// Reads chunks into the message's body; answers how many bytes they took, or `None` when more must come.
fn chunks(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, String> {
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = find(rest, b"\n") else {
            return if rest.len() > 18 { Err("a chunk's size is too long".to_owned()) } else { Ok(None) };
        };
        let line = rest.get(..=end).unwrap_or_default();
        let wrong = || format!("a chunk starts with `{}`", line.escape_ascii());
        let size = line.strip_suffix(b"\r\n").and_then(|size| std::str::from_utf8(size).ok()).ok_or_else(wrong)?;
        let is_size = (1..=8).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = usize::from_str_radix(size, 16).ok().filter(|_| is_size).ok_or_else(wrong)?;
        at += end + 1;
        if size == 0 {
            return trailers(bytes.get(at..).unwrap_or_default(), message).map(|taken| taken.map(|taken| at + taken));
        }
        let (Some(data), Some(line_end)) = (bytes.get(at..at + size), bytes.get(at + size..at + size + 2)) else {
            return Ok(None);
        };
        if line_end != b"\r\n" {
            return Err(format!("a chunk of {size} bytes is followed by `{}`", line_end.escape_ascii()));
        }
        message.body.extend_from_slice(data);
        at += size + 2;
    }
}

fn trailers(bytes: &[u8], message: &mut Message) -> Result<Option<usize>, String> {
    if bytes.starts_with(b"\r\n") {
        return Ok(Some(2));
    }
    let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let lines = lines(bytes.get(..end + 2).unwrap_or_default())?;
    message.trailers = lines.into_iter().map(field).collect::<Result<_, _>>()?;
    match message.trailers.iter().find(|(name, _)| NOT_IN_TRAILERS.contains(&name.as_str())) {
        Some((name, _)) => Err(format!("a trailer is `{name}`")),
        None => Ok(Some(end + 4)),
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proper_requests_are_read_one_after_another() {
        let bytes = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi\
            POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nyo\r\n0\r\nx: y\r\n\r\nGET /c";
        let (first, taken) = read(bytes, Kind::Request).unwrap().unwrap();
        assert_eq!((first.start[1].as_str(), first.body.as_slice()), ("/a", b"hi".as_slice()));
        let (second, more) = read(&bytes[taken..], Kind::Request).unwrap().unwrap();
        assert_eq!((second.body.as_slice(), second.trailers.len()), (b"yo".as_slice(), 1));
        assert_eq!(read(&bytes[taken + more..], Kind::Request), Ok(None));
        for end in 0..taken {
            assert_eq!(read(&bytes[..end], Kind::Request), Ok(None), "cut at {end}");
        }
    }

    #[test]
    fn whatever_has_two_readings_is_refused() {
        for bytes in [
            "GET  /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\nHost: h\n\n",
            "GET /a HTTP/1.0\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nX : b\r\n\r\n",
            "GET /a HTTP/1.1\r\nX: b\r\n c\r\n\r\n",
            "POST /a HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
            "POST /a HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\na",
            "POST /a HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;a\r\nx\r\n0\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
            "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 4\r\n\r\n",
        ] {
            assert!(read(bytes.as_bytes(), Kind::Request).is_err(), "{bytes}");
        }
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        let bytes = b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        let (_, taken) = read(bytes, Kind::Answer { head: false }).unwrap().unwrap();
        assert_eq!(taken, 27);
        let (whole, _) = read(&bytes[taken..], Kind::Answer { head: false }).unwrap().unwrap();
        assert_eq!(whole.body, b"hello");
        let (bodiless, taken) = read(&bytes[taken..], Kind::Answer { head: true }).unwrap().unwrap();
        assert!(bodiless.body.is_empty() && taken == 38);
    }
}
