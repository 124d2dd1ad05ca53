//! Reads and writes one JSON value a line, bounded; knows nothing of what the lines mean.

use serde::Serialize;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWrite, AsyncWriteExt};

/// Reads one line into `line`, without its end; `false` when the stream has ended. A last line without an end, and a
/// line longer than `limit` bytes, are errors. Not cancel-safe: a read begun must be finished.
pub(crate) async fn read_line<R: AsyncBufRead + Unpin>(
    reader: &mut R,
    line: &mut Vec<u8>,
    limit: usize,
) -> io::Result<bool> {
    line.clear();
    loop {
        let available = reader.fill_buf().await?;
        if available.is_empty() {
            return if line.is_empty() { Ok(false) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
        }
        let end = available.iter().position(|byte| *byte == b'\n');
        let take = end.unwrap_or(available.len());
        if line.len() + take > limit {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line is longer than the {limit} bytes allowed"),
            ));
        }
        line.extend_from_slice(available.get(..take).unwrap_or_default());
        reader.consume(end.map_or(take, |end| end + 1));
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Writes one value as a line.
pub(crate) async fn write_line<W: AsyncWrite + Unpin>(writer: &mut W, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    writer.write_all(&line).await?;
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(input: &[u8], limit: usize) -> Result<Vec<String>, io::ErrorKind> {
        let mut reader = tokio::io::BufReader::with_capacity(4, input);
        let (mut line, mut lines) = (Vec::new(), Vec::new());
        while read_line(&mut reader, &mut line, limit).await.map_err(|error| error.kind())? {
            lines.push(String::from_utf8_lossy(&line).into_owned());
        }
        Ok(lines)
    }

    #[tokio::test]
    async fn lines_are_cut_and_bounded() {
        assert_eq!(read_all(b"one\n\ntwo and more\n", 12).await.unwrap(), ["one", "", "two and more"]);
        assert_eq!(read_all(b"two and more\n", 11).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read_all(b"endless and endless", 11).await, Err(io::ErrorKind::InvalidData));
        assert_eq!(read_all(b"one\ntw", 12).await, Err(io::ErrorKind::UnexpectedEof));
    }
}
