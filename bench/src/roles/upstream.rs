//! What proxies pass requests to: answers each with the same kilobyte, as cheaply as can be. Never: looks at a request
//! further than to find its end; none here has a body.

use super::event_loop;
use crate::{Failure, report};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Serves on `$PORT`, or on any.
pub fn serve() -> Result<(), Failure> {
    let port: u16 = std::env::var("PORT").ok().map_or(Ok(0), |port| port.parse())?;
    event_loop()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        report::line(&listener.local_addr()?.to_string());
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A client that goes away is nothing to speak of.
            tokio::spawn(async move { drop(answer(stream).await) });
        }
    })
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut whole = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 1024\r\n\r\n".to_vec();
    whole.resize(whole.len() + 1024, b'x');
    let mut buffer = Vec::with_capacity(16 * 1024);
    while stream.read_buf(&mut buffer).await? > 0 {
        let requests = buffer.windows(4).filter(|bytes| bytes == b"\r\n\r\n").count();
        for _ in 0..requests {
            stream.write_all(&whole).await?;
        }
        if buffer.ends_with(b"\r\n\r\n") || buffer.len() > 64 * 1024 {
            buffer.clear();
        } else if requests > 0 {
            let end = buffer.windows(4).rposition(|bytes| bytes == b"\r\n\r\n").map_or(0, |start| start + 4);
            buffer.drain(..end);
        }
    }
    Ok(())
}
