//! One client: sends bytes as they are, and reads what comes back until the connection ends.

use shoal_e2e::strict::{Kind, read};
use shoal_e2e::{Door, Proxy};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How long a proxy may say nothing before it counts as waiting for more.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The most of an answer that is read, in bytes.
const ANSWER_MAX: usize = 1024 * 1024;

/// What a client got.
#[derive(Clone, Debug, Default)]
pub struct Talk {
    /// The status of each answer, without the interim ones; 0 for what is no answer.
    pub statuses: Vec<u16>,
    /// The bodies of the answers.
    pub bodies: Vec<String>,
    /// Whether the last answer ended too early.
    pub cut: bool,
    /// Whether the proxy ended the connection, as opposed to waiting for more.
    pub ended: bool,
    /// What came that is no answer.
    pub nonsense: Option<String>,
}

/// Sends requests to a proxy, in pieces of so many bytes, and reads the answers to these methods. Waits for more for so long.
pub fn send(proxy: &Proxy, bytes: &[u8], methods: &[&str], piece: usize, patience: Duration) -> Talk {
    let (answer, ended) = exchange(&proxy.http1, bytes, piece, patience);
    let mut talk = Talk { ended, ..Talk::default() };
    let mut rest = answer.as_slice();
    let mut methods = methods.iter();
    let mut head = methods.next() == Some(&"HEAD");
    while !rest.is_empty() {
        match read(rest, Kind::Answer { head }) {
            Ok(Some((answer, taken))) => {
                rest = rest.get(taken..).unwrap_or_default();
                let status = answer.start[1].parse().unwrap_or(0);
                if status >= 200 {
                    talk.statuses.push(status);
                    talk.bodies.push(String::from_utf8_lossy(&answer.body).into_owned());
                    head = methods.next() == Some(&"HEAD");
                }
            }
            Ok(None) => {
                talk.cut = true;
                return talk;
            }
            Err(why) => {
                talk.nonsense = Some(format!("{why}: {}", rest.get(..200).unwrap_or(rest).escape_ascii()));
                return talk;
            }
        }
    }
    talk
}

/// Sends bytes; answers what came back, and whether the other side ended the connection.
fn exchange(door: &Door, bytes: &[u8], piece: usize, patience: Duration) -> (Vec<u8>, bool) {
    let mut stream = door.connect().expect("the proxy listens");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    // A proxy that refuses early stops reading: what it said before counts.
    let sent = bytes.chunks(piece.max(1)).try_for_each(|piece| {
        std::thread::yield_now();
        stream.write_all(piece)
    });
    let mut answer = Vec::new();
    let ended = read_on(&mut stream, Instant::now() + patience, |bytes| {
        answer.extend_from_slice(bytes);
        answer.len() < ANSWER_MAX
    });
    (answer, ended || sent.is_err())
}

/// Reads until the end, until `take` has enough, or until time is up; answers whether it was the end.
pub fn read_on(stream: &mut UnixStream, until: Instant, mut take: impl FnMut(&[u8]) -> bool) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        stream.set_read_timeout(Some(left)).expect("a timeout can be set");
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(count) if take(buffer.get(..count).unwrap_or_default()) => {}
            Ok(_) => return false,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}
