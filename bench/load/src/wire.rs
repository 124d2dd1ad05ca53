//! The answer's bytes: its head, and where its body ends. Never: reads a socket.

use bytes::{Buf, Bytes, BytesMut};

/// The largest head, in bytes, and the most fields in it.
const HEAD_MAX: usize = 64 * 1024;
const FIELDS_MAX: usize = 128;
/// The longest line that tells a chunk's size, in bytes.
const CHUNK_LINE_MAX: usize = 1024;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: u16,
    /// Empty unless they were asked for.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) ending: Ending,
    /// Whether the connection can be used again.
    pub(crate) kept: bool,
}

/// How the end of a body is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    After(u64),
    Chunks,
    Close,
}

/// Takes a head off the front of what was read; `None` while it is incomplete.
pub(crate) fn head(buffer: &mut BytesMut, with_headers: bool, has_no_body: bool) -> Result<Option<Head>, String> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut fields);
    let length = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if buffer.len() > HEAD_MAX => return Err("the answer's head has no end".into()),
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(format!("the answer is no HTTP/1.1: {error}")),
    };
    let status = parsed.code.unwrap_or_default();
    let mut head = Head { status, headers: Vec::new(), ending: Ending::Close, kept: parsed.version == Some(1) };
    for field in parsed.headers.iter() {
        if field.name.eq_ignore_ascii_case("content-length") {
            let text = String::from_utf8_lossy(field.value);
            let length = text.trim().parse().map_err(|_| format!("`content-length: {text}` is no length"))?;
            head.ending = Ending::After(length);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            head.ending = Ending::Chunks;
        } else if field.name.eq_ignore_ascii_case("connection") {
            head.kept &= !field.value.eq_ignore_ascii_case(b"close");
        }
        if with_headers {
            head.headers.push((field.name.to_ascii_lowercase(), String::from_utf8_lossy(field.value).into_owned()));
        }
    }
    if has_no_body || matches!(status, 100..=199 | 204 | 304) {
        head.ending = Ending::After(0);
    }
    head.kept &= head.ending != Ending::Close;
    buffer.advance(length);
    Ok(Some(head))
}

/// Finds the end of a body, piece by piece.
#[derive(Debug)]
pub(crate) struct Body {
    ending: Ending,
    /// In a chunk: how many bytes of it are still to come, with the line end after it.
    chunk: u64,
    /// After the chunk of length zero: the lines that may follow it.
    in_trailers: bool,
}

/// What the buffer held.
pub(crate) enum Piece {
    /// Some bytes of the body.
    Data(Bytes),
    /// Nothing usable: more must be read.
    More,
    End,
}

impl Body {
    pub(crate) fn new(ending: Ending) -> Self {
        Self { ending, chunk: 0, in_trailers: false }
    }

    /// Whether the other side closing the connection ends this body as it should.
    pub(crate) fn ends_by_close(&self) -> bool {
        self.ending == Ending::Close
    }

    /// The next piece of the body that is in the buffer.
    pub(crate) fn next(&mut self, buffer: &mut BytesMut) -> Result<Piece, String> {
        match self.ending {
            Ending::After(0) => Ok(Piece::End),
            Ending::After(left) => Ok(match taken(buffer, left) {
                None => Piece::More,
                Some(data) => {
                    self.ending = Ending::After(left - data.len() as u64);
                    Piece::Data(data)
                }
            }),
            Ending::Close => Ok(taken(buffer, u64::MAX).map_or(Piece::More, Piece::Data)),
            Ending::Chunks => self.next_chunk(buffer),
        }
    }

    fn next_chunk(&mut self, buffer: &mut BytesMut) -> Result<Piece, String> {
        loop {
            if self.chunk > 2 {
                let Some(data) = taken(buffer, self.chunk - 2) else { return Ok(Piece::More) };
                self.chunk -= data.len() as u64;
                return Ok(Piece::Data(data));
            }
            if self.chunk > 0 {
                let Some(end) = taken(buffer, self.chunk) else { return Ok(Piece::More) };
                self.chunk -= end.len() as u64;
                continue;
            }
            let Some(end) = buffer.iter().position(|byte| *byte == b'\n') else {
                let endless = buffer.len() > CHUNK_LINE_MAX;
                return if endless { Err("a chunk's size has no end".into()) } else { Ok(Piece::More) };
            };
            let line = buffer.split_to(end + 1);
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end();
            if self.in_trailers {
                if line.is_empty() {
                    self.ending = Ending::After(0);
                    return Ok(Piece::End);
                }
                continue;
            }
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = u64::from_str_radix(size, 16).map_err(|_| format!("`{line}` is no chunk's size"))?;
            self.in_trailers = size == 0;
            self.chunk = if size == 0 { 0 } else { size.saturating_add(2) };
        }
    }
}

/// At most `most` bytes off the front; `None` when there are none.
fn taken(buffer: &mut BytesMut, most: u64) -> Option<Bytes> {
    let length = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    (length > 0).then(|| buffer.split_to(length).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, when the bytes come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<(u16, String, bool), String> {
        let mut buffer = BytesMut::new();
        let mut pieces = bytes.chunks(size);
        let mut body: Option<(Head, Body)> = None;
        let mut text = String::new();
        loop {
            if let Some((found, rest)) = &mut body {
                match rest.next(&mut buffer)? {
                    Piece::Data(data) => {
                        text.push_str(&String::from_utf8_lossy(&data));
                        continue;
                    }
                    Piece::End => return Ok((found.status, text, found.kept)),
                    Piece::More => {}
                }
            } else if let Some(found) = head(&mut buffer, true, false)? {
                let rest = Body::new(found.ending);
                body = Some((found, rest));
                continue;
            }
            match pieces.next() {
                Some(piece) => buffer.extend_from_slice(piece),
                None => return Err("ended early".to_owned()),
            }
        }
    }

    #[test]
    fn bodies_end_where_they_should_however_they_come() {
        let known = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello".as_slice();
        let chunks =
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nt: 1\r\n\r\n";
        let none = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".as_slice();
        for size in 1..60 {
            assert_eq!(read(known, size), Ok((200, "hello".to_owned(), true)));
            assert_eq!(read(chunks, size), Ok((200, "hello".to_owned(), true)));
            assert_eq!(read(none, size), Ok((204, String::new(), false)));
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for bytes in [
            b"nonsense\r\n\r\n".as_slice(),
            b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhell",
        ] {
            assert!(read(bytes, 7).is_err());
        }
    }
}
