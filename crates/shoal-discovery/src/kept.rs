//! The listening sockets that a keeper keeps for its replica: asked for at the keeper's socket, had as copies.
//!
//! Never: binds one, or keeps a copy itself.

use crate::descriptors;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;

/// The version of a keeper's protocol in which it is asked.
const VERSION: u32 = 1;

/// The longest answer, in bytes.
const LINE_MAX: usize = 64 * 1024;

/// How long a keeper may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Serialize)]
struct Request {
    version: u32,
    ask: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
enum Reply {
    Sockets { names: Vec<String> },
    Refused { why: String },
}

/// Copies of the sockets that the keeper behind this socket keeps, by name. Whether they block is common to all copies, and
/// left as it is.
///
/// # Errors
/// When nobody answers there in time, or what comes is not a listening TCP socket for each name.
pub async fn listeners(keeper: &Path) -> io::Result<BTreeMap<String, TcpListener>> {
    let asked = tokio::time::timeout(ANSWER_TIMEOUT, ask(keeper)).await;
    let (names, sockets) = asked.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if names.len() != sockets.len() {
        return Err(invalid(format!("the keeper named {} sockets and passed {}", names.len(), sockets.len())));
    }
    let mut listeners = BTreeMap::new();
    for (name, socket) in names.into_iter().zip(sockets) {
        if !rustix::net::sockopt::socket_acceptconn(&socket)? {
            return Err(invalid(format!("what the keeper passed as `{name}` is not a listening socket")));
        }
        let listener = TcpListener::from(socket);
        listener.local_addr()?;
        listeners.insert(name, listener);
    }
    Ok(listeners)
}

async fn ask(keeper: &Path) -> io::Result<(Vec<String>, Vec<OwnedFd>)> {
    let mut stream = UnixStream::connect(keeper).await?;
    let mut line = serde_json::to_vec(&Request { version: VERSION, ask: "sockets" })?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let (mut text, mut sockets, mut buffer) = (Vec::new(), Vec::new(), vec![0; 4096]);
    loop {
        let receive = || descriptors::receive(&stream, &mut buffer, &mut sockets);
        let count = stream.async_io(Interest::READABLE, receive).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if let Some(line) = text.strip_suffix(b"\n") {
            return match serde_json::from_slice(line)? {
                Reply::Sockets { names } => Ok((names, sockets)),
                Reply::Refused { why } => Err(invalid(why)),
            };
        }
        if text.len() > LINE_MAX {
            return Err(invalid("the keeper's answer is too long".to_owned()));
        }
    }
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::path::PathBuf;

    /// Somebody who answers the first question with this line and these sockets.
    fn keeper(answer: &'static str, sockets: Vec<OwnedFd>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keeper");
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut question = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(&stream), &mut question).unwrap();
            assert_eq!(question, "{\"version\":1,\"ask\":\"sockets\"}\n");
            let borrowed: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            let sent = descriptors::send(&stream, answer.as_bytes(), &borrowed).unwrap();
            assert_eq!(sent, answer.len());
        });
        (folder, path)
    }

    async fn why(answer: &'static str, sockets: Vec<OwnedFd>) -> String {
        let (_folder, path) = keeper(answer, sockets);
        listeners(&path).await.unwrap_err().to_string()
    }

    #[tokio::test]
    async fn a_copy_of_each_socket_comes_under_its_name() {
        let (one, two) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = [one.local_addr().unwrap(), two.local_addr().unwrap()];
        let answer = "{\"version\":1,\"answer\":\"sockets\",\"names\":[\"stock\",\"prices\"]}\n";
        let (_folder, path) = keeper(answer, vec![one.into(), two.into()]);
        let had = listeners(&path).await.unwrap();
        assert_eq!(had["stock"].local_addr().unwrap(), addresses[0]);
        assert_eq!(had["prices"].local_addr().unwrap(), addresses[1]);
    }

    #[tokio::test]
    async fn what_is_not_as_it_should_be_is_an_error() {
        let named = "{\"version\":1,\"answer\":\"sockets\",\"names\":[\"stock\"]}\n";
        assert!(why(named, Vec::new()).await.contains("named 1 sockets and passed 0"));
        let unbound = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(why(named, vec![unbound.into()]).await.contains("not a listening socket"));
        let refused = "{\"version\":1,\"answer\":\"refused\",\"why\":\"not now\"}\n";
        assert!(why(refused, Vec::new()).await.contains("not now"));
        assert!(why("rubbish\n", Vec::new()).await.contains("expected"));
        assert!(why("half a line", Vec::new()).await.contains("end of file"));
    }
}
